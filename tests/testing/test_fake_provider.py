"""The testing kit itself: the provider that is a real server, recordings, and scripted models."""

import stat
import time
from pathlib import Path

import pytest

from miniagents import MiniAgents
from miniagents.errors import InvalidOptionError, MalformedResponseError, RateLimitedError
from miniagents.ext.llms import OpenAIAgent
from miniagents.testing import Call, FakeProvider, Fault, Reply, Script, ScriptedModel
from tests.ext.llms.apis import ONCE, agent_of, each_api


@pytest.mark.real_time
async def test_it_counts_what_would_be_billed(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("one two three", input_tokens=10), Reply.failure(500), Reply("four", input_tokens=7))
    async with MiniAgents():
        agent = agent_of("openai", fake_provider)
        await agent.inquire("a")
        await agent.inquire("b")
    billed = fake_provider.billed
    assert (billed.requests, billed.input_tokens, billed.output_tokens) == (2, 17, 4)


@pytest.mark.real_time
async def test_it_limits_the_rate_and_counts_the_overruns() -> None:
    with FakeProvider("ok", requests_per_second=2) as provider:
        async with MiniAgents():
            agent = agent_of("openai", provider, retry=ONCE)
            calls = [agent.inquire(str(number)) for number in range(4)]
            results = []
            for call in calls:
                try:
                    results.append(str(await call))
                except RateLimitedError:
                    results.append("429")
    assert sorted(results) == ["429", "429", "ok", "ok"]
    assert provider.overruns == 2


@pytest.mark.real_time
async def test_it_takes_only_its_key() -> None:
    from miniagents.errors import AuthenticationError

    with FakeProvider("ok", api_key="right") as provider:
        async with MiniAgents():
            assert str(await agent_of("openai", provider).inquire("Hi")) == "ok"
            with pytest.raises(AuthenticationError):
                await agent_of("anthropic", provider, api_key="wrong").inquire("Hi")
    assert "authorization" not in provider.last.headers
    assert "x-api-key" not in provider.last.headers


@pytest.mark.real_time
@each_api
@pytest.mark.parametrize("stream", [True, False])
async def test_real_exchanges_are_recorded_and_replayed(
    api: str, stream: bool, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    file = tmp_path / "calls.jsonl"
    fake_provider.reset(Reply("Hello there", calls=(Call("f", {"a": 1}),)), "again")
    with FakeProvider(upstream=fake_provider.url, recording=file) as recorder:
        async with MiniAgents():
            agent = agent_of(api, recorder, stream=stream, api_key="sk-secret")
            recorded = [await agent.inquire("Hi"), await agent.inquire("Hi")]
    asked = len(fake_provider.exchanges)
    with FakeProvider(recording=file) as player:
        async with MiniAgents():
            agent = agent_of(api, player, stream=stream)
            replayed = [await agent.inquire("Hi"), await agent.inquire("Hi")]
    assert replayed == recorded
    assert [str(reply) for reply in replayed] == ["Hello there", "again"]
    assert len(fake_provider.exchanges) == asked == 2
    assert "secret" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.real_time
async def test_what_was_not_recorded_is_told(tmp_path: Path) -> None:
    with FakeProvider(recording=tmp_path / "none.jsonl") as player:
        async with MiniAgents():
            with pytest.raises(Exception, match="was recorded"):
                await agent_of("openai", player).inquire("Hi")


def test_a_recording_needs_a_file() -> None:
    with pytest.raises(InvalidOptionError, match="recording="):
        FakeProvider(upstream="https://api.openai.com")


@pytest.mark.real_time
async def test_a_provider_that_stops_cuts_every_connection() -> None:
    provider = FakeProvider(Reply("a b", fault=Fault.STALL, fault_at=1)).start()
    async with MiniAgents():
        replies = OpenAIAgent.fork(model="m", retry=ONCE, **provider.openai).inquire("Hi")
        async for promise in replies:
            async for _ in promise:
                break
            break
        began = time.monotonic()
        provider.stop()
        assert time.monotonic() - began < 5
        await replies.aclose()


async def test_a_scripted_model_streams_in_virtual_time() -> None:
    import asyncio

    async with MiniAgents():
        began = asyncio.get_running_loop().time()
        async for promise in ScriptedModel.fork(script=Script(Reply("a b c", delay=50))).inquire("Hi"):
            assert [str(token) async for token in promise] == ["a", " b", " c"]
        assert asyncio.get_running_loop().time() - began == pytest.approx(150)


async def test_a_scripted_model_fails_at_a_chosen_token() -> None:
    seen = []
    async with MiniAgents():
        with pytest.raises(MalformedResponseError):
            script = Script(Reply("a b c", fault=Fault.MALFORMED, fault_at=2, delay=1))
            async for promise in ScriptedModel.fork(script=script).inquire("Hi"):
                async for token in promise:
                    seen.append(str(token))
    assert seen == ["a", " b"]


async def test_a_script_may_look_at_the_request() -> None:
    script = Script(lambda request: f"{len(request.messages)} messages")
    async with MiniAgents():
        assert str(await ScriptedModel.fork(script=script).inquire(["a", "b"])) == "2 messages"


async def test_a_scripted_model_without_a_script_says_so() -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="script="):
            await ScriptedModel.inquire("Hi")
