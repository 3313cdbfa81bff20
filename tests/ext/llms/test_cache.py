"""Equal requests are answered from the cache."""

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from miniagents import MiniAgents, UserMessage
from miniagents.errors import InvalidOptionError, ProviderUnavailableError
from miniagents.ext.llms import Cache
from miniagents.ext.llms.cache_stores import FileStore
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.llms.apis import ONCE


async def test_an_equal_request_is_answered_with_the_same_tokens() -> None:
    script, cache = Script("one two three", "another"), Cache()
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=cache)
        first = await agent.inquire("Hi")
        again = agent.inquire("Hi")
        assert [str(token) async for promise in again async for token in promise] == ["one", " two", " three"]
        assert str(await again) == str(first)
        assert (await again)[0].metadata["cached"] is True
        assert str(await agent.inquire("Something else")) == "another"
    assert len(script.requests) == 2
    assert (cache.hits, cache.misses) == (1, 2)


async def test_metadata_is_no_part_of_a_request_and_options_are() -> None:
    script, cache = Script("one", "two"), Cache()
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=cache)
        await agent.inquire(UserMessage("Hi").with_metadata(at=1))
        assert str(await agent.inquire(UserMessage("Hi").with_metadata(at=2))) == "one"
        assert str(await agent.inquire("Hi", temperature=1)) == "two"


async def test_equal_requests_in_flight_share_one_call() -> None:
    script = Script(Reply("one", delay=5), "two")
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=Cache())
        calls = [agent.inquire("Hi") for _ in range(5)]
        assert {str(await call) for call in calls} == {"one"}
    assert len(script.requests) == 1


async def test_when_the_one_call_is_cancelled_another_one_is_made() -> None:
    script = Script(Reply("one", delay=5), "two")
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=Cache())
        first, second = agent.inquire("Hi"), agent.inquire("Hi")
        await asyncio.sleep(1)
        await first.aclose()
        assert str(await second) == "two"


@pytest.mark.parametrize("bad", [Reply.failure(500), Reply("cut o", stop_reason="length")])
async def test_errors_and_cut_replies_are_never_stored(bad: Reply) -> None:
    script = Script(bad, "good")
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=Cache(), retry=ONCE)
        try:
            await agent.inquire("Hi")
        except ProviderUnavailableError:
            pass
        assert str(await agent.inquire("Hi")) == "good"


async def test_a_file_keeps_answers_for_the_next_run_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path, script = tmp_path / "cache.db", Script("one", "two")
    for _ in range(2):
        cache = Cache(path)
        async with MiniAgents():
            assert str(await ScriptedModel.fork(script=script, cache=cache).inquire("Hi")) == "one"
        cache.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(script.requests) == 1


async def ask(cache: Cache, *texts: str) -> list[str]:
    """Ask a model that repeats the number of its requests."""
    script = Script(*(f"new {number}" for number in range(20)))
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, cache=cache)
        return [str(await agent.inquire(text)) for text in texts]


async def test_the_loop_goes_on_while_the_file_is_slow_and_the_file_is_used_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    reads, goes_on = threading.Event(), threading.Event()
    read, write = FileStore.read, FileStore.write

    def slow_read(store: FileStore, key: str, now: float) -> bytes | None:
        threads.add(threading.current_thread().name)
        reads.set()
        assert goes_on.wait(30)
        return read(store, key, now)

    def noted_write(store: FileStore, key: str, answer: bytes, now: float) -> None:
        threads.add(threading.current_thread().name)
        write(store, key, answer, now)

    monkeypatch.setattr(FileStore, "read", slow_read)
    monkeypatch.setattr(FileStore, "write", noted_write)
    cache = Cache(tmp_path / "cache.db")
    asked = asyncio.ensure_future(ask(cache, "a", "a"))
    assert await asyncio.to_thread(reads.wait, 30)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not asked.done()
    goes_on.set()
    assert await asked == ["new 0", "new 0"]
    cache.close()
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


@pytest.mark.parametrize("in_file", [True, False])
async def test_the_answers_that_were_used_last_stay(
    in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("miniagents.ext.llms.cache.time.time", lambda: float(next(clock)))
    cache = Cache(tmp_path / "cache.db" if in_file else None, size=2)
    assert await ask(cache, "a", "b", "a", "c") == ["new 0", "new 1", "new 0", "new 2"]
    assert await ask(cache, "a", "c", "b") == ["new 0", "new 2", "new 0"]
    cache.close()


@pytest.mark.parametrize("in_file", [True, False])
async def test_an_answer_that_is_too_old_is_asked_for_again(
    in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("miniagents.ext.llms.cache.time.time", lambda: now)
    cache = Cache(tmp_path / "cache.db" if in_file else None, max_age=60.0)
    assert await ask(cache, "a") == ["new 0"]
    now += 60.0
    assert await ask(cache, "a", "b") == ["new 0", "new 0"]
    now += 0.5
    assert await ask(cache, "b", "a") == ["new 0", "new 0"]
    assert (cache.hits, cache.misses) == (2, 3)
    cache.close()


async def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    cache = Cache(path)
    assert await ask(cache, "a") == ["new 0"]
    cache.close()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE earlier (key TEXT PRIMARY KEY, answer BLOB NOT NULL)")
        database.execute("INSERT INTO earlier SELECT key, answer FROM answers")
        database.execute("DROP TABLE answers")
        database.execute("ALTER TABLE earlier RENAME TO answers")
    database.close()
    cache = Cache(path, max_age=60.0)
    await ask(cache, "a")
    assert cache.hits == 1
    cache.close()


async def test_a_file_that_cannot_be_read_is_told_and_the_request_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(b"this is no database, but a text that is long enough to be taken for one" * 20)
    cache = Cache(path)
    with capture_logs() as logs:
        assert await ask(cache, "a", "a") == ["new 0", "new 1"]
        cache.close()
    failures = [entry["error"] for entry in logs if entry["event"] == "llm.cache_failed"]
    assert failures == ["DatabaseError: file is not a database"] * 4
    with capture_logs() as logs:
        assert await ask(cache, "a") == ["new 0"]
    assert [entry["event"] for entry in logs].count("llm.cache_failed") == 2


async def test_a_call_that_is_cancelled_while_the_file_is_read_lets_the_next_one_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(FileStore, "read", lambda *_: goes_on.wait(30) and None)
    cache = Cache(tmp_path / "cache.db")
    first = asyncio.ensure_future(cache.get("key"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(cache.get("key"))
    await asyncio.sleep(0)
    first.cancel()
    goes_on.set()
    assert await second is None
    assert first.cancelled()
    cache.done("key")
    cache.close()


@pytest.mark.parametrize("options", [{"size": 0}, {"max_age": 0.0}, {"max_age": -1.0}])
def test_an_option_outside_its_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError, match=f"Cache\\({next(iter(options))}=\\)"):
        Cache(**options)  # type: ignore[arg-type]
