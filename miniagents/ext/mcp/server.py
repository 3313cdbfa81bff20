"""`McpServer`: a server of the Model Context Protocol, for agents and for programs."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from miniagents.actors import Caller
from miniagents.actors.observing.caller import current_caller
from miniagents.agents import AgentRef, InteractionContext, MiniAgent, MiniAgents
from miniagents.errors import McpUnavailableError, NoActiveSystemError
from miniagents.ext.llms import Tool, ToolResultMessage
from miniagents.ext.llms.tool_sources import listing_model
from miniagents.ext.llms.windows import window_of
from miniagents.ext.mcp.asking import Asking, OnElicitation
from miniagents.ext.mcp.connected import Connected
from miniagents.ext.mcp.connection import Keeper
from miniagents.ext.mcp.http import Headers, http_transport
from miniagents.ext.mcp.idle import IdleTimes
from miniagents.ext.mcp.link import Link
from miniagents.ext.mcp.options import (
    DEFAULT_CLOSE_AFTER,
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_RESULT_TOKENS,
    DEFAULT_SEARCH_ABOVE,
    AuthOf,
    HeadersOf,
    ServerOptions,
)
from miniagents.ext.mcp.pins import Pins
from miniagents.ext.mcp.reading import ResourceMessage, contents_of, prompt_of, resources_of, versions_of
from miniagents.ext.mcp.stdio import stdio_transport
from miniagents.log import log as _log
from miniagents.messages import Messages


class McpServer:
    """A server of the Model Context Protocol: a program that is started, or an address.

    It goes into `tools=` of agents. All agents of a system share one connection, which is made at the first use and
    closed with the system. A connection that ends is made again after a pause, and never given up. Meanwhile the tools
    stay in the list, and a call of one answers that the server is unavailable. A call whose answer was lost is not made
    again, since the server may have carried it out.

    Args:
        name: The name of the server, for logs, errors and the tree of actors.
        command: The program and its arguments, for a server over its input and output.
        env: Environment variables of the program. Beside these it gets PATH, HOME and other harmless ones alone.
        cwd: The working directory of the program; None for that of this process.
        url: The address of a server over streamable HTTP, instead of `command`.
        headers: Headers for each request; or a function of the `Caller`, async or not, that returns them. With a
            function each caller has a connection of their own.
        auth: The authentication of the requests (an `httpx2.Auth`, such as the OAuth providers of the SDK); or a
            function of the `Caller` that returns it.
        allow: Names of tools, or patterns such as "read_*"; None for all. Other tools are neither shown nor called.
        deny: Names of tools, or patterns, that are neither shown nor called, even if they are allowed.
        prefix: Stands before the names of the tools that models see: up to 32 letters, digits, `_` and `-`.
        required: Whether an agent fails if the server cannot be reached. Otherwise it goes on without the tools of a
            server that was never reached, with a warning.
        trusted: Whether the server's hints are believed: a call of a tool that it declares as read-only or idempotent
            is made a second time if its answer was lost.
        pin: Whether only tools that are as they were in the first list are shown and called. A path of a file keeps
            that list beyond the process. See `unapproved` and `approve`.
        always: Names of tools, or patterns, that are shown even if the server has too many tools to show them all.
        search_above: Tokens that the definitions of the tools may take in each request, 0 or more; or a share of the
            model's context window, a float between 0 and 1; None for no limit. If they take more, a model finds tools
            by a search. A window that is not known counts as one of 128,000 tokens.
        max_result_tokens: Tokens of a result that a model gets at once, 1 or more; None for no limit. Of a longer one
            it gets head and tail, and a handle by which it reads on.
        max_bytes: The longest message of the server in bytes, 1 or more. A longer answer is a failed call.
        idle_timeout: Seconds without progress after which a call fails, more than 0; None for no limit. The limits of
            the agent, such as `tool_timeout`, hold in any case.
        close_after: Seconds without use after which the connection of a caller is closed, more than 0; None for never.
            The next use makes another one. Only for servers where each caller has a connection of their own.
        on_elicitation: An agent, or a function of the `Elicitation`, async or not, that answers questions of the server
            in the middle of a call; None if the server may not ask. A function returns the fields of the answer, or
            False. An agent is never asked to open an address.
        on_sampling: An agent that the server may use as its model; None if it may not.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        import sys

        from miniagents import MiniAgents
        from miniagents.ext.mcp import McpServer

        notes = McpServer("notes", command=[sys.executable, "-m", "examples.mcp_notes"])

        async def main() -> None:
            print([tool.spec.name for tool in await notes.tools()])  # prints "['find', 'add', 'publish']"
            print(await notes.call("find", word="printer"))  # prints "The printer is in room 12."

        MiniAgents().run(main())
        ```
    """

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        url: str | None = None,
        headers: Headers | HeadersOf | None = None,
        auth: httpx2.Auth | AuthOf | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        prefix: str | None = None,
        required: bool = False,
        trusted: bool = False,
        pin: bool | str | Path = False,
        always: Sequence[str] = (),
        search_above: float | None = DEFAULT_SEARCH_ABOVE,
        max_result_tokens: int | None = DEFAULT_MAX_RESULT_TOKENS,
        max_bytes: int = DEFAULT_MAX_BYTES,
        idle_timeout: float | None = None,
        close_after: float | None = DEFAULT_CLOSE_AFTER,
        on_elicitation: OnElicitation | None = None,
        on_sampling: MiniAgent | AgentRef | None = None,
    ) -> None:
        self._options = ServerOptions(
            name=name,
            command=command,
            env=env,
            cwd=cwd,
            url=url,
            headers=headers,
            auth=auth,
            allow=allow,
            deny=deny,
            prefix=prefix or "",
            required=required,
            trusted=trusted,
            pin=pin,
            always=always,
            search_above=search_above,
            max_result_tokens=max_result_tokens,
            max_bytes=max_bytes,
            idle_timeout=idle_timeout,
            close_after=close_after,
            on_elicitation=on_elicitation,
            on_sampling=on_sampling,
        )

    @property
    def name(self) -> str:
        """The name of the server."""
        return self._options.name

    @property
    def journal_key(self) -> str:
        """What the journal knows the server by: its name, and the program or the address."""
        options = self._options
        return f"{options.name} {options.place}"

    def __repr__(self) -> str:
        return f"McpServer({self.name!r})"

    async def started(self) -> "McpServer":
        """Connect to the server, if it is not connected, and wait for that.

        Returns:
            The server itself.

        Raises:
            McpUnavailableError: The server cannot be reached.
        """
        await self._connected().link.ready()
        return self

    async def tools(self) -> list[Tool]:
        """Return the tools of the server, under the names that models are told.

        Raises:
            McpUnavailableError: The server was never reached.
        """
        return await (await self._listed()).tools()

    async def _listed(self) -> Connected:
        """Return the connection when there is a list of tools."""
        connected = self._connected()
        await connected.link.settled()
        if connected.link.tools is None:
            await connected.link.ready()
        return connected

    async def list_tools(self) -> list[Tool]:
        """Return the tools for a call of an agent; see `ToolSource`.

        The list is the last one that the server has sent. Without any, it is empty.

        Raises:
            McpUnavailableError: The server is `required`, and was never reached.
        """
        try:
            connected = await self._listed()
        except McpUnavailableError as error:
            if self._options.required:
                raise
            _log.warning("mcp.left_out", server=self.name, error=str(error))
            return []
        model = listing_model.get()
        window = await window_of(model) if model is not None else None
        return await connected.shown_tools(self._options.most_tokens(window))

    async def call(self, name: str, /, **arguments: Any) -> ToolResultMessage:
        """Call a tool.

        Args:
            name: The server's name of the tool.
            **arguments: The arguments.

        Returns:
            The result; `is_error` is True if the tool says that it has failed.

        Raises:
            McpUnavailableError: The server is not connected. Nothing was sent.
            McpOutcomeUnknownError: The answer was lost.
            McpError: The server refused the call, or its answer is malformed.
        """
        return await self._connected().call(name, arguments)

    async def unapproved(self) -> dict[str, str]:
        """Return the tools that are not as they were approved, with the difference; none without `pin=`.

        Raises:
            McpUnavailableError: The server was never reached.
        """
        connected = await self._listed()
        await connected.tools()
        return dict(connected.pins.differences) if connected.pins is not None else {}

    async def approve(self, *names: str) -> None:
        """Approve tools as they are now, so that they are shown and called.

        Args:
            *names: The server's names of the tools.

        Raises:
            McpUnavailableError: The server was never reached.
            InvalidOptionError: There is no such tool.
        """
        await (await self._listed()).approve(names)

    async def resources(self) -> list[ResourceMessage]:
        """Return all resources of the server, and then its templates.

        Raises:
            McpUnavailableError: The server is not connected.
            McpError: The server refused, or its answer is malformed.
        """
        return await resources_of(self._connected().link)

    async def read(self, uri: str) -> Messages:
        """Read a resource.

        Args:
            uri: The address of the resource.

        Returns:
            The contents: texts are `UserMessage`s, and images, sound and files are messages of their kinds.

        Raises:
            McpUnavailableError: The server is not connected.
            McpError: The server refused, or its answer is malformed.
        """
        return await contents_of(self._connected().link, uri)

    async def prompt(self, name: str, /, **arguments: str) -> Messages:
        """Return the messages of a prompt, to be sent to a model.

        Args:
            name: The name of the prompt.
            **arguments: The arguments of the prompt.

        Raises:
            McpUnavailableError: The server is not connected.
            McpError: The server refused, or its answer is malformed.
        """
        return await prompt_of(self._connected().link, name, arguments)

    def subscribe(self, uri: str) -> AsyncGenerator[Messages, None]:
        """Iterate over the contents of a resource: those of now, and the new ones after each change.

        The iterator goes on after a connection that broke off; the contents are then read again. Close it with
        `contextlib.aclosing` if you leave the loop.

        Args:
            uri: The address of the resource.

        Raises:
            McpUnavailableError: The server was stopped.
            McpError: The server refused, or has no subscriptions.
        """
        return versions_of(self._connected().link, uri)

    def _connected(self) -> Connected:
        """Return the connection of the current system for the current caller; the first time, begin to make it."""
        system = MiniAgents.get_current()
        caller = _caller() if self._options.is_per_caller else None
        return system.shared(
            (self, caller.name if caller is not None else None), partial(self._open, system, caller), _close
        )

    def _open(self, system: MiniAgents, caller: Caller | None) -> Connected:
        options = self._options
        link = Link(options.name)
        base = path = "mcp-" + "".join(c if c.isalnum() or c in "_-" else "_" for c in options.name)
        number = 2
        while system.lookup(path) is not None:
            path, number = f"{base}-{number}", number + 1
        idle = IdleTimes()
        asking = Asking(options.name, options.on_elicitation, options.on_sampling, idle)
        client = partial(Client, cache=None, **asking.callbacks())
        kwargs = {
            "link": link,
            "open": partial(_transport, options, caller, link),
            "client": client,
            "close_after": options.close_after if options.is_per_caller else None,
        }
        system.spawn(Keeper, name=path, kwargs=kwargs)
        pins: Pins | None = None
        if options.pin:
            file = Path(options.pin) if not isinstance(options.pin, bool) else None
            pins = Pins(options.name, options.place, caller.name if caller is not None else "", file)
        return Connected(options, link, asking, idle, pins)


def _transport(
    options: ServerOptions,
    caller: Caller | None,
    link: Link,
    on_end: Callable[[str], None],
) -> Any:
    """Return the transport of a server, to be opened."""
    if options.command is not None:
        return stdio_transport(
            options.name, options.command, options.env, options.cwd, max_bytes=options.max_bytes, on_end=on_end
        )
    assert options.url is not None  # `ServerOptions` has checked that there is one of both
    headers, auth = options.headers, options.auth
    return http_transport(
        options.url,
        headers=partial(headers, caller) if callable(headers) else headers,
        auth=auth(caller) if callable(auth) and not isinstance(auth, httpx2.Auth) else auth,
        max_bytes=options.max_bytes,
        failures=link.failures,
        on_end=on_end,
    )


def _caller() -> Caller | None:
    try:
        return InteractionContext.get_current().caller
    except NoActiveSystemError:
        return current_caller.get()


async def _close(connected: Connected) -> None:
    connected.link.close("the system has ended")
