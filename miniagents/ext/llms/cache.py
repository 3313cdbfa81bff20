"""`Cache`: stored answers to equal requests, in memory or in a file."""

import asyncio
import hashlib
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import msgspec

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.waiting import wake
from miniagents.messages import decode, encode
from miniagents.messages.frozen import thaw

_CHECK_SECONDS = 1.0


class Stored(msgspec.Struct, frozen=True):
    """A stored answer.

    Attributes:
        tokens: The pieces of its text.
        message: The reply, encoded.
    """

    tokens: tuple[str, ...]
    message: bytes

    @property
    def answer(self) -> Answer:
        """The answer, marked as cached."""
        message = decode(self.message)
        assert isinstance(message, ReplyMessage)  # `Cache.done` stores no other
        answer = Answer.from_reply(self.tokens, message)
        answer.is_cached = True
        return answer


@dataclass(slots=True)
class _Asked:
    """A running request: its event loop, and the futures of equal requests that wait for its answer."""

    loop: asyncio.AbstractEventLoop
    waiting: list[tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]]


class Cache:
    """A cache of answers: equal requests have the same provider, model, messages and options, and get the same answer.

    Equal requests that run at the same time share one request to the provider, also in several event loops, in threads
    at once. Errors and answers that were cut off are never stored.

    Args:
        path: An SQLite file; None to keep the answers in memory.
        size: The most answers in memory, 1 or more; a file keeps all.

    Attributes:
        hits: The number of requests that were answered from the cache.
        misses: The number of requests that were sent to a provider.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import Cache, OpenAIAgent

        cache = Cache("answers.sqlite")

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", cache=cache)
            for _ in range(2):
                await agent.inquire("Hi")
            print(cache.hits)  # 1

        MiniAgents().run(main())
        cache.close()
        ```
    """

    __miniagents_immutable__ = True  # forks of an agent share it

    def __init__(self, path: str | Path | None = None, *, size: int = 10_000) -> None:
        if size < 1:
            raise InvalidOptionError(f"Cache(size=) must be 1 or more, not {size!r}")
        self.hits = 0
        self.misses = 0
        self._size = size
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.RLock()  # reentrant: the garbage collector closes coroutines anywhere, which call `done`
        self._busy: dict[str, _Asked] = {}
        self._database: sqlite3.Connection | None = None
        if path is not None:
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # prompts and answers are private
            # Several event loops use the connection, in their own threads: the lock serializes them.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL)")

    def __repr__(self) -> str:
        return f"Cache(hits={self.hits}, misses={self.misses})"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    async def get(self, key: str) -> Stored | None:
        """Return the answer to a request; None if the caller has to send it, and then call `done`.

        While an equal request runs, wait. Its `done` ends the wait; if its event loop was closed, a look every second
        does.

        Args:
            key: The key of the request, see `cache_key`.
        """
        while True:
            with self._lock:
                busy = self._busy.get(key)
                if busy is None or busy.loop.is_closed():
                    return self._look_up(key)
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                busy.waiting.append((loop, future))
            # A closed loop calls `done` no more: look for that every second.
            await asyncio.wait((future,), timeout=None if busy.loop is loop else _CHECK_SECONDS)

    def _look_up(self, key: str) -> Stored | None:
        stored = self._read(key)
        if stored is not None:
            self.hits += 1
            return msgspec.msgpack.decode(stored, type=Stored)
        self.misses += 1
        self._busy[key] = _Asked(asyncio.get_running_loop(), [])
        return None

    def done(self, key: str, tokens: list[str] | None = None, message: ReplyMessage | None = None) -> None:
        """End a request that `get` returned None for: store its answer, and wake equal requests.

        Args:
            key: The key of the request.
            tokens: The pieces of the text; None if there is no answer.
            message: The reply.
        """
        with self._lock:
            busy = self._busy.pop(key, None)
            if message is not None and tokens is not None:
                self._write(key, msgspec.msgpack.encode(Stored(tuple(tokens), encode(message))))
        for loop, future in busy.waiting if busy is not None else ():
            wake(loop, future)

    def _read(self, key: str) -> bytes | None:
        if self._database is not None:
            row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            return row[0] if row is not None else None
        if key in self._memory:
            self._memory.move_to_end(key)
        return self._memory.get(key)

    def _write(self, key: str, answer: bytes) -> None:
        if self._database is not None:
            self._database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, answer))
            return
        self._memory[key] = answer
        if len(self._memory) > self._size:
            self._memory.popitem(last=False)


def cache_key(provider: str, request: ModelRequest) -> str:
    """Return the key of a request, which equal ones share: SHA-256 (hex) of provider, model, messages and options."""
    options = {name: value for name, value in thaw(request.options).items() if name not in _NO_CONTENT}
    parts = (
        provider,
        request.model,
        [message.content_key for message in request.messages],
        options,
        [(tool.name, tool.description, tool.schema) for tool in request.tools],
        request.output.schema if request.output is not None else None,
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


_NO_CONTENT = ("extra_headers", "timeout")
