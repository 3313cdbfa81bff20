"""The event loop of a simulation: virtual time, and a scheduling whose answers come from the seed."""

import asyncio
import itertools
from collections import deque
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any

from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.dispatch.scheduling import Scheduling
from miniagents.actors.observing.events import Event, Events, Subscription
from miniagents.testing.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from miniagents.testing.simulated import Simulation

MOST_TURNS = 1_000_000
"""Turns of the loop at one moment, after which a program is taken for one that never gets on."""


class StuckError(Exception):
    """The loop turns and turns, and the time stands still."""


class SimulatedLoop(VirtualTimeLoop):
    """A loop in which nothing depends on the process: tasks and futures have numbers, which are their hashes, too.

    Args:
        simulation: Whose loop it is.

    Attributes:
        turns: How often it has turned.
    """

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.scheduling = SimulatedScheduling(simulation)
        self.turns = 0
        self._numbers = itertools.count(1)
        self._moment = (0.0, 0)
        super().__init__()

    def turned(self) -> None:
        """Count."""
        self.turns += 1
        moment, first = self._moment
        if moment != self.now:
            self.count_anew()
        elif self.turns - first > MOST_TURNS:
            raise StuckError(f"the loop has turned {MOST_TURNS} times, and the time stands still")

    def count_anew(self) -> None:
        """Count the turns at this moment from the beginning."""
        self._moment = (self.now, self.turns)

    def create_task(self, coro: Any, *, name: object = None, **options: Any) -> "asyncio.Task[Any]":
        """As any loop's; the task's number is counted in this loop."""
        number = next(self._numbers)
        return _Task(coro, number=number, loop=self, name=str(name or f"Task-{number}"), **options)

    def create_future(self) -> "asyncio.Future[Any]":
        """As any loop's."""
        return _Future(number=next(self._numbers), loop=self)


class SimulatedScheduling(Scheduling):
    """Asks a simulation.

    Args:
        simulation: It decides.
    """

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._spread = Random(f"{simulation.seed} spread")

    def random(self) -> float:
        """Of the seed."""
        return self._spread.random()

    def clock(self) -> float:
        """Before or after every other time: whatever is bounded by it is over, or is not, as the seed says."""
        return float("inf") if self._simulation.decisions.decide("clock", _one_in_four) else float("-inf")

    def cpu_clock(self) -> float:
        """It stands still."""
        return 0.0

    def ready_queue(self, dispatcher: Dispatcher) -> "deque[Any]":
        """Return a queue whose order is drawn."""
        return _ReadyQueue(self._simulation, dispatcher)

    def waiting_line(self, path: str) -> "deque[Any]":
        """Return a queue whose order is drawn."""
        return _Line(self._simulation, path)

    def system_started(self, system: Any) -> None:
        """It is simulated from now on."""
        self._simulation.systems.append(system)
        system.events.attach(_Listener(system.events, self._simulation))


def _one_in_four(random: Random) -> bool:
    return random.random() < 0.25


class _Task(asyncio.Task[Any]):
    def __init__(self, *args: Any, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    def __init__(self, *, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


def _take(queue: "deque[Any]", index: int) -> Any:
    queue.rotate(-index)
    taken = deque.popleft(queue)
    queue.rotate(index)
    return taken


class _ReadyQueue(deque[Any]):
    """Who has something to do, and does it in a drawn order."""

    def __init__(self, simulation: "Simulation", dispatcher: Dispatcher) -> None:
        super().__init__()
        self._simulation = simulation
        self._dispatcher = dispatcher

    def append(self, cell: Any) -> None:
        delay = self._simulation.delay_of(cell)
        if delay:
            self._simulation.later(delay, self._append_late, cell)
        else:
            super().append(cell)

    def _append_late(self, cell: Any) -> None:
        super().append(cell)
        if not self._dispatcher.awake:
            self._dispatcher.wake()

    def popleft(self) -> Any:
        ready = len(self)
        index = self._simulation.decisions.one_of("turn", ready)
        cell = _take(self, index)
        self._simulation.turn_of(cell, index, ready)
        return cell


class _Line(deque[Any]):
    """Those that wait for room in one mailbox."""

    def __init__(self, simulation: "Simulation", path: str) -> None:
        super().__init__()
        self._simulation = simulation
        self._path = path

    def popleft(self) -> Any:
        waiting = len(self)
        index = self._simulation.decisions.one_of(f"room in {self._path}", waiting)
        if index:
            self._simulation.step(f"{self._path}: the room goes to sender {index + 1} of the {waiting} that wait")
        return _take(self, index)


class _Listener(Subscription):
    """Writes the events of a system into the trace."""

    def __init__(self, events: Events, simulation: "Simulation") -> None:
        super().__init__(events)
        self._simulation = simulation

    def put(self, event: Event) -> None:
        self._simulation.happened(event)


def in_turns(loop: asyncio.AbstractEventLoop, turns: int, callback: Any, *args: Any) -> None:
    """Call `callback(*args)` when the loop has turned so often; with 0 now. It runs in an empty context."""
    if turns <= 0:
        Context().run(callback, *args)
    else:
        loop.call_soon(in_turns, loop, turns - 1, callback, *args, context=Context())
