"""The protocol over the standard input and output of the process."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError

from miniagents.agents import MiniAgents
from miniagents.ext.mcp.lines import Lines, TooLong
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem, told
from miniagents.ext.serving.mcp.tool_server import Context, tool_server
from miniagents.ext.serving.runs import Run, Runs
from miniagents.ext.serving.served_agent import Entry, entries_of
from miniagents.log import log as _log
from miniagents.messages import Message

_CHUNK = 65_536
"""The most bytes that are read from the input at once."""

_CALLER = "stdio"
"""The name of the one client."""


async def serve_stdio(agents: Any, system: MiniAgents, reading: int, writing: int) -> None:
    """Serve agents as tools until the client closes the input. Calls under way are cancelled then.

    Args:
        agents: The agents, as `agent_app` takes them.
        system: The running system.
        reading: The descriptor of the input.
        writing: The descriptor of the output.

    Raises:
        InvalidOptionError: An object is not an agent, or two agents have the same name.
    """
    limits = Limits()
    runs = Runs(limits)

    async def begin(context: Context, entry: Entry, messages: tuple[Message, ...], arguments: dict[str, Any]) -> Run:
        return runs.begin(entry, _CALLER, arguments, limits.request_timeout, messages)

    def tell(error: BaseException, run: Run | None) -> Problem:
        return told(error, shows_errors=False, actor=run.interaction.path if run is not None else None)

    async def refuse(line: TooLong) -> None:
        _log.warning("mcp.too_long", bytes=line.size, most=limits.body)
        if line.request_id is not None:
            text = f"The message has {line.size} bytes, more than {limits.body}."
            error = ErrorData(code=INVALID_REQUEST, message=text)
            await sent.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.request_id, error=error)))

    server = tool_server(entries_of(agents, system).values(), begin, tell)
    output = open(writing, "w", encoding="utf-8", newline="\n", closefd=False)  # noqa: ASYNC230, SIM115
    try:
        async with (
            aclosing(_lines(reading, limits.body, refuse)) as lines,
            # The SDK iterates over the input, and asks nothing else of it.
            stdio_server(cast(Any, lines), anyio.wrap_file(output)) as (received, sent),
        ):
            await server.run(received, sent, server.create_initialization_options())
    except* BrokenPipeError:
        pass  # the client has gone, and reads no more answers


async def _lines(
    reading: int, max_bytes: int, refuse: Callable[[TooLong], Awaitable[None]]
) -> AsyncGenerator[str, None]:
    """Yield the lines of the input. Unlike the lines of the SDK, they have a bound, and the wait can be cancelled.

    Args:
        reading: The descriptor of the input.
        max_bytes: The longest line in bytes.
        refuse: Answers a line that is longer.
    """
    lines = Lines(max_bytes)
    while chunk := await asyncio.to_thread(os.read, reading, _CHUNK):
        for line in lines.feed(chunk):
            if isinstance(line, TooLong):
                await refuse(line)
            elif line.strip():
                yield line.decode(errors="replace")
