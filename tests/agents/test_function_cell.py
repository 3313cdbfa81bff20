"""Function agents: calls that run at once, up to a bound, and fail alone."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    DeadLetterReason,
    EventKind,
    InteractionContext,
    MiniAgents,
    RetryPolicy,
    SpawnOptions,
    miniagent,
)
from miniagents.errors import (
    HandlerTimeoutError,
)
from tests.agents.agents import Counter, echo, fails, sleeper, words


async def test_calls_of_a_function_run_concurrently_up_to_its_bound() -> None:
    running, most = 0, 0

    async def work(ctx: InteractionContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    for bound, expected in ((None, 10), (3, 3)):
        most = 0
        async with MiniAgents() as system:
            agent = miniagent(max_concurrency=bound, alias="work")(work)
            for _ in range(10):
                agent.inquire()
            await asyncio.sleep(0.5)
            assert len(system.interactions()) == 10
        assert most == expected


async def test_a_crash_of_a_function_agent_is_that_interactions_alone() -> None:
    async with MiniAgents() as system:
        good, bad = echo.inquire("x"), fails.inquire()
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert await words(good) == ["echo: x"]
        info = system.tree("/agents/fails")
        assert (info.restarts, info.last_error) == (0, "ValueError: bad")


async def test_an_interaction_that_hangs_fails_by_handler_timeout() -> None:
    async with MiniAgents() as system:
        with pytest.raises(HandlerTimeoutError):
            await sleeper.fork(options=SpawnOptions(handler_timeout=2.0)).inquire()
        ref = system.spawn(Counter, name="c", options=SpawnOptions(handler_timeout=2.0))
        with pytest.raises(HandlerTimeoutError):
            await ref.inquire(seconds=100.0)
        assert await words(ref.inquire()) == ["1"]
        assert system.tree("/c").restarts == 1


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_with_a_retry_policy_a_call_that_has_replied_nothing_is_tried_again(kind: str) -> None:
    tries: list[int] = []

    async def flaky(ctx: InteractionContext) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("flaky")
        ctx.reply("done")

    class Flaky:
        async def __call__(self, ctx: InteractionContext) -> None:
            await flaky(ctx)

    agent = miniagent(retry=RetryPolicy(on=(ConnectionError,)))(flaky if kind == "function" else Flaky)
    async with MiniAgents():
        assert await words(agent.inquire()) == ["done"]
    assert len(tries) == 3


@pytest.mark.parametrize("retry", [None, RetryPolicy(attempts=1)])
@pytest.mark.parametrize(("errors", "crashes"), [((), 1), ((ValueError,), 0)])
async def test_an_exception_that_is_an_answer_of_a_function_is_no_crash(errors: Any, crashes: int, retry: Any) -> None:
    @miniagent(errors=errors, retry=retry)
    async def refuses(ctx: InteractionContext) -> None:
        raise ValueError("no")

    async with MiniAgents() as system:
        with system.events.subscribe() as events, pytest.raises(ValueError, match="no"):
            await refuses.inquire()
        kinds = [event.kind async for event in events]

    assert EventKind.INTERACTION_ENDED in kinds
    assert kinds.count(EventKind.CRASH) == crashes


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_each_failed_attempt_of_a_call_is_an_event_with_its_number_and_error(kind: str) -> None:
    tries: list[int] = []

    async def flaky(ctx: InteractionContext) -> None:
        tries.append(1)
        raise ConnectionError(f"flaky {len(tries)}")

    class Flaky:
        async def __call__(self, ctx: InteractionContext) -> None:
            await flaky(ctx)

    agent = miniagent(retry=RetryPolicy(attempts=2))(flaky if kind == "function" else Flaky)
    async with MiniAgents() as mini:
        with mini.events.subscribe() as events, pytest.raises(ConnectionError):
            await agent.inquire(label="the line")
    crashes = [event async for event in events if event.kind is EventKind.CRASH]
    assert [(event.attempt, event.error, event.label) for event in crashes] == [
        (1, "flaky 1", "the line"),
        (2, "flaky 2", "the line"),
    ]
    (letter,) = mini.dead_letters
    assert (letter.reason, letter.error) == (DeadLetterReason.POISONOUS, "ConnectionError: flaky 2")


async def test_an_attempt_is_not_ended_by_the_handler_timeout_of_the_one_before() -> None:
    tries: list[int] = []

    @miniagent(handler_timeout=10, retry=RetryPolicy())
    async def slow(ctx: InteractionContext) -> None:
        tries.append(1)
        await asyncio.sleep(8)
        if len(tries) == 1:
            raise ConnectionError("flaky")
        ctx.reply("done")

    async with MiniAgents():
        assert await words(slow.inquire()) == ["done"]
