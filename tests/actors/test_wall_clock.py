"""Timers on the time of day: long waits follow the clock of the machine, short ones that of the loop."""

import asyncio
import time

from miniagents import ActorSystem
from miniagents.actors.wall_clock import LOOK_EVERY, WallClock
from miniagents.testing import VirtualTimeLoop


def loop_and_clock() -> tuple[VirtualTimeLoop, WallClock]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop, WallClock(loop)


async def test_a_long_wait_ends_at_its_time_of_day() -> None:
    loop, clock = loop_and_clock()
    began, due_at = loop.time(), clock.time() + 86_400

    await clock.sleep_until(due_at)

    assert loop.time() - began == 86_400
    assert clock.time() == due_at


async def test_a_long_wait_ends_soon_after_the_clock_was_set_past_its_end() -> None:
    loop, clock = loop_and_clock()
    began = loop.time()
    loop.call_later(100, lambda: setattr(loop, "wall_offset", loop.wall_offset + 86_400))  # a laptop that slept

    await clock.sleep_until(clock.time() + 3600)

    assert 100 < loop.time() - began <= 100 + LOOK_EVERY


async def test_a_long_wait_gets_longer_when_the_clock_is_set_back() -> None:
    loop, clock = loop_and_clock()
    began = loop.time()
    loop.call_later(100, lambda: setattr(loop, "wall_offset", loop.wall_offset - 1000))

    await clock.sleep_until(clock.time() + 3600)

    assert loop.time() - began == 4600


async def test_a_short_wait_does_not_get_longer_when_the_clock_is_set_back() -> None:
    loop, clock = loop_and_clock()
    began = loop.time()
    loop.call_later(1, lambda: setattr(loop, "wall_offset", loop.wall_offset - 1000))

    await clock.sleep_until(clock.time() + LOOK_EVERY)

    assert loop.time() - began == LOOK_EVERY


async def test_a_time_that_has_passed_is_not_waited_for() -> None:
    loop, clock = loop_and_clock()
    began = loop.time()

    await clock.sleep_until(clock.time() - 5)

    assert loop.time() == began


async def test_a_timer_that_is_cancelled_does_not_call_and_leaves_no_timer_of_the_loop() -> None:
    loop, clock = loop_and_clock()
    called: list[str] = []
    before = len(loop.timers())
    timers = [clock.call_at(clock.time() + seconds, lambda: called.append("late")) for seconds in (5, 100, 3600)]

    for timer in timers:
        timer.cancel()

    assert len(loop.timers()) == before
    await asyncio.sleep(4000)
    assert called == []


async def test_waits_of_hours_share_one_look_at_the_clock() -> None:
    loop, clock = loop_and_clock()
    called: list[int] = []
    before = len(loop.timers())

    for number in range(1000):
        clock.call_at(clock.time() + 3600 + number, lambda number=number: called.append(number))  # type: ignore[misc]

    assert len(loop.timers()) == before + 1
    await asyncio.sleep(5000)
    assert called == [*range(1000)]


def test_without_a_virtual_loop_the_time_of_day_is_that_of_the_machine() -> None:
    async def main() -> float:
        async with ActorSystem() as system:
            return system.wall_clock.time()

    before = time.time()
    assert before <= asyncio.run(main()) <= time.time()
