"""Graces: one timer for all of one length, and each is over in its own time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from miniagents import Actor, ActorSystem
from miniagents.actors.cells.graces import Graces
from miniagents.testing.virtual_time import VirtualTimeLoop


class Ending:
    """Notes when its grace is over, and may do something then."""

    def __init__(self, log: list[Any], name: str = "", then: Callable[[], object] = lambda: None) -> None:
        self.log = log
        self.name = name
        self.then = then

    def grace_over(self) -> None:
        self.log.append((self.name, now()))
        self.then()


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time() - 1000.0


def timers() -> int:
    """How many the loop has."""
    return sum(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(body())


def test_graces_of_one_length_share_a_timer_and_each_is_over_in_its_own_time() -> None:
    log: list[Any] = []

    async def body() -> None:
        graces = Graces(asyncio.get_running_loop())
        for name in "abcd":
            graces.start(5.0, Ending(log, name))
            assert timers() == 1
            await asyncio.sleep(1.0)
        graces.start(1.5, Ending(log, "short"))
        await asyncio.sleep(10.0)
        assert timers() == 0

    play(body)

    assert log == [("a", 5.0), ("short", 5.5), ("b", 6.0), ("c", 7.0), ("d", 8.0)]


def test_a_grace_that_is_called_off_is_not_over_and_the_last_one_leaves_no_timer() -> None:
    log: list[Any] = []

    async def body() -> None:
        graces = Graces(asyncio.get_running_loop())
        first, second, third = Ending(log, "first"), Ending(log, "second"), Ending(log, "third")
        grace = graces.start(5.0, first)
        await asyncio.sleep(1.0)
        graces.start(5.0, second)
        grace.cancel(first)
        await asyncio.sleep(4.5)
        assert log == []
        await asyncio.sleep(1.0)
        assert log == [("second", 6.0)]
        graces.start(5.0, third).cancel(third)
        assert timers() == 0

    play(body)


def test_what_begins_and_is_called_off_when_one_is_over_hurts_none_of_the_others() -> None:
    log: list[Any] = []

    async def body() -> None:
        graces = Graces(asyncio.get_running_loop())
        later = Ending(log, "later")
        again = Ending(log, "again")

        def then() -> None:
            grace.cancel(later)  # the last one that runs
            graces.start(5.0, again)
            graces.start(5.0, later)

        grace = graces.start(5.0, Ending(log, "first", then))
        graces.start(5.0, later)
        await asyncio.sleep(5.0)
        assert timers() == 1
        await asyncio.sleep(20.0)

    play(body)

    assert log == [("first", 5.0), ("again", 10.0), ("later", 10.0)]


def test_who_begins_anew_when_it_is_over_does_not_hold_up_who_is_next() -> None:
    log: list[Any] = []

    async def body() -> None:
        graces = Graces(asyncio.get_running_loop())
        swallower = Ending(log, "swallower")
        swallower.then = lambda: len(log) < 4 and graces.start(5.0, swallower)
        graces.start(5.0, swallower)
        await asyncio.sleep(1.0)
        graces.start(5.0, Ending(log, "next"))
        await asyncio.sleep(30.0)

    play(body)

    assert log == [("swallower", 5.0), ("next", 6.0), ("swallower", 10.0), ("swallower", 15.0)]


def test_a_fault_when_one_is_over_does_not_take_the_others_with_it() -> None:
    log: list[Any] = []

    def fault() -> None:
        raise RuntimeError

    async def body() -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        graces = Graces(asyncio.get_running_loop())
        for then in (fault, lambda: None):
            graces.start(5.0, Ending(log, "", then))
        await asyncio.sleep(6.0)
        assert len(faults) == 1

    play(body)

    assert log == [("", 5.0), ("", 5.0)]


def test_a_thousand_lengths_are_not_remembered() -> None:
    async def body() -> None:
        graces = Graces(asyncio.get_running_loop())
        kept = Ending([])
        graces.start(5000.0, kept)
        for length in range(1000):
            ending = Ending([])
            graces.start(float(length), ending).cancel(ending)
        assert len(graces._of) < 100
        assert graces._of[5000.0].is_running

    play(body)


def test_a_tree_that_stops_arms_one_timer() -> None:
    class Idle(Actor):
        pass

    async def body() -> None:
        async with ActorSystem() as system:
            refs = [system.spawn(Idle) for _ in range(100)]
            await refs[-1].started()
            before = timers()
            ends = [ref.stop() for ref in refs]
            assert timers() <= before + 1
            for end in ends:
                await end
            assert timers() == before

    play(body)
