"""`Remote`: the connection to a remote agent, which a system shares: its card, and its client."""

import asyncio
from collections.abc import Mapping

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import CancelTaskRequest
from a2a.utils.errors import A2AError

from miniagents.errors import A2aError
from miniagents.log import log as _log
from miniagents.messages import Secret

_CONNECT = 10.0
"""Seconds in which a connection must be there."""

_CANCEL = 5.0
"""Seconds for a remote agent to take a cancel."""


class Remote:
    """The connection to a remote agent.

    Args:
        url: The address of the agent, below which its card is.
        api_key: The token that is sent as `Authorization: Bearer`, or None.
        headers: More headers.
        idle_timeout: Seconds without a byte after which a response has stalled, or None.
    """

    def __init__(
        self, url: str, api_key: Secret | None, headers: Mapping[str, str], idle_timeout: float | None
    ) -> None:
        self._url = url
        self._sent = dict(headers)
        if api_key is not None:
            self._sent["authorization"] = f"Bearer {api_key.reveal()}"
        self._timeout = httpx.Timeout(idle_timeout, connect=_CONNECT)
        self._http: httpx.AsyncClient | None = None
        self._client: Client | None = None
        self._lock = asyncio.Lock()
        self._cancels: set[asyncio.Task[None]] = set()

    async def client(self) -> Client:
        """Return the client; the first call reads the card.

        Raises:
            A2aError: The card cannot be read.
        """
        async with self._lock:
            if self._client is None:
                self._client = await self._connected()
            return self._client

    async def _connected(self) -> Client:
        if self._http is None:
            self._http = httpx.AsyncClient(headers=self._sent, timeout=self._timeout)
        try:
            card = await A2ACardResolver(self._http, self._url).get_agent_card()
            return ClientFactory(ClientConfig(httpx_client=self._http)).create(card)
        except (A2AError, httpx.HTTPError, ValueError) as error:
            raise A2aError(f"the card of the agent at {self._url} cannot be read: {error}", url=self._url) from error

    def cancel(self, task_id: str) -> None:
        """Tell the remote agent that a task is cancelled. Nobody waits for the answer."""
        task = asyncio.get_running_loop().create_task(self._cancel(task_id))
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    async def _cancel(self, task_id: str) -> None:
        assert self._client is not None  # it has sent the task
        try:
            async with asyncio.timeout(_CANCEL):
                await self._client.cancel_task(CancelTaskRequest(id=task_id))
        except (A2AError, httpx.HTTPError, TimeoutError) as error:  # for example the task has just ended
            _log.info("remote_agent.not_cancelled", url=self._url, task=task_id, error=repr(error))

    async def close(self) -> None:
        """Close the connection, when the cancels under way have been told, or their time is over."""
        if self._cancels:
            await asyncio.wait(self._cancels)
        if self._http is not None:
            await self._http.aclose()
