"""What every store of conversations must do; for the tests of whoever writes one."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from miniagents.ext.serving import ConversationStore

_MANY = 20


async def check_conversation_store(open_store: "Callable[[], ConversationStore]", *, is_durable: bool = True) -> None:
    """Check that a store does what `ConversationStore` promises.

    Args:
        open_store: Opens the store, each time the same one. It must be empty at first, and have room for 30
            conversations.
        is_durable: Whether another store that is opened later sees what this one has saved.

    Raises:
        AssertionError: It does not.

    Example:
        ```
        async def test_my_store(tmp_path):
            await check_conversation_store(lambda: MyStore(tmp_path / "conversations"))
        ```
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
    assert await store.load("ann", "a") is None, "what was never saved is None"
    first = await store.save("ann", "a", b"one", after=None)
    assert first, "a first saving gives a revision"
    assert await store.load("ann", "a") == (b"one", first), "what was saved is loaded, with its revision"
    assert await store.save("ann", "a", b"other", after=None) is None, "after=None is for what is not there yet"
    second = await store.save("ann", "a", b"two", after=first)
    assert second, "the revision that is there can be replaced"
    assert second != first, "each saving has a revision of its own"
    assert await store.save("ann", "a", b"three", after=first) is None, "an older revision cannot be replaced"
    assert await store.load("ann", "a") == (b"two", second), "a saving that was refused has changed nothing"


async def _tells_owners_apart(store: "ConversationStore") -> None:
    assert await store.load("bob", "a") is None, "a conversation is its owner's"
    assert not await store.delete("bob", "a"), "no other owner can delete it"
    assert await store.save("bob", "a", b"bob's", after=None), "equal ids of two owners are two conversations"
    assert await store.load("ann:a", "") is None, "owner and id are told apart"
    found = await store.load("ann", "a")
    assert found is not None, "another owner's conversation with the same id changes nothing"
    assert found.data == b"two", "another owner's conversation with the same id changes nothing"


async def _keeps_any_bytes(store: "ConversationStore") -> None:
    for number, data in enumerate((b"", bytes(range(256)), b"\x00" * 100_000)):
        revision = await store.save("ann", f"bytes-{number}", data, after=None)
        assert await store.load("ann", f"bytes-{number}") == (data, revision), "bytes come back as they were"


async def _one_of_many_wins(store: "ConversationStore") -> None:
    began = await asyncio.gather(*(store.save("ann", "race", b"%d" % n, after=None) for n in range(_MANY)))
    (first,) = [revision for revision in began if revision is not None]
    went_on = await asyncio.gather(*(store.save("ann", "race", b"%d" % n, after=first) for n in range(_MANY)))
    winners = [n for n, revision in enumerate(went_on) if revision is not None]
    assert len(winners) == 1, f"of {_MANY} savings after the same revision one wins, not {len(winners)}"
    found = await store.load("ann", "race")
    assert found == (b"%d" % winners[0], went_on[winners[0]]), "what the winner saved is there"


async def _begins_anew_after_a_deletion(store: "ConversationStore") -> None:
    before = await store.load("ann", "a")
    assert before is not None, "it is still there"
    assert await store.delete("ann", "a"), "what was there can be deleted"
    assert await store.load("ann", "a") is None, "what was deleted is gone"
    assert not await store.delete("ann", "a"), "what is gone cannot be deleted"
    assert await store.save("ann", "a", b"late", after=before.revision) is None, "what is gone cannot be replaced"
    again = await store.save("ann", "a", b"new", after=None)
    assert again != before.revision, "a revision never comes again"
    assert await store.save("ann", "a", b"late", after=before.revision) is None, "nor replaced by an older turn"


async def _finds_it_again(open_store: "Callable[[], ConversationStore]") -> None:
    store = open_store()
    try:
        found = await store.load("bob", "a")
        assert found is not None, "what was saved is there after the store was closed and opened again"
        assert found.data == b"bob's", "it is what was saved"
        assert await store.save("bob", "a", b"on", after=found.revision), "it can be gone on with"
    finally:
        await store.close()
    assert await store.load("bob", "a") is not None, "a store that was closed opens again at its next use"
    await store.close()
