"""`miniagents serve --mcp`: a process with the service and the tools, and its end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp_types import TextContent

from tests.ext.mcp.servers import ROOT, until
from tests.ext.serving.mcp.clients import MODES, http_client
from tests.ext.serving.servers import AUTH, TOKEN

pytestmark = pytest.mark.real_time

COMMAND = [sys.executable, "-m", "miniagents.ext.serving.command"]


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process that serves, and its address."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        "--port",
        "0",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MINIAGENTS_TOKEN": TOKEN},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stderr is not None
        line = ""
        while "running on " not in line:
            line = (await process.stderr.readline()).decode()
            assert line, "the process has ended"
        yield process, line.split("running on ")[1].split(" ")[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("mode", MODES)
async def test_the_command_serves_tools_beside_the_service_and_a_signal_lets_a_call_finish(
    mode: str,
) -> None:
    seen: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(message)

    async with (
        started("tests.ext.serving.mcp.noisy:slow", "--mcp", "--grace", "60") as (process, address),
        http_client(f"{address}/mcp", mode, TOKEN) as client,
    ):
        await client.list_tools()  # else the client would ask for the list after the call, when nothing new is taken
        async with httpx2.AsyncClient(headers=AUTH) as http:
            listed = (await http.get(f"{address}/agents")).json()
        call = asyncio.create_task(client.call_tool("slow", {"message": "x"}, progress_callback=note))
        await until(lambda: seen)
        process.send_signal(signal.SIGTERM)
        result = await call
        status = await process.wait()  # although the client, of the old era, listens by a GET

    assert [agent["name"] for agent in listed["agents"]] == ["slow"]
    assert result.content == [TextContent(text="begun"), TextContent(text="done")]
    assert status == 0


async def test_without_the_option_there_are_no_tools() -> None:
    async with started("tests.ext.serving.mcp.noisy:slow") as (_, address), httpx2.AsyncClient(headers=AUTH) as http:
        assert (await http.post(f"{address}/mcp", json={})).status_code == 404
