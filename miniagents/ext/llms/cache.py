"""`Cache`: stored answers to equal requests, in memory or in a file."""

import asyncio
import hashlib
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.cache_stores import FileStore, MemoryStore, Store
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.waiting import wake
from miniagents.log import log as _log
from miniagents.messages import decode, encode
from miniagents.messages.frozen import thaw

_CHECK_SECONDS = 1.0
_SIZE_IN_MEMORY = 10_000
_SIZE_OF_A_FILE = 100_000


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
    at once. Errors and answers that were cut off are never stored. A file is read and written in a thread of the cache,
    never on an event loop; several processes may share it. An error of the file is logged, and the request is sent.

    Args:
        path: An SQLite file; None to keep the answers in memory.
        size: The most answers, 1 or more: those that were used last. None for 10,000 in memory, and 100,000 in a file.
        max_age: Seconds that an answer is good for, more than 0; None for no limit.

    Attributes:
        hits: The number of requests that were answered from the cache.
        misses: The number of requests that were sent to a provider.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import Cache, OpenAIAgent

        cache = Cache("answers.sqlite", size=1_000, max_age=24 * 3600)

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

    def __init__(
        self, path: str | Path | None = None, *, size: int | None = None, max_age: float | None = None
    ) -> None:
        if size is not None and size < 1:
            raise InvalidOptionError(f"Cache(size=) must be 1 or more, not {size!r}")
        if max_age is not None and not max_age > 0:
            raise InvalidOptionError(f"Cache(max_age=) must be more than 0 seconds, not {max_age!r}")
        self.hits = 0
        self.misses = 0
        self._lock = threading.RLock()  # reentrant: the garbage collector closes coroutines anywhere, which call `done`
        self._busy: dict[str, _Asked] = {}
        self._store: Store
        self._thread: ThreadPoolExecutor | None = None
        if path is None:
            self._store = MemoryStore(size or _SIZE_IN_MEMORY, max_age)
        else:
            self._store = FileStore(Path(path), size or _SIZE_OF_A_FILE, max_age)
            self._thread = ThreadPoolExecutor(1, "miniagents-cache")

    def __repr__(self) -> str:
        return f"Cache(hits={self.hits}, misses={self.misses})"

    def close(self) -> None:
        """Wait until all answers are written, and close the file, for good: then it answers and keeps nothing."""
        if self._thread is not None:
            self._thread.shutdown()
        self._store.close()

    async def get(self, key: str) -> Stored | None:
        """Return the answer to a request; None if the caller has to send it, and then call `done`.

        While an equal request runs, wait. Its `done` ends the wait; if its event loop was closed, a look every second
        does.

        Args:
            key: The key of the request, see `cache_key`.
        """
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                busy = self._busy.get(key)
                if busy is None or busy.loop.is_closed():
                    self._busy[key] = _Asked(loop, [])
                    break
                future: asyncio.Future[None] = loop.create_future()
                busy.waiting.append((loop, future))
            # A closed loop calls `done` no more: look for that every second.
            await asyncio.wait((future,), timeout=None if busy.loop is loop else _CHECK_SECONDS)
        try:
            stored = await self._read(key)
        except BaseException:
            self.done(key)
            raise
        with self._lock:
            if stored is None:
                self.misses += 1
                return None
            self.hits += 1
        self.done(key)
        return msgspec.msgpack.decode(stored, type=Stored)

    def done(self, key: str, tokens: list[str] | None = None, message: ReplyMessage | None = None) -> None:
        """End a request that `get` returned None for: store its answer, and wake equal requests.

        Args:
            key: The key of the request.
            tokens: The pieces of the text; None if there is no answer.
            message: The reply.
        """
        if message is not None and tokens is not None:
            self._write(key, msgspec.msgpack.encode(Stored(tuple(tokens), encode(message))))
        with self._lock:
            busy = self._busy.pop(key, None)
        for loop, future in busy.waiting if busy is not None else ():
            wake(loop, future)

    async def _read(self, key: str) -> bytes | None:
        if self._thread is None:
            with self._lock:
                return self._store.read(key, time.time())
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._store.read, key, time.time())
        except (sqlite3.Error, OSError, RuntimeError) as error:  # a RuntimeError: the cache is closed
            _failed(error)
            return None

    def _write(self, key: str, answer: bytes) -> None:
        if self._thread is None:
            with self._lock:
                self._store.write(key, answer, time.time())
            return
        try:
            # The thread reads in the same order: whoever asks after this finds the answer.
            self._thread.submit(self._store.write, key, answer, time.time()).add_done_callback(_look_at)
        except RuntimeError as error:
            _failed(error)


def _look_at(write: "Future[None]") -> None:
    error = write.exception()
    if error is not None:
        _failed(error)


def _failed(error: BaseException) -> None:
    _log.warning("llm.cache_failed", error=f"{type(error).__name__}: {error}")


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
