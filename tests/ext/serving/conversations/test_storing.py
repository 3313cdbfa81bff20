"""Where conversations are kept: what every store does, and what is each one's own."""

import asyncio
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import MemoryConversations, SqliteConversations
from miniagents.testing import check_conversation_store


async def test_the_store_in_memory_keeps_its_promises() -> None:
    await check_conversation_store(MemoryConversations, is_durable=False)


@pytest.mark.real_time
async def test_the_store_in_sqlite_keeps_its_promises(tmp_path: Path) -> None:
    await check_conversation_store(lambda: SqliteConversations(tmp_path / "conversations.db"))


class Forgetful(MemoryConversations):
    """It replaces whatever is there."""

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        await self.delete(owner, id)
        return await super().save(owner, id, data, after=None)


class Shared(MemoryConversations):
    """It does not tell owners apart."""

    async def load(self, owner: str, id: str) -> Any:
        return await super().load("all", id)

    async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
        return await super().save("all", id, data, after=after)

    async def delete(self, owner: str, id: str) -> bool:
        return await super().delete("all", id)


@pytest.mark.parametrize(("broken", "says"), [(Forgetful, "does not exist"), (Shared, "another owner does not see")])
async def test_a_store_that_breaks_its_promises_is_found_out(broken: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        await check_conversation_store(broken, is_durable=False)


async def test_the_memory_forgets_what_its_owner_has_not_used_for_longest() -> None:
    store = MemoryConversations(most=2, size=10)
    await store.save("bob", "his", b"1234567890", after=None)
    await store.save("ann", "a", b"12", after=None)
    await store.save("ann", "b", b"12", after=None)
    await store.load("ann", "a")

    await store.save("ann", "c", b"12", after=None)  # one too many
    assert await store.load("ann", "b") is None
    assert await store.load("ann", "a") is not None

    await store.save("ann", "d", b"1234567890123", after=None)  # too large for any other
    assert [await store.load("ann", id) is not None for id in "acd"] == [False, False, True]
    assert await store.load("bob", "his") is not None


@pytest.mark.real_time
async def test_the_file_and_all_beside_it_are_their_owners_alone(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path / "conversations.db")
    await store.save("ann", "a", b"one", after=None)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    await store.close()

    assert modes == dict.fromkeys(("conversations.db", "conversations.db-wal", "conversations.db-shm"), 0o600)


@pytest.mark.real_time
async def test_what_nobody_goes_on_with_is_forgotten_after_its_time(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    store = SqliteConversations(path, ttl=3600)
    await store.save("ann", "old", b"one", after=None)
    await store.save("ann", "new", b"two", after=None)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE conversations SET saved_at = saved_at - 3601 WHERE id = 'old'")
    database.close()

    assert await store.load("ann", "old") is None
    assert await store.load("ann", "new") is not None
    await store.save("ann", "other", b"", after=None)
    with sqlite3.connect(path) as database:
        left = database.execute("SELECT id FROM conversations ORDER BY id").fetchall()
    database.close()
    await store.close()
    assert left == [("new",), ("other",)]


@pytest.mark.real_time
async def test_the_file_forgets_what_its_owner_has_not_gone_on_with_for_longest(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    store = SqliteConversations(path, most=2)
    await store.save("bob", "b", b"0", after=None)
    first = await store.save("ann", "a", b"1", after=None)
    await store.save("ann", "b", b"2", after=None)
    await store.save("ann", "a", b"3", after=first)
    with sqlite3.connect(path) as database:  # whatever the clock has seen
        for seconds, one in enumerate("ab"):
            database.execute("UPDATE conversations SET saved_at = saved_at - ? WHERE id = ?", (seconds, one))
    database.close()

    assert await store.save("ann", "a", b"4", after=None) is None  # it is there, and nothing is pushed out
    assert await store.load("ann", "b") is not None
    await store.save("ann", "c", b"5", after=None)

    assert [await store.load("ann", id) is not None for id in "abc"] == [True, False, True]
    assert await store.load("bob", "b") is not None
    await store.close()


WRITER = """
import asyncio, sys
from miniagents.ext.serving import SqliteConversations

async def main():
    store = SqliteConversations(sys.argv[1])
    done = 0
    while done < 25:
        saved = await store.load("ann", "count")
        count = int(saved.data) if saved else 0
        if await store.save("ann", "count", b"%d" % (count + 1), after=saved and saved.revision) is not None:
            done += 1
    await store.close()

asyncio.run(main())
"""


@pytest.mark.real_time
async def test_several_processes_share_one_file_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    start = asyncio.create_subprocess_exec
    writers = [await start(sys.executable, "-c", WRITER, str(path)) for _ in range(3)]
    codes = [await writer.wait() for writer in writers]

    store = SqliteConversations(path)
    saved = await store.load("ann", "count")
    await store.close()
    assert codes == [0, 0, 0]
    assert saved is not None
    assert saved.data == b"75"


@pytest.mark.parametrize(
    "make",
    [
        lambda: MemoryConversations(most=0),
        lambda: MemoryConversations(size=0),
        lambda: SqliteConversations("a.db", ttl=0),
        lambda: SqliteConversations("a.db", ttl=float("nan")),
        lambda: SqliteConversations("a.db", most=0),
        lambda: SqliteConversations(":memory:"),
    ],
)
def test_options_of_stores_are_checked(make: Any) -> None:
    with pytest.raises(InvalidOptionError):
        make()
