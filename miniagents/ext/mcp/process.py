"""`ServerProcess`: the process of a server, with all that it starts."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp.client.stdio import get_default_environment

from miniagents.ext.mcp.lines import Lines
from miniagents.ext.mcp.texts import shortened
from miniagents.log import log as _log

CHUNK = 2**16
"""The most bytes that are read at once."""

LAST_WORDS = 0.25
"""Seconds in which the last output is read after the end of a process, whose pipes another process may hold open; and
in which the exit code is awaited after the end of the output."""

_GRACE = 1.0
"""Seconds that the process gets to end after its input was closed, and again after SIGTERM."""

_KILLED = 2.0
"""Seconds in which the end of a killed process is noticed."""

_POLL = 0.01
_STDERR_LINES = 8
_STDERR_LINE = 2000

_WATCH = 'read -r _ && exit 0; kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"'
"""The program of the watch: its input ends without a line when this process was killed. `kill -TERM --` is no command
of dash, which is `sh` on Debian."""


class ServerProcess:
    """A process in a group of its own, which ends with this process even if that is killed.

    Make one with `ServerProcess.start`.

    Attributes:
        stdout: The output of the process.
        stdin: The input of the process.
        exited: Set when the process has ended, also while other processes hold its pipes open.
    """

    def __init__(self, process: Process, transport: asyncio.SubprocessTransport, exited: asyncio.Event) -> None:
        assert process.stdout is not None  # the process was started with pipes
        assert process.stdin is not None
        assert process.stderr is not None
        self._process = process
        self._transport = transport
        self._watch: subprocess.Popen[bytes] | None = None
        self._last_errors: deque[str] = deque(maxlen=_STDERR_LINES)
        self._has_ended = False
        self.exited = exited
        self.stdout = process.stdout
        self.stdin = process.stdin
        self._stderr = process.stderr

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str] | None, cwd: str | Path | None
    ) -> "ServerProcess":
        """Start a process.

        Args:
            command: The program and its arguments.
            env: Environment variables beside the harmless ones (PATH, HOME, ...); nothing else is inherited.
            cwd: The working directory, or None for that of this process.

        Raises:
            OSError: The process cannot be started.
        """
        loop = asyncio.get_running_loop()
        exited = asyncio.Event()
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(loop, exited),
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**get_default_environment(), **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        process = cls(Process(transport, protocol, loop), transport, exited)
        process._watch_parent()
        return process

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    def _watch_parent(self) -> None:
        """Have the group killed when this process ends without stopping it, where the system has a shell."""
        shell = shutil.which("sh") if sys.platform != "win32" else None
        if shell is None:
            return
        self._watch = subprocess.Popen(
            [shell, "-c", _WATCH, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def read_stderr(self) -> None:
        """Keep the last lines of the error output, until it ends."""
        lines = Lines(_STDERR_LINE)
        while chunk := await self._stderr.read(CHUNK):
            for line in lines.feed(chunk):
                text = line.decode(errors="replace") if isinstance(line, bytes) else f"(a line of {line.size} bytes)"
                if text.strip():
                    self._last_errors.append(shortened(text.strip()))

    def ending(self) -> str:
        """Return how the process has ended, with the last lines of its error output."""
        code = self._process.returncode
        if code is None:
            how = "the process closed its output"
        elif code < 0:
            how = f"the process was killed by {_name_of_signal(-code)}"
        else:
            how = f"the process ended with exit code {code}"
        return f"{how}; its last errors: {' | '.join(self._last_errors)}" if self._last_errors else how

    async def stop(self) -> None:
        """End the whole group: its input is closed, then SIGTERM, then SIGKILL. All waits are bounded."""
        self.stdin.close()
        await self._wait(self.exited.is_set, _GRACE)
        if self._signal(signal.SIGTERM) and not await self._wait(lambda: not self._signal(0), _GRACE):
            self._kill()
        if not await self._wait(self.exited.is_set, _KILLED):
            _log.warning("mcp.process_left", pid=self.pid)
        self._transport.close()
        self._has_ended = True
        if self._watch is not None:
            watch, self._watch = self._watch, None
            await asyncio.to_thread(_end_watch, watch)

    def close(self) -> None:
        """Kill what `stop` has not ended: for the case that the task was cancelled in `stop`, or before it."""
        if self._has_ended:
            return
        self._kill()
        self._transport.close()
        if self._watch is not None:
            watch, self._watch = self._watch, None
            _end_watch(watch)

    def _kill(self) -> None:
        """Kill the whole group at once, without waiting."""
        self._signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)

    async def _wait(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until the condition holds, or the time is up."""
        deadline = asyncio.get_running_loop().time() + within
        while not condition():
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; 0 only looks.

        Returns:
            Whether a process of the group is left.
        """
        if sys.platform == "win32":
            if number and not self.exited.is_set():
                self._process.kill()
            return not self.exited.is_set()
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # there is somebody: a process of another user, or on some systems a zombie
            return not self.exited.is_set()
        return True


class _Protocol(SubprocessStreamProtocol):
    """Tells the end of the process at once, and ends its output soon after it.

    `Process.wait`, and the end of the output, wait for all who hold the pipes of the process.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, exited: asyncio.Event) -> None:
        super().__init__(limit=CHUNK, loop=loop)
        self._events = loop
        self._exited = exited
        self._pipes: list[asyncio.BaseTransport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        of_process: Any = transport  # that of uvloop has the methods of a `SubprocessTransport`, and is none
        pipes = (of_process.get_pipe_transport(number) for number in (1, 2))
        self._pipes = [pipe for pipe in pipes if pipe is not None]

    def process_exited(self) -> None:
        super().process_exited()
        self._exited.set()
        for pipe in self._pipes:
            self._events.call_later(LAST_WORDS, pipe.close)


def _end_watch(watch: "subprocess.Popen[bytes]") -> None:
    """End the watch, whose group has ended, and reap it."""
    with suppress(OSError):
        watch.communicate(b"\n", timeout=_KILLED)
    watch.kill()
    watch.wait()


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
