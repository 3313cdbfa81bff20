"""A tool call of an MCP server through `McpServer`, against the same call through the bare SDK.

`python -m benchmarks.mcp_call` measures both over both transports, in turns, within one process and with servers of the
same program: the call alone, and the call of an agent whose scripted model makes it once, with the tool of the
`McpServer`, and with a function that calls the bare SDK. It prints the median of each and of their ratio, by the clock
and by CPU time.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from miniagents import MiniAgent, MiniAgents
from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.servers import PROGRAM, http_program

CALLS = 200
ARGUMENTS = {"text": "hello"}
ROUNDS = 7


async def timed(call: Callable[[], Awaitable[object]], clock: Callable[[], float]) -> float:
    """Return the microseconds of one call."""
    began = clock()
    for _ in range(CALLS):
        await call()
    return (clock() - began) / CALLS * 1e6


def scripted(request: Any) -> Reply | str:
    """Return what the model says: it calls the tool, and then it is done."""
    return "done" if isinstance(request.messages[-1], ToolResultMessage) else Reply(calls=(Call("echo", ARGUMENTS),))


def agent_with(tool: Any) -> MiniAgent:
    """Return an agent whose model calls the tool once."""
    return ScriptedModel.fork(script=Script(scripted), tools=[tool], stream=False)


async def measure(name: str, server: McpServer, client: Client) -> None:
    """Print what a call takes, bare and ours, alone and by an agent."""

    async def echo(text: str) -> str:
        result = await client.call_tool("echo", {"text": text})
        return "".join(block.text for block in result.content if block.type == "text")

    async def bare() -> object:
        return await client.call_tool("echo", ARGUMENTS)

    async def ours() -> object:
        return await server.call("echo", **ARGUMENTS)

    by_bare, by_ours = agent_with(echo), agent_with(server)

    async def agent_bare() -> object:
        return await by_bare.inquire("Hi")

    async def agent_ours() -> object:
        return await by_ours.inquire("Hi")

    await compare(f"{name} call", bare, ours)
    await compare(f"{name} agent", agent_bare, agent_ours)


async def compare(name: str, bare: Callable[[], Awaitable[object]], ours: Callable[[], Awaitable[object]]) -> None:
    """Print the medians of both, and of their ratio."""
    for kind, clock in (("clock", time.perf_counter), ("cpu", time.process_time)):
        await timed(bare, clock), await timed(ours, clock)
        pairs = [(await timed(bare, clock), await timed(ours, clock)) for _ in range(ROUNDS)]
        median = [statistics.median(values) for values in zip(*pairs, strict=True)]
        ratio = statistics.median(own / other for other, own in pairs)
        print(f"{name:12} {kind:6} bare {median[0]:7.0f} us, ours {median[1]:7.0f} us, ratio {ratio:.2f}")


async def main() -> None:
    async with AsyncExitStack() as stack:
        url, _ = await stack.enter_async_context(http_program())
        await stack.enter_async_context(MiniAgents())
        command = [*PROGRAM, "stdio", "new"]
        parameters = StdioServerParameters(command=sys.executable, args=command[1:])
        for name, server, address in (
            ("stdio", McpServer("stdio", command=command), parameters),
            ("http", McpServer("http", url=url), url),
        ):
            client = await stack.enter_async_context(Client(address, cache=None))
            await client.list_tools()
            await server.started()
            await measure(name, server, client)


if __name__ == "__main__":
    asyncio.run(main())
