"""Servers of the Model Context Protocol that nobody here wrote, behind `McpServer`: fastmcp, the reference servers."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.errors import McpError
from miniagents.ext.llms import ImageMessage
from miniagents.ext.mcp import Elicitation, McpServer
from tests.clients.conftest import INSTALLED, TESTS

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]

FASTMCP = [str(INSTALLED / "python"), str(TESTS / "python" / "fastmcp_server.py")]
PACKAGES = TESTS / "node" / "node_modules" / "@modelcontextprotocol"


def reference(name: str, *arguments: str) -> list[str]:
    """The command of a reference server, as its package has it."""
    return [str(INSTALLED / "node"), str(PACKAGES / f"server-{name}" / "dist" / "index.js"), *arguments]


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not ((INSTALLED / ".python-clients").exists() and (INSTALLED / ".node-clients").exists()):
        pytest.skip("the servers are not installed: make clients")


@asynccontextmanager
async def over_http(command: list[str], path: str, port: int, **env: str) -> AsyncIterator[str]:
    """The address of a server that listens at a port."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the command may be a script whose server is a process below it
    )
    try:
        async with asyncio.timeout(60):
            while True:  # it says nothing that could be relied on
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def shop(transport: str, **options: Any) -> AsyncIterator[McpServer]:
    if transport == "stdio":
        yield McpServer("shop", command=FASTMCP, **options)
        return
    port = free_port()
    async with over_http([*FASTMCP, str(port)], "/mcp", port) as url:
        yield McpServer("shop", url=url, **options)


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_tools_resources_and_prompts_of_fastmcp_are_ours(transport: str) -> None:
    async with shop(transport) as server, MiniAgents():
        names = [tool.spec.name for tool in await server.tools()]
        price = await server.call("price", article="tea")
        missing = await server.call("price", article="snow")
        picture = await server.call("picture")
        (hours,) = await server.read("shop://hours")
        prompt = await server.prompt("advertise", article="tea")

    assert names == ["price", "picture"]
    assert (str(price), price.is_error) == ('{"price":2.5}', False)
    assert (str(missing), missing.is_error) == ("there is no snow", True)
    assert picture.parts == (ImageMessage(data=b"GIF", media_type="image/gif"),)
    assert (str(hours), str(prompt)) == ("Monday to Friday", "Praise tea.")


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_everything_of_the_reference_server_is_understood(transport: str) -> None:
    @asynccontextmanager
    async def everything(**options: Any) -> AsyncIterator[McpServer]:
        if transport == "stdio":
            yield McpServer("everything", command=reference("everything"), **options)
            return
        port = free_port()
        command = reference("everything", "streamableHttp")
        async with over_http(command, "/mcp", port, PORT=str(port)) as url:
            yield McpServer("everything", url=url, **options)

    asked: list[str] = []

    async def form(question: Elicitation) -> dict[str, object]:
        asked.append(question.question)
        return {"name": "Ann", "check": True}

    @miniagent
    async def model(ctx: InteractionContext) -> None:
        ctx.reply(f"I was asked: {(await ctx.message_promises)[-1]}")

    async with everything(on_elicitation=form, on_sampling=model) as server, MiniAgents():
        names = {tool.spec.name for tool in await server.tools()}
        echo = await server.call("echo", message="Hello!")
        total = await server.call("get-sum", a=2, b=3)
        image = await server.call("get-tiny-image")
        with pytest.raises(McpError):
            await server.prompt("no-such-prompt")
        resources = await server.resources()
        filled = await server.call("trigger-elicitation-request")
        sampled = await server.call("trigger-sampling-request", prompt="tea", maxTokens=100)

    assert {"echo", "get-sum", "get-tiny-image"} <= names
    assert (str(echo), "5" in str(total)) == ("Echo: Hello!", True)
    assert any(isinstance(part, ImageMessage) for part in image.parts)
    assert resources
    assert ("Ann" in str(filled), len(asked)) == (True, 1)
    assert "I was asked: " in str(sampled)


async def test_the_reference_server_of_files_reads_and_writes_them(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The printer is in room 12.")
    server = McpServer("files", command=reference("filesystem", str(tmp_path)))

    async with MiniAgents():
        text = await server.call("read_text_file", path=str(tmp_path / "note.txt"))
        await server.call("write_file", path=str(tmp_path / "new.txt"), content="New.")
        outside = await server.call("read_text_file", path="/etc/hostname")

    assert "The printer is in room 12." in str(text)
    assert (tmp_path / "new.txt").read_text() == "New."
    assert outside.is_error


async def test_the_reference_server_of_memory_keeps_what_it_is_told(tmp_path: Path) -> None:
    env = {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}
    server = McpServer("memory", command=reference("memory"), env=env)
    entity = {"name": "printer", "entityType": "thing", "observations": ["room 12"]}

    async with MiniAgents():
        await server.call("create_entities", entities=[entity])
        graph = await server.call("read_graph")

    assert "room 12" in str(graph)
