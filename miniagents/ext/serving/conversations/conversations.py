"""Stores of conversations: the interface, and a store in memory."""

import secrets
from collections import OrderedDict
from typing import NamedTuple, Protocol

from miniagents.errors import InvalidOptionError


class SavedConversation(NamedTuple):
    """A conversation in a store.

    Attributes:
        data: The saved bytes.
        revision: The revision. Each save makes a new revision, unique across all conversations.

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
    """A store of conversations.

    Check a store of your own with `miniagents.testing.check_conversation_store`. Many tasks call the methods
    concurrently, for the same conversation too, and several processes may share one store. Clients choose the ids of
    conversations, so the store has to limit the number of conversations of an owner.

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
        """Return the conversation of an owner with this id, or None. Conversations of different owners with the same id
        are different conversations."""

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Replace the revision `after` with new data; with None, save a conversation that does not exist yet.

        Returns:
            The new revision; None if the store has another revision, or no conversation. Then nothing has changed.
        """

    async def delete(self, owner: str, id: str) -> bool:
        """Delete a conversation, and return whether it existed."""

    async def close(self) -> None:
        """Release the resources: the service has ended. It may start again, and then uses the store again."""


def new_revision() -> str:
    """Return a new revision, which cannot be guessed."""
    return secrets.token_hex(12)


class MemoryConversations:
    """Conversations in memory. They are lost when the process ends.

    Args:
        most: The most conversations of one owner, 1 or more. One more removes the least recently used conversation.
        size: The most bytes of the conversations of one owner, 1 or more. More bytes remove the least recently used
            conversations; the newest conversation always stays.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> store = MemoryConversations(most=2)
        >>> revision = await store.save("ann", "c1", b"Hi", after=None)
        >>> (await store.load("ann", "c1")).data
        b'Hi'
        >>> await store.save("ann", "c1", b"Hello", after="another revision") is None  # nothing has changed
        True
    """

    def __init__(self, most: int = 1000, size: int = 64 * 1024 * 1024) -> None:
        if most < 1 or size < 1:
            raise InvalidOptionError(f"most= and size= must be 1 or more, not {most!r}, {size!r}")
        self._most = most
        self._size = size
        self._owners: dict[str, OrderedDict[str, SavedConversation]] = {}
        self._sizes: dict[str, int] = {}

    async def load(self, owner: str, id: str) -> SavedConversation | None:
        """Return a conversation, or None; see `ConversationStore`."""
        own = self._owners.get(owner)
        if own is None or id not in own:
            return None
        own.move_to_end(id)
        return own[id]

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        """Save a conversation; see `ConversationStore`."""
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
        """Delete a conversation; see `ConversationStore`."""
        return self._forget(owner, id)

    async def close(self) -> None:
        """Do nothing: the conversations stay until the process ends."""

    def _forget(self, owner: str, id: str) -> bool:
        saved = self._owners.get(owner, OrderedDict[str, SavedConversation]()).pop(id, None)
        if saved is None:
            return False
        self._sizes[owner] -= len(saved.data)
        return True
