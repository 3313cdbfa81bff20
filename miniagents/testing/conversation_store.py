"""The conformance test of conversation stores."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miniagents.ext.serving import ConversationStore

_MANY = 20


async def check_conversation_store(open_store: "Callable[[], ConversationStore]", *, is_durable: bool = True) -> None:
    """Check that a store keeps the contract of `ConversationStore`.

    Args:
        open_store: Opens the store; each call opens the same one. The store must be empty at first, and must have
            room for 30 conversations.
        is_durable: Whether the conversations are still there after the store was closed and opened again.

    Raises:
        AssertionError: The store breaks a rule; the text names the rule.

    Example:
        >>> from miniagents.ext.serving import MemoryConversations
        >>> store = MemoryConversations()
        >>> asyncio.run(check_conversation_store(lambda: store, is_durable=False))
    """
    store = open_store()
    try:
        await _saves_and_replaces(store)
        await _tells_owners_apart(store)
        await _keeps_any_bytes(store)
        await _one_of_many_wins(store)
        await _begins_anew_after_a_deletion(store)
    finally:
        await store.close()
    if is_durable:
        await _finds_it_again(open_store)


async def _saves_and_replaces(store: "ConversationStore") -> None:
    assert await store.load("ann", "a") is None, "a conversation that was never saved loads as None"
    first = await store.save("ann", "a", b"one", after=None)
    assert first, "the first save returns a revision"
    assert await store.load("ann", "a") == (b"one", first), "load returns the saved bytes and their revision"
    assert await store.save("ann", "a", b"other", after=None) is None, (
        "after=None saves only a conversation that does not exist"
    )
    second = await store.save("ann", "a", b"two", after=first)
    assert second, "the current revision can be replaced"
    assert second != first, "each save has a revision of its own"
    assert await store.save("ann", "a", b"three", after=first) is None, "an older revision cannot be replaced"
    assert await store.load("ann", "a") == (b"two", second), "a refused save changes nothing"


async def _tells_owners_apart(store: "ConversationStore") -> None:
    assert await store.load("bob", "a") is None, "another owner does not see the conversation"
    assert not await store.delete("bob", "a"), "another owner cannot delete the conversation"
    assert await store.save("bob", "a", b"bob's", after=None), "two owners can use the same id for two conversations"
    assert await store.load("ann:a", "") is None, "owner and id are not joined to one key"
    loaded = await store.load("ann", "a")
    assert loaded is not None, "another owner's conversation with the same id changes nothing"
    assert loaded.data == b"two", "another owner's conversation with the same id changes nothing"


async def _keeps_any_bytes(store: "ConversationStore") -> None:
    for number, data in enumerate((b"", bytes(range(256)), b"\x00" * 100_000)):
        revision = await store.save("ann", f"bytes-{number}", data, after=None)
        assert await store.load("ann", f"bytes-{number}") == (data, revision), "bytes are loaded as they were saved"


async def _one_of_many_wins(store: "ConversationStore") -> None:
    first_saves = await asyncio.gather(*(store.save("ann", "race", b"%d" % n, after=None) for n in range(_MANY)))
    (first,) = [revision for revision in first_saves if revision is not None]
    second = await asyncio.gather(*(store.save("ann", "race", b"%d" % n, after=first) for n in range(_MANY)))
    winners = [n for n, revision in enumerate(second) if revision is not None]
    assert len(winners) == 1, f"of {_MANY} saves after the same revision one succeeds, not {len(winners)}"
    loaded = await store.load("ann", "race")
    assert loaded == (b"%d" % winners[0], second[winners[0]]), "the save that succeeded is the one that is loaded"


async def _begins_anew_after_a_deletion(store: "ConversationStore") -> None:
    before = await store.load("ann", "a")
    assert before is not None, "the conversation exists"
    assert await store.delete("ann", "a"), "a conversation that exists can be deleted"
    assert await store.load("ann", "a") is None, "a deleted conversation loads as None"
    assert not await store.delete("ann", "a"), "a deleted conversation cannot be deleted again"
    assert await store.save("ann", "a", b"late", after=before.revision) is None, (
        "a deleted conversation cannot be replaced"
    )
    again = await store.save("ann", "a", b"new", after=None)
    assert again != before.revision, "a revision is never used again"
    assert await store.save("ann", "a", b"late", after=before.revision) is None, (
        "a revision from before the deletion replaces nothing"
    )


async def _finds_it_again(open_store: "Callable[[], ConversationStore]") -> None:
    store = open_store()
    try:
        loaded = await store.load("bob", "a")
        assert loaded is not None, "a conversation is still there after the store was closed and opened again"
        assert loaded.data == b"bob's", "the bytes are those that were saved"
        assert await store.save("bob", "a", b"on", after=loaded.revision), "the loaded revision can be replaced"
    finally:
        await store.close()
    assert await store.load("bob", "a") is not None, "a closed store opens again at its next use"
    await store.close()
