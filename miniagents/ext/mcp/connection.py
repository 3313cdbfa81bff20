"""The actors that keep a connection to a server: `Keeper` connects again and again, `Connection` is one connection."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import Any

import jsonschema as jsonschema  # the SDK imports it at the first result, which would block the event loop
import mcp_types as types
from mcp import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from miniagents.actors import Actor, ActorContext, EventKind, SpawnOptions, Terminated
from miniagents.errors import McpUnavailableError
from miniagents.ext.mcp.link import Link, LinkState
from miniagents.ext.mcp.listing import all_pages
from miniagents.ext.mcp.reconnecting import BACKOFF, Reconnecting
from miniagents.ext.mcp.texts import shortened
from miniagents.log import is_configured
from miniagents.log import log as _log
from miniagents.messages import Message, error_text
from miniagents.supervision import OneForOne, StopReason

CONNECT_TIMEOUT = 30.0
"""Seconds in which a server must be connected and have listed its tools."""

CLOSE_TIMEOUT = 10.0
"""Seconds in which a connection must be closed. A process needs at most half of them."""

Open = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Any]]
"""Opens the transport of a server, given a function that is called with the reason when it ends by itself."""

MakeClient = Callable[..., Client]
"""Makes the SDK's client of a transport."""


class _Connect(Message):
    """It is time for the next connection."""


class _LookForUse(Message):
    """It is time to look whether anybody uses the connection."""


class _ListAgain(Message):
    """The tools of the server have changed."""


class Keeper(Actor):
    """Keeps a server connected: starts a `Connection`, and after its end the next one, after a pause.

    Args:
        link: The state of the connection.
        open: Opens the transport.
        client: Makes the client.
        close_after: Seconds without use after which the connection is closed, more than 0; None for never.
    """

    def __init__(self, link: Link, open: Open, client: MakeClient, close_after: float | None = None) -> None:
        self._link = link
        self._open = open
        self._client = client
        self._close_after = close_after

    async def on_start(self, ctx: ActorContext) -> None:
        self._reconnecting = Reconnecting(ctx.system.random)
        self._connect(ctx)

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        match message:
            case Terminated():
                self._ended(ctx)
            case _Connect():
                self._connect(ctx)
            case _:
                return ctx.unhandled(message)

    def _connect(self, ctx: ActorContext) -> None:
        # A connection that crashes is no other one: this actor decides about the next.
        options = SpawnOptions(own_task=True, supervision=OneForOne(max_restarts=0))
        kwargs = {
            "link": self._link,
            "open": self._open,
            "client": self._client,
            "reconnecting": self._reconnecting,
            "close_after": self._close_after,
        }
        ctx.watch(ctx.spawn(Connection, name="connection", options=options, kwargs=kwargs))

    def _ended(self, ctx: ActorContext) -> None:
        link = self._link
        if link.is_renewed:
            link.is_renewed = False
            self._connect(ctx)
            return
        if link.state is LinkState.RESTING:
            link.rested(partial(ctx.self.tell, _Connect()))
            return
        link.down("its connection crashed")  # unless the connection itself has said why it ended
        delay = self._reconnecting.failed(ctx.system.time())
        _log.warning("mcp.down", server=link.name, reason=link.reason, pause=round(delay, 3))
        error = McpUnavailableError(f"the MCP server {link.name!r} is down: {link.reason}", server=link.name)
        ctx.system.events.publish(EventKind.CRASH, ctx.path, error=error, logged=True)
        ctx.schedule(delay, _Connect())

    async def on_stop(self, reason: StopReason | BaseException) -> None:
        self._link.close("it was stopped")


class Connection(Actor):
    """One connection. What the SDK opens in `on_start` is closed in `on_stop`, in the same task.

    Args:
        link: The state of the connection.
        open: Opens the transport.
        client: Makes the client.
        reconnecting: Is told when the server is connected.
        close_after: Seconds without use after which the connection is closed, more than 0; None for never.
    """

    def __init__(
        self, link: Link, open: Open, client: MakeClient, reconnecting: Reconnecting, close_after: float | None
    ) -> None:
        self._link = link
        self._open = open
        self._make_client = client
        self._reconnecting = reconnecting
        self._close_after = close_after
        self._stack = AsyncExitStack()
        self._ending: str | None = None

    async def on_start(self, ctx: ActorContext) -> None:
        link = self._link
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT) as timer:
                await self._connect(ctx)
        except Exception as error:
            late = f"it was not connected within {CONNECT_TIMEOUT} s" if timer.expired() else None
            link.down(late or self._cause(error))
            ctx.stop()
            return
        if self._ending is not None:  # since then
            link.down(self._ending)
            ctx.stop()
            return
        self._reconnecting.connected(ctx.system.time())
        link.up(self._client, ctx.self.stop)
        if is_configured():  # without configuration structlog prints to the terminal, which is the user's
            _log.info("mcp.up", server=link.name, protocol=self._client.protocol_version, tools=len(link.tools or ()))
        tools = self._client.server_capabilities.tools
        if self._client.protocol_version in MODERN_PROTOCOL_VERSIONS and tools is not None and tools.list_changed:
            ctx.create_task(self._listen(ctx))
        if self._close_after is not None:
            ctx.schedule(self._close_after, _LookForUse())

    async def _connect(self, ctx: ActorContext) -> None:
        transport = self._open(partial(self._ended, ctx))
        self._client = client = self._make_client(transport, message_handler=partial(self._notified, ctx))
        await self._stack.enter_async_context(client)
        # What does not fit its schema is a result with a warning, and no failure.
        setattr(client.session, "validate_tool_result", partial(self._validate, client.session.validate_tool_result))  # noqa: B010 - a method for mypy
        await self._list(client)

    def _ended(self, ctx: ActorContext, reason: str) -> None:
        """The transport has ended by itself: calls in flight fail with this reason."""
        self._ending = reason
        if self._link.client is self._client:
            self._link.down(reason)
            ctx.self.stop()

    def _cause(self, error: Exception) -> str:
        """Return why there is no connection: the failure of an HTTP request, or the end of the process, or else the
        error that was raised."""
        cause = _innermost(error)
        is_of_http = isinstance(cause, MCPError) and self._link.failures.of(cause.error) is not None
        if self._ending is not None and not is_of_http:
            return self._ending
        return f"it cannot be connected: {_described(cause)}"

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        match message:
            case _ListAgain():
                await self._list_again()
            case _LookForUse():
                self._look_for_use(ctx)
            case _:
                return ctx.unhandled(message)

    def _look_for_use(self, ctx: ActorContext) -> None:
        """Close a connection that nobody has used for long enough, or look again when that can be."""
        assert self._close_after is not None  # nobody looks otherwise
        left = self._close_after - self._link.uses.idle_for
        if left > 0:
            ctx.schedule(left, _LookForUse())
        elif self._link.client is self._client:
            self._link.rest()

    async def _list_again(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._list(self._client)
        except (MCPError, TimeoutError, ValueError) as error:
            _log.warning("mcp.not_listed", server=self._link.name, error=_described(error))

    async def _list(self, client: Client) -> None:
        """Read all pages of the list of tools."""
        if client.server_capabilities.tools is None:
            self._link.list_changed([])
            return
        pages = await all_pages(self._link.name, lambda cursor: client.list_tools(cursor=cursor))
        self._link.list_changed([tool for page in pages for tool in page.tools])

    async def _notified(self, ctx: ActorContext, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            ctx.self.tell(_ListAgain())
        elif isinstance(message, types.ResourceUpdatedNotification):
            self._link.updates.changed(str(message.params.uri))

    async def _listen(self, ctx: ActorContext) -> None:
        """Hold the stream of changes open; after each time that it broke off, the list is read again."""
        attempts = 0
        while self._link.client is self._client:
            with suppress(MCPError, SubscriptionLost):
                async with self._client.listen(tools_list_changed=True) as events:
                    if attempts:
                        ctx.self.tell(_ListAgain())
                    attempts = 0
                    async for _ in events:
                        pass  # `_notified` is told of the same change
            await asyncio.sleep(BACKOFF.delay(attempts, ctx.system.random))
            attempts += 1

    async def _validate(
        self, validate: Callable[[str, types.CallToolResult], Any], name: str, result: types.CallToolResult
    ) -> None:
        try:
            await validate(name, result)
        except RuntimeError as error:
            _log.warning("mcp.unfit_result", server=self._link.name, tool=name, error=shortened(str(error)))

    async def on_stop(self, reason: StopReason | BaseException) -> None:
        if self._link.client is self._client:
            self._link.down("its connection was closed")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._stack.aclose()
        except Exception as error:
            _log.warning("mcp.not_closed", server=self._link.name, error=_described(_innermost(error)))


def _innermost(error: BaseException) -> BaseException:
    """Return the first error within groups: the SDK's task groups raise groups of one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _described(error: BaseException) -> str:
    return shortened(str(error) if isinstance(error, (MCPError, OSError)) and str(error) else error_text(error))
