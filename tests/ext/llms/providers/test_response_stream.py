"""Cancelling closes the HTTP response at once: that is where billing stops."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagents import (
    Backoff,
    InteractionContext,
    MessageSequencePromise,
    MiniAgents,
    RetryPolicy,
    Sendable,
    UserMessage,
    miniagent,
)
from miniagents.errors import DeadlineExceededError, PromiseCancelledError
from miniagents.ext.llms import Budget, RateLimit, ToolResultMessage, well_formed
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api

pytestmark = pytest.mark.real_time

SLOW = Reply([f"{number} " for number in range(1000)], delay=0.01)


async def first_token(replies: MessageSequencePromise) -> None:
    async for promise in replies:
        async for _ in promise:
            return


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in another thread
            await asyncio.sleep(0.005)


@each_api
async def test_a_cancelled_promise_closes_the_response_and_the_rest_is_not_sent(
    api: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(SLOW)
    async with MiniAgents():
        replies = agent_of(api, fake_provider).inquire("Hi")
        await first_token(replies)
        replies.cancel("enough")
        with pytest.raises(PromiseCancelledError, match="enough"):
            await replies
        await fake_provider.last.ended()
    assert fake_provider.last.was_closed_by_client
    assert 0 < fake_provider.last.tokens_sent < fake_provider.last.tokens_planned == 1000


@each_api
async def test_a_call_that_does_not_stream_is_cut_too(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    async with MiniAgents():
        replies = agent_of(api, fake_provider, stream=False).inquire("Hi")
        await until(lambda: len(fake_provider.exchanges) == 1)
        await replies.aclose("enough")
        await fake_provider.last.ended()
    assert fake_provider.last.was_closed_by_client
    assert fake_provider.last.tokens_sent == 0


async def test_cancelling_the_promise_of_the_message_is_enough(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    async with MiniAgents():
        async for promise in agent_of("openai", fake_provider).inquire("Hi"):
            async for _ in promise:
                await promise.aclose("enough")
                break
            break
        await fake_provider.last.ended()
    assert fake_provider.last.was_closed_by_client


async def test_a_deadline_closes_the_response_and_names_agent_and_time(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    async with MiniAgents():
        with pytest.raises(DeadlineExceededError, match=r"/agents/OpenAIAgent.*1\.5 s") as raised:
            await agent_of("openai", fake_provider).inquire("Hi", timeout=1.5)
        await fake_provider.last.ended()
    assert isinstance(raised.value, TimeoutError)
    assert fake_provider.last.was_closed_by_client


async def test_cancelling_works_three_agents_deep(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    model = agent_of("openai", fake_provider)

    @miniagent
    async def inner(ctx: InteractionContext) -> None:
        ctx.reply(model.inquire(ctx.message_promises))

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(str(await inner.inquire(ctx.message_promises)))

    async with MiniAgents() as system:
        replies = outer.inquire("Hi")
        await until(lambda: bool(fake_provider.exchanges) and fake_provider.last.tokens_sent > 0)
        (top,) = [one for one in system.interactions() if one.parent is None]
        assert await top.cancel("stop all") == ()
        assert system.interactions() == ()
        await fake_provider.last.ended()
        with pytest.raises(PromiseCancelledError):
            await replies
    assert fake_provider.last.was_closed_by_client


async def test_children_of_a_stopped_parent_bill_nothing_more(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    model = agent_of("openai", fake_provider)

    @miniagent
    async def parent(ctx: InteractionContext) -> None:
        ctx.reply([model.inquire(f"part {number}") for number in range(5)])

    async with MiniAgents():
        replies = parent.inquire()
        await until(lambda: sum(one.tokens_sent > 0 for one in fake_provider.exchanges) == 5)
        await replies.aclose()
        for exchange in fake_provider.exchanges:
            await exchange.ended()
        billed = fake_provider.billed.output_tokens
        await asyncio.sleep(0.1)
    assert fake_provider.billed.output_tokens == billed
    assert all(one.was_closed_by_client for one in fake_provider.exchanges)


async def test_a_backoff_sleep_ends_at_once(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500))
    policy = RetryPolicy(backoff=Backoff(60, 60))
    async with MiniAgents() as system:
        replies = agent_of("openai", fake_provider, retry=policy).inquire("Hi")
        await until(lambda: bool(fake_provider.exchanges) and fake_provider.last._ended.is_set())
        await asyncio.wait_for(replies.aclose("enough"), 1)
        assert system.interactions() == ()
    assert len(fake_provider.exchanges) == 1


async def test_a_wait_for_a_limit_ends_at_once_and_gives_its_place_back(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    limit = RateLimit(concurrent=1)
    async with MiniAgents():
        agent = agent_of("openai", fake_provider, rate_limit=limit)
        one, two, three = (agent.inquire(str(number)) for number in range(3))
        await until(lambda: limit.waiting == 2 and len(fake_provider.exchanges) == 1)
        await asyncio.wait_for(two.aclose(), 1)
        assert limit.waiting == 1
        await one.aclose()
        await until(lambda: len(fake_provider.exchanges) == 2)
        await three.aclose()
    assert limit.in_flight == 0
    assert [one.prompt for one in fake_provider.exchanges] == ["0", "2"]


async def test_a_cut_call_counts_with_an_estimate(fake_provider: FakeProvider) -> None:
    fake_provider.reset(SLOW)
    budget = Budget(tokens=100_000)
    async with MiniAgents():
        replies = agent_of("openai", fake_provider, budget=budget).inquire("Hi")
        await first_token(replies)
        await replies.aclose()
        await fake_provider.last.ended()
    assert budget.spent.tokens == budget.spent.estimated_tokens > 0


async def test_every_tool_call_has_a_result_when_a_conversation_is_cancelled(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(calls=(Call("quick"), Call("slow"), Call("in_a_thread"))), "done")
    started, release = threading.Event(), threading.Event()
    asleep = asyncio.Event()

    async def quick() -> str:
        return "was quick"

    async def slow() -> str:
        asleep.set()
        await asyncio.sleep(60)
        return "never"

    def in_a_thread() -> str:
        started.set()
        release.wait(10)
        return "too late"

    got = []
    async with MiniAgents():
        agent = agent_of("openai", fake_provider, tools=[quick, slow, in_a_thread])
        replies = agent.inquire("Hi")
        await asyncio.wait_for(asleep.wait(), 5)
        await until(started.is_set)
        await asyncio.sleep(0.02)
        await asyncio.wait_for(replies.aclose("enough"), 2)
        with pytest.raises(PromiseCancelledError):
            async for promise in replies:
                got.append(await promise)
        release.set()
    call, *results = got
    assert [str(result) for result in results] == ["was quick", "cancelled: enough", "cancelled: enough"]
    assert all(isinstance(result, ToolResultMessage) for result in results)
    assert well_formed([UserMessage("Hi"), call, *results])[1] == ()
    assert len(fake_provider.exchanges) == 1


async def test_the_result_of_a_thread_that_ran_on_is_thrown_away_and_that_is_logged(
    fake_provider: FakeProvider, log: list[dict[str, object]]
) -> None:
    fake_provider.reset(Reply(calls=(Call("work"),)), "done")
    started, release = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        release.wait(10)
        return "too late"

    async with MiniAgents():
        replies = agent_of("openai", fake_provider, tools=[work], tool_timeout=0.1).inquire("Hi")
        messages = await replies
        release.set()
    assert str(messages[1]) == "failed: TimeoutError: it took longer than 0.1 s (tool_timeout)"
    assert str(messages[2]) == "done"
    assert any("runs_on" in str(entry["event"]) for entry in log)


async def test_a_conversation_goes_on_after_it_was_cancelled(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(calls=(Call("slow"),)), "and on it goes")

    async def slow() -> str:
        await asyncio.sleep(60)
        return "never"

    history: list[Sendable] = ["Hi"]
    async with MiniAgents():
        agent = agent_of("openai", fake_provider, tools=[slow])
        replies = agent.inquire("Hi")
        async for promise in replies:
            history.append(await promise)
            break  # whoever was reading has gone before there was a result
        await replies.aclose()
        history.append("Go on")
        assert str(await agent.inquire(history)) == "and on it goes"
    roles = [message["role"] for message in fake_provider.last.body["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]


async def test_what_swallows_its_cancellation_is_reported_as_abandoned() -> None:
    release = asyncio.Event()

    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async with MiniAgents() as system:
        replies: Awaitable[object] = stubborn.inquire()
        await asyncio.sleep(0.01)
        (one,) = system.interactions()
        assert await one.cancel("stop", grace=0.05) == (one,)
        with pytest.raises(PromiseCancelledError):
            await replies
        release.set()


@pytest.mark.parametrize("after", range(25))
async def test_every_tool_call_has_a_result_at_whatever_turn_it_is_cancelled(after: int) -> None:
    async def slow() -> str:
        await asyncio.sleep(60)
        return "never"

    got: list[Any] = []
    async with MiniAgents():
        script = Script(Reply(calls=(Call("slow"), Call("slow"))), "done")
        replies = ScriptedModel.fork(script=script, tools=[slow]).inquire("Hi")

        async def read() -> None:
            async for promise in replies:
                got.append(promise)

        reader = asyncio.create_task(read())
        while not got:  # noqa: ASYNC110 - turns of the loop are what is counted
            await asyncio.sleep(0)
        for _ in range(after):
            await asyncio.sleep(0)
        replies.cancel("enough")
        with pytest.raises(PromiseCancelledError):
            await reader

    call, *results = got
    if isinstance(call.exception(), PromiseCancelledError):
        assert results == []  # it came before the model had said which tools it wants
    else:
        assert [str(await result) for result in results] == ["cancelled: enough"] * len(results)
        assert all([(await result).is_error for result in results])
