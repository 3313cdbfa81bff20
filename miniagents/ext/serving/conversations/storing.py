"""The failures of a store of conversations: clients get a 503, and the service reports that it is not ready."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from miniagents.ext.serving.conversations.conversations import ConversationStore, SavedConversation
from miniagents.ext.serving.http.problems import Problem
from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

T = TypeVar("T")

_PATIENCE = 2.0
"""Seconds that a check may take."""


class Storing:
    """A store whose failures become problems, and are logged once.

    Args:
        store: The store. If the store has a method `check`, which raises if the store cannot be used, the service
            awaits it before it reports that it is ready.

    Attributes:
        is_down: Whether the last use has failed.
    """

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._checking: asyncio.Future[None] | None = None
        self.is_down = False

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """Return a conversation, or None; see `ConversationStore`.

        Raises:
            Problem: 503: the store has failed.
        """
        return await self._used(self._store.load(owner, id))

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Save a conversation; see `ConversationStore` and `load`."""
        return await self._used(self._store.save(owner, id, data, after=after))

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a conversation; see `ConversationStore` and `load`."""
        return await self._used(self._store.delete(owner, id))

    async def close(self) -> None:
        """Close the store; see `ConversationStore`. A failure is logged."""
        try:
            await self._store.close()
        except Exception as error:
            _log.error("conversations.store_not_closed", error=repr(error), stack=traceback_text(error))

    async def check(self) -> bool:
        """Return whether the store can be used."""
        check = getattr(self._store, "check", None)
        if check is None:
            return not self.is_down
        if self._checking is None:  # all who ask share one check
            self._checking = asyncio.ensure_future(check())
            self._checking.add_done_callback(self._checked)
        await asyncio.wait([self._checking], timeout=_PATIENCE)
        if self._checking is not None:
            self._failed(TimeoutError(f"a check took more than {_PATIENCE} s"))
        return not self.is_down

    def _checked(self, checking: "asyncio.Future[None]") -> None:
        self._checking = None
        if checking.cancelled():
            return
        error = checking.exception()
        if error is None:
            self._worked()
        else:
            self._failed(error)

    async def _used(self, work: Awaitable[T]) -> T:
        try:
            result = await work
        except Problem:
            raise
        except Exception as error:
            self._failed(error)
            text = "Conversations cannot be stored at the moment."
            raise Problem(503, text, code="store_unavailable", retry_after=1.0) from None
        self._worked()
        return result

    def _worked(self) -> None:
        if self.is_down:
            self.is_down = False
            _log.info("conversations.store_recovered")

    def _failed(self, error: BaseException) -> None:
        if not self.is_down:  # once, until the store works again
            self.is_down = True
            _log.error("conversations.store_failed", error=repr(error), stack=traceback_text(error))
