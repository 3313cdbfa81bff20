"""`Exchange`: one request to a `FakeProvider`, and how it was answered."""

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from miniagents.testing.requester import text_in


@dataclass(slots=True, eq=False)
class Exchange:
    """One request to a `FakeProvider`, and how it was answered.

    Attributes:
        path: The path of the API.
        headers: The headers, lower case, without secrets.
        body: The JSON body.
        received_at: The time of arrival, on `time.monotonic()`.
        status: The HTTP status of the answer; 0 before it.
        input_tokens: Tokens read.
        tokens_planned: Tokens of the whole reply.
        tokens_sent: Tokens of the reply that were sent: a provider bills these.
        is_complete: Whether the whole reply was sent.
        closed_by_client_at: When the client closed the connection before the end of the reply, or None.

    Example:
        >>> Exchange("/v1/responses", headers={}, body={"input": "Hello!"}, received_at=0.0).prompt
        'Hello!'
    """

    path: str
    headers: Mapping[str, str]
    body: Any
    received_at: float
    status: int = 0
    input_tokens: int = 0
    tokens_planned: int = 0
    tokens_sent: int = 0
    is_complete: bool = False
    closed_by_client_at: float | None = None
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def was_closed_by_client(self) -> bool:
        """True if the client closed the connection before the end of the reply."""
        return self.closed_by_client_at is not None

    @property
    def prompt(self) -> str:
        """All text of the request."""
        return text_in(self.body)

    async def ended(self, timeout: float = 10.0) -> None:
        """Wait until the provider has finished with the request.

        Args:
            timeout: Seconds to wait.

        Raises:
            TimeoutError: The provider is still at work after `timeout` seconds.
        """
        if not await asyncio.to_thread(self._ended.wait, timeout):
            raise TimeoutError(f"the provider still answers {self.path} after {timeout} s")

    def end(self) -> None:
        """Wake those that wait for the end; the provider calls this."""
        self._ended.set()


@dataclass(frozen=True, slots=True)
class Billed:
    """The requests and tokens that a provider would bill.

    Attributes:
        requests: Requests that were answered with status 200.
        input_tokens: Tokens read.
        output_tokens: Tokens sent.

    Example:
        >>> Billed.of([])
        Billed(requests=0, input_tokens=0, output_tokens=0)
    """

    requests: int
    input_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, exchanges: Iterable[Exchange]) -> Self:
        """Add up some exchanges."""
        answered = [exchange for exchange in exchanges if exchange.status == 200]
        return cls(
            len(answered),
            sum(exchange.input_tokens for exchange in answered),
            sum(exchange.tokens_sent for exchange in answered),
        )
