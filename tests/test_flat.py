"""It stays flat: what is counted here must not grow with time, depth, length or load. No clock; `python -m
benchmarks.flatness` measures the same with one."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    InteractionContext,
    Mailbox,
    Message,
    MiniAgents,
    Overflow,
    SpawnOptions,
    Terminated,
    TextMessage,
    miniagent,
)
from miniagents.actors.dispatch.dispatcher import QUANTUM
from miniagents.errors import MailboxFullError
from tests.actors.actors import Add, Counter, Hold, Read, Total, turns
from tests.clocks import ticking_clock  # noqa: F401 - asked for by name

# Nothing is left behind


def allocated() -> int:
    """Blocks of memory in use, of whatever kind."""
    gc.collect()
    return sys.getallocatedblocks()


async def test_100_000_messages_leave_nothing_behind() -> None:
    async with ActorSystem() as system:
        counters = [system.spawn(Counter) for _ in range(10)]

        async def exchange(rounds: int) -> None:
            for n in range(rounds):
                for counter in counters:
                    counter.tell(Add(n))
                if n % 10 == 0:
                    await asyncio.gather(*(counter.ask(Read(), timeout=60) for counter in counters))

        await exchange(100)
        before = allocated()
        await exchange(10_000)
        assert allocated() - before < 1_000  # 0.01 for each message


async def test_10_000_interactions_leave_nothing_behind() -> None:
    @miniagent
    async def below(ctx: InteractionContext) -> None:
        async for message in ctx.message_promises:
            if str(await message) == "fail":
                raise ValueError("fail")
            ctx.reply(message)

    @miniagent
    async def above(ctx: InteractionContext) -> None:
        ctx.reply(below.inquire(ctx.message_promises))

    async def call(rounds: int) -> None:
        for n in range(rounds):
            for promise in [above.inquire("fail" if n % 10 == 0 else "hello", timeout=60) for _ in range(50)]:
                try:
                    await promise
                except ValueError:
                    pass

    async with MiniAgents():
        await call(4)
        before = allocated()
        await call(100)
        assert allocated() - before < 1_000  # 0.1 for each interaction


async def test_timers_watches_and_actors_that_come_and_go_leave_nothing_behind() -> None:
    class Parent(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
            if isinstance(message, Terminated):
                return None
            ctx.watch(ctx.spawn(Counter))
            for child in ctx.children:
                child.stop()
            ctx.schedule(60.0, message).cancel()
            return message

    async with ActorSystem() as system:
        parent = system.spawn(Parent)

        async def come_and_go(rounds: int) -> None:
            for n in range(rounds):
                await parent.ask(Add(n), timeout=1e6)
                await turns(3)

        await come_and_go(200)
        before = allocated()
        await come_and_go(3_000)
        assert allocated() - before < 1_000


# Cost does not depend on how many or how long


async def python_calls(work: Callable[[], Awaitable[None]]) -> int:
    """How many Python functions are called while it runs."""
    calls = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        if event == "call":
            calls += 1

    sys.setprofile(profile)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


async def test_a_message_costs_the_same_among_8_000_and_among_16_000_actors_and_less_among_a_few() -> None:
    async def tells(actors: int) -> float:
        async with ActorSystem() as system:
            counters = [system.spawn(Counter) for _ in range(actors)]
            for counter in counters:
                await counter.ask(Read())

            async def work() -> None:
                for n in range(2_000):
                    counters[n * 7919 % actors].tell(Add(n))
                    if n % 10 == 9:
                        await turns(2)

            return await python_calls(work) / 2_000

    few, many, more = await tells(10), await tells(8_000), await tells(16_000)

    assert more <= 1.1 * many
    assert few < many <= 1.5 * few  # the last 2,048 that were busy keep what they need


async def test_a_token_and_its_replay_cost_the_same_in_a_stream_of_1_000_and_of_20_000() -> None:
    async def stream(n: int) -> float:
        @miniagent
        async def produce(ctx: InteractionContext) -> None:
            async def tokens(_: Any) -> Any:
                for number in range(n):
                    yield "tok "
                    if number % 100 == 0:
                        await asyncio.sleep(0)

            ctx.reply(TextMessage.promise(message_token_streamer=tokens))

        async def work() -> None:
            async for promise in produce.inquire():
                assert sum([1 async for _ in promise]) == n
                assert sum([1 async for _ in promise]) == n

        async with MiniAgents():
            return await python_calls(work) / n

    short, long = await stream(1_000), await stream(20_000)

    assert long <= 1.1 * short


async def test_a_message_of_a_sequence_costs_the_same_in_one_of_500_and_of_10_000() -> None:
    async def sequence(n: int) -> float:
        @miniagent
        async def lists(ctx: InteractionContext) -> None:
            ctx.reply([[f"text {at}", [f"and {at}"]] for at in range(n // 2)])

        async def work() -> None:
            replies = lists.inquire()
            assert sum([1 async for _ in replies]) == n
            assert len(await replies) == n

        async with MiniAgents():
            return await python_calls(work) / n

    short, long = await sequence(500), await sequence(10_000)

    assert long <= 1.1 * short


# Fairness


class Flooded(Actor):
    """Never suspends, and notes in `handled` what it did."""

    def __init__(self, handled: list[int]) -> None:
        self.handled = handled

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.handled.append(1)


class SeesHowMany(Actor):
    """Answers how many messages of the flood were handled when its turn came."""

    def __init__(self, handled: list[int]) -> None:
        self.handled = handled

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return Total(value=len(self.handled))


@pytest.mark.usefixtures("ticking_clock")
async def test_a_neighbour_has_its_turn_after_a_quantum_of_the_flood() -> None:
    handled: list[int] = []
    async with ActorSystem() as system:
        flooded, neighbour = system.spawn(Flooded, handled=handled), system.spawn(SeesHowMany, handled=handled)
        await neighbour.ask(Read())
        for n in range(100_000):
            flooded.tell(Add(n))
        for _ in range(10):
            before = len(handled)
            seen: Total = await neighbour.ask(Read())
            assert seen.value - before <= 2 * QUANTUM
        assert len(handled) < 100_000  # the flood was there all the time


class Endless(Actor):
    """Floods itself: each message makes the next two, and later the next one, so that a thousand wait. Only a test that
    fails comes to its end."""

    def __init__(self, handled: list[int]) -> None:
        self.handled = handled

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.handled.append(1)
        if len(self.handled) < 200_000:
            ctx.self.tell(message)
        if len(self.handled) < 1_000:
            ctx.self.tell(message)


async def test_the_embedding_programs_callbacks_and_timers_run_beside_an_actor_that_floods_itself_for_ever() -> None:
    loop = asyncio.get_running_loop()
    ran: list[str] = []
    async with ActorSystem() as system:
        endless = system.spawn(Endless, handled=[])
        endless.tell(Add(1))
        await turns(3)
        loop.call_soon(ran.append, "soon")
        loop.call_later(0, ran.append, "later")
        await turns(5)
        assert sorted(ran) == ["later", "soon"]
        await endless.stop()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_signal_ends_an_actor_that_floods_itself_for_ever_within_a_quantum(how: str) -> None:
    handled: list[int] = []
    async with ActorSystem() as system:
        endless = system.spawn(Endless, handled=handled)
        endless.tell(Add(1))
        await turns(20)
        before = len(handled)
        assert before > 0
        await getattr(endless, how)()
        assert len(handled) - before <= QUANTUM


@pytest.mark.usefixtures("ticking_clock")
async def test_each_of_many_that_flood_themselves_has_its_turns() -> None:
    counts: list[list[int]] = [[] for _ in range(50)]
    async with ActorSystem() as system:
        for count in counts:
            system.spawn(Endless, handled=count).tell(Add(1))
        await turns(200)
        handled = [len(count) for count in counts]
        assert min(handled) > 0
        assert max(handled) - min(handled) <= 2 * QUANTUM
        for info in system.tree().children:
            ref = system.lookup(info.path)
            assert ref is not None
            await ref.kill()


class Slow(Actor):
    """Its handler computes for two milliseconds, on every clock there is."""

    def __init__(self, compute: Callable[[], None], handled: list[int]) -> None:
        self.compute = compute
        self.handled = handled

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.handled.append(1)
        self.compute()


async def test_a_turn_is_over_after_a_few_slow_messages_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = asyncio.get_running_loop()
    started = loop.now
    monkeypatch.setattr(time, "monotonic", lambda: loop.now - started)
    monkeypatch.setattr(time, "perf_counter", lambda: loop.now - started)

    def compute() -> None:
        loop.now += 0.002

    handled: list[int] = []
    async with ActorSystem() as system:
        slow, neighbour = system.spawn(Slow, compute=compute, handled=handled), system.spawn(Counter)
        await neighbour.ask(Read())
        for n in range(1_000):
            slow.tell(Add(n))
        await turns(2)
        before = len(handled)
        await neighbour.ask(Read())
        assert len(handled) - before <= 5
        await slow.kill()


# Overload


def fill(overflow: Overflow, capacity: int) -> SpawnOptions:
    return SpawnOptions(mailbox=Mailbox(capacity=capacity, overflow=overflow))


@pytest.mark.parametrize("overflow", Overflow)
async def test_under_twice_its_load_a_mailbox_never_exceeds_its_capacity_and_nothing_is_miscounted(
    overflow: Overflow,
) -> None:
    handled: list[int] = []
    refused = sent = 0

    class Two(Flooded):
        """Handles one message for two that come."""

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await super().receive(message, ctx)
            await asyncio.sleep(0)

    async with ActorSystem() as system:
        ref = system.spawn(Two, options=fill(overflow, 16), handled=handled)
        await ref.started()
        while len(handled) < 2_000:
            for _ in range(2):
                sent += 1
                try:
                    ref.tell(Add(sent))
                except MailboxFullError:
                    refused += 1
                assert system.tree(ref.path).mailbox_depth <= 16
            await asyncio.sleep(0)
        await turns(100)
        counts = system.dead_letters.counts

    dead = counts.total()
    assert sent > 1.5 * len(handled)
    expected = {
        Overflow.BACKPRESSURE: (0, sent - len(handled), {}),
        Overflow.REJECT: (sent - len(handled), sent - len(handled), {DeadLetterReason.REJECTED: dead}),
        Overflow.DROP_NEWEST: (sent - len(handled), 0, {DeadLetterReason.DROPPED: dead}),
        Overflow.DROP_OLDEST: (sent - len(handled), 0, {DeadLetterReason.DROPPED: dead}),
    }[overflow]
    assert (dead, refused, dict(counts)) == expected


async def test_100_senders_that_wait_for_room_never_exceed_the_capacity_and_lose_nothing() -> None:
    log: list[Any] = []
    deepest = 0
    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=fill(Overflow.BACKPRESSURE, 10), log=log)

        async def sender(name: int) -> None:
            nonlocal deepest
            for n in range(50):
                await ref.send(TextMessage(f"{name} {n}"))
                deepest = max(deepest, system.tree(ref.path).mailbox_depth)

        await asyncio.gather(*(sender(name) for name in range(100)))
        await ref.ask(Read())
    texts = [entry.split() for entry in log if isinstance(entry, str) and entry != "start"]
    assert deepest == 10
    assert len(texts) == 5_000
    for name in range(100):
        assert [n for sender, n in texts if sender == str(name)] == [str(n) for n in range(50)]
    assert system.dead_letters.total == 0


async def drops(overflow: Overflow, capacity: int) -> float:
    """Python calls for each message that a full mailbox drops."""
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=fill(overflow, capacity), gate=gate)
        ref.tell(Hold())
        await turns()
        for n in range(capacity):
            ref.tell(Add(n))

        async def work() -> None:
            for n in range(200):
                ref.tell(Add(n))

        found = await python_calls(work) / 200
        gate.set()
        return found


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
async def test_a_dropped_message_costs_the_same_in_a_mailbox_of_10_and_of_1_000(overflow: Overflow) -> None:
    assert await drops(overflow, 1_000) <= 1.1 * await drops(overflow, 10)
