"""Calls: everything that a storm awaits must come back, with an answer or an error that the documentation knows."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from miniagents.errors import MiniAgentsError
from miniagents.testing import Simulation


class Boom(Exception):
    """What the actors and agents of storms raise."""


class Calls:
    """What was awaited, and has not come back yet.

    Args:
        sim: The simulation of the storm.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._open: dict[asyncio.Task[Any], str] = {}
        self.faults: list[str] = []

    def watch(self, what: str, awaitable: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Await something in a task. The task's result is the outcome: a value, or the error itself."""
        task = self._sim.loop.create_task(self._come_back(what, awaitable))
        self._open[task] = what
        task.add_done_callback(self._open.pop)
        return task

    def check(self, is_so: bool, otherwise: str) -> None:
        """Check something inside an actor, where a failed assertion would be one more crash."""
        if not is_so:
            self.faults.append(otherwise)

    async def _come_back(self, what: str, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except (MiniAgentsError, Boom, TimeoutError) as error:
            return error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self.faults.append(f"{what}: raised CancelledError, and nobody cancelled it")
            raise
        except Exception as error:
            self.faults.append(f"{what}: raised {error!r}")
            return error

    async def have_all_come_back(self, within: float) -> None:
        """Check that everything comes back within some seconds, and that no error was an unknown one."""
        if self._open:
            await asyncio.wait(self._open, timeout=within)
        faults = self.faults + [f"{what}: did not come back" for what in self._open.values()]
        assert not faults, "; ".join(faults)


async def turns(number: int) -> None:
    """Let the loop turn so often."""
    for _ in range(number):
        await asyncio.sleep(0)


async def a_while(sim: Simulation, *seconds: float) -> None:
    """Let a few turns, or one of these times, go by."""
    if sim.random.random() < 0.7:
        await turns(sim.random.randrange(6))
    else:
        await asyncio.sleep(sim.random.choice(seconds))


def disturbed(sim: Simulation, *, kill: bool = True, fault: bool = False) -> None:
    """Let a part of the seeds be disturbed by the simulation, too."""
    rate = sim.random.choice([0.0, 0.0, 0.01, 0.05])
    sim.disturb(
        kill=rate if kill else 0.0,
        crash=rate,
        cancel=rate,
        delay=sim.random.choice([0.0, 0.0, 0.1]),
        fault=sim.random.choice([0.0, 0.1, 0.4]) if fault else 0.0,
    )
