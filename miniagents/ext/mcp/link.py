"""`Link`: the state of one connection to a server, which the actors that keep it and the calls that use it share."""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import TypeVar

import mcp_types as types
from mcp import Client, InputRequiredRoundsExceededError, MCPError
from pydantic import ValidationError

from miniagents.errors import McpError, McpOutcomeUnknownError, McpUnavailableError
from miniagents.ext.mcp.fitting import order_kept
from miniagents.ext.mcp.http import HttpFailures
from miniagents.ext.mcp.texts import shortened
from miniagents.ext.mcp.updates import Updates
from miniagents.ext.mcp.uses import Uses

T = TypeVar("T")

_COMES_BACK = 10.0
"""Seconds in which a server must be back so that a call that may be repeated is made again."""

_STREAM_ENDED = "SSE stream ended"
"""The beginning of the SDK's message for a response whose stream broke off."""


class LinkState(enum.Enum):
    """The states of a link."""

    CONNECTING = "connecting"
    UP = "up"
    RESTING = "resting"
    DOWN = "down"
    CLOSED = "closed"


class Link:
    """The connection to one server on behalf of one principal.

    Args:
        name: The name of the server.

    Attributes:
        name: The same.
        state: The state. Calls wait while it is CONNECTING; each attempt to connect has a time limit. A connection that
            nobody has used for long is closed, and RESTING until somebody wants it.
        reason: The reason why the server is not connected.
        client: The SDK's client while the state is UP, otherwise None.
        is_renewed: Whether another connection is to be made as soon as this one is closed.
        tools: The tools that the server listed last, in an order that does not change; None before the first list.
        failures: Tells the failures of HTTP from errors of the server.
        updates: The subscriptions to resources, in the era in which servers push changes.
        uses: The uses of the connection: requests, and subscriptions.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = LinkState.CONNECTING
        self.reason = "it was not reached yet"
        self.client: Client | None = None
        self.is_renewed = False
        self.tools: tuple[types.Tool, ...] | None = None
        self.failures = HttpFailures()
        self.updates = Updates()
        self.uses = Uses(asyncio.get_running_loop().time)
        self._begin_close: Callable[[], object] = lambda: None
        self._connect: Callable[[], object] | None = None  # while it is at rest, and closed
        self._is_settled = asyncio.Event()
        self._is_up = asyncio.Event()

    def up(self, client: Client, close: Callable[[], object]) -> None:
        """Note that the server is connected.

        Args:
            client: The client.
            close: Begins to close the connection.
        """
        if self.state is not LinkState.CLOSED:
            self.state = LinkState.UP
            self.client = client
            self._begin_close = close
            self._is_settled.set()
            self._is_up.set()

    def down(self, reason: str) -> None:
        """Note that the server is not connected; the first reason stays until it is connected again."""
        if self.state in (LinkState.CONNECTING, LinkState.UP):
            self.state = LinkState.DOWN
            self.reason = reason
            self.client = None
            self._is_up.clear()
            self._is_settled.set()
            self.updates.end()

    def close(self, reason: str) -> None:
        """Note that there will be no more connections."""
        self.down(reason)
        self.state = LinkState.CLOSED
        self._is_settled.set()
        self._is_up.set()

    def rest(self) -> None:
        """Close the connection, since nobody uses it. The next use makes another one."""
        self.state = LinkState.RESTING
        self.reason = "it is not in use"
        self.client = None
        self._is_settled.clear()
        self._is_up.clear()
        self._begin_close()

    def rested(self, connect: Callable[[], object]) -> None:
        """Note that the connection at rest is closed.

        Args:
            connect: Begins to make another one.
        """
        self._connect = connect

    def _wake(self) -> None:
        """Make another connection, if this one is at rest."""
        if self.state is not LinkState.RESTING:
            return
        self.state = LinkState.CONNECTING
        connect, self._connect = self._connect, None
        if connect is not None:
            connect()
        else:  # it is still being closed
            self.is_renewed = True

    def _renew(self, reason: str) -> None:
        """Close the connection, which is of no use any more. Calls wait for another one, which is made at once."""
        self.state = LinkState.CONNECTING
        self.reason = reason
        self.is_renewed = True
        self.client = None
        self._is_settled.clear()
        self._is_up.clear()
        self.updates.end()
        self._begin_close()

    def list_changed(self, tools: list[types.Tool]) -> None:
        """Take over a new list of tools."""
        by_name = {tool.name: tool for tool in tools}
        known = [tool.name for tool in self.tools or ()]
        self.tools = tuple(by_name[name] for name in order_kept(known, by_name))

    async def settled(self) -> None:
        """Wait while a connection is on its way."""
        self._wake()
        await self._is_settled.wait()

    async def ready(self) -> Client:
        """Return the client, after waiting for a connection that is on its way.

        Raises:
            McpUnavailableError: The server is not connected.
        """
        if self.client is None:
            self._wake()
            await self._is_settled.wait()
        if self.client is None:
            raise McpUnavailableError(f"the MCP server {self.name!r} is unavailable: {self.reason}", server=self.name)
        return self.client

    async def connected(self) -> Client:
        """Return the client, after waiting until the server is connected, however long that takes.

        Raises:
            McpUnavailableError: There will be no more connections.
        """
        while self.client is None and self.state is not LinkState.CLOSED:
            self._wake()
            await self._is_up.wait()
        return await self.ready()

    async def request(self, send: Callable[[Client], Awaitable[T]], *, may_repeat: Callable[[], bool]) -> T:
        """Send a request to the server, once.

        Args:
            send: Sends it.
            may_repeat: Returns whether to send it a second time, if its answer was lost.

        Returns:
            The answer.

        Raises:
            McpUnavailableError: The request was not sent.
            McpOutcomeUnknownError: The answer was lost.
            McpError: The answer is an error, or malformed.
        """
        with self.uses:
            return await self._request(send, may_repeat)

    async def _request(self, send: Callable[[Client], Awaitable[T]], may_repeat: Callable[[], bool]) -> T:
        client = await self.ready()
        try:
            return await send(client)
        except MCPError as error:
            failure = self.explained(error, client)
            if not (isinstance(failure, McpOutcomeUnknownError) and may_repeat()):
                raise failure from error
        except (ValidationError, InputRequiredRoundsExceededError) as error:
            raise self._malformed(error) from error
        try:
            async with asyncio.timeout(_COMES_BACK):
                await self._is_up.wait()
        except TimeoutError:
            raise failure from None
        return await self._request(send, lambda: False)

    def _malformed(self, error: Exception) -> McpError:
        return McpError(
            f"the answer of the MCP server {self.name!r} is malformed: {shortened(str(error))}", server=self.name
        )

    def explained(self, error: MCPError, client: Client) -> McpError:
        """Return an error of the SDK as one of ours, with the reason why a connection ended."""
        text, code = shortened(error.message), error.code
        failure = self.failures.of(error.error)
        if failure is not None and failure.has_no_session and client is self.client:
            self._renew("it did not know the session any more")
        if failure is not None and not failure.was_sent:
            return McpUnavailableError(
                f"the MCP server {self.name!r} is unavailable: {text}; nothing was sent", server=self.name, code=code
            )
        has_ended = code == types.CONNECTION_CLOSED and (client is not self.client or text.startswith(_STREAM_ENDED))
        if has_ended or (failure is not None and not failure.was_answered):
            reason = self.reason if client is not self.client else text
            return McpOutcomeUnknownError(
                f"the outcome is unknown: the MCP server {self.name!r} ended before it answered ({reason}). It may "
                f"have done what it was asked, or not: look before you ask again",
                server=self.name,
                code=code,
            )
        return McpError(f"the request to the MCP server {self.name!r} failed: {text}", server=self.name, code=code)
