"""`simulate`: a program plays in virtual time, in an order that a seed decides, and must leave nothing behind."""

import asyncio
from collections.abc import Iterable

from miniagents.errors import InvalidOptionError, SimulationError
from miniagents.testing.decisions import Decided, smallest
from miniagents.testing.run import Program, Run, playing

_LAST_STEPS = 40

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
    with playing():
        for seed in seeds:
            run = Run(program, seed, until)
            if run.failure is not None:
                raise _smallest_failure(run) from run.error


def _smallest_failure(first: Run) -> SimulationError:
    turns = runs = 0

    def fails(given: Decided) -> bool:
        nonlocal turns, runs
        if turns > _MOST_TURNS or runs >= _MOST_RUNS:
            return False
        run = Run(first.program, first.seed, first.until, given)
        turns += run.turns
        runs += 1
        return run.kind == first.kind

    given = smallest(first.made, fails)
    last = Run(first.program, first.seed, first.until, given, traced=True)
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
