"""Where responses are kept, so that they can be asked for again."""

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
    """A response: what was asked, and the promise of what is answered.

    Attributes:
        name: Its name, which is in its id and in those of its items; it cannot be guessed.
        key: Whose it is.
        agent: The name of the agent.
        created_at: When it began, in Unix seconds.
        request: What was asked.
        echoed: Options that it repeats.
        messages: The conversation up to here, without instructions.
        ids: The ids of its items, for each message.
        before: How many of the messages it goes on with.
        replies: What is answered; it can be iterated again and again.
        meter: What all models below it use.
        reading: What came of its replies, and how far its readers are.
        asked: Bytes of the request, and of all that it goes on with.
        conversation: The id of the conversation that it belongs to, or None.
        run: The call, in the process that made it.
        completed_at: When its replies had come, in Unix seconds; None before.
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
        """Its id."""
        return f"resp_{self.name}"

    @property
    def asked_entries(self) -> tuple[Identified, ...]:
        """The conversation up to here, with the ids of its items."""
        return tuple(map(Identified, self.messages, self.ids))

    @property
    def answered_entries(self) -> tuple[Identified, ...]:
        """What was answered, as a later turn gets it, with the ids of its items; () as long as it is not whole."""
        if not self.replies.done() or self.replies.exception() is not None:
            return ()
        replies = self.replies.result()
        return tuple(map(Identified, as_assistant(replies), ids_of_replies(replies, self.name)))

    @property
    def size(self) -> int:
        """Bytes that it takes, so far."""
        return self.asked + self.reading.size

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
        most: How many of one key, 1 or more. One more pushes out the oldest that is finished.
        size: How many bytes of one key, 1 or more; see `StoredResponse.size`. More push out others in the same way; the
            newest one stays.
        ttl: Seconds after its beginning after which a finished one is forgotten, more than 0.

    Raises:
        InvalidOptionError: An option is outside its range.
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
        """Keep a response that begins; see `ResponseStore`."""
        key = response.key
        self._make_room(key, self._most - 1, self._size - response.size, stays=0)
        own = self._keys.setdefault(key, {})
        if len(own) >= self._most or sum(one.size for _, one in own.values()) > self._size:
            text = "Too many responses of this key are under way."
            raise Problem(429, text, code="too_many_responses", retry_after=1.0)
        own[response.id] = (time.monotonic(), response)
        self._where[response.id] = key
        response.replies.add_done_callback(lambda _: self._make_room(key, self._most, self._size, stays=1))

    def _make_room(self, key: str, most: int, size: int, *, stays: int) -> None:
        """Forget the oldest that are finished, as long as there are too many, or they are too large or too old; the
        newest, `stays` of them, only if they are too old."""
        own = self._keys.get(key, {})
        now, taken = time.monotonic(), sum(one.size for _, one in own.values())
        for id, (began, one) in tuple(own.items()):  # the oldest come first
            is_old = now - began > self._ttl
            if not is_old and ((len(own) <= most and taken <= size) or len(own) <= stays):
                break
            if one.replies.done():
                taken -= one.size
                self._forget(id)

    async def get(self, id: str) -> StoredResponse | None:
        """The response with this id, or None; see `ResponseStore`."""
        began, response = self._keys.get(self._where.get(id, ""), {}).get(id, (0.0, None))
        if response is not None and response.replies.done() and time.monotonic() - began > self._ttl:
            self._forget(id)
            return None
        return response

    async def remove(self, id: str) -> None:
        """Forget a response; see `ResponseStore`."""
        self._forget(id)

    def _forget(self, id: str) -> None:
        key = self._where.pop(id, None)
        if key is not None:
            own = self._keys[key]
            del own[id]
            if not own:
                del self._keys[key]
