"""Where responses are kept, so that they can be asked for again."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.metering import Meter
from miniagents.ext.serving.openai_input import ResponsesRequest
from miniagents.ext.serving.problems import Problem
from miniagents.ext.serving.reading import Reading
from miniagents.ext.serving.runs import Run
from miniagents.messages import Message, MessageSequencePromise


@dataclass(slots=True, kw_only=True, eq=False)
class StoredResponse:
    """A response: what was asked, and the promise of what is answered.

    Attributes:
        id: Its id; it cannot be guessed.
        key: Whose it is.
        agent: The name of the agent.
        created_at: When it began, in Unix seconds.
        request: What was asked.
        messages: The conversation up to here, without instructions.
        replies: What is answered; it can be iterated again and again.
        meter: What all models below it use.
        reading: What came of its replies, and how far its readers are.
        conversation: The id of the conversation that it belongs to, or None.
        run: The call, in the process that made it.
    """

    id: str
    key: str
    agent: str
    created_at: int
    request: ResponsesRequest
    messages: tuple[Message, ...]
    replies: MessageSequencePromise
    meter: Meter = field(default_factory=Meter)
    reading: Reading = field(default_factory=Reading)
    conversation: str | None = None
    run: Run | None = None

    @property
    def is_background(self) -> bool:
        """Whether it goes on without its client."""
        return bool(self.request.background)


class ResponseStore(Protocol):
    """Where responses are kept."""

    async def add(self, response: StoredResponse) -> None:
        """Keep a response that begins.

        Raises:
            Problem: 429: there is no room.
        """

    async def get(self, id: str) -> StoredResponse | None:
        """The response with this id, or None."""

    async def remove(self, id: str) -> None:
        """Forget a response, if it is there."""


class MemoryResponses:
    """Responses in memory, until the process ends.

    Args:
        most: How many, 1 or more. One more pushes out the oldest that is finished.
        ttl: Seconds after its beginning after which a finished one is forgotten, more than 0.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    def __init__(self, most: int = 1000, ttl: float = 3600.0) -> None:
        if most < 1 or not ttl > 0:
            raise InvalidOptionError(f"most= must be 1 or more, ttl= more than 0 s, not {most!r}, {ttl!r}")
        self._most = most
        self._ttl = ttl
        self._responses: dict[str, tuple[float, StoredResponse]] = {}

    async def add(self, response: StoredResponse) -> None:
        """Keep a response that begins; see `ResponseStore`."""
        now = time.monotonic()
        for id, (began, one) in tuple(self._responses.items()):  # the oldest come first
            is_old = now - began > self._ttl
            if not is_old and len(self._responses) < self._most:
                break
            if one.replies.done():
                del self._responses[id]
        if len(self._responses) >= self._most:
            raise Problem(429, "Too many responses are under way.", code="too_many_responses", retry_after=1.0)
        self._responses[response.id] = (now, response)

    async def get(self, id: str) -> StoredResponse | None:
        """The response with this id, or None; see `ResponseStore`."""
        began, response = self._responses.get(id, (0.0, None))
        if response is not None and response.replies.done() and time.monotonic() - began > self._ttl:
            del self._responses[id]
            return None
        return response

    async def remove(self, id: str) -> None:
        """Forget a response; see `ResponseStore`."""
        self._responses.pop(id, None)
