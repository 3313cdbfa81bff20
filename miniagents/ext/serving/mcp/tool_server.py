"""`tool_server`: the protocol's server, whose tools are agents."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from importlib.metadata import version
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.ext.serving.mcp.agent_tool import agent_tools
from miniagents.ext.serving.mcp.contents import contents_of
from miniagents.ext.serving.reply_pieces import Text, spoken
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import Message

_PACKAGE = "miniagents"
"""The name of the server, for clients."""

Context: TypeAlias = ServerRequestContext[Any, Any]

Begin: TypeAlias = Callable[[Context, Entry, tuple[Message, ...], dict[str, Any]], Awaitable[Run]]
"""Calls an agent for a request, with messages and arguments."""

Tell: TypeAlias = Callable[[BaseException, Run | None], Problem]
"""Returns the problem of a failure for the client, and logs what the client does not see."""


def tool_server(entries: Iterable[Entry], begin: Begin, tell: Tell) -> Server[Any]:
    """Return a server of the protocol.

    Args:
        entries: The agents.
        begin: Calls an agent.
        tell: Returns the problem of a failure.

    Raises:
        InvalidOptionError: Two agents are tools of the same name.
    """
    tools = agent_tools(entries)
    listed = ListToolsResult(tools=[tool.listed for tool in tools.values()])

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return listed

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {params.name!r}.")
        run: Run | None = None
        try:
            messages, arguments = tool.call_of(params.arguments or {})
            run = await begin(context, tool.entry, messages, arguments)
            await _report(context, run)
            return CallToolResult(content=contents_of(await run.replies))
        except asyncio.CancelledError:
            if run is not None:
                run.cancel("the client cancelled the call")
            raise
        except FAILURES as error:
            return CallToolResult(content=[TextContent(text=tell(error, run).message)], is_error=True)

    return Server(_PACKAGE, version=version(_PACKAGE), on_list_tools=list_tools, on_call_tool=call_tool)


async def _report(context: Context, run: Run) -> None:
    """Send the texts of the replies as progress, as they arrive, to a client that wants progress.

    The progress counts the pieces, and the message of each notification is the piece.
    """
    if context.meta is None or "progress_token" not in context.meta:
        return
    count = 0
    with run.reading.reader() as reader:
        async with aclosing(spoken(run.replies, reader)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    count += 1
                    reader.begins_sending()
                    await context.session.report_progress(count, message=piece.text)
                    reader.has_sent()
