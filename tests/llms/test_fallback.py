"""Fallback: when one model is down, the next one answers."""

import asyncio

import pytest

from miniagents import MiniAgents, RetryPolicy
from miniagents.errors import AllModelsFailedError, IncompleteResponseError, InvalidOptionError, InvalidRequestError
from miniagents.ext.llms import Budget, Fallback, RateLimit
from miniagents.testing import FakeProvider, Fault, Reply, Script, ScriptedModel
from tests.llms.apis import ONCE, agent_of


def model(name: str, *replies: Reply | str, **options: object) -> tuple[object, Script]:
    script = Script(*replies)
    return ScriptedModel.fork(alias=name, model=name, script=script, **{"retry": ONCE, **options}), script


async def test_the_next_model_answers_when_one_is_down() -> None:
    first, _ = model("first", Reply.failure(503))
    second, _ = model("second", "from the second")
    async with MiniAgents():
        (reply,) = await Fallback(first, second).inquire("Hi")
    assert str(reply) == "from the second"
    assert reply.model == "second"


async def test_tokens_that_nobody_saw_are_taken_back() -> None:
    first, _ = model("first", Reply("a b c", fault=Fault.CUT, fault_at=2))
    second, _ = model("second", "from the second")
    async with MiniAgents():
        replies = Fallback(first, second).inquire("Hi")
        assert str(await replies) == "from the second"
        assert [str(token) async for promise in replies async for token in promise] == ["from", " the", " second"]


async def test_a_failure_after_a_delivered_token_is_the_readers() -> None:
    first, _ = model("first", Reply("a b c", fault=Fault.CUT, fault_at=2, delay=1))
    second, asked = model("second", "from the second")
    seen = []
    async with MiniAgents():
        with pytest.raises(IncompleteResponseError):
            async for promise in Fallback(first, second).inquire("Hi"):
                async for token in promise:
                    seen.append(str(token))
    assert seen == ["a", " b"]
    assert asked.requests == []


async def test_a_request_that_is_wrong_itself_goes_to_nobody_else() -> None:
    first, _ = model("first", Reply.failure(400))
    second, asked = model("second", "from the second")
    async with MiniAgents():
        with pytest.raises(InvalidRequestError):
            await Fallback(first, second).inquire("Hi")
    assert asked.requests == []


async def test_a_spent_budget_moves_on() -> None:
    first, asked = model("first", "from the first", budget=Budget(tokens=1))
    second, _ = model("second", "from the second")
    async with MiniAgents():
        assert str(await Fallback(first, second).inquire("Hi")) == "from the second"
    assert asked.requests == []


async def test_a_rate_limit_is_waited_for_as_long_as_patience_lasts() -> None:
    limit = RateLimit(requests_per_minute=6)
    first, _ = model("first", "from the first", rate_limit=limit)
    second, _ = model("second", "from the second")
    async with MiniAgents():
        patient, impatient = Fallback(first, second, patience=20), Fallback(first, second, patience=1, alias="b")
        assert str(await patient.inquire("Hi")) == "from the first"
        assert str(await patient.inquire("Hi")) == "from the first"
        assert str(await impatient.inquire("Hi")) == "from the second"


async def test_patience_is_for_all_attempts_together() -> None:
    limit = RateLimit(concurrent=1)
    first, _ = model("first", Reply("busy", delay=1000), rate_limit=limit, retry=RetryPolicy(), idle_timeout=None)
    second, _ = model("second", "from the second")
    async with MiniAgents():
        running = first.inquire("Hi")  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        assert str(await Fallback(first, second, patience=5).inquire("Hi")) == "from the second"
        assert asyncio.get_running_loop().time() - began <= 5.1
        running.cancel()


async def test_a_retry_after_beyond_patience_moves_on_at_once() -> None:
    first, asked = model("first", Reply.rate_limited(30), retry=RetryPolicy())
    second, _ = model("second", "from the second")
    async with MiniAgents():
        began = asyncio.get_running_loop().time()
        assert str(await Fallback(first, second, patience=5).inquire("Hi")) == "from the second"
        assert asyncio.get_running_loop().time() - began < 1
    assert len(asked.requests) == 1


async def test_a_model_that_fails_three_times_rests_and_is_probed_once() -> None:
    first, asked = model("first", *[Reply.failure(500)] * 4, "back again")
    second, _ = model("second", "from the second")
    agent = Fallback(first, second)
    async with MiniAgents():
        for _ in range(5):
            await agent.inquire("Hi")
        assert len(asked.requests) == 3
        await asyncio.sleep(30)
        await asyncio.gather(*(agent.inquire("Hi") for _ in range(5)))
        assert len(asked.requests) == 4  # one probe, which failed
        await asyncio.sleep(30)
        assert str(await agent.inquire("Hi")) == "back again"
        assert str(await agent.inquire("Hi")) == "back again"


async def test_when_all_are_down_one_error_names_every_cause() -> None:
    first, _ = model("first", Reply.failure(500, error="on fire"))
    second, _ = model("second", Reply.failure(429, error="too much"))
    async with MiniAgents():
        with pytest.raises(AllModelsFailedError, match=r"on fire.*too much") as raised:
            await Fallback(first, second).inquire("Hi")
    assert len(raised.value.errors) == 2


async def test_a_fallback_without_models_is_refused() -> None:
    with pytest.raises(InvalidOptionError):
        Fallback()


@pytest.mark.real_time
async def test_it_works_between_providers(fake_provider: FakeProvider) -> None:
    with FakeProvider(Reply("half an", fault=Fault.CUT, fault_at=1)) as broken:
        fake_provider.reset("whole")
        async with MiniAgents():
            agent = Fallback(agent_of("openai", broken, retry=ONCE), agent_of("anthropic", fake_provider))
            assert str(await agent.inquire("Hi")) == "whole"


@pytest.mark.real_time
async def test_cancelling_it_closes_the_response_of_the_model(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply([f"{n} " for n in range(1000)], delay=0.01))
    async with MiniAgents():
        replies = Fallback(agent_of("openai", fake_provider)).inquire("Hi")
        async for promise in replies:
            async for _ in promise:
                break
            break
        await replies.aclose()
        await fake_provider.last.ended()
    assert fake_provider.last.was_closed_by_client
