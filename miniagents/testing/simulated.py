"""The simulation as the simulated program and its event loop see it: it decides, disturbs, and keeps the trace."""

import asyncio
import itertools
import re
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.receiving_cell import BARRIER
from miniagents.actors.messaging.dead_letters import DeadLetter
from miniagents.actors.observing.events import Event
from miniagents.agents.interaction import Interaction
from miniagents.errors import InvalidOptionError
from miniagents.testing.decisions import Decisions
from miniagents.testing.disturbances import STRIKES, Disturbance, can_be_struck
from miniagents.testing.script import Fault
from miniagents.testing.simulated_loop import SimulatedLoop, in_turns

_SOON = (0, 0, 0, 1, 1, 2, 3, 5, 8)
_DELAYS = (0.001, 0.01, 0.1, 1.0)
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class Simulation:
    """What a simulated program knows of the simulation.

    Attributes:
        seed: The seed of this run.
        random: Random numbers of the seed, for the program: the same in each run of the seed.
        systems: The actor systems that the program has made, in order.
        disturbances: What was done to the program so far.
        trace: The steps so far, if they are written down: those of a run that is known to fail are.
    """

    def __init__(self, seed: int, decisions: Decisions, *, traced: bool) -> None:
        self.seed = seed
        self.random = Random(f"{seed} program")
        self.decisions = decisions
        self.systems: list[Any] = []
        self.disturbances: list[Disturbance] = []
        self.trace: list[str] = []
        self.faults: list[str] = []
        self.loop = SimulatedLoop(self)
        self._began = self.loop.time()
        self._traced = traced
        self._rates: dict[str, float] = {}
        self._under = "/"
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = itertools.count(1)
        self._is_over = False

    # For the program

    def time(self) -> float:
        """Return the virtual seconds since the program began."""
        return self.loop.time() - self._began

    def note(self, text: object) -> None:
        """Write a step of your own into the trace."""
        self.step(str(text))

    def disturb(
        self,
        *,
        kill: float = 0.0,
        crash: float = 0.0,
        cancel: float = 0.0,
        delay: float = 0.0,
        fault: float = 0.0,
        under: str = "/",
    ) -> None:
        """Disturb the program from now on. Whatever was asked for before is forgotten.

        The first four are probabilities for each turn of an actor, or call of an agent, from 0 to 1; what is done is
        done to it or to another one, at once or a few turns of the loop later, at whatever it then does.

        Args:
            kill: An actor or agent is killed, as by `ref.kill()`.
            crash: An actor crashes, or the call of an agent fails, with `SimulatedCrashError`.
            cancel: An ask or call that is under way is cancelled, as by its promise's `cancel()`.
            delay: The turn comes 1 ms to 1 s later, as on a busy machine.
            fault: The probability for each request to a `ScriptedModel` that has no fault of its own: it fails, or its
                answer breaks off.
            under: Where in the tree: actors and agents at or below this path are disturbed. Supervisors never are.

        Raises:
            InvalidOptionError: A probability is not from 0 to 1.
        """
        rates = {"kill": kill, "crash": crash, "cancel": cancel, "delay": delay, "fault": fault}
        for kind, rate in rates.items():
            if not 0.0 <= rate <= 1.0:
                raise InvalidOptionError(f"disturb({kind}=) is a probability from 0 to 1, not {rate!r}")
        self._rates = {kind: rate for kind, rate in rates.items() if rate}
        self._under = under.rstrip("/")

    # For the loop, and for scripted models

    def turn_of(self, cell: Any, index: int, ready: int) -> None:
        """`cell` has the next turn, out of `ready` of which it was the one at `index`."""
        path = cell.path
        if self._traced:
            self.step(f"{path}: turn{_waiting(cell)}" + (f", before {index} of {ready - 1} others" if index else ""))
        for kind in ("kill", "crash", "cancel"):
            rate = self._rates.get(kind)
            if rate and self._is_disturbed(path):
                struck = self.decisions.decide(f"{kind} {path}", partial(self._draw, rate, path))
                if struck:
                    victim, turns = struck
                    in_turns(self.loop, turns, self._strike, kind, victim)

    def delay_of(self, cell: Any) -> float:
        """Return the seconds that the next turn of `cell` is put off; 0 as a rule."""
        rate = self._rates.get("delay")
        if not rate or self._is_over or not self._is_disturbed(cell.path):
            return 0.0
        delay: float = self.decisions.decide(
            f"delay {cell.path}", lambda random: random.choice(_DELAYS) if random.random() < rate else 0.0
        )
        if delay:
            self._disturbed("delay", cell.path, f"{delay} s")
        return delay or 0.0

    def fault_of(self, path: str, tokens: int) -> "tuple[Fault | int, int] | None":
        """Return how the next answer of a model breaks off, if it does.

        Args:
            path: The agent that asks.
            tokens: How many tokens the answer has.

        Returns:
            A fault, or the HTTP status of an error, and the number of tokens before it.
        """
        rate = self._rates.get("fault")
        if not rate or not self._is_disturbed(path):
            return None

        def draw(random: Random) -> "tuple[str | int, int] | None":
            if random.random() >= rate:
                return None
            return random.choice([*(fault.value for fault in Fault), 429, 500, 503]), random.randrange(tokens + 1)

        drawn = self.decisions.decide(f"fault {path}", draw)
        if not drawn:
            return None
        what, sent = drawn
        self._disturbed("fault", path, str(what) if isinstance(what, int) else f"{what} after {sent} tokens")
        return (what, sent) if isinstance(what, int) else (Fault(what), sent)

    def step(self, text: str) -> None:
        """Write a step into the trace."""
        if self._traced and not self._is_over:
            self.trace.append(f"{self.time():.3f} {plain(text)}")

    def happened(self, event: Event) -> None:
        """A system tells what happened in it."""
        if self._traced and not event.logged:
            about = next((_told(one) for one in (event.error, event.reason, event.detail) if one is not None), "")
            self.step(f"{event.path}: {event.kind.value.replace('_', ' ')}{about and f', {about}'}")

    def logged(self, method: str, entry: dict[str, Any]) -> None:
        """Something was logged."""
        text = str(entry.get("event"))
        if text.startswith("runtime."):
            self.faults.append(f"{text}: {entry.get('actor')}\n{entry.get('stack')}")
        if self._traced:
            facts = "".join(f" {key}={value}" for key, value in entry.items() if key not in ("event", "stack"))
            self.step(f"{method}: {text}{facts}")

    def noise(self, _: object, context: dict[str, Any]) -> None:
        """The event loop reports what nobody handles."""
        error = context.get("exception")
        self.faults.append(f"the event loop reports: {context.get('message')}{f': {error!r}' if error else ''}")

    def later(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something later; it does not count as a timer of the program."""
        number = next(self._numbers)

        def call() -> None:
            del self._timers[number]
            callback(*args)

        self._timers[number] = self.loop.call_later(seconds, call)

    def end(self) -> None:
        """The program is over: nothing is done to what is left of it."""
        self._is_over = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # Disturbances

    def _is_disturbed(self, path: str) -> bool:
        return not self._under or path == self._under or path.startswith(f"{self._under}/")

    def _draw(self, rate: float, path: str, random: Random) -> "tuple[str, int] | None":
        if random.random() >= rate:
            return None
        victim = random.choice([path, random.choice(self._victims() or [path])])
        return victim, random.choice(_SOON)

    def _victims(self) -> list[str]:
        return [cell.path for system in self.systems for cell in system._cells() if self._can_strike(cell)]

    def _can_strike(self, cell: Any) -> bool:
        return can_be_struck(cell) and self._is_disturbed(cell.path)

    def _strike(self, kind: str, path: str) -> None:
        if self._is_over:
            return
        for system in self.systems:
            cell = next((cell for cell in system._cells() if cell.path == path and cell.is_alive), None)
            if cell is not None and STRIKES[kind](system, cell):
                self._disturbed(kind, path)
                return

    def _disturbed(self, kind: str, path: str, detail: str = "") -> None:
        one = Disturbance(kind, path, round(self.time(), 3), detail)
        self.disturbances.append(one)
        self.step(f"{one.path}: {one.kind}{one.detail and f' ({one.detail})'}, by the simulation")


def _told(about: Any) -> str:
    """What an event is about, without the time of day."""
    if isinstance(about, DeadLetter):
        return f"{about.reason.value}: {type(about.message).__name__}"
    return str(about)


def _waiting(cell: Any) -> str:
    """What the turn begins with: the first messages in the mailbox, or the call that runs."""
    waiting = [envelope.message for envelope in cell.waiting()] if isinstance(cell, Cell) else [cell]
    messages = [message for message in waiting if message is not BARRIER]
    if not messages:
        return ""
    names = [f"call {one.id}" if isinstance(one, Interaction) else type(one).__name__ for one in messages[:3]]
    return f" with {', '.join(names)}" + (f" and {len(messages) - 3} more" if len(messages) > 3 else "")


def plain(text: str) -> str:
    """Return a text without what differs from process to process: the addresses of objects."""
    return _ADDRESS.sub("0x…", text)
