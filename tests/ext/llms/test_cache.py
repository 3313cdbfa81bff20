"""Equal requests are answered from the cache."""

import stat
from pathlib import Path

import pytest

from miniagents import MiniAgents, UserMessage
from miniagents.errors import ProviderUnavailableError
from miniagents.ext.llms import Cache
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
        import asyncio

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
