"""`miniagents mcp` as a child process of the SDK's own client, and of a client that writes garbage."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import TextContent

from tests.ext.mcp.servers import ROOT, until
from tests.ext.serving.mcp.clients import MODES

pytestmark = pytest.mark.real_time

NOISY = "tests.ext.serving.mcp.noisy"
COMMAND = [sys.executable, "-c", "import sys; from miniagents.cli import main; sys.exit(main())", "mcp"]


def parameters(agents: str, notes: Path) -> StdioServerParameters:
    env = {"PYTHONPATH": str(ROOT), "NOTES": str(notes)}
    return StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], agents], env=env, cwd=ROOT)


async def started(agents: str, notes: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NOTES": str(notes)}
    return await asyncio.create_subprocess_exec(
        *COMMAND, agents, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )


async def asked(process: asyncio.subprocess.Process, id: int, method: str, **params: Any) -> dict[str, Any]:
    """The answer to a request of the era before 2026-07-28."""
    assert process.stdout is not None
    write(process, id=id, method=method, params=params)
    while True:
        answer: dict[str, Any] = json.loads(await process.stdout.readline())
        if answer.get("id") == id:
            return answer


def write(process: asyncio.subprocess.Process, **fields: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n")


async def opened(process: asyncio.subprocess.Process) -> None:
    client = {"name": "tests", "version": "1"}
    await asked(process, 1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    write(process, method="notifications/initialized")


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_starts_the_command_calls_agents_whose_prints_never_reach_it(
    tmp_path: Path, mode: str
) -> None:
    seen: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(message)

    async with Client(parameters(f"{NOISY}:agents", tmp_path / "notes"), mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("loud", {"message": "Hello"}, progress_callback=note)

    assert names == ["loud", "outer"]
    assert result.content == [TextContent(text="read: ''")]
    assert seen == ["read: ''"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancel_reaches_the_agent_below_and_the_server_goes_on(tmp_path: Path, mode: str) -> None:
    notes = tmp_path / "notes"
    async with Client(parameters(f"{NOISY}:agents", notes), mode=mode) as client:
        call = asyncio.create_task(client.call_tool("outer", {"message": "x"}))
        await until(lambda: notes.exists() and notes.read_text() == "waiting")
        call.cancel()
        await until(lambda: notes.read_text() == "cancelled")
        result = await client.call_tool("loud", {"message": "Hello"})

    assert not result.is_error


async def test_the_output_has_messages_only_and_the_process_ends_with_the_input(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    process = await started(f"{NOISY}:agents", notes)
    assert process.stdin is not None
    assert process.stdout is not None
    await opened(process)
    write(process, id=2, method="tools/call", params={"name": "outer", "arguments": {"message": "x"}})
    await until(lambda: notes.exists() and notes.read_text() == "waiting")
    process.stdin.close()
    rest = await process.stdout.read()

    assert await process.wait() == 0
    assert notes.read_text() == "cancelled"
    assert [json.loads(line)["jsonrpc"] for line in rest.splitlines()] in ([], ["2.0"])


async def test_garbage_on_the_input_is_skipped(tmp_path: Path) -> None:
    process = await started(f"{NOISY}:agents", tmp_path / "notes")
    assert process.stdin is not None
    await opened(process)
    process.stdin.write(b"\xff\xfe\x00\n[]\n{}\nnot json\n" + b"x" * 9_000_000 + b"\n")
    answer = await asked(process, 2, "tools/call", name="loud", arguments={"message": "x"})
    process.stdin.close()

    assert answer["result"]["content"] == [{"type": "text", "text": "read: ''"}]
    assert await process.wait() == 0


async def test_a_request_that_is_too_long_is_refused_by_its_id(tmp_path: Path) -> None:
    process = await started(f"{NOISY}:agents", tmp_path / "notes")
    assert process.stdin is not None
    await opened(process)
    refused = await asked(process, 2, "tools/call", name="loud", arguments={"message": "x" * 9_000_000})
    answer = await asked(process, 3, "tools/call", name="loud", arguments={"message": "x"})
    process.stdin.close()

    assert "more than 8388608" in refused["error"]["message"]
    assert not answer["result"].get("isError")
    assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_although_the_input_is_open(tmp_path: Path, number: int) -> None:
    notes = tmp_path / "notes"
    process = await started(f"{NOISY}:agents", notes)
    await opened(process)
    write(process, id=2, method="tools/call", params={"name": "outer", "arguments": {"message": "x"}})
    await until(lambda: notes.exists() and notes.read_text() == "waiting")
    process.send_signal(number)

    assert await process.wait() != 0
    assert notes.read_text() == "cancelled"


async def test_a_name_that_is_no_agent_is_a_usage_error_on_the_error_output(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        f"{NOISY}:nobody",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()

    assert process.returncode == 2
    assert output == b""
    assert b"has no attribute 'nobody'" in errors
