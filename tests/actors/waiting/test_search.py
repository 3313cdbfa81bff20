"""Agents that wait for each other through what flows between them fail, and whoever may still go on does not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import Actor, ActorContext, Message, MiniAgents, miniagent
from miniagents.errors import DeadlockError
from tests.actors.waiting.cycles import disagreement, draw

SEEDS = [*range(1, 151), 461, 1439, 3289, 12419, 20717]
"""The first ones, and others in which a cycle was once missed."""


@pytest.mark.filterwarnings("ignore:.*await_now:RuntimeWarning")
def test_a_cycle_is_found_where_a_program_hangs_and_nowhere_else() -> None:
    wrong = {seed: said for seed in SEEDS if (said := disagreement(draw(seed))) is not None}

    assert wrong == {}


TOGETHER_SEEDS = [*range(1, 151), 527, 696, 1162, 2502, 4891, 5590, 5901, 10393]


@pytest.mark.filterwarnings("ignore:.*await_now:RuntimeWarning")
def test_a_cycle_is_found_where_a_program_that_waits_for_several_promises_hangs_and_nowhere_else() -> None:
    programs = {seed: draw(seed, together=True) for seed in TOGETHER_SEEDS}
    wrong = {seed: said for seed, program in programs.items() if (said := disagreement(program)) is not None}

    assert wrong == {}


async def whole(promise: Any) -> None:
    await promise


async def pieces(promise: Any) -> None:
    async for message in promise:
        await message


async def gathered(promise: Any) -> None:
    await asyncio.gather(whole(promise), asyncio.sleep(0))


async def grouped(promise: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(pieces(promise))


WAYS = [whole, pieces, gathered, grouped]


@pytest.mark.parametrize("way", WAYS)
async def test_a_cycle_through_replies_that_flow_from_others_is_found(way: Any) -> None:
    """One replies what another says, and has returned when that other waits for it."""

    @miniagent
    async def first(ctx: Any) -> None:
        ctx.reply([second.inquire()])

    @miniagent
    async def second(ctx: Any) -> None:
        ctx.reply(last.inquire())

    @miniagent
    async def last(ctx: Any) -> None:
        await way(replies[0])

    replies: list[Any] = []
    async with MiniAgents():
        replies.append(first.inquire())
        with pytest.raises((DeadlockError, ExceptionGroup)) as info:
            await replies[0]
        error: Any = info.value if isinstance(info.value, DeadlockError) else info.value.exceptions[0]  # type: ignore[attr-defined]
        assert "/agents/last" in error.ring


async def test_a_cycle_through_replies_and_an_actor_is_found() -> None:
    @miniagent
    async def speaker(ctx: Any) -> None:
        ctx.reply(asks.inquire())

    @miniagent
    async def asks(ctx: Any) -> None:
        await reader.ask(Message())

    class Reader(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await pieces(replies[0])

    replies: list[Any] = []
    async with MiniAgents() as system:
        reader = system.spawn(Reader, name="reader")
        replies.append(speaker.inquire())
        with pytest.raises(DeadlockError) as info:
            await replies[0]
        assert {"/reader", "/agents/asks"} <= set(info.value.ring)


async def test_a_cycle_through_a_class_agent_that_serves_one_call_at_a_time_is_found() -> None:
    @miniagent
    class Serial:
        async def __call__(self, ctx: Any, again: bool = True) -> None:
            if again:
                await pieces(relay.inquire())

    @miniagent
    async def relay(ctx: Any) -> None:
        ctx.reply(Serial.inquire(again=False))  # type: ignore[attr-defined]

    async with MiniAgents():
        with pytest.raises(DeadlockError) as info:
            await Serial.inquire()  # type: ignore[attr-defined]
        assert set(info.value.ring) == {"/agents/Serial", "/agents/relay"}


async def test_a_cycle_through_an_input_that_flows_from_who_waits_is_found() -> None:
    @miniagent
    async def caller(ctx: Any) -> None:
        await callee.inquire(replies[0])
        ctx.reply("what the callee waits for")

    @miniagent
    async def callee(ctx: Any) -> None:
        await pieces(ctx.message_promises)

    replies: list[Any] = []
    async with MiniAgents():
        replies.append(caller.inquire())
        with pytest.raises(DeadlockError) as info:
            await replies[0]
        assert set(info.value.ring) == {"/agents/caller", "/agents/callee"}


async def test_a_cycle_through_a_call_that_is_still_open_is_found() -> None:
    @miniagent
    class Serial:
        async def __call__(self, ctx: Any) -> None:
            await pieces(ctx.message_promises)

    @miniagent
    async def caller(ctx: Any) -> None:
        call = Serial.initiate_call()  # type: ignore[attr-defined]
        await Serial.inquire("comes after the call that is open")  # type: ignore[attr-defined]
        await call.reply_sequence()

    async with MiniAgents():
        with pytest.raises(DeadlockError) as info:
            await caller.inquire()
        assert set(info.value.ring) == {"/agents/caller", "/agents/Serial"}


async def test_a_cycle_that_the_end_of_a_task_closes_is_found() -> None:
    """As long as the task runs, it might reply."""

    @miniagent
    async def talks(ctx: Any) -> None:
        task = asyncio.create_task(ended.wait())
        ctx.make_sure_to_wait(task)
        await listens.inquire()

    @miniagent
    async def listens(ctx: Any) -> None:
        async for _ in replies[0]:
            break

    replies: list[Any] = []
    ended = asyncio.Event()
    async with MiniAgents() as system:
        replies.append(talks.inquire())
        waiting = asyncio.ensure_future(whole(replies[0]))
        await asyncio.sleep(0.01)
        assert not waiting.done()

        ended.set()

        with pytest.raises(DeadlockError):
            await waiting
        assert system.interactions() == ()


@pytest.mark.parametrize("beside", ["a task", "a call"])
async def test_a_reply_that_a_task_or_a_call_beside_may_still_send_is_no_cycle(beside: str) -> None:
    @miniagent
    async def talks(ctx: Any) -> None:
        async def later() -> None:
            await go_on.wait()
            ctx.reply("later")

        @miniagent
        async def other(_: Any) -> None:
            await later()

        kept.append(asyncio.create_task(later()) if beside == "a task" else other.inquire())
        await listens.inquire()

    @miniagent
    async def listens(ctx: Any) -> None:
        async for _ in replies[0]:
            break

    replies: list[Any] = []
    kept: list[Any] = []
    go_on = asyncio.Event()
    async with MiniAgents():
        replies.append(talks.inquire())
        asyncio.get_running_loop().call_later(0.01, go_on.set)

        assert [str(message) for message in await replies[0]] == ["later"]


async def test_an_open_call_that_others_feed_is_no_cycle() -> None:
    @miniagent
    async def echoes(ctx: Any) -> None:
        async for message in ctx.message_promises:
            ctx.reply(message)
            break

    @miniagent
    async def opens(ctx: Any) -> None:
        call = echoes.initiate_call()
        asyncio.get_running_loop().call_later(0.01, call.send_message, "from a callback")
        ctx.reply(await call.reply_sequence(finish_call=False))

    async with MiniAgents():
        assert [str(message) for message in await opens.inquire()] == ["from a callback"]


async def test_a_stream_that_goes_on_while_its_reader_is_waited_for_is_no_cycle() -> None:
    @miniagent
    async def speaks(ctx: Any) -> None:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                await asyncio.sleep(0)
                yield str(number)

        ctx.reply(numbers())

    @miniagent
    async def hands_on(ctx: Any) -> None:
        ctx.reply(speaks.inquire())

    @miniagent
    async def copies(ctx: Any) -> None:
        async for message in hands_on.inquire():
            ctx.reply(message)

    async with MiniAgents():
        assert [str(message) for message in await copies.inquire()] == ["0", "1", "2"]


async def test_a_cycle_that_is_too_long_to_be_followed_at_once_is_found_in_a_while() -> None:
    @miniagent
    async def link(ctx: Any, number: int) -> None:
        ready.append(None)
        await gates[number].wait()
        await replies[(number + 1) % len(replies)]

    size = 300
    ready: list[None] = []
    gates = [asyncio.Event() for _ in range(size)]
    async with MiniAgents():
        replies = [link.inquire(number=number) for number in range(size)]
        waiting = asyncio.gather(*map(whole, replies), return_exceptions=True)
        for gate in reversed(gates):  # each begins to wait for one that waits
            await asyncio.sleep(0)
            gate.set()

        results = await asyncio.wait_for(waiting, timeout=10)

        assert all(isinstance(result, DeadlockError) for result in results)
