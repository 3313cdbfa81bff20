"""`as_completed` brings promises in the order in which they settle, and ends none of them."""

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import Actor, ActorContext, ActorSystem, Message, MiniAgents, TextMessage, as_completed, miniagent
from miniagents.promising import Promise, PromisingContext
from miniagents.testing import VirtualTimeLoop
from tests.actors.actors import turns
from tests.promising.members import KINDS, BoomError, Member, made, members


def promises(n: int) -> list[Promise[Any]]:
    return [Promise() for _ in range(n)]


async def test_promises_come_as_they_settle_and_those_that_have_come_first() -> None:
    first, second, third, settled = some = promises(4)
    settled.resolve("settled")
    came: list[Promise[Any]] = []

    async def read() -> None:
        async for promise in as_completed(*some):
            came.append(promise)

    reading = asyncio.create_task(read())
    for expected in ([settled], [settled, third], [settled, third, first], [settled, third, first, second]):
        if expected[-1] is not settled:
            expected[-1].resolve("now")
        await turns()
        assert came == expected
    await reading


async def test_without_promises_the_iteration_ends_at_once() -> None:
    nothing: list[Promise[str]] = []

    assert [promise async for promise in as_completed(*nothing)] == []


async def test_a_promise_that_is_given_twice_comes_once() -> None:
    (promise,) = promises(1)
    promise.resolve(1)

    assert [one async for one in as_completed(promise, promise)] == [promise]


async def test_a_failure_comes_as_a_promise_and_is_raised_by_its_await() -> None:
    fails, fine = promises(2)
    fails.reject(BoomError("boom"))
    fine.resolve("fine")
    outcomes = []

    async for promise in as_completed(fails, fine):
        try:
            outcomes.append(await promise)
        except BoomError as error:
            outcomes.append(error.args[0])

    assert outcomes == ["boom", "fine"]


async def test_a_failure_that_came_and_was_not_awaited_is_logged(log: list[Any]) -> None:
    async def boom(_: Any) -> None:
        raise BoomError("boom")

    async with PromisingContext():
        async for _ in as_completed(Promise(boom)):
            pass

    assert [entry["event"] for entry in log] == ["promise.failed_unawaited"]


async def test_every_reader_gets_all_and_an_await_brings_them_together() -> None:
    first, second = promises(2)
    completed = as_completed(first, second)
    second.resolve(2)
    first.resolve(1)

    assert await completed == (second, first)
    assert [promise async for promise in completed] == [second, first]


async def test_leaving_early_cancels_nothing_and_leaves_nothing_behind() -> None:
    soon, late = promises(2)
    soon.resolve(1)

    async for _ in as_completed(soon, late):
        break

    assert not late.done()
    assert late.callbacks is None


async def test_a_reader_that_is_cancelled_leaves_nothing_behind() -> None:
    (late,) = promises(1)

    async def read() -> None:
        async for _ in as_completed(late):
            pass

    reading = asyncio.create_task(read())
    await turns()
    reading.cancel()
    await asyncio.wait([reading])
    del reading
    await turns()

    assert not late.done()
    assert late.callbacks is None


async def test_what_is_cancelled_is_the_iteration_alone() -> None:
    (late,) = promises(1)
    completed = as_completed(late)
    completed.cancel("enough")

    assert late.callbacks is None
    assert not late.done()


async def test_a_callback_is_called_although_nobody_keeps_the_iteration() -> None:
    (member,) = promises(1)
    told: list[Any] = []

    as_completed(member).add_done_callback(lambda completed: told.append(completed.result()))
    gc.collect()
    member.resolve(1)

    assert told == [(member,)]


async def test_lazy_calls_and_coroutines_begin_at_once() -> None:
    @miniagent
    async def echo(ctx: Any) -> None:
        ctx.reply(ctx.message_promises)

    async def late() -> str:
        await asyncio.sleep(1)
        return "late"

    async with MiniAgents():
        completed = as_completed(late(), echo.inquire("lazy", start_soon=False))
        await asyncio.sleep(2)

        assert [str(await promise) async for promise in completed] == ["lazy", "late"]


async def test_what_cannot_be_awaited_is_refused() -> None:
    with pytest.raises(TypeError, match=r"as_completed\(\) waits for promises, not for a list: write as_completed\("):
        as_completed([Promise()])  # type: ignore[call-overload]


async def test_the_reader_runs_actors_itself() -> None:
    class Echo(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return message

    async with ActorSystem() as system:
        echo = system.spawn(Echo)
        await echo.ask(TextMessage("warm"))
        await turns(3)
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)

        async for promise in as_completed(echo.ask(TextMessage("a")), echo.ask(TextMessage("b"))):
            await promise

        assert ran == []


@given(st.lists(members(*KINDS), max_size=6), st.integers(0, 6))
def test_any_promises_come_in_the_order_of_their_ends(some: list[Member], taken: int) -> None:
    async def play() -> None:
        async with PromisingContext():
            awaitables = [made(member, number) for number, member in enumerate(some)]
            began = asyncio.get_running_loop().time()
            came = []
            async for promise in as_completed(*awaitables):
                came.append(awaitables.index(promise))
                assert promise.done()
                assert asyncio.get_running_loop().time() - began == some[came[-1]].at
                if len(came) == taken:
                    break
            if taken == 0 or taken > len(some):
                assert sorted(came) == list(range(len(some)))
            await asyncio.sleep(10)
            for number, member in enumerate(some):
                error = awaitables[number].exception()
                assert (error is None) is (member.how == "value")

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
