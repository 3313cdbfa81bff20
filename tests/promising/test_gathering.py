"""A gather brings the values of several promises as `asyncio.gather` does, and ends nobody's work."""

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import Actor, ActorContext, ActorSystem, Message, MiniAgents, TextMessage, gather, miniagent
from miniagents.errors import NoActiveSystemError, PromiseCancelledError, PromiseNotReadyError
from miniagents.promising import Promise, PromisingContext, StreamedPromise
from miniagents.testing import VirtualTimeLoop
from tests.actors.actors import Add, Counter, Crash, Read, Total, turns
from tests.promising.members import KINDS, BoomError, Member, made, members


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


def promises(n: int) -> list[Promise[Any]]:
    return [Promise() for _ in range(n)]


# Values


async def test_the_values_come_in_the_order_of_the_promises() -> None:
    first, second = promises(2)
    gathered = gather(first, second)

    second.resolve("second")
    await turns()
    assert not gathered.done()
    first.resolve("first")

    assert gathered.done()
    assert list(await gathered) == ["first", "second"]


async def test_without_promises_the_list_is_empty_and_there_at_once() -> None:
    gathered: Promise[list[Any]] = gather()

    assert gathered.done()
    assert gathered.result() == []
    assert await gathered == []


async def test_a_promise_that_is_given_twice_has_two_places() -> None:
    shared, other = promises(2)
    gathered = gather(shared, other, shared)

    shared.resolve(1)
    assert not gathered.done()
    other.resolve(2)

    assert list(await gathered) == [1, 2, 1]


async def test_a_gather_of_settled_promises_is_settled_without_a_turn_of_the_loop() -> None:
    gathered = gather(Promise(prefill_result=1), Promise(prefill_result=None))

    coroutine = gathered.__await__()
    with pytest.raises(StopIteration) as info:
        next(coroutine)
    assert info.value.value == [1, None]


async def test_every_awaiter_gets_the_list() -> None:
    (member,) = promises(1)
    gathered = gather(member)
    waits = [asyncio.create_task(wait(gathered)) for _ in range(3)]
    await turns()

    member.resolve("value")

    assert await asyncio.gather(*waits) == [["value"]] * 3


async def test_a_gather_can_be_part_of_a_gather() -> None:
    first, second = promises(2)
    gathered = gather(gather(first), gather(second, first))

    first.resolve(1)
    second.resolve(2)

    assert await gathered == [[1], [2, 1]]


async def test_a_gather_that_is_not_ready_says_so() -> None:
    gathered = gather(*promises(1))

    with pytest.raises(PromiseNotReadyError, match="pending"):
        gathered.result()


async def test_replies_and_lazy_promises_begin_with_the_gather() -> None:
    @miniagent
    async def echo(ctx: Any) -> None:
        ctx.reply(ctx.message_promises)

    async def lazily(_: Any) -> str:
        return "lazy"

    async with MiniAgents():
        gathered: Any = gather(
            echo.inquire("now"),
            echo.inquire("late", start_soon=False),
            Promise(lazily, start_soon=False),
            TextMessage.promise(message_token_streamer=tokens, start_soon=False),
        )
        await turns(50)

        assert gathered.done()
        assert [str(value) for value in gathered.result()] == ["now", "late", "lazy", "ab"]


async def tokens(_: Any) -> Any:
    yield "a"
    yield "b"


async def test_other_awaitables_are_run_and_one_that_is_given_twice_is_run_once() -> None:
    runs = []

    async def work() -> str:
        runs.append(1)
        await asyncio.sleep(1)
        return "coroutine"

    future = asyncio.get_running_loop().create_future()
    future.set_result("future")
    async with PromisingContext():
        coroutine = work()
        gathered = await gather(coroutine, future, asyncio.ensure_future(work()), coroutine)

    assert list(gathered) == ["coroutine", "future", "coroutine", "coroutine"]
    assert len(runs) == 2


async def test_an_awaitable_that_is_no_promise_needs_a_system() -> None:
    with pytest.raises(NoActiveSystemError):
        gather(asyncio.get_running_loop().create_future())


@pytest.mark.parametrize("argument", [[Promise()], 7, "text"])
async def test_what_cannot_be_awaited_is_refused(argument: Any) -> None:
    instead = "" if argument == 7 else r": write gather\(\*promises\)"
    with pytest.raises(TypeError, match=rf"gather\(\) waits for promises, not for a \w+{instead}$"):
        gather(Promise(), argument)


# Help


async def test_an_awaited_gather_of_asks_needs_no_task_and_no_turn_of_the_loop() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Echo) for _ in range(3)]
        for ref in refs:
            await ref.ask(TextMessage("warm"))
        await turns(3)
        tasks = len(asyncio.all_tasks())  # a reference to a helper would end it
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)

        answers = await gather(*(ref.ask(TextMessage(f"{n}")) for n, ref in enumerate(refs)))

        assert [str(answer) for answer in answers] == ["0", "1", "2"]
        assert ran == []
        assert len(asyncio.all_tasks()) == tasks


async def test_a_large_gather_brings_what_a_turn_of_the_loop_leaves() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        counters = [system.spawn(Counter, start=n, gate=gate) for n in range(50)]
        held: Any = counters[7]
        held.tell(Add(amount=100))
        asyncio.get_running_loop().call_later(1, gate.set)
        from_hold = asyncio.create_task(wait(gather(*(counter.ask(Read()) for counter in counters))))

        totals = await from_hold

        assert totals == [Total(value=n + 100 * (n == 7)) for n in range(50)]


async def wait(promise: Any) -> Any:
    try:
        return await promise
    finally:
        del promise  # else an error would keep it, with this frame in its traceback


# Failures


async def test_the_first_failure_is_raised_at_once_and_the_others_go_on() -> None:
    slow, fails = promises(2)
    waiting = asyncio.create_task(wait(gather(slow, fails)))
    await turns()

    fails.reject(BoomError("first"))

    with pytest.raises(BoomError, match="first"):
        await waiting
    assert not slow.done()
    slow.resolve(1)
    assert await slow == 1


async def test_of_failures_that_are_there_the_first_in_order_is_raised() -> None:
    first, second, pending = promises(3)
    second.reject(BoomError("second"))
    first.reject(BoomError("first"))

    with pytest.raises(BoomError, match="first"):
        await gather(pending, first, second)
    with pytest.raises(BoomError, match="second"):
        await second


async def test_failures_are_returned_in_the_place_of_values_if_asked_for() -> None:
    first, second, third = promises(3)
    gathered = gather(first, second, third, return_exceptions=True)

    second.reject(BoomError("boom"))
    third.cancel("not wanted")
    assert not gathered.done()
    first.resolve(1)

    value, error, cancelled = await gathered
    assert value == 1
    assert isinstance(error, BoomError)
    assert isinstance(cancelled, PromiseCancelledError)


async def test_the_failure_that_the_awaiter_receives_is_not_logged(log: list[Any]) -> None:
    async with ActorSystem() as system:
        crash = system.spawn(Counter).ask(Crash())
        with pytest.raises(ValueError, match="crash"):
            await gather(crash)
        del crash
        gc.collect()

    assert "promise.failed_unawaited" not in [entry["event"] for entry in log]


class FrozenError(Exception):
    """An error that takes no attributes, so that it cannot be marked as received."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


async def test_the_failure_that_the_awaiter_receives_is_not_logged_although_it_takes_no_mark(log: list[Any]) -> None:
    async def fails(_: Any) -> None:
        raise FrozenError

    async with PromisingContext():
        with pytest.raises(FrozenError):
            await gather(Promise(fails))
        gc.collect()

    assert log == []


async def test_an_error_in_a_list_that_is_received_is_not_logged_for_another_promise(log: list[Any]) -> None:
    error = BoomError("shared")
    async with PromisingContext():
        first, other = promises(2)
        gathered = gather(first, return_exceptions=True)
        first.reject(error)
        other.reject(error)
        await gathered
        del other
        gc.collect()

    assert log == []


async def test_a_gather_that_has_failed_keeps_none_of_its_promises() -> None:
    slow, fails = promises(2)
    gathered = gather(slow, fails)
    assert not gathered.done()
    fails.reject(BoomError())
    reference = weakref.ref(slow)
    del slow

    assert reference() is None
    assert isinstance(gathered.exception(), BoomError)


async def test_the_failures_in_a_list_that_is_received_are_not_logged(log: list[Any]) -> None:
    async with PromisingContext():
        gathered = gather(Promise(boom), Promise(boom), return_exceptions=True)
        await gathered
        del gathered
        gc.collect()

    assert log == []


async def boom(_: Any) -> None:
    raise BoomError("boom")


@pytest.mark.parametrize("return_exceptions", [False, True])
async def test_a_failure_that_nobody_receives_is_logged_once(return_exceptions: bool, log: list[Any]) -> None:
    async with PromisingContext():
        gathered = gather(Promise(boom), return_exceptions=return_exceptions)  # type: ignore[call-overload]
        await turns()
        assert gathered.done()
        del gathered
        gc.collect()

    assert [entry["event"] for entry in log] == ["promise.failed_unawaited"]


async def test_a_failure_after_the_first_one_is_logged_unless_its_own_promise_is_awaited(log: list[Any]) -> None:
    async def fails(text: str) -> None:
        await asyncio.sleep(1)
        raise BoomError(text)

    async with PromisingContext():
        later, awaited = Promise(lambda _: fails("later")), Promise(lambda _: fails("awaited"))
        with pytest.raises(BoomError, match="boom"):
            await gather(Promise(boom), later, awaited)
        with pytest.raises(BoomError, match="awaited"):
            await awaited

    assert [entry["error"] for entry in log] == ["BoomError('later')"]


async def test_a_failure_that_another_awaiter_has_received_is_not_logged_for_the_gather(log: list[Any]) -> None:
    async with PromisingContext():
        fails = Promise(boom)
        gathered = gather(fails)
        with pytest.raises(BoomError):
            await fails
        assert gathered.done()
        del gathered
        gc.collect()

    assert log == []


# Cancelling


async def test_an_awaiter_that_is_cancelled_cancels_nothing() -> None:
    (member,) = promises(1)
    gathered = gather(member)
    waiting, other = asyncio.create_task(wait(gathered)), asyncio.create_task(wait(gathered))
    await turns()

    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    member.resolve(1)

    assert await other == [1]


async def test_a_gather_that_is_cancelled_leaves_the_promises_alone() -> None:
    (member,) = promises(1)
    gathered = gather(member)

    gathered.cancel("enough")

    with pytest.raises(PromiseCancelledError, match="enough"):
        await gathered
    assert not member.done()


async def test_a_coroutine_ends_with_the_gather_that_runs_it() -> None:
    async with PromisingContext():
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                ended.set_result("ended")

        gathered = gather(work())
        await turns()
        await gathered.aclose()

        assert ended.done()


@pytest.mark.parametrize("how", ["awaiter", "gather", "failure", "failure that nobody awaits"])
async def test_with_cancel_nothing_goes_on(how: str) -> None:
    slow, fails, settled = promises(3)
    settled.resolve("settled")
    if how == "failure that nobody awaits":
        gather(slow, fails, settled, cancel=True)
        fails.reject(BoomError())
    else:
        gathered = gather(slow, fails, settled, cancel=True)
        waiting = asyncio.create_task(wait(gathered))
        await turns()
        match how:
            case "awaiter":
                waiting.cancel()
            case "gather":
                gathered.cancel("enough")
            case "failure":
                fails.reject(BoomError("boom"))
        await asyncio.wait([waiting])
        assert waiting.cancelled() is (how == "awaiter")
    assert isinstance(slow.exception(), PromiseCancelledError)
    assert settled.result() == "settled"
    fails.exception()


async def test_with_cancel_the_error_of_the_others_names_the_failure() -> None:
    slow, fails = promises(2)
    gathered = gather(slow, fails, cancel=True)
    fails.reject(BoomError("boom"))

    with pytest.raises(BoomError):
        await gathered
    with pytest.raises(PromiseCancelledError, match=r"another promise of the same gather failed: BoomError\('boom'\)"):
        await slow


async def test_with_cancel_the_calls_of_a_handler_end_with_their_ask() -> None:
    class Asks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await gather(*slow, cancel=True)

    slow = promises(2)
    async with ActorSystem() as system:
        ask = system.spawn(Asks).ask(TextMessage("go"))
        await turns()
        await ask.aclose("enough")

        assert all(isinstance(promise.exception(), PromiseCancelledError) for promise in slow)


# What is left behind


async def test_awaiters_that_leave_leave_nothing_at_a_promise_that_lives_long() -> None:
    (long,) = promises(1)
    for _ in range(5):
        waiting = asyncio.create_task(wait(gather(long)))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
        fails = Promise[Any]()
        gathered = gather(long, fails)
        assert not gathered.done()
        fails.reject(BoomError())
        assert gathered.exception() is not None
    del waiting, gathered

    assert long.callbacks is None


async def test_a_callback_is_called_although_nobody_keeps_the_gather() -> None:
    (member,) = promises(1)
    told: list[Any] = []

    gather(member).add_done_callback(lambda gathered: told.append(gathered.result()))
    gc.collect()
    member.resolve(1)

    assert told == [[1]]


@pytest.mark.parametrize("how", ["value", "error", "cancelled"])
@pytest.mark.parametrize("cancel", [False, True])
async def test_a_gather_is_gone_without_the_garbage_collector(how: str, cancel: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        (member,) = promises(1)
        gathered = gather(member, cancel=cancel)
        reference = weakref.ref(gathered)
        waiting = asyncio.create_task(wait(gathered))
        await turns()
        match how:
            case "value":
                member.resolve(1)
            case "error":
                member.reject(BoomError())
            case _:
                waiting.cancel()
        await asyncio.wait([waiting])
        waiting.cancelled() or waiting.exception()
        del waiting, gathered
        await turns()

        assert reference() is None
    finally:
        gc.enable()


# Any members


@pytest.mark.parametrize("gatherer", [gather, asyncio.gather])
@given(some=st.lists(members(*KINDS, "coroutine", "task"), max_size=5), return_exceptions=st.booleans())
def test_a_gather_ends_when_that_of_asyncio_ends_and_as_it(
    gatherer: Any, some: list[Member], return_exceptions: bool
) -> None:
    async def play() -> tuple[Any, float]:
        async with PromisingContext():
            awaitables = [made(member, number) for number, member in enumerate(some)]
            if gatherer is not gather:
                awaitables = [a if asyncio.isfuture(a) else asyncio.ensure_future(wait(a)) for a in awaitables]
            began = asyncio.get_running_loop().time()
            try:
                values = await gatherer(*awaitables, return_exceptions=return_exceptions)
                ended: Any = [shown(value) for value in values]
            except (BoomError, PromiseCancelledError, asyncio.CancelledError) as error:
                ended = shown(error)
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(10)
            return ended, now - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        ended, seconds = runner.run(play())
    outcomes = [meant(number, member) for number, member in enumerate(some)]
    failures = [member.at for member in some if member.how != "value"]
    if failures and not return_exceptions:
        assert seconds == min(failures)
        assert ended in [outcome for outcome, member in zip(outcomes, some, strict=True) if member.at == seconds]
    else:
        assert seconds == max([member.at for member in some], default=0)
        assert ended == outcomes


def shown(value: Any) -> Any:
    if isinstance(value, (PromiseCancelledError, asyncio.CancelledError)):
        return "cancelled"
    return ("failed", value.args[0]) if isinstance(value, BoomError) else value


@given(st.lists(members(*KINDS), min_size=1, max_size=4), st.booleans(), st.integers(0, 4), st.integers(0, 12))
def test_who_cancels_ends_the_members_with_cancel_alone(
    some: list[Member], cancel: bool, seconds: int, turns_more: int
) -> None:
    async def play() -> None:
        async with PromisingContext():
            awaitables = [made(member, number) for number, member in enumerate(some)]
            waiting = asyncio.create_task(wait(gather(*awaitables, cancel=cancel)))
            await asyncio.sleep(seconds + 0.5 * (turns_more > 6))
            await turns(turns_more)
            waiting.cancel()
            await asyncio.wait([waiting])
            failed = not waiting.cancelled() and waiting.exception() is not None
            ended = [promise.done() for promise in awaitables]
            await asyncio.sleep(10)
            if cancel and (waiting.cancelled() or failed):
                assert all(ended)
            if not cancel:
                assert [shown_of(promise) for promise in awaitables] == [meant(*one) for one in enumerate(some)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())


def shown_of(promise: Promise[Any]) -> Any:
    return shown(promise.exception() or promise.result())


def meant(number: int, member: Member) -> Any:
    return {"value": number, "error": ("failed", number), "cancel": "cancelled"}[member.how]


async def test_a_streamed_promise_is_gathered_as_its_whole() -> None:
    async with PromisingContext():
        streams: list[StreamedPromise[str, Any]] = [StreamedPromise(tokens), StreamedPromise(prefill_pieces="cd")]
        assert await gather(*streams) == [("a", "b"), ("c", "d")]
