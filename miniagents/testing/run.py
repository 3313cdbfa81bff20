"""`Run`: one run of a simulated program with one seed, and the failure that it ended with."""

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

import structlog

from miniagents.testing.decisions import Decided, Decisions
from miniagents.testing.leftovers import described, leftovers, under_way
from miniagents.testing.simulated import Simulation, plain
from miniagents.testing.simulated_loop import StuckError

Program: TypeAlias = Callable[[Simulation], Coroutine[Any, Any, object]]

_MAX_SHOWN = 20
_TURNS_TO_END = 100
"""Turns of the loop, without virtual time, in which cancelled tasks may end after the program."""

_TRIES_TO_END = 3


class Run:
    """One run of a program with one seed. The constructor plays the run to its end, and needs `playing()` around it.

    Args:
        program: The program.
        seed: The seed.
        until: Virtual seconds after which the program must have ended.
        given: Decisions of an earlier run of this seed, or some of them; None to draw them.
        traced: Whether the trace is written.

    Attributes:
        sim: The simulation.
        made: The decisions that were not calm.
        failure: The failure as text, or None.
        kind: The kind of failure. Two runs that fail in the same way have the same kind.
        error: The exception of the program, or None.
        turns: The number of turns of the loop.

    Example:
        >>> async def program(sim):
        ...     await asyncio.sleep(10)
        >>> with playing():
        ...     run = Run(program, seed=1, until=5.0)
        >>> run.kind
        'late'
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
        gc.freeze()  # objects from before this run are no leftovers of it
        random.seed(f"{seed} random")
        decisions = Decisions(seed, given)
        sim = self.sim = Simulation(seed, decisions, traced=traced)
        loop = sim.loop
        loop.set_exception_handler(sim.noise)
        with _logs_to(sim):
            try:
                loop.run_until_complete(self._watch())
            except StuckError as stuck:
                self._fails("stuck", f"the program makes no progress: {stuck}")
            sim.end()
            self._clean_up()
            # Promises that failed and were never awaited are logged when they are collected: now, into the trace.
            sim.systems.clear()
            gc.collect()
        if sim.faults:
            faults = plain("\n".join(sim.faults[:_MAX_SHOWN]))
            self.kind, self.failure = "fault", faults if self.failure is None else f"{faults}\n{self.failure}"
        self.made = decisions.made
        self.turns = loop.turns

    async def _watch(self) -> None:
        """Run the program, and look for leftovers."""
        loop, sim = self.sim.loop, self.sim
        main: asyncio.Task[object] = loop.create_task(self.program(sim), name="program")
        await asyncio.wait([main], timeout=self.until)
        other_tasks = under_way(loop, [main, asyncio.current_task()])
        if not main.done():
            at = described(main)
            self._fails(
                "late", f"the program has not ended within {self.until} s; it is at {at}; beside it:{other_tasks}"
            )
        elif main.cancelled():
            self._fails("cancelled", "the program was cancelled")
        elif (error := main.exception()) is not None:
            self.error = error
            beside = f"\nunder way beside it:{other_tasks}" if other_tasks else ""
            self._fails(type(error).__name__, f"{type(error).__name__}: {error}{beside}")
        if self.failure is None:
            sim.end()
            turns = 0
            while loop.has_ready() and turns < _TURNS_TO_END:
                turns += 1
                await asyncio.sleep(0)
            me = asyncio.current_task()
            assert me is not None
            remains = leftovers(loop, {me})
            if remains:
                rest = f"\n  and {len(remains) - _MAX_SHOWN} more" if len(remains) > _MAX_SHOWN else ""
                lines = "".join(f"\n  {leftover}" for leftover in remains[:_MAX_SHOWN])
                self._fails("left " + remains[0].split(":")[0], f"the program has ended, and leaves:{lines}{rest}")

    def _fails(self, kind: str, failure: str) -> None:
        if self.failure is None:
            self.kind, self.failure = kind, plain(failure)

    def _clean_up(self) -> None:
        """Cancel the tasks that are left, and close the loop."""
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
    """Prepare the process for runs, inside `with`.

    The garbage collector is off except between runs, so that each run of a seed collects at the same steps. The global
    `random` gets its state back at the end.
    """
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
    """Send log entries to the trace alone, inside `with`."""

    def record(_: object, method: str, entry: MutableMapping[str, Any]) -> NoReturn:
        sim.logged(method, entry)
        raise structlog.DropEvent

    # Bound loggers hold the list, so the list itself is changed, as `structlog.testing` does.
    was_configured = structlog.is_configured()
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [record]
    structlog.configure(processors=processors)
    try:
        yield
    finally:
        processors[:] = before
        structlog.configure(processors=processors)
        if not was_configured:
            structlog.reset_defaults()  # or the log would go to standard output from now on
