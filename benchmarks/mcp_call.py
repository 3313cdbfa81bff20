"""A tool call of an MCP server through `McpServer`, against the same call through the bare SDK.

`python -m benchmarks.mcp_call` measures both over both transports, in turns, within one process and with servers of the
same program. It prints the median of each and of their ratio, by the clock and by CPU time.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from miniagents import MiniAgents
from miniagents.ext.mcp import McpServer
from tests.ext.mcp.servers import PROGRAM, http_program

CALLS = 200
ROUNDS = 7


async def timed(call: Callable[[], Awaitable[object]], clock: Callable[[], float]) -> float:
    """Return the microseconds of one call."""
    began = clock()
    for _ in range(CALLS):
        await call()
    return (clock() - began) / CALLS * 1e6


async def measure(name: str, server: McpServer, client: Client) -> None:
    """Print what a call takes, bare and ours."""

    async def bare() -> object:
        return await client.call_tool("echo", {"text": "hello"})

    async def ours() -> object:
        return await server.call("echo", text="hello")

    for kind, clock in (("clock", time.perf_counter), ("cpu", time.process_time)):
        await timed(bare, clock), await timed(ours, clock)
        pairs = [(await timed(bare, clock), await timed(ours, clock)) for _ in range(ROUNDS)]
        median = [statistics.median(values) for values in zip(*pairs, strict=True)]
        ratio = statistics.median(own / other for other, own in pairs)
        print(f"{name:6} {kind:6} bare {median[0]:7.0f} us, ours {median[1]:7.0f} us, ratio {ratio:.2f}")


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
