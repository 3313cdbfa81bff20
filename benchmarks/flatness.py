"""Flatness: the cost with many actors and long streams, memory over time, fairness under a flood, overload.

`python -m benchmarks.flatness [what ...] [--quick]`, on uvloop. Each figure comes from a process of its own.
Measurements that are compared with hand-written tasks (`raw-deque`) alternate with them, and the ratio of the medians
counts. The module is long because its measurements share their actors and clocks, and each is short.
"""

import argparse
import asyncio
import gc
import math
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import uvloop

from miniagents import (
    Actor,
    ActorRef,
    ActorSystem,
    Mailbox,
    Message,
    MiniAgents,
    Overflow,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.actors.cells.cell import Cell
from miniagents.errors import MailboxFullError

sys.path.insert(0, str(Path(__file__).parent / "peers"))  # the peers are scripts, each with an environment of its own
from peer_raw import DequeActor

ROUNDS = 3
WAVE = 1_000
PORTION = 500
"""Messages that a flood sends in one turn of the loop."""
LATE = 0.005
"""Seconds: the bound of the 99th percentile of a neighbour's ask and of a timer."""


class Number(Message):
    n: int


class Work(Message):
    pass


def cells_of(system: ActorSystem, refs: Iterable[ActorRef]) -> list[Cell]:
    """Return the cells of some actors, in the order of the references."""
    by_path = {cell.path: cell for cell in system.cells()}
    return [by_path[ref.path] for ref in refs]


def rss() -> int:
    """Return the memory of this process, in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentile(samples: Iterable[float], share: float) -> float:
    """Return a percentile by nearest rank."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def alone(measure: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Return the result of `measure(*args)` on uvloop in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_on_uvloop, measure, args).result()


def _on_uvloop(measure: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(*args))


def burn(seconds: float) -> None:
    """Keep the processor busy, like a handler that computes."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


class Late:
    """The delays of timers and answers, without the share of other processes: at most the processor time that this
    process itself spent in between."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def begin(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def end(self, began: tuple[float, float], planned: float = 0.0) -> None:
        wall, own = time.perf_counter() - began[0] - planned, time.process_time() - began[1]
        self.seconds.append(min(wall, own))


# Many actors, hit in random order


class Countdown:
    """Resolves a future after a number of handled messages."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def expect(self, n: int) -> "asyncio.Future[None]":
        self.left = n
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def one(self) -> None:
        self.left -= 1
        if not self.left:
            assert self.done is not None
            self.done.set_result(None)


class Counts(Actor):
    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown

    async def receive(self, message: Message, ctx: Any) -> None:
        self.countdown.one()


class CountsByHand:
    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown

    async def on(self, message: Message) -> None:
        self.countdown.one()


async def many_ours(actors: int, messages: int) -> float:
    """Return microseconds per message."""
    countdown = Countdown()
    async with ActorSystem() as system:
        refs = [system.spawn(Counts, countdown=countdown) for _ in range(actors)]
        await refs[-1].started()
        return await _random_tells(refs, countdown, messages)


async def many_raw(actors: int, messages: int) -> float:
    """Return microseconds per message, with hand-written tasks."""
    countdown = Countdown()
    all_of_them = [DequeActor(CountsByHand(countdown)) for _ in range(actors)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    took = await _random_tells(all_of_them, countdown, messages)
    for one in all_of_them:
        one.stop()
    return took


async def _random_tells(receivers: list[Any], countdown: Countdown, messages: int) -> float:
    chosen = random.Random(1)
    gc.collect()
    took = 0.0
    for wave in range(messages // WAVE + 20):
        targets = chosen.choices(receivers, k=WAVE)
        done = countdown.expect(WAVE)
        began = time.process_time()
        for target in targets:
            target.tell(Number(n=wave))
        await done
        if wave >= 20:  # the first waves warm up
            took += time.process_time() - began
    return took / (messages // WAVE * WAVE) * 1e6


def actors(quick: bool) -> None:
    """Measure the cost per message from 1,000 to 1,000,000 actors."""
    messages = 100_000 if quick else 500_000
    sizes = (1_000, 10_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for size in sizes:
            for name, measure in (("ours", many_ours), ("raw-deque", many_raw)):
                found.setdefault((name, size), []).append(alone(measure, size, messages))
    print("CPU microseconds a message, waves of 1,000 tells to random actors")
    print(f"{'actors':>10} {'ours':>8} {'raw-deque':>10} {'ratio':>6}")
    for size in sizes:
        ours, raw = (statistics.median(found[name, size]) for name in ("ours", "raw-deque"))
        print(f"{size:>10,} {ours:8.2f} {raw:10.2f} {ours / raw:6.2f}")
    grew = {
        name: statistics.median(found[name, sizes[-1]]) / statistics.median(found[name, sizes[0]])
        for name in ("ours", "raw-deque")
    }
    verdict(
        f"growth to {sizes[-1]:,} actors: {grew['ours']:.2f} times; raw-deque's {grew['raw-deque']:.2f} times",
        grew["ours"] <= 1.2 * grew["raw-deque"],
        "at most 1.2 times raw-deque's",
    )


# Long streams and sequences


def producer(n: int) -> Any:
    @miniagent
    async def produce(ctx: Any) -> None:
        async def tokens(_: Any) -> Any:
            for _ in range(n):
                yield "tok "

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    return produce


async def stream_of(n: int, collector: bool) -> dict[str, float]:
    """Return nanoseconds per token: live, replayed, and as a whole."""
    async with MiniAgents():
        gc.collect()
        if not collector:
            gc.disable()
        began = time.process_time()
        (promise,) = [one async for one in producer(n).inquire()]
        live = sum([1 async for _ in promise])
        live_at = time.process_time()
        again = sum([1 async for _ in promise])
        again_at = time.process_time()
        assert live == again == n
        message = await promise
        assert len(message.content) == 4 * n
        ended = time.process_time()
        return _each(n, stream=live_at - began, replay=again_at - live_at, whole=ended - again_at)


async def sequence_of(n: int, collector: bool) -> dict[str, float]:
    """Return nanoseconds per message of a long reply: live, replayed, and as a whole."""

    @miniagent
    async def lists(ctx: Any) -> None:
        ctx.reply(texts[at : at + 100] for at in range(0, n, 100))

    texts = ["text"] * n
    async with MiniAgents():
        gc.collect()
        if not collector:
            gc.disable()
        began = time.process_time()
        replies = lists.inquire()
        live = sum([1 async for _ in replies])
        live_at = time.process_time()
        again = sum([1 async for _ in replies])
        again_at = time.process_time()
        assert live == again == n
        assert len(await replies) == n
        ended = time.process_time()
        return _each(n, sequence=live_at - began, sequence_replay=again_at - live_at, sequence_whole=ended - again_at)


def _each(n: int, **seconds: float) -> dict[str, float]:
    return {name: value / n * 1e9 for name, value in seconds.items()}


def linear(quick: bool) -> None:
    """Measure streams, replays and sequences of up to 1,000,000 pieces."""
    sizes = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    for collector in (True, False):
        found: dict[int, dict[str, float]] = {}
        for size in sizes:
            runs = [{**alone(stream_of, size, collector), **alone(sequence_of, size, collector)} for _ in range(ROUNDS)]
            found[size] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(f"CPU nanoseconds a piece, garbage collector {'on' if collector else 'off'}")
        print(f"{'pieces':>16}" + "".join(f"{size:>12,}" for size in sizes))
        for name in found[sizes[0]]:
            print(f"{name:>16}" + "".join(f"{found[size][name]:12.0f}" for size in sizes))
        for name in found[sizes[0]]:
            if not name.endswith("whole"):  # the whole is there already, so that no piece is handled
                grew = found[sizes[-1]][name] / found[sizes[0]][name]
                verdict(f"{name}: {grew:.2f} times to {sizes[-1]:,} pieces", grew <= 1.25, "at most 1.25 times")


# Memory over time


class Echo(Actor):
    async def receive(self, message: Message, ctx: Any) -> Message:
        return message


async def tells_for_long(n: int) -> list[int]:
    """Return the RSS after each tenth."""
    countdown = Countdown()
    found = []
    async with ActorSystem() as system:
        refs = [system.spawn(Counts, countdown=countdown) for _ in range(100)]
        for _ in range(10):
            for _ in range(n // 10 // WAVE):
                done = countdown.expect(WAVE)
                for number in range(WAVE):
                    refs[number % 100].tell(Number(n=number))
                await done
            found.append(rss())
    return found


async def asks_for_long(n: int) -> list[int]:
    """Return the RSS after each tenth."""
    found = []
    async with ActorSystem() as system:
        refs = [system.spawn(Echo) for _ in range(100)]
        for _ in range(10):
            for number in range(n // 10):
                await refs[number % 100].ask(Number(n=number), timeout=60)
            found.append(rss())
    return found


async def interactions_for_long(n: int) -> list[int]:
    """Return the RSS after each tenth; each interaction calls another one and streams its reply on."""

    @miniagent
    async def below(ctx: Any) -> None:
        ctx.reply(ctx.message_promises)

    @miniagent
    async def above(ctx: Any) -> None:
        ctx.reply(below.inquire(ctx.message_promises))

    found = []
    async with MiniAgents():
        for _ in range(10):
            for _ in range(n // 10 // 200):
                for promise in [above.inquire("hello", timeout=60) for _ in range(100)]:
                    await promise
            found.append(rss())
    return found


def memory(quick: bool) -> None:
    """Measure the RSS over 10,000,000 messages, 1,000,000 asks and 1,000,000 interactions."""
    share = 20 if quick else 1
    for name, measure, n in (
        ("messages", tells_for_long, 10_000_000),
        ("asks with a deadline", asks_for_long, 1_000_000),
        ("interactions", interactions_for_long, 1_000_000),
    ):
        found = alone(measure, n // share)
        grew = found[-1] / found[0] - 1
        print(f"{name}: MB after each tenth: " + " ".join(f"{one / 2**20:.1f}" for one in found))
        verdict(f"{n // share:,} {name}: RSS {grew:+.2%} after the first tenth", grew <= 0.02, "at most 2 %")


# Fairness


class Busy(Actor):
    """Never suspends."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.handled = 0

    async def receive(self, message: Message, ctx: Any) -> None:
        self.handled += 1
        if self.seconds:
            burn(self.seconds)


async def bare_loop(seconds: float) -> dict[str, float]:
    """Measure the same beside a plain task that computes for a millisecond a turn, as a control: no actors at all."""
    timers = Late()
    stop_at = time.monotonic() + seconds

    async def compute() -> None:
        while time.monotonic() < stop_at:
            burn(0.001)
            await asyncio.sleep(0)

    await asyncio.gather(compute(), _timer(stop_at, timers))
    return {
        "timer p99": percentile(timers.seconds, 0.99),
        "timer max": max(timers.seconds),
    }


async def _timer(stop_at: float, late: Late) -> None:
    """Run a plain timer of the embedding program, and note its delays."""
    while time.monotonic() < stop_at:
        began = late.begin()
        await asyncio.sleep(0.001)
        late.end(began, planned=0.001)


async def flooded(
    flooded_actors: int, handler_seconds: float, depth: int, freeze: bool, seconds: float
) -> dict[str, float]:
    """Return the delays of a neighbour's answer and of a timer, in seconds, while `depth` messages wait in each flooded
    mailbox.
    """
    if freeze:
        gc.collect()
        gc.freeze()
    asks, timers = Late(), Late()
    async with ActorSystem() as system:
        neighbour = system.spawn(Echo)
        victims = [system.spawn(Busy, seconds=handler_seconds) for _ in range(flooded_actors)]
        await neighbour.ask(Number(n=0))
        for victim in victims:
            for number in range(depth):
                victim.tell(Number(n=number))
        victim_cells = cells_of(system, victims)
        await asyncio.sleep(0.1)
        stop_at = time.monotonic() + seconds
        sent = 0

        async def feed() -> None:
            nonlocal sent
            # The flood comes in portions: one burst of a million would itself block the loop.
            while time.monotonic() < stop_at:
                for victim, cell in zip(victims, victim_cells, strict=True):
                    for number in range(min(PORTION // flooded_actors, depth - cell.depth)):
                        victim.tell(Number(n=number))
                        sent += 1
                await asyncio.sleep(0)

        async def ask() -> None:
            while time.monotonic() < stop_at:
                began = asks.begin()
                await neighbour.ask(Number(n=0))
                asks.end(began)
                await asyncio.sleep(0.001)

        await asyncio.gather(feed(), ask(), _timer(stop_at, timers))
        handled = sum(cell.handled for cell in victim_cells)
        began_stop = time.process_time()
        if victims:
            await asyncio.gather(*(victim.stop() for victim in victims))
        stopped = time.process_time() - began_stop
    return {
        "sent": sent,
        "ask p50": percentile(asks.seconds, 0.5),
        "ask p99": percentile(asks.seconds, 0.99),
        "ask max": max(asks.seconds),
        "timer p99": percentile(timers.seconds, 0.99),
        "timer max": max(timers.seconds),
        "stop": stopped,
        "handled": handled,
    }


def fairness(quick: bool) -> None:
    """Measure a neighbour's ask, a plain timer and a stop signal beside a flood."""
    seconds = 1.0 if quick else 3.0
    print(
        f"{'milliseconds':38} {'ask p50':>8} {'ask p99':>8} {'ask max':>8} "
        f"{'timer p99':>9} {'timer max':>9} {'stop':>7}"
    )
    bare = alone(bare_loop, seconds)
    print(
        f"{'control: a plain task, 1 ms a turn':38} {'':26} {bare['timer p99'] * 1e3:9.2f} "
        f"{bare['timer max'] * 1e3:9.2f}"
    )
    verdicts = []
    for name, count, handler, depth, freeze, is_target in (
        ("nothing else runs", 0, 0.0, 0, False, False),
        ("1 actor, 1,000 waiting", 1, 0.0, 1_000, False, True),
        ("the same, gc.freeze() at the start", 1, 0.0, 1_000, True, True),
        ("1 actor, 1,000,000 waiting", 1, 0.0, 1_000_000, False, True),
        ("the same, gc.freeze() at the start", 1, 0.0, 1_000_000, True, True),
        ("the same, handlers of 20 us", 1, 20e-6, 1_000_000, True, True),
        ("the same, handlers of 200 us", 1, 200e-6, 1_000_000, True, True),
        ("the same, handlers of 2 ms", 1, 2e-3, 1_000_000, True, True),
        ("100 actors, 10,000 waiting in each", 100, 0.0, 10_000, True, False),
        ("the same, handlers of 20 us", 100, 20e-6, 10_000, True, False),
    ):
        runs = [alone(flooded, count, handler, depth, freeze, seconds) for _ in range(ROUNDS)]
        got = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        ms = {key: value * 1000 for key, value in got.items()}
        print(
            f"{name:38} {ms['ask p50']:8.2f} {ms['ask p99']:8.2f} {ms['ask max']:8.2f} {ms['timer p99']:9.2f} "
            f"{ms['timer max']:9.2f} {ms['stop']:7.2f}   ({got['sent']:,} sent, {got['handled']:,} handled)",
            flush=True,
        )
        if is_target:
            verdicts.append((name, got))
    for name, got in verdicts:
        verdict(
            f"{name}: p99 of an ask {got['ask p99'] * 1e3:.2f} ms, of a timer {got['timer p99'] * 1e3:.2f} ms",
            got["ask p99"] < LATE and got["timer p99"] < LATE,
            "under 5 ms",
        )


# Overload


async def offered(overflow: str, rate: float | None, handler_seconds: float, seconds: float) -> dict[str, float]:
    """Offer messages to 10 actors at a rate; with rate None, as fast as `send` allows.

    All times are processor times: this process is never idle, and other processes do not matter.

    Returns:
        Handled messages per second, the longest mailbox, dead letters, refusals, and the growth of RSS after the
        mailboxes were full.
    """
    options = SpawnOptions(mailbox=Mailbox(capacity=1_000, overflow=Overflow(overflow)))
    refused = 0
    sent = 0
    deepest = 0
    sizes: list[int] = []
    async with ActorSystem() as system:
        refs = [system.spawn(Busy, options=options, seconds=handler_seconds) for _ in range(10)]
        await refs[-1].started()
        cells = cells_of(system, refs)
        began = time.process_time()
        ends = began + seconds
        if rate is None:

            async def feed(ref: Any) -> None:
                nonlocal sent
                while time.process_time() < ends:
                    await ref.send(Work())
                    sent += 1

            await asyncio.gather(*(feed(ref) for ref in refs))
        else:
            while (now := time.process_time()) < ends:
                while sent < (now - began) * rate:
                    try:
                        refs[sent % 10].tell(Work())
                    except MailboxFullError:
                        refused += 1
                    sent += 1
                deepest = max(deepest, *(cell.depth for cell in cells))
                if len(sizes) < 5 * (now - began) / seconds:
                    sizes.append(rss())
                await asyncio.sleep(0)
        took = time.process_time() - began
        handled = sum(cell.handled for cell in cells)
        sizes.append(rss())
        await asyncio.gather(*(ref.kill() for ref in refs))
    return {
        "per second": handled / took,
        "sent per second": sent / took,
        "deepest": deepest,
        "refused": refused,
        "dead": system.dead_letters.total,
        "rss growth": sizes[-1] / sizes[min(2, len(sizes) - 1)] - 1,
    }


def overload(quick: bool) -> None:
    """Measure twice the rate that the actors can handle, with each overflow policy."""
    seconds = 2.0 if quick else 10.0
    print(
        f"{'handler':>8} {'overflow':14} {'offered/s':>10} {'handled/s':>10} {'of peak':>8} {'waiting':>8} {'RSS':>8}"
    )
    verdicts = []
    for handler in (50e-6, 200e-6):
        peak = alone(offered, "backpressure", None, handler, seconds)["per second"]
        print(f"{handler * 1e6:>5.0f} us {'await send':14} {'':>10} {peak:10,.0f}")
        for overflow in Overflow:
            got = alone(offered, overflow.value, 2 * peak, handler, seconds)
            share = got["per second"] / peak
            print(
                f"{handler * 1e6:>5.0f} us {overflow.value:14} "
                f"{got['sent per second']:10,.0f} {got['per second']:10,.0f} "
                f"{share:8.0%} {got['deepest']:8,} {got['rss growth']:+8.1%}",
                flush=True,
            )
            verdicts.append((f"{handler * 1e6:.0f} us, {overflow.value}", share, got["rss growth"], got["deepest"]))
    for name, share, grew, deepest in verdicts:
        verdict(
            f"{name}: {share:.0%} of the peak, RSS {grew:+.1%}",
            share >= 0.9 and grew <= 0.02 and deepest <= 1_000,
            "at least 90 %, at most 2 %",
        )


# What the garbage collector costs


def _collector(mode: str) -> None:
    gc.collect()
    if mode == "freeze":
        gc.freeze()
    elif mode == "threshold 50,000":
        gc.set_threshold(50_000, 20, 100)
    elif mode == "freeze, threshold 50,000":
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
    elif mode == "off":
        gc.disable()


async def burst(mode: str, n: int) -> float:
    """Return tells per CPU second; all of them wait before the first one is handled."""
    countdown = Countdown()
    async with ActorSystem() as system:
        ref = system.spawn(Counts, countdown=countdown)
        await ref.started()
        _collector(mode)
        done = countdown.expect(n)
        began = time.process_time()
        for number in range(n):
            ref.tell(Number(n=number))
        await done
        return n / (time.process_time() - began)


async def calls(mode: str, n: int) -> float:
    """Return agent calls per CPU second, 1,000 at once."""

    @miniagent
    async def hello(ctx: Any) -> None:
        ctx.reply("hello")

    async with MiniAgents():
        await hello.inquire("hi")
        _collector(mode)
        began = time.process_time()
        for _ in range(n // 1_000):
            for one in [hello.inquire("hi") for _ in range(1_000)]:
                await one
        return n / (time.process_time() - began)


async def list_of_texts(mode: str, n: int) -> float:
    """Return messages of one reply per CPU second."""

    @miniagent
    async def lists(ctx: Any) -> None:
        ctx.reply(["text"] * n)

    async with MiniAgents():
        _collector(mode)
        began = time.process_time()
        assert len(await lists.inquire()) == n
        return n / (time.process_time() - began)


def collector(quick: bool) -> None:
    """Measure with the garbage collector as it is, after gc.freeze(), with higher thresholds, and off."""
    share = 10 if quick else 1
    modes = ("as it is", "freeze", "threshold 50,000", "freeze, threshold 50,000", "off")
    measures = {
        "200,000 tells in one burst": (burst, 200_000),
        "agent calls, 1,000 at once": (calls, 20_000),
        "a reply of 100,000 texts": (list_of_texts, 100_000),
    }
    print(f"{'per CPU second':>28}" + "".join(f"{mode:>26}" for mode in modes))
    for name, (measure, n) in measures.items():
        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for mode in modes:
                found.setdefault(mode, []).append(alone(measure, mode, n // share))
        print(f"{name:>28}" + "".join(f"{statistics.median(found[mode]):26,.0f}" for mode in modes), flush=True)


def verdict(text: str, held: bool, bound: str) -> None:
    """Print a figure beside its bound."""
    print(f"{'held  ' if held else 'MISSED'} {text} ({bound})", flush=True)


WHAT = {one.__name__: one for one in (actors, linear, memory, fairness, overload, collector)}


def main() -> None:
    """Run the measurements that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flatness", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="what", help=f"of {', '.join(WHAT)}; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="a tenth or so: to see whether it runs")
    args = parser.parse_args()
    for name in args.what:
        if name not in WHAT:
            parser.error(f"{name!r} is none of {', '.join(WHAT)}")
    for name in args.what or WHAT:
        print(f"\n{name}: {WHAT[name].__doc__}")
        WHAT[name](args.quick)


if __name__ == "__main__":
    main()
