"""`Connected`: the tools and calls of a server over one connection."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mcp_types as types
from mcp import Client

from miniagents.errors import InvalidOptionError, McpError, McpOutcomeUnknownError
from miniagents.ext.llms import Recovery, Tool, ToolResultMessage
from miniagents.ext.mcp.asking import Asking
from miniagents.ext.mcp.finding import ToolFinder, called_tool, tokens_of
from miniagents.ext.mcp.fitting import FitSchema, UnfitSchemaError, fit_names, fit_schema
from miniagents.ext.mcp.idle import IdleTime, IdleTimes
from miniagents.ext.mcp.link import Link
from miniagents.ext.mcp.long_results import LongResults
from miniagents.ext.mcp.options import ServerOptions
from miniagents.ext.mcp.pins import Pins
from miniagents.ext.mcp.results import result_message
from miniagents.ext.mcp.texts import clean
from miniagents.log import log as _log

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_OWN_NAME = 40
_AT_ONCE = 50
_READ_MORE = "Reads on in a long result of another tool, by the handle that stands in it."
_FIND = "Finds tools by words. There are {number}; they are not shown. Returns names, descriptions and arguments."
_CALL = "Calls a tool that {find} has found."
_READ_SCHEMA = {
    "type": "object",
    "properties": {
        "handle": {"type": "string", "description": "The handle in the result."},
        "start": {"type": "integer", "description": "The number of characters before the part to read."},
    },
    "required": ["handle", "start"],
}
_CALL_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The name of the tool."},
        "arguments": {"type": "object", "description": "The arguments of the tool."},
    },
    "required": ["name"],
}


class Connected:
    """The tools and calls of a server, over one connection.

    Args:
        options: The options of the server.
        link: The connection.
        asking: Answers the questions of the server.
        idle: The idle times of the calls.
        pins: The tools as they were approved, or None.

    Attributes:
        link: The connection.
        pins: As above.
    """

    def __init__(self, options: ServerOptions, link: Link, asking: Asking, idle: IdleTimes, pins: Pins | None) -> None:
        self._options = options
        self.link = link
        self._asking = asking
        self._idle = idle
        self.pins = pins
        self._own_name = _UNFIT.sub("_", options.name)[:_LONGEST_OWN_NAME]
        self._refreshing = asyncio.Lock()
        self._listed: tuple[types.Tool, ...] | None = None
        self._tools: list[Tool] = []
        self._own: list[Tool] = []
        self._tokens = 0
        self._finder: ToolFinder | None = None
        self._long: LongResults | None = None
        if options.max_result_tokens is not None:
            read_more = f"{self._own_name}_read_more"
            self._long = LongResults(read_more, options.max_result_tokens)
            read = Tool(
                self._read_more, read_more, description=_READ_MORE, schema=_READ_SCHEMA, recovery=Recovery.RERUN
            )
            self._own.append(read)

    async def tools(self) -> list[Tool]:
        """Return the tools of the last list, made anew only if the list has changed."""
        await self._refresh()
        return list(self._tools)

    async def shown_tools(self, most: float | None) -> list[Tool]:
        """Return the tools that a model is shown: ours, and after them those of the server, unless they are too many.

        Of too many, only those that are always shown are there, beside tools to find the others and to call them.

        Args:
            most: The most tokens that the definitions of the server's tools may take; None for no limit.
        """
        await self._refresh()
        async with self._refreshing:
            if most is None or self._tokens <= most:
                return [*self._own, *self._tools]
            if self._finder is None:
                self._finder = await self._finder_of(self._tools)
            return [*self._own, *self._searched(self._tools)]

    async def _refresh(self) -> None:
        """Take over a new list. Of a long one some tools are made at a time, so that nothing else waits for it."""
        async with self._refreshing:
            listed = self.link.tools
            if listed is self._listed:
                return
            tools = await self._made(listed or ())
            tokens = await self._tokens_of(tools)
            # A model that has been shown the tools to find others may still call them.
            finder = await self._finder_of(tools) if self._finder is not None else None
            self._listed, self._tools, self._tokens, self._finder = listed, tools, tokens, finder

    def _searched(self, tools: Sequence[Tool]) -> list[Tool]:
        """Return the tools that find and call all of these tools, and those that are shown beside them."""
        find, call = f"{self._own_name}_find_tools", f"{self._own_name}_call_tool"
        about_find, about_call = _FIND.format(number=len(tools)), _CALL.format(find=find)
        return [
            Tool(self._find_tools, find, description=about_find, recovery=Recovery.RERUN),
            Tool(
                self._call_found,
                call,
                description=about_call,
                schema=_CALL_SCHEMA,
                recovery=Recovery.FAIL,
                stands_for=called_tool,
            ),
            *(tool for tool in tools if self._options.is_always_shown(_remote_name(tool))),
        ]

    async def _finder_of(self, tools: Sequence[Tool]) -> ToolFinder:
        finder = ToolFinder()
        for number, tool in enumerate(tools):
            finder.add(tool)
            await _pause(number)
        return finder

    async def _tokens_of(self, tools: Sequence[Tool]) -> int:
        """Return the tokens that the definitions of tools take in each request."""
        tokens = 0
        for number, tool in enumerate(tools):
            tokens += tokens_of(tool)
            await _pause(number)
        return tokens

    async def _read_more(self, handle: str, start: int) -> str:
        assert self._long is not None  # or the tool would not be there
        return self._long.read(str(handle), int(start))  # a model may write a number as the handle

    async def _find_tools(self, query: str) -> str:
        assert self._finder is not None  # or the tool would not be there
        return self._finder.described(query)

    async def _call_found(self, name: str, arguments: dict[str, Any] | None = None) -> ToolResultMessage:
        assert self._finder is not None  # or the tool would not be there
        tool = self._finder[name].target
        assert isinstance(tool, RemoteTool)  # all tools of the finder are tools of the server
        return await tool(**(arguments or {}))

    async def _made(self, listed: Sequence[types.Tool]) -> list[Tool]:
        listed = [tool for tool in listed if self._options.lets_through(tool.name)]
        if self.pins is not None:
            listed = await self.pins.approved(listed)
        allowed = {tool.name: tool for tool in listed}
        tools = []
        for number, (name, shown) in enumerate(fit_names(allowed, self._options.prefix).items()):
            await _pause(number)
            remote = allowed[name]
            try:
                fit = fit_schema(remote.input_schema)
                call = RemoteTool(self, name, fit)
                recovery = Recovery.RERUN if self._may_repeat(remote) else Recovery.FAIL
                description = clean(remote.description or remote.title or "")
                tools.append(Tool(call, shown, description=description, schema=fit.schema, recovery=recovery))
            except (UnfitSchemaError, InvalidOptionError) as error:
                _log.warning("mcp.unfit_tool", server=self._options.name, tool=name, error=str(error))
        return tools

    def _may_repeat(self, tool: types.Tool | None) -> bool:
        """Return whether a trusted server says that a second call of a tool does nothing more than the first."""
        hints = tool.annotations if tool is not None else None
        return self._options.trusted and hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResultMessage:
        """Call a tool; see `McpServer.call`."""
        if not self._options.lets_through(name):
            raise InvalidOptionError(
                f"the MCP server {self._options.name!r}: allow= and deny= do not let {name!r} through"
            )
        if self.pins is not None:
            await self._check_pin(name, self.pins)
        idle = self._options.idle_timeout
        if idle is None:
            result = await self._request(name, partial(_call, name, dict(arguments)))
        else:
            result = await self._watched(name, dict(arguments), idle)
        return result_message(result, name)

    async def _check_pin(self, name: str, pins: Pins) -> None:
        await self.link.ready()
        await self._refresh()
        if name in pins.differences:
            raise McpError(
                f"the tool {name!r} of the MCP server {self._options.name!r} is not approved: {pins.differences[name]}",
                server=self._options.name,
            )

    async def approve(self, names: Sequence[str]) -> None:
        """Approve tools as they are now; see `McpServer.approve`."""
        if self.pins is not None:
            await self.tools()
            await self.pins.approve(names)
            self._listed = None

    async def _request(
        self, name: str, send: Callable[[Client], Awaitable[types.CallToolResult]]
    ) -> types.CallToolResult:
        with self._asking.call():
            return await self.link.request(send, may_repeat=lambda: self._may_repeat(self._remote(name)))

    def _remote(self, name: str) -> types.Tool | None:
        return next((tool for tool in self.link.tools or () if tool.name == name), None)

    async def _watched(self, name: str, arguments: dict[str, Any], seconds: float) -> types.CallToolResult:
        """Call a tool that must make progress."""
        idle: IdleTime | None = None
        try:
            async with self._idle.limit(seconds) as idle:
                return await self._request(name, partial(_call, name, arguments, progress=idle.progress))
        except TimeoutError:
            if idle is None or not idle.is_over:
                raise
            raise McpOutcomeUnknownError(
                f"the outcome is unknown: the MCP server {self._options.name!r} made no progress for {seconds} s "
                f"(idle_timeout). The call was cancelled",
                server=self._options.name,
            ) from None

    def shortened(self, result: ToolResultMessage) -> ToolResultMessage:
        """Return a result as a model gets it: not longer than `max_result_tokens`."""
        return self._long.shortened(result) if self._long is not None else result


class RemoteTool:
    """A tool of a server as a function.

    Args:
        connected: The connection.
        name: The server's name of the tool.
        fit: The schema of its arguments.

    Attributes:
        name: The server's name of the tool.
    """

    def __init__(self, connected: Connected, name: str, fit: FitSchema) -> None:
        self._connected = connected
        self._fit = fit
        self.name = name

    async def __call__(self, **arguments: Any) -> ToolResultMessage:
        result = await self._connected.call(self.name, self._fit.arguments(arguments))
        return self._connected.shortened(result)


async def _pause(number: int) -> None:
    """Let others run after every so many tools."""
    if number % _AT_ONCE == _AT_ONCE - 1:
        await asyncio.sleep(0)


def _remote_name(tool: Tool) -> str:
    assert isinstance(tool.target, RemoteTool)  # all tools of a list are tools of the server
    return tool.target.name


async def _call(name: str, arguments: dict[str, Any], client: Client, progress: Any = None) -> types.CallToolResult:
    return await client.call_tool(name, arguments, progress_callback=progress)
