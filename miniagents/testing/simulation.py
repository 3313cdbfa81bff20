"""`simulate`: a program plays in virtual time, in an order that a seed decides, and must leave nothing behind."""

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import structlog

from miniagents.errors import InvalidOptionError, SimulationError
from miniagents.testing.decisions import Decided, Decisions, smallest
from miniagents.testing.leftovers import described, leftovers
from miniagents.testing.simulated import Simulation, plain
from miniagents.testing.simulated_loop import StuckError

Program: TypeAlias = Callable[[Simulation], Coroutine[Any, Any, object]]

_LAST_STEPS = 40
_MOST_SHOWN = 20
_TURNS_TO_END = 100
"""Turns of the loop, without time, in which what has been cancelled at the end of a program may go."""

_TRIES_TO_END = 3

_MOST_TURNS = 500_000
"""Turns of the loop that are spent on making a failing run smaller, at most; and so many runs at most:"""
_MOST_RUNS = 1_000


def simulate(program: Program, *, seeds: Iterable[int] = range(1_000), until: float = 10_000.0) -> None:
    """Run a program in virtual time with one seed after the other, until it fails.

    Where the order is free, the seed decides: which ready actor has the next turn and how long that is, which of
    several waiting senders is next, and what disturbs the program, if it asks for that (`Simulation.disturb`). When the
    program has returned, nothing may be left of it: no pending promise, no task, no timer, no living actor, no call
    under way, nothing that the event loop had to report.

    It is for programs without threads and real connections, and runs an event loop of its own: call it from a plain
    function. The global `random` is seeded, too; whatever else differs from run to run (the time of day, `uuid4`, the
    order of a set of strings) is not for the program to depend on.

    Args:
        program: `async def program(sim)`; it makes its systems itself, with `async with`.
        seeds: The seeds. One seed plays the same again, step for step, also in another process.
        until: Virtual seconds after which the program must have ended, more than 0.

    Raises:
        SimulationError: It raised something, did not end, or left something behind. The run is made smaller first:
            disturbances and changes of the order that it does not take to fail are left out.
        InvalidOptionError: `until` is not more than 0.
        RuntimeError: An event loop runs already.

    Example:
        >>> from miniagents import MiniAgents, miniagent
        >>> @miniagent
        ... async def echo(ctx):
        ...     ctx.reply(ctx.message_promises)
        >>> async def program(sim):
        ...     sim.disturb(delay=0.1)
        ...     async with MiniAgents():
        ...         assert str(await echo.inquire("Hi")) == "Hi"
        >>> simulate(program, seeds=range(10))
    """
    if not until > 0:
        raise InvalidOptionError(f"simulate(until=) must be more than 0 seconds, not {until!r}")
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("simulate() runs an event loop of its own: call it from a plain function, not a coroutine")
    with _collector_at_rest(), _random_kept():
        for seed in seeds:
            run = _Run(program, seed, until)
            if run.failure is not None:
                raise _smallest_failure(run) from run.error


class _Run:
    """One run of a program.

    Attributes:
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
        if not main.done():
            me = asyncio.current_task()
            tasks = sorted(described(task) for task in asyncio.all_tasks() if task not in (me, main))
            others = "".join(f"\n  {text}" for text in tasks[:_MOST_SHOWN])
            self._fails(
                "late",
                f"the program has not ended within {self.until} s; it is at {described(main)}; beside it:{others}",
            )
        elif main.cancelled():
            self._fails("cancelled", "the program was cancelled")
        elif (error := main.exception()) is not None:
            self.error = error
            self._fails(type(error).__name__, f"{type(error).__name__}: {error}")
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


def _smallest_failure(first: _Run) -> SimulationError:
    turns = runs = 0

    def fails(given: Decided) -> bool:
        nonlocal turns, runs
        if turns > _MOST_TURNS or runs >= _MOST_RUNS:
            return False
        run = _Run(first.program, first.seed, first.until, given)
        turns += run.turns
        runs += 1
        return run.kind == first.kind

    given = smallest(first.made, fails)
    last = _Run(first.program, first.seed, first.until, given, traced=True)
    sim = last.sim
    again = ""
    if last.kind != first.kind:
        again = (
            "\nPlayed again, it did not fail in the same way: it depends on something that no seed decides, such as "
            "the time of day, a thread, or an object that outlives the program."
        )
    struck = "".join(f"\n  {one.at:.3f} {one}" for one in sim.disturbances) or " none"
    steps = "".join(f"\n  {step}" for step in sim.trace[-_LAST_STEPS:])
    text = (
        f"seed {first.seed}: {last.failure or first.failure}\n"
        f"disturbances that it takes:{struck}\n"
        f"the last of {len(sim.trace)} steps (`trace` has all):{steps}\n"
        f"play it again: simulate(program, seeds=[{first.seed}]){again}"
    )
    return SimulationError(text, seed=first.seed, trace=tuple(sim.trace), disturbances=tuple(sim.disturbances))


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """The collector runs between two runs only: what it ends then is ended at the same step each time."""
    was_on, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if was_on:
            gc.enable()


@contextmanager
def _random_kept() -> Iterator[None]:
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


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
