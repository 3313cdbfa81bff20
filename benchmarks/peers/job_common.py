"""Jobs of ten steps that do nothing, each of which is recorded in SQLite: the same for each framework.

A job awaits its steps, one after the other. All have the write-ahead log and `synchronous=FULL`. What a step waits for
differs, and stands in the notes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from common import clock

STEPS = 10
DEFAULTS = dict(durable_steps=500, durable_steps_100=2_000)


async def steps(run: Callable[[str], Awaitable[str]], jobs_at_once: int, n: int) -> tuple[Any, int]:
    """Measure about `n` steps. `run(name)` runs one job to its end, which returns "done"."""
    rounds = max(1, n // STEPS // jobs_at_once)
    t = clock()
    for number in range(rounds):
        ended = await asyncio.gather(*(run(f"job-{number}-{k}") for k in range(jobs_at_once)))
        assert set(ended) == {"done"}
    return clock() - t, rounds * jobs_at_once * STEPS
