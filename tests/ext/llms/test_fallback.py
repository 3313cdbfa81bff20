"""Fallback: when one model is down, the next one answers."""

import asyncio
from typing import Any

import pytest

from miniagents import Backoff, InteractionContext, MiniAgent, MiniAgents, RetryPolicy, miniagent
from miniagents.errors import (
    AllModelsFailedError,
    IncompleteResponseError,
    InvalidOptionError,
    InvalidRequestError,
    ProviderUnavailableError,
)
from miniagents.ext.llms import Budget, Fallback, RateLimit
from miniagents.testing import Call, FakeProvider, Fault, Reply, Script, ScriptedModel
from tests.ext.llms.apis import ONCE, agent_of


def model(name: str, *replies: Reply | str, **options: Any) -> tuple[MiniAgent, Script]:
    script = Script(*replies)
    return ScriptedModel.fork(alias=name, model=name, script=script, **{"retry": ONCE, **options}), script


async def test_the_next_model_answers_when_one_is_down() -> None:
    first, _ = model("first", Reply.failure(503))
    second, _ = model("second", "from the second")
    async with MiniAgents():
        (reply,) = await Fallback(first, second).inquire("Hi")
    assert str(reply) == "from the second"
    assert reply.model == "second"  # type: ignore[attr-defined]


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


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_model_that_cannot_answer_is_left_at_once(status: int) -> None:
    first, asked = model("first", Reply.failure(status), retry=RetryPolicy())
    second, _ = model("second", "from the second")
    async with MiniAgents():
        began = asyncio.get_running_loop().time()
        assert str(await Fallback(first, second).inquire("Hi")) == "from the second"
        assert asyncio.get_running_loop().time() == began
    assert len(asked.requests) == 1


@pytest.mark.real_time
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
async def test_a_provider_that_cannot_be_reached_is_left_at_once(address: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset("whole")
    dead = agent_of("openai", fake_provider, base_url=address, retry=RetryPolicy(backoff=Backoff(60.0, 60.0)))
    async with MiniAgents(), asyncio.timeout(30):
        agent = Fallback(dead, agent_of("anthropic", fake_provider), patience=None)
        assert str(await agent.inquire("Hi")) == "whole"


async def test_a_model_that_is_down_costs_three_requests_and_then_nothing() -> None:
    first, asked = model("first", Reply.failure(503), retry=RetryPolicy())
    second, _ = model("second", "from the second")
    agent = Fallback(first, second)
    async with MiniAgents():
        began = asyncio.get_running_loop().time()
        assert str(await agent.inquire("Hi")) == "from the second"
        assert asyncio.get_running_loop().time() - began <= 2.5  # of 16 and more that six attempts take
        assert len(asked.requests) == 3
        began = asyncio.get_running_loop().time()
        for _ in range(10):
            await agent.inquire("Hi")
        assert asyncio.get_running_loop().time() == began
    assert len(asked.requests) == 3


async def test_the_breaker_opens_for_the_whole_swarm_whoever_made_the_requests() -> None:
    first, asked = model("first", Reply.failure(503), retry=RetryPolicy())
    second, _ = model("second", "from the second")
    agent = Fallback(first, second)
    async with MiniAgents():
        calls = [agent.inquire(str(number)) for number in range(50)]
        for call in calls:
            assert str(await call) == "from the second"
        assert len(asked.requests) == 50  # each asked once, at the same time, and none asked again
        await asyncio.sleep(30)
        for call in [agent.inquire(str(number)) for number in range(50)]:
            assert str(await call) == "from the second"
    assert len(asked.requests) == 51  # one probe


async def test_a_probe_is_one_request_and_a_good_one_closes_the_breaker() -> None:
    first, asked = model("first", *[Reply.failure(503)] * 4, "back again", retry=RetryPolicy())
    second, _ = model("second", "from the second")
    agent = Fallback(first, second)
    async with MiniAgents():
        await agent.inquire("Hi")
        await asyncio.sleep(30)
        assert str(await agent.inquire("Hi")) == "from the second"
        assert len(asked.requests) == 4
        await asyncio.sleep(30)
        assert {str(await agent.inquire("Hi")) for _ in range(5)} == {"back again"}


async def test_patience_bounds_a_model_that_hangs_too() -> None:
    first, asked = model("first", Reply("a", fault=Fault.STALL), retry=RetryPolicy(), idle_timeout=20.0)
    second, _ = model("second", "from the second")
    async with MiniAgents():
        began = asyncio.get_running_loop().time()
        assert str(await Fallback(first, second, patience=10).inquire("Hi")) == "from the second"
        assert asyncio.get_running_loop().time() - began <= 22
    assert len(asked.requests) == 1


async def test_requests_of_an_agent_below_do_not_count_as_the_models() -> None:
    helper, helped = model("helper", Reply.failure(503), retry=RetryPolicy(attempts=5))
    first, _ = model("first", Reply(calls=(Call("helper", {"message": "x"}),)), "from the first", tools=[helper])
    second, _ = model("second", "from the second")
    async with MiniAgents():
        replies = await Fallback(first, second, patience=None).inquire("Hi")
        assert str(replies[-1]) == "from the first"
    assert len(helped.requests) == 5


async def test_any_agent_may_be_a_model_and_its_calls_count() -> None:
    called = []

    @miniagent
    async def custom(ctx: InteractionContext) -> None:
        called.append(1)
        raise ProviderUnavailableError("down")

    second, _ = model("second", "from the second")
    agent = Fallback(custom, second)
    async with MiniAgents():
        for _ in range(5):
            assert str(await agent.inquire("Hi")) == "from the second"
    assert len(called) == 3


async def test_a_429_that_is_asked_again_does_not_open_the_breaker() -> None:
    first, asked = model("first", *[Reply.rate_limited()] * 4, "from the first", retry=RetryPolicy())
    second, _ = model("second", "from the second")
    async with MiniAgents():
        assert str(await Fallback(first, second, patience=60).inquire("Hi")) == "from the first"
    assert len(asked.requests) == 5


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
        running = first.inquire("Hi")
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
