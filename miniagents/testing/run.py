"""A run: one seed of a simulated program, played to its end, and what was wrong with it."""

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import structlog

from miniagents.testing.decisions import Decided, Decisions
from miniagents.testing.leftovers import described, leftovers, under_way
from miniagents.testing.simulated import Simulation, plain
from miniagents.testing.simulated_loop import StuckError

Program: TypeAlias = Callable[[Simulation], Coroutine[Any, Any, object]]

_MOST_SHOWN = 20
_TURNS_TO_END = 100
"""Turns of the loop, without time, in which what has been cancelled at the end of a program may go."""

_TRIES_TO_END = 3


class Run:
    """One run of a program, played when it is made; inside `playing()`.

    Args:
        program: The program.
        seed: The seed.
        until: Virtual seconds after which it must have ended.
        given: The decisions of an earlier run of this seed, or some of them, instead of drawn ones.
        traced: Whether the trace is kept.

    Attributes:
        sim: The simulation.
        made: The decisions that were not calm.
        failure: What was wrong, as text; None for nothing.
        kind: What kind of failure that is: two runs that fail in the same way have the same.
        error: What the program raised, if that is it.
        turns: How often the loop has turned.
    """

    def __init__(
        self, program: Program, seed: int, until: float, given: Decided | None = None, *, traced: bool = False
    ) -> None:
        self.program = program
        self.seed = seed
        self.until = until
        self.failure: str | None = None
        self.kind = ""
        self.error: BaseException | None = None
        gc.collect()
        gc.freeze()  # what there is now is not of this run
        random.seed(f"{seed} random")
        decisions = Decisions(seed, given)
        sim = self.sim = Simulation(seed, decisions, traced=traced)
        loop = sim.loop
        loop.set_exception_handler(sim.noise)
        with _logs_to(sim):
            try:
                loop.run_until_complete(self._watch())
            except StuckError as stuck:
                self._fails("stuck", f"the program does not get on: {stuck}")
            sim.end()
            self._clean_up()
            # While the log is still heard: promises that failed unseen say so now.
            sim.systems.clear()
            gc.collect()
        if sim.faults:
            faults = plain("\n".join(sim.faults[:_MOST_SHOWN]))
            self.kind, self.failure = "fault", faults if self.failure is None else f"{faults}\n{self.failure}"
        self.made = decisions.made
        self.turns = loop.turns

    async def _watch(self) -> None:
        """Run the program, and look at what it leaves."""
        loop, sim = self.sim.loop, self.sim
        main: asyncio.Task[object] = loop.create_task(self.program(sim), name="program")
        await asyncio.wait([main], timeout=self.until)
        others = under_way(loop, [main, asyncio.current_task()])
        if not main.done():
            at = described(main)
            self._fails("late", f"the program has not ended within {self.until} s; it is at {at}; beside it:{others}")
        elif main.cancelled():
            self._fails("cancelled", "the program was cancelled")
        elif (error := main.exception()) is not None:
            self.error = error
            beside = f"\nunder way beside it:{others}" if others else ""
            self._fails(type(error).__name__, f"{type(error).__name__}: {error}{beside}")
        if self.failure is None:
            sim.end()
            turns = 0
            while loop._ready and turns < _TURNS_TO_END:  # type: ignore[attr-defined]
                turns += 1
                await asyncio.sleep(0)
            me = asyncio.current_task()
            assert me is not None
            left = leftovers(loop, {me})
            if left:
                more = f"\n  and {len(left) - _MOST_SHOWN} more" if len(left) > _MOST_SHOWN else ""
                text = "".join(f"\n  {one}" for one in left[:_MOST_SHOWN])
                self._fails("left " + left[0].split(":")[0], f"the program has ended, and leaves:{text}{more}")

    def _fails(self, kind: str, failure: str) -> None:
        if self.failure is None:
            self.kind, self.failure = kind, plain(failure)

    def _clean_up(self) -> None:
        """End what is left, as far as it lets itself be ended."""
        loop = self.sim.loop
        loop.set_exception_handler(lambda *_: None)
        for _ in range(_TRIES_TO_END):
            tasks = asyncio.all_tasks(loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            loop.count_anew()
            try:
                loop.run_until_complete(asyncio.sleep(1.0))
            except StuckError:
                break
        loop.count_anew()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def playing() -> Iterator[None]:
    """Play runs: meanwhile the collector rests but between two of them, so that it ends what it ends at the same step
    each time, and the module `random` is theirs."""
    was_on, frozen, state = gc.isenabled(), gc.get_freeze_count(), random.getstate()
    gc.disable()
    try:
        yield
    finally:
        random.setstate(state)
        if not frozen:
            gc.unfreeze()
        if was_on:
            gc.enable()


@contextmanager
def _logs_to(sim: Simulation) -> Iterator[None]:
    """What is logged goes into the trace, and nowhere else."""

    def keep(_: object, method: str, entry: Any) -> Any:
        sim.logged(method, entry)
        raise structlog.DropEvent

    # The list itself is changed, since loggers that are bound already hold it; as `structlog.testing` does.
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [keep]
    structlog.configure(processors=processors)
    try:
        yield
    finally:
        processors[:] = before
        structlog.configure(processors=processors)
