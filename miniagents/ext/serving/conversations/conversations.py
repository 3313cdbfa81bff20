"""Where conversations are kept: the interface, and a store in memory."""

import secrets
from collections import OrderedDict
from typing import NamedTuple, Protocol

from miniagents.errors import InvalidOptionError


class SavedConversation(NamedTuple):
    """A conversation as a store has it.

    Attributes:
        data: What was saved.
        revision: Which saving this is: no two of them, of whatever conversation, have the same one.

    Example:
        >>> store = MemoryConversations()
        >>> first = await store.save("ada", "trip", b"one", after=None)
        >>> second = await store.save("ada", "trip", b"two", after=first)
        >>> saved = await store.load("ada", "trip")
        >>> saved.data, saved.revision == second
        (b'two', True)
    """

    data: bytes
    revision: str


class ConversationStore(Protocol):
    """Where conversations are kept.

    Whoever writes one lets `miniagents.testing.check_conversation_store` look at it. Its methods are called from many
    tasks at once, for one conversation too; several processes may share what is behind it. How many conversations an
    owner may have is the store's affair: clients name them as they like.

    Example:
        >>> class Printing:
        ...     def __init__(self, store):
        ...         self.load, self.save, self.close, self._store = store.load, store.save, store.close, store
        ...     async def delete(self, owner, id):
        ...         print(f"{owner} deletes {id}")
        ...         return await self._store.delete(owner, id)
        >>> store = Printing(MemoryConversations())
        >>> await store.save("ada", "trip", b"...", after=None) is not None
        True
        >>> await store.delete("ada", "trip")
        ada deletes trip
        True
    """

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """The conversation of an owner with this id, or None. Owners are told apart: equal ids of two of them are two
        conversations."""

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Put `data` in the place of the revision `after`; with None the conversation must not be there yet.

        Returns:
            The new revision; None if another one is there, or the conversation is gone: then nothing has changed.
        """

    async def delete(self, owner: str, id: str) -> bool:
        """Forget a conversation. Says whether it was there."""

    async def close(self) -> None:
        """The service has ended. It may start again, and use the store again."""


def new_revision() -> str:
    """A revision that no other saving has."""
    return secrets.token_hex(12)


class MemoryConversations:
    """Conversations in memory, until the process ends.

    Args:
        most: How many of one owner, 1 or more. One more pushes out that which was not used for longest.
        size: How many bytes of one owner, 1 or more. More push out others in the same way; the newest one stays.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> store = MemoryConversations(most=1)
        >>> for id in ("first", "second"):
        ...     revision = await store.save("ada", id, b"...", after=None)
        >>> await store.load("ada", "first") is None, (await store.load("ada", "second")).data
        (True, b'...')
    """

    def __init__(self, most: int = 1000, size: int = 64 * 1024 * 1024) -> None:
        if most < 1 or size < 1:
            raise InvalidOptionError(f"most= and size= must be 1 or more, not {most!r}, {size!r}")
        self._most = most
        self._size = size
        self._owners: dict[str, OrderedDict[str, SavedConversation]] = {}
        self._sizes: dict[str, int] = {}

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """The conversation, or None; see `ConversationStore`."""
        own = self._owners.get(owner)
        if own is None or id not in own:
            return None
        own.move_to_end(id)
        return own[id]

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Save it; see `ConversationStore`."""
        own = self._owners.setdefault(owner, OrderedDict())
        before = own.get(id)
        if (before.revision if before is not None else None) != after:
            return None
        self._forget(owner, id)
        own[id] = SavedConversation(data, new_revision())
        self._sizes[owner] = self._sizes.get(owner, 0) + len(data)
        while len(own) > self._most or (self._sizes[owner] > self._size and len(own) > 1):
            self._forget(owner, next(iter(own)))
        return own[id].revision

    async def delete(self, owner: str, id: str) -> bool:
        """Forget it; see `ConversationStore`."""
        return self._forget(owner, id)

    async def close(self) -> None:
        """Nothing: what is here stays until the process ends."""

    def _forget(self, owner: str, id: str) -> bool:
        one = self._owners.get(owner, OrderedDict[str, SavedConversation]()).pop(id, None)
        if one is None:
            return False
        self._sizes[owner] -= len(one.data)
        return True
