"""`record_agent` and `play`: one call of an agent with a recording of it, and the page of a recording."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

from miniagents.cli.agents.replies import run_agent
from miniagents.control.protocol import failed
from miniagents.errors import InvalidOptionError
from miniagents.ext.command_line import DONE
from miniagents.ext.observer import WebObserver, replay
from miniagents.ext.observer.recording import DEFAULT_BYTES
from miniagents.ext.observer.recording_file import RecordingWriter


def record_agent(file: str, texts: str, settings: dict[str, Any], **options: Any) -> int:
    """Call an agent, print its replies, and record what the observer's page would show.

    Args:
        file: The file of the recording.
        texts: What of the texts goes into it: "facts", "redacted" or "full".
        settings: Options of the system.
        **options: The arguments of `run_agent`.

    Returns:
        The exit status of success.

    Raises:
        CommandError: The call failed, which is recorded, too; or the recording did.
        InvalidOptionError: The file cannot be written, or another argument is wrong.
        MissingDependencyError: The extra `observe` is not installed.
    """
    observer = WebObserver(record=file, record_texts=texts, opens=False)  # type: ignore[arg-type]  # one of the choices
    try:
        # Before anything runs; later a file that cannot be written ends the recording alone.
        RecordingWriter(Path(file), DEFAULT_BYTES).close()
    except OSError as error:
        raise InvalidOptionError(f"{file} cannot be written: {error.strerror}") from error
    status = run_agent(**options, settings={**settings, "observers": [observer]})
    recorder = observer.recorder_to_file
    if recorder is not None and recorder.failure is not None:
        raise failed(f"the recording to {file} has ended: {recorder.failure}")
    return status


def play(file: str, host: str, port: int) -> int:
    """Show a recording in the browser, until Ctrl-C or SIGTERM.

    Args:
        file: The file of the recording.
        host: The address to listen at.
        port: The port, 0 for any.

    Returns:
        The exit status of success.

    Raises:
        InvalidOptionError: The file cannot be read or is no recording, or nobody can listen at the address.
        MissingDependencyError: The extra `observe` is not installed.
    """
    try:
        asyncio.run(_until_terminated(file, host, port))
    except OSError as error:
        where = file if error.filename is not None else f"{host}:{port}"
        raise InvalidOptionError(f"{where}: {error.strerror}") from error
    except OverflowError as error:
        raise InvalidOptionError(f"--port must be 0 to 65535, not {port}") from error
    return DONE


async def _until_terminated(file: str, host: str, port: int) -> None:
    playing = asyncio.ensure_future(replay(file, host=host, port=port))
    with contextlib.suppress(NotImplementedError):  # no such handlers on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    await asyncio.wait([playing])
    if not playing.cancelled():
        playing.result()
