"""Servers for tests, in processes of their own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from miniagents.ext.mcp import McpServer

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "tests.ext.mcp.program"]
ERAS = ("old", "new")


def stdio_server(era: str = "new", notes: Path | None = None, *, more: int = 0, **options: Any) -> McpServer:
    """A server that is a program."""
    env = {"MCP_TEST_NOTES": str(notes)} if notes is not None else {}
    if more:
        env["MCP_TEST_MORE"] = str(more)
    env |= options.pop("env", {})
    return McpServer("tests", command=[*PROGRAM, "stdio", era], cwd=ROOT, env=env, **options)


@asynccontextmanager
async def http_program(
    era: str = "new", notes: Path | None = None, *options: str, port: int | None = None
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A program that serves at an address."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    env = {**os.environ, **({"MCP_TEST_NOTES": str(notes)} if notes is not None else {})}
    process = await asyncio.create_subprocess_exec(*PROGRAM, "http", era, str(port), *options, cwd=ROOT, env=env)
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def server_of(transport: str, era: str, notes: Path | None = None, **options: Any) -> AsyncIterator[McpServer]:
    """A server over "stdio", or over "http", perhaps with an option of the program: "http json"."""
    if transport == "stdio":
        yield stdio_server(era, notes, **options)
        return
    async with http_program(era, notes, *transport.split()[1:]) as (url, _):
        yield McpServer("tests", url=url, **options)


STRANGERS: set[int] = set()
"""The processes below this one that were there when the test began."""


def programs() -> list[psutil.Process]:
    """The servers and their watches that run below this process, and zombies of them."""
    below = psutil.Process().children(recursive=True)
    return [child for child in below if child.is_running() and child.pid not in STRANGERS]


def noted(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


async def until(condition: Any) -> None:
    """Wait until a condition holds; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110 - another process brings it about
        await asyncio.sleep(0.005)
