"""`SimulatedLoop`: an event loop with virtual time, whose scheduling is drawn from the seed of a simulation."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from random import Random
from typing import Any, Protocol, TypeVar, TypeVarTuple

from miniagents.actors import ActorSystem
from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.dispatch.scheduling import Scheduling
from miniagents.actors.observing.events import Event, Events, Subscription
from miniagents.testing.decisions import Decisions
from miniagents.testing.virtual_time import VirtualTimeLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_TURNS = 1_000_000
"""Turns of the loop at one moment, after which a program counts as one that makes no progress."""


class StuckError(Exception):
    """The loop turns again and again, and virtual time does not advance."""


class Turning(Protocol):
    """An entry of the ready queue: a cell, or a call of an agent."""

    @property
    def path(self) -> str:
        """The path of the actor or agent."""


class Simulator(Protocol):
    """The simulation, as its event loop uses it; see `Simulation`."""

    seed: int
    decisions: Decisions
    systems: list[ActorSystem]

    def delay_of(self, turning: Turning) -> float:
        """Return the seconds by which the next turn of a cell or call is delayed."""

    def turn_of(self, turning: Turning, index: int, ready: int) -> None:
        """Report that a cell or call has the next turn."""

    def later(self, seconds: float, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call a function later, without a timer of the program."""

    def step(self, text: str) -> None:
        """Write a step into the trace."""

    def happened(self, event: Event) -> None:
        """Write an event of a system into the trace."""


class SimulatedLoop(VirtualTimeLoop):
    """An event loop in which nothing depends on the process: tasks and futures are hashed by their numbers.

    Args:
        simulation: The simulation that the loop belongs to.

    Attributes:
        simulation: The simulation.
        scheduling: The scheduling of the systems in the loop.
        turns: The number of turns so far.
    """

    def __init__(self, simulation: Simulator) -> None:
        self.simulation = simulation
        self.scheduling = SimulatedScheduling(simulation)
        self.turns = 0
        self._numbers = itertools.count(1)
        self._moment = (0.0, 0)
        super().__init__()

    def turned(self) -> None:
        """Count the turn.

        Raises:
            StuckError: There were more than `MAX_TURNS` turns at this moment.
        """
        self.turns += 1
        moment, first = self._moment
        if moment != self.now:
            self.count_anew()
        elif self.turns - first > MAX_TURNS:
            raise StuckError(f"the loop has turned {MAX_TURNS} times, and the time stands still")

    def count_anew(self) -> None:
        """Count the turns at this moment from 0."""
        self._moment = (self.now, self.turns)

    def create_task(
        self, coro: "Generator[Any, None, T] | Coroutine[Any, Any, T]", *, name: object = None, **options: Any
    ) -> "asyncio.Task[T]":
        """Create a task as any loop does, with a number of this loop."""
        number = next(self._numbers)
        return _Task(coro, number=number, loop=self, name=str(name or f"Task-{number}"), **options)

    def create_future(self) -> "asyncio.Future[Any]":
        """Create a future as any loop does, with a number of this loop."""
        return _Future(number=next(self._numbers), loop=self)


class SimulatedScheduling(Scheduling):
    """A scheduling whose answers are drawn from the seed.

    Args:
        simulation: The simulation that decides.
    """

    def __init__(self, simulation: Simulator) -> None:
        self._simulation = simulation
        self._spread = Random(f"{simulation.seed} spread")

    def random(self) -> float:
        """Return a random number of the seed, from 0 to 1."""
        return self._spread.random()

    def clock(self) -> float:
        """Return a time before or after every other one, so that the seed decides whether a turn's time is over."""
        return float("inf") if self._simulation.decisions.decide("clock", _one_in_four) else float("-inf")

    def cpu_clock(self) -> float:
        """Return 0: processor time does not pass in a simulation."""
        return 0.0

    def ready_queue(self, dispatcher: Dispatcher) -> "deque[Any]":
        """Return a queue whose order is drawn."""
        return _ReadyQueue(self._simulation, dispatcher)

    def waiting_line(self, path: str) -> "deque[Any]":
        """Return a queue whose order is drawn."""
        return _WaitingLine(self._simulation, path)

    def system_started(self, system: object) -> None:
        """Add a system to the simulation."""
        assert isinstance(system, ActorSystem)
        self._simulation.systems.append(system)
        system.events.attach(_Listener(system.events, self._simulation))


def _one_in_four(random: Random) -> bool:
    return random.random() < 0.25


class _Task(asyncio.Task[T]):
    def __init__(
        self, coro: "Generator[Any, None, T] | Coroutine[Any, Any, T]", *, number: int, **options: Any
    ) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    def __init__(self, *, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class _DrawnQueue(deque[T]):
    """A queue whose next element is drawn."""

    def __init__(self, simulation: Simulator, word: str) -> None:
        super().__init__()
        self._simulation = simulation
        self._word = word

    def popleft(self) -> T:
        count = len(self)
        index = self._simulation.decisions.one_of(self._word, count)
        self.rotate(-index)
        element = super().popleft()
        self.rotate(index)
        self.drawn(element, index, count)
        return element

    def drawn(self, element: T, index: int, count: int) -> None:
        """Called after an element was taken out.

        Args:
            element: The element.
            index: The place in the queue that it had.
            count: The number of elements that there were.
        """


class _ReadyQueue(_DrawnQueue[Turning]):
    """The ready queue of a dispatcher, with delayed turns."""

    def __init__(self, simulation: Simulator, dispatcher: Dispatcher) -> None:
        super().__init__(simulation, "turn")
        self._dispatcher = dispatcher

    def append(self, turning: Turning) -> None:
        delay = self._simulation.delay_of(turning)
        if delay:
            self._simulation.later(delay, self._append_late, turning)
        else:
            super().append(turning)

    def _append_late(self, turning: Turning) -> None:
        super().append(turning)
        if not self._dispatcher.awake:
            self._dispatcher.wake()

    def drawn(self, element: Turning, index: int, count: int) -> None:
        self._simulation.turn_of(element, index, count)


class _WaitingLine(_DrawnQueue[object]):
    """The senders that wait for room in one mailbox."""

    def __init__(self, simulation: Simulator, path: str) -> None:
        super().__init__(simulation, f"room in {path}")
        self._path = path

    def drawn(self, element: object, index: int, count: int) -> None:
        if index:
            self._simulation.step(f"{self._path}: the room goes to sender {index + 1} of the {count} that wait")


class _Listener(Subscription):
    """Writes the events of a system into the trace."""

    def __init__(self, events: Events, simulation: Simulator) -> None:
        super().__init__(events)
        self._simulation = simulation

    def put(self, event: Event) -> None:
        self._simulation.happened(event)


def in_turns(loop: asyncio.AbstractEventLoop, turns: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
    """Call a function after some turns of the loop, in an empty context.

    Args:
        loop: The loop.
        turns: The number of turns; with 0 the function is called now.
        callback: The function.
        *args: Its arguments.
    """
    if turns <= 0:
        Context().run(callback, *args)
    else:
        loop.call_soon(in_turns, loop, turns - 1, callback, *args, context=Context())
