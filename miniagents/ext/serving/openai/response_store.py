"""Stores of responses: the interface, and a store in memory."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.metering import Meter
from miniagents.ext.serving.conversations.item_ids import Identified, Ids, ids_of_replies
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.reply_reading import Reading
from miniagents.ext.serving.openai.responses_input import Echoed, ResponsesRequest
from miniagents.ext.serving.reply_pieces import as_assistant
from miniagents.ext.serving.runs import Run
from miniagents.messages import Message, MessageSequencePromise


@dataclass(slots=True, kw_only=True, eq=False)
class StoredResponse:
    """A response: the request, and the promise of the replies.

    Attributes:
        name: The name, which is part of the ids of the response and of its items. It cannot be guessed.
        key: The name of the key that made the request.
        agent: The name of the agent.
        created_at: The time of the request, in Unix seconds.
        request: The request, without its input.
        echoed: The options that the response repeats.
        messages: The conversation before the replies, without instructions.
        ids: The ids of the items of each message.
        before: The number of messages of the conversation that the request continues.
        replies: The replies. They can be iterated several times.
        meter: The meter of all models below the call.
        reading: The size of the replies so far, and the positions of their readers.
        asked: Bytes of the request, and of everything that it continues.
        conversation: The id of the conversation that the response belongs to, or None.
        run: The call, in the process that made it.
        completed_at: The time of the last reply, in Unix seconds; None before.

    Example:
        >>> from starlette.testclient import TestClient
        >>> from miniagents.ext.serving import agent_app
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply(f"You said: {await ctx.message_promises}")
        >>> class Printing(MemoryResponses):
        ...     async def add(self, response):
        ...         print(response.agent, [str(message) for message in response.messages], response.is_background)
        ...         await super().add(response)
        >>> app = agent_app(echo, auth="a-secret-token", admin_auth=None, responses=Printing())
        >>> with TestClient(app, "http://localhost", headers={"Authorization": "Bearer a-secret-token"}) as client:
        ...     answer = client.post("/v1/responses", json={"model": "echo", "input": "Hello!"})
        echo ['Hello!'] False
    """

    name: str
    key: str
    agent: str
    created_at: int
    request: ResponsesRequest
    messages: tuple[Message, ...]
    replies: MessageSequencePromise
    echoed: Echoed = field(default_factory=Echoed)
    ids: tuple[Ids, ...] = ()
    before: int = 0
    meter: Meter = field(default_factory=Meter)
    reading: Reading = field(default_factory=Reading)
    asked: int = 0
    conversation: str | None = None
    run: Run | None = None
    completed_at: int | None = None

    def __post_init__(self) -> None:
        self.replies.add_done_callback(self._completed)

    def _completed(self, _: object) -> None:
        self.completed_at = int(time.time())

    @property
    def id(self) -> str:
        """The id."""
        return f"resp_{self.name}"

    @property
    def asked_entries(self) -> tuple[Identified, ...]:
        """The conversation before the replies, with the ids of its items."""
        return tuple(map(Identified, self.messages, self.ids))

    @property
    def answered_entries(self) -> tuple[Identified, ...]:
        """The replies in the form for a later turn, with the ids of their items; () until they are complete."""
        if not self.replies.done() or self.replies.exception() is not None:
            return ()
        replies = self.replies.result()
        return tuple(map(Identified, as_assistant(replies), ids_of_replies(replies, self.name)))

    @property
    def size(self) -> int:
        """Bytes of the response so far."""
        return self.asked + self.reading.size

    @property
    def is_background(self) -> bool:
        """Whether the response continues without its client."""
        return bool(self.request.background)


class ResponseStore(Protocol):
    """A store of responses.

    Example:
        >>> from starlette.testclient import TestClient
        >>> from miniagents.ext.serving import agent_app
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply(f"You said: {await ctx.message_promises}")
        >>> class Printing(MemoryResponses):
        ...     async def add(self, response):
        ...         print(f"{response.agent} begins a response")
        ...         await super().add(response)
        >>> app = agent_app(echo, auth="a-secret-token", admin_auth=None, responses=Printing())
        >>> with TestClient(app, "http://localhost", headers={"Authorization": "Bearer a-secret-token"}) as client:
        ...     answer = client.post("/v1/responses", json={"model": "echo", "input": "Hello!"})
        echo begins a response
    """

    async def add(self, response: StoredResponse) -> None:
        """Store a response that begins.

        Raises:
            Problem: 429: there is no room.
        """

    async def get(self, id: str) -> StoredResponse | None:
        """Return the response with this id, or None."""

    async def remove(self, id: str) -> None:
        """Remove a response, if it is stored."""


class MemoryResponses:
    """Responses in memory. They are lost when the process ends.

    Args:
        most: The most responses of one key, 1 or more. One more removes the oldest finished response.
        size: The most bytes of the responses of one key, 1 or more; see `StoredResponse.size`. More bytes remove the
            oldest finished responses; the newest response stays.
        ttl: Seconds after its beginning after which a finished response is removed, more than 0.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> store = MemoryResponses(most=100, ttl=60.0)
        >>> await store.get("resp_1") is None
        True
    """

    def __init__(self, most: int = 1000, size: int = 64 * 1024 * 1024, ttl: float = 3600.0) -> None:
        if most < 1 or size < 1 or not ttl > 0:
            raise InvalidOptionError(
                f"most= and size= must be 1 or more, ttl= more than 0 s, not {most!r}, {size!r}, {ttl!r}"
            )
        self._most = most
        self._size = size
        self._ttl = ttl
        self._keys: dict[str, dict[str, tuple[float, StoredResponse]]] = {}
        self._where: dict[str, str] = {}

    async def add(self, response: StoredResponse) -> None:
        """Store a response that begins; see `ResponseStore`."""
        key = response.key
        self._make_room(key, self._most - 1, self._size - response.size, stays=0)
        own = self._keys.setdefault(key, {})
        if len(own) >= self._most or sum(stored.size for _, stored in own.values()) > self._size:
            text = "Too many responses of this key are under way."
            raise Problem(429, text, code="too_many_responses", retry_after=1.0)
        own[response.id] = (time.monotonic(), response)
        self._where[response.id] = key
        response.replies.add_done_callback(lambda _: self._make_room(key, self._most, self._size, stays=1))

    def _make_room(self, key: str, max_responses: int, max_bytes: int, *, stays: int) -> None:
        """Remove the oldest finished responses while there are too many, or too many bytes, or while they are too old.
        The newest responses, `stays` of them, are removed only if they are too old."""
        own = self._keys.get(key, {})
        now, taken = time.monotonic(), sum(response.size for _, response in own.values())
        for id, (began, response) in tuple(own.items()):  # the oldest come first
            is_old = now - began > self._ttl
            if not is_old and ((len(own) <= max_responses and taken <= max_bytes) or len(own) <= stays):
                break
            if response.replies.done():
                taken -= response.size
                self._forget(id)

    async def get(self, id: str) -> StoredResponse | None:
        """Return the response with this id, or None; see `ResponseStore`."""
        began, response = self._keys.get(self._where.get(id, ""), {}).get(id, (0.0, None))
        if response is not None and response.replies.done() and time.monotonic() - began > self._ttl:
            self._forget(id)
            return None
        return response

    async def remove(self, id: str) -> None:
        """Remove a response; see `ResponseStore`."""
        self._forget(id)

    def _forget(self, id: str) -> None:
        key = self._where.pop(id, None)
        if key is not None:
            own = self._keys[key]
            del own[id]
            if not own:
                del self._keys[key]
