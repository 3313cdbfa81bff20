"""`ControlServer`: who is answered, what is answered, and that nobody can harm the process."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from miniagents.control import CommandError, ControlServer, NotListeningError, ask, server
from miniagents.control.protocol import MAX_LINE, failed
from miniagents.errors import MailboxFullError

pytestmark = pytest.mark.real_time


async def _echo(arguments: dict[str, Any]) -> Any:
    return arguments


async def _fail(arguments: dict[str, Any]) -> Any:
    kinds: dict[str, Exception] = {
        "refused": failed("not now"),
        "ours": MailboxFullError("/a: mailbox is full"),
        "broken": ZeroDivisionError("division"),
    }
    raise kinds[arguments["how"]]


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[ControlServer]:
    """An open server, which is closed at the end."""
    with tempfile.TemporaryDirectory() as folder:  # a short path, which pytest's own may not be
        control = ControlServer(Path(folder) / "s.sock", {"echo": _echo, "fail": _fail}, **options)
        control.open()
        try:
            yield control
        finally:
            await control.close()


async def asked(control: ControlServer, command: str, **arguments: Any) -> Any:
    """The answer to a command, asked from a thread as another process would."""
    return await asyncio.to_thread(ask, control.path, command, arguments, patience=20)


async def raw(control: ControlServer, data: bytes) -> dict[str, Any]:
    """The answer to bytes."""
    reader, writer = await asyncio.open_unix_connection(str(control.path), limit=2 * MAX_LINE)
    with contextlib.suppress(ConnectionError):
        writer.write(data)
    line = await reader.readline()
    writer.close()
    return json.loads(line)  # type: ignore[no-any-return]


async def test_a_command_gets_its_arguments_and_the_client_its_result() -> None:
    async with opened() as control:
        assert await asked(control, "echo", name="Ada", n=3) == {"name": "Ada", "n": 3}


async def test_one_connection_can_ask_several_commands() -> None:
    async with opened() as control:
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        for n in range(3):
            writer.write(json.dumps({"command": "echo", "arguments": {"n": n}}).encode() + b"\n")
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        writer.close()

    assert [answer["result"]["n"] for answer in answers] == [0, 1, 2]
    assert {answer["version"] for answer in answers} == {1}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"garbage\n", "no request"),
        (b"\xff\xfe\n", "no request"),
        (b"[" * 100_000 + b"\n", "no request"),
        (b'{"arguments": {}}\n', "command"),
        (b'{"command": "echo", "version": 99}\n', "version 1"),
        (b'{"command": "format_disk"}\n', "no command 'format_disk'; it has echo, fail"),
        (b"x" * (3 * MAX_LINE) + b"\n", f"more than {MAX_LINE:,} bytes"),
    ],
)
async def test_whatever_is_no_request_is_refused_as_a_mistake_and_the_server_goes_on(data: bytes, text: str) -> None:
    async with opened() as control:
        error = (await raw(control, data))["error"]
        assert error["kind"] == "mistake"
        assert text in error["text"]
        assert await asked(control, "echo", still="here") == {"still": "here"}


async def test_a_command_that_fails_is_told_by_its_text_and_only_the_unexpected_is_logged(log: list[Any]) -> None:
    async with opened() as control:
        for how, text in (("refused", "not now"), ("ours", "full"), ("broken", "ZeroDivisionError: division")):
            with pytest.raises(CommandError, match=text) as info:
                await asked(control, "fail", how=how)
            assert info.value.kind == "failed"

    assert [entry["event"] for entry in log] == ["control.command_failed"]


async def test_a_result_or_an_error_that_json_cannot_carry_is_told_as_an_error_and_the_connection_stays() -> None:
    async def give(arguments: dict[str, Any]) -> Any:
        if arguments["what"] == "error":
            raise failed("/tmp/j\udcff.db: not now")
        return {"text": "\udcff", "object": object()}[arguments["what"]]

    async with opened() as control:
        control.commands["give"] = give
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        texts = {}
        for what in ("text", "object", "error"):
            writer.write(json.dumps({"command": "give", "arguments": {"what": what}}).encode() + b"\n")
            texts[what] = json.loads(await reader.readline())["error"]["text"]
        writer.close()

    assert texts["text"].startswith("give: UnicodeEncodeError: ")
    assert texts["object"].startswith("give: TypeError: ")
    assert texts["error"] == "/tmp/j\\udcff.db: not now"


async def test_a_client_that_says_nothing_is_closed_after_a_while_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "SILENCE", 0.2)
    async with opened() as control:
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        assert await asked(control, "echo", other="client") == {"other": "client"}
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENCE", 1.0)
    async with opened() as control:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            await asyncio.to_thread(client.connect, str(control.path))
            request = json.dumps({"command": "echo", "arguments": {"text": "x" * 3_000_000}}).encode() + b"\n"
            await asyncio.to_thread(client.sendall, request)
            assert await asked(control, "echo", other="client") == {"other": "client"}
            _, waiting = await asyncio.wait(control._clients, timeout=20)

    assert not waiting


async def test_more_clients_than_the_limit_are_refused_and_later_ones_are_answered() -> None:
    async with opened() as control:
        connections = [await asyncio.open_unix_connection(str(control.path)) for _ in range(server.MOST_CLIENTS)]
        for _, writer in connections:
            writer.write(b'{"command": "echo"}\n')
        for reader, _ in connections:
            await reader.readline()

        with pytest.raises(CommandError, match="try again later"):
            await asked(control, "echo")

        for _, writer in connections:
            writer.close()
        await asyncio.wait(control._clients, timeout=20)
        assert await asked(control, "echo", n=1) == {"n": 1}


async def test_a_process_of_another_user_is_refused() -> None:
    async with opened(user=os.geteuid() + 1) as control:
        with pytest.raises(CommandError, match=f"does not answer user {os.geteuid()}"):
            await asked(control, "echo")


async def test_the_socket_can_be_opened_by_its_owner_alone() -> None:
    async with opened() as control:
        assert stat.S_IMODE(control.path.stat().st_mode) == 0o600


async def test_at_the_end_the_socket_is_gone_and_a_command_that_runs_is_cut_off() -> None:
    began = asyncio.Event()

    async def forever(_: dict[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    async with opened() as control:
        control.commands["forever"] = forever
        asking = asyncio.create_task(asked(control, "forever"))
        await began.wait()

    with pytest.raises(CommandError, match="ended before it answered"):
        await asking
    assert not control.path.exists()
    with pytest.raises(NotListeningError):
        await asked(control, "echo")


async def test_a_server_that_is_closed_in_the_turn_of_its_opening_leaves_nothing() -> None:
    async with opened() as control:
        pass

    assert not control.path.exists()


async def test_the_socket_of_a_dead_process_is_replaced() -> None:
    async with opened() as control:
        second = ControlServer(control.path, {"echo": _echo})
        second.open()
        assert await asked(second, "echo", n=2) == {"n": 2}
        await second.close()


async def test_a_forked_child_does_not_keep_the_clients_of_its_parent_waiting() -> None:
    async with opened() as control:
        await asked(control, "echo")
        assert control._socket is not None
        descriptor = control._socket.fileno()
        child = os.fork()
        if child == 0:
            try:
                os.fstat(descriptor)
            except OSError:
                os._exit(7)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)

        assert os.waitstatus_to_exitcode(status) == 7
        assert await asked(control, "echo", n=1) == {"n": 1}
