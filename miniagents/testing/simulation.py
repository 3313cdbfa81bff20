"""`simulate`: run a program in virtual time, in an order drawn from a seed, and check that it leaves nothing behind."""

from collections.abc import Iterable

from miniagents.actors.runner import is_in_a_loop
from miniagents.errors import InvalidOptionError, SimulationError
from miniagents.testing.decisions import Decided, smallest
from miniagents.testing.run import Program, Run, playing

_LAST_STEPS = 40

_MAX_TURNS = 500_000
"""The most turns of the loop that are spent on making a failing run smaller."""

_MAX_RUNS = 1_000
"""The most runs that are spent on making a failing run smaller."""


def simulate(program: Program, *, seeds: Iterable[int] = range(1_000), until: float = 10_000.0) -> None:
    """Run a program in virtual time, once with each seed, until it fails.

    Where no guarantee fixes the order, the seed decides: which ready actor has the next turn, how long the turn is,
    which of several waiting senders is next, and how the program is disturbed if it asks for that
    (`Simulation.disturb`). When the program has returned, there must be no pending promise, task, timer, living actor
    or call under way, and no report of the event loop.

    The program must not use threads or real connections. `simulate` runs an event loop of its own, so call it from a
    plain function. The global `random` is seeded. The program must not depend on anything else that differs between
    runs, such as the time of day, `uuid4` or the order of a set of strings.

    Args:
        program: `async def program(sim)`. The program makes its systems itself, with `async with`.
        seeds: The seeds. The same seed gives the same run, step for step, also in another process.
        until: Virtual seconds after which the program must have ended, more than 0.

    Raises:
        SimulationError: The program raised an exception, did not end, or left something behind. The failing run is made
            smaller first: disturbances and changes of the order that the failure does not need are left out.
        InvalidOptionError: `until` is not more than 0.
        RuntimeError: An event loop is running in this thread.

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
    if is_in_a_loop():
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
        if turns > _MAX_TURNS or runs >= _MAX_RUNS:
            return False
        run = Run(first.program, first.seed, first.until, given)
        turns += run.turns
        runs += 1
        return run.kind == first.kind

    decided = smallest(first.made, fails)
    last = Run(first.program, first.seed, first.until, decided, traced=True)
    sim = last.sim
    warning = ""
    if last.kind != first.kind:
        warning = (
            "\nPlayed again, it did not fail in the same way: it depends on something that no seed decides, such as "
            "the time of day, a thread, or an object that outlives the program."
        )
    disturbances = "".join(f"\n  {disturbance.at:.3f} {disturbance}" for disturbance in sim.disturbances) or " none"
    steps = "".join(f"\n  {step}" for step in sim.trace[-_LAST_STEPS:])
    text = (
        f"seed {first.seed}: {last.failure or first.failure}\n"
        f"disturbances that it takes:{disturbances}\n"
        f"the last of {len(sim.trace)} steps (`trace` has all):{steps}\n"
        f"play it again: simulate(program, seeds=[{first.seed}]){warning}"
    )
    return SimulationError(text, seed=first.seed, trace=tuple(sim.trace), disturbances=tuple(sim.disturbances))
