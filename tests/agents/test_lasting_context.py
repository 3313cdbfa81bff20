"""What a call takes from outside, without a journal and with one, whose process dies at each write."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from miniagents import DataMessage, InteractionContext, MiniAgents, RetryPolicy, miniagent
from miniagents.errors import InvalidOptionError, MessageTooLargeError, NotSendableError
from miniagents.journal import MemoryJournal
from tests.agents.agents import words
from tests.agents.deaths import Died, lived, lived_twice


def systems() -> list[Any]:
    return [
        pytest.param(lambda: MiniAgents(), id="without a journal"),
        pytest.param(lambda: MiniAgents(journal=MemoryJournal(), durable_agents=True), id="with a journal"),
    ]


@pytest.mark.parametrize("system", systems())
async def test_a_function_is_called_once_for_each_key_of_a_call(system: Any) -> None:
    called: list[object] = []

    def order(what: str, *, count: int) -> str:
        called.append((what, count))
        return f"{count} {what}"

    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        for key in ("a", "b", "a"):
            ctx.reply(await ctx.once(key, order, key, count=2))

    async with system():
        assert await words(buyer.inquire()) == ["2 a", "2 b", "2 a"]
        assert await words(buyer.inquire()) == ["2 a", "2 b", "2 a"]
    assert called == [("a", 2), ("b", 2)] * 2


@pytest.mark.parametrize("system", systems())
async def test_calls_of_one_key_at_the_same_time_share_one_call_of_an_async_function(system: Any) -> None:
    called: list[str] = []

    async def slow() -> list[int]:
        called.append("slow")
        await asyncio.sleep(1)
        return [1, 2]

    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        ctx.reply({"results": await asyncio.gather(*(ctx.once("order", slow) for _ in range(3)))})

    async with system():
        (reply,) = await buyer.inquire()
        assert isinstance(reply, DataMessage)
        assert reply["results"] == ((1, 2),) * 3
    assert called == ["slow"]


@pytest.mark.parametrize("system", systems())
async def test_a_function_that_fails_fails_all_who_share_it_and_is_called_again_later(system: Any) -> None:
    called: list[str] = []

    async def fails_first() -> str:
        called.append("call")
        await asyncio.sleep(1)
        if len(called) == 1:
            raise ValueError("first")
        return "second"

    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        both = await asyncio.gather(*(ctx.once("order", fails_first) for _ in range(2)), return_exceptions=True)
        ctx.reply([repr(result) for result in both])
        ctx.reply(await ctx.once("order", fails_first))

    async with system():
        assert await words(buyer.inquire()) == ["ValueError('first')"] * 2 + ["second"]


@pytest.mark.parametrize("system", systems())
async def test_one_of_those_who_share_a_function_may_leave(system: Any) -> None:
    called: list[str] = []

    async def slow() -> str:
        called.append("call")
        await asyncio.sleep(2)
        return "done"

    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        first = asyncio.ensure_future(ctx.once("order", slow))
        second = asyncio.ensure_future(ctx.once("order", slow))
        await asyncio.sleep(1)
        first.cancel()
        ctx.reply(await second)

    async with system():
        assert await words(buyer.inquire()) == ["done"]
    assert called == ["call", "call"]  # the one that was left takes the place of the other


@pytest.mark.parametrize("system", systems())
async def test_a_result_that_no_message_can_hold_is_refused(system: Any) -> None:
    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        await ctx.once("order", object)

    async with system():
        with pytest.raises(NotSendableError, match="object"):
            await buyer.inquire()


async def test_a_result_that_is_too_large_for_the_journal_is_refused() -> None:
    @miniagent
    async def buyer(ctx: InteractionContext) -> None:
        await ctx.once("order", lambda: "x" * 2000)

    async with MiniAgents(journal=MemoryJournal(max_message_bytes=1000), durable_agents=True):
        with pytest.raises(MessageTooLargeError):
            await buyer.inquire()


@pytest.mark.parametrize("at", range(13))
async def test_what_was_committed_is_not_taken_again_wherever_the_process_dies(at: int) -> None:
    effects: list[str] = []
    seen: list[tuple[str, object]] = []

    def effect(key: str) -> str:
        effects.append(key)
        return f"effect {len(effects)}"

    @miniagent
    async def taker(ctx: InteractionContext) -> None:
        for key in ("a", "b"):
            seen.append((key, await ctx.once(key, effect, key)))
            seen.append((f"now {key}", await ctx.now()))
            seen.append((f"random {key}", await ctx.random()))
            seen.append((f"key {key}", await ctx.idempotency_key(key)))
            await asyncio.sleep(1)

    async def program(mini: MiniAgents) -> None:
        await mini.run_job("job", taker)

    _, has_died = await lived_twice(program, at=at)

    assert has_died == (at < 10)  # two writes begin the job, and the last one ends it
    assert len(set(seen)) == 8  # what had been returned before the death was returned again after it
    assert len(effects) <= 3  # the effect whose commit was lost is repeated


async def test_the_numbers_and_times_of_a_call_differ() -> None:
    @miniagent
    async def taker(ctx: InteractionContext) -> None:
        numbers = {await ctx.random() for _ in range(10)}
        keys = {await ctx.idempotency_key(f"{number}") for number in range(10)}
        ctx.reply(f"{len(numbers)} {len(keys)} {all(0 <= number < 1 for number in numbers)}")
        before = await ctx.now()
        await asyncio.sleep(5)
        ctx.reply(f"{(await ctx.now() - before).total_seconds()} {before.tzinfo}")

    async with MiniAgents():
        assert await words(taker.inquire()) == ["10 10 True", "5.0 UTC"]


async def test_idempotency_keys_of_equal_jobs_in_two_journals_differ() -> None:
    @miniagent
    async def taker(ctx: InteractionContext) -> None:
        ctx.reply(await ctx.idempotency_key("pay"))

    keys = []
    for _ in range(2):
        async with MiniAgents(journal=MemoryJournal()) as mini:
            keys += await words(mini.run_job("job", taker))
    assert len(set(keys)) == 2


@pytest.mark.parametrize("system", systems())
async def test_a_sleep_takes_its_time(system: Any) -> None:
    @miniagent
    async def sleeper(ctx: InteractionContext) -> None:
        await asyncio.gather(ctx.sleep(86_400), ctx.sleep(3), ctx.sleep(86_400))

    async with system() as mini:
        began = mini.time()
        await sleeper.inquire()
        assert mini.time() - began == pytest.approx(86_400, abs=0.01)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1"])
async def test_a_sleep_of_no_duration_is_refused(seconds: Any) -> None:
    @miniagent
    async def sleeper(ctx: InteractionContext) -> None:
        await ctx.sleep(seconds)

    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match=r"sleep\(seconds\)"):
            await sleeper.inquire()


async def test_after_a_restart_only_the_rest_of_a_sleep_is_waited_for() -> None:
    loop = asyncio.get_running_loop()

    @miniagent
    async def sleeper(ctx: InteractionContext) -> None:
        await ctx.sleep(1000)
        await ctx.sleep(1000)

    async def program(mini: MiniAgents) -> None:
        await mini.run_job("job", sleeper)

    began = loop.time()
    journal = MemoryJournal()
    died = asyncio.Event()
    loop.call_later(1300, died.set)
    with pytest.raises(Died):
        await lived(journal, program, died)
    await asyncio.sleep(500)  # nothing runs
    await lived(journal.after_death(), program)
    assert loop.time() - began == pytest.approx(2000, abs=0.1)


async def test_a_sleep_that_ended_while_nothing_ran_is_not_waited_for() -> None:
    loop = asyncio.get_running_loop()

    @miniagent
    async def sleeper(ctx: InteractionContext) -> None:
        await ctx.sleep(1000)

    async def program(mini: MiniAgents) -> None:
        await mini.run_job("job", sleeper)

    journal = MemoryJournal()
    died = asyncio.Event()
    loop.call_later(10, died.set)
    with pytest.raises(Died):
        await lived(journal, program, died)
    await asyncio.sleep(5000)
    began = loop.time()
    await lived(journal.after_death(), program)
    assert loop.time() - began < 1


async def test_a_call_that_is_tried_again_does_not_sleep_or_act_again() -> None:
    effects: list[str] = []
    attempts: list[str] = []

    @miniagent(retry=RetryPolicy(attempts=3))
    async def sleeper(ctx: InteractionContext) -> None:
        await ctx.sleep(100)
        await ctx.once("effect", lambda: effects.append("effect"))
        attempts.append("attempt")
        if len(attempts) < 3:
            raise ValueError("again")
        ctx.reply("done")

    async with MiniAgents() as mini:
        began = mini.time()
        assert await words(sleeper.inquire()) == ["done"]
        assert mini.time() - began == pytest.approx(100, abs=0.1)
    assert effects == ["effect"]
    assert len(attempts) == 3


async def test_a_call_knows_whether_it_was_interrupted_by_the_death_of_its_process() -> None:
    seen: list[bool] = []

    @miniagent
    async def knows(ctx: InteractionContext) -> None:
        seen.append(ctx.interrupted)
        await ctx.sleep(100)

    async def program(mini: MiniAgents) -> None:
        await mini.run_job("job", knows)

    journal = MemoryJournal()
    died = asyncio.Event()
    asyncio.get_running_loop().call_later(10, died.set)
    with pytest.raises(Died):
        await lived(journal, program, died)
    await lived(journal.after_death(), program)
    assert seen == [False, True]


async def test_the_time_is_the_time_of_day_in_utc() -> None:
    @miniagent
    async def taker(ctx: InteractionContext) -> None:
        ctx.reply(str(await ctx.now() == datetime.fromtimestamp(ctx.system.wall_clock.time(), UTC)))

    async with MiniAgents():
        assert await words(taker.inquire()) == ["True"]
