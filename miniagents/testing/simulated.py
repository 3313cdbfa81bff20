"""`Simulation`: the decisions, the disturbances and the trace of one run of a simulated program."""

import asyncio
import itertools
import re
from collections.abc import Callable, MutableMapping
from functools import partial
from random import Random
from typing import Any, TypeVarTuple

from miniagents.actors import ActorSystem
from miniagents.actors.cells.cell import Cell
from miniagents.actors.messaging.dead_letters import DeadLetter
from miniagents.actors.messaging.entries import BARRIER
from miniagents.actors.observing.events import Event
from miniagents.agents.interaction import Interaction
from miniagents.errors import InvalidOptionError
from miniagents.testing.decisions import Decisions
from miniagents.testing.disturbances import STRIKES, Disturbance, can_be_struck
from miniagents.testing.script import Fault
from miniagents.testing.simulated_loop import SimulatedLoop, Turning, in_turns

Ts = TypeVarTuple("Ts")

_SOON = (0, 0, 0, 1, 1, 2, 3, 5, 8)
_DELAYS = (0.001, 0.01, 0.1, 1.0)
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class Simulation:
    """The simulation of one run: the argument of a simulated program.

    Args:
        seed: The seed.
        decisions: The decisions of the run.
        traced: Whether the trace is written.

    Attributes:
        seed: The seed.
        random: Random numbers for the program, the same in each run of the seed.
        systems: The actor systems that the program has made, in order.
        disturbances: The disturbances so far.
        trace: The steps so far. They are written only for a run that is known to fail.
        faults: Faults of the runtime, and reports of the event loop, so far.
        loop: The event loop.

    Example:
        >>> from miniagents.testing import simulate
        >>> async def program(sim):
        ...     await asyncio.sleep(2.5)
        ...     sim.note("the sleep is over")
        ...     assert sim.time() == 2.5
        >>> simulate(program, seeds=[1])
    """

    def __init__(self, seed: int, decisions: Decisions, *, traced: bool) -> None:
        self.seed = seed
        self.random = Random(f"{seed} program")
        self.decisions = decisions
        self.systems: list[ActorSystem] = []
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
        """Return the virtual seconds since the beginning of the program."""
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
        """Disturb the program from now on. Each call replaces the rates of the call before.

        All rates are probabilities from 0 to 1. `kill`, `crash`, `cancel` and `delay` are drawn for each turn of an
        actor and each call of an agent. The first three strike this actor or agent or another one, at once or a few
        turns of the loop later.

        Args:
            kill: The rate at which an actor or agent is killed, as by `ref.kill()`.
            crash: The rate at which an actor crashes, or the call of an agent fails, with `SimulatedCrashError`.
            cancel: The rate at which an ask or a call under way is cancelled, as by `cancel()` of its promise.
            delay: The rate at which a turn is delayed by 1 ms to 1 s, as on a busy machine.
            fault: The rate at which a request to a `ScriptedModel` fails, or its answer breaks off. Replies that have a
                fault of their own are left alone.
            under: A path in the tree. Actors and agents at or below this path are disturbed; supervisors never are.

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

    def turn_of(self, turning: Turning, index: int, ready: int) -> None:
        """Note the next turn, and draw whether it brings a disturbance.

        Args:
            turning: The cell, or the call of an agent, that has the turn.
            index: Its place in the ready queue.
            ready: The length of the ready queue.
        """
        path = turning.path
        if self._traced:
            self.step(f"{path}: turn{_waiting(turning)}" + (f", before {index} of {ready - 1} others" if index else ""))
        for kind in ("kill", "crash", "cancel"):
            rate = self._rates.get(kind)
            if rate and self._is_disturbed(path):
                struck = self.decisions.decide(f"{kind} {path}", partial(self._draw, rate, path))
                if struck:
                    victim, turns = struck
                    in_turns(self.loop, turns, self._strike, kind, victim)

    def delay_of(self, turning: Turning) -> float:
        """Return the seconds by which the next turn of a cell or call is delayed; usually 0."""
        rate = self._rates.get("delay")
        if not rate or self._is_over or not self._is_disturbed(turning.path):
            return 0.0
        delay = self.decisions.decide(
            f"delay {turning.path}", lambda random: random.choice(_DELAYS) if random.random() < rate else 0.0
        )
        if delay:
            self._disturbed("delay", turning.path, f"{delay} s")
        return delay or 0.0

    def fault_of(self, path: str, tokens: int) -> "tuple[Fault | int, int] | None":
        """Draw whether, and how, the next answer of a model breaks off.

        Args:
            path: The path of the agent that asks the model.
            tokens: The number of tokens of the answer.

        Returns:
            A fault, or the HTTP status of an error, with the number of tokens before it; None for no fault.
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
        fault, sent = drawn
        self._disturbed("fault", path, str(fault) if isinstance(fault, int) else f"{fault} after {sent} tokens")
        return (fault, sent) if isinstance(fault, int) else (Fault(fault), sent)

    def step(self, text: str) -> None:
        """Write a step into the trace, with the virtual time."""
        if self._traced and not self._is_over:
            self.trace.append(f"{self.time():.3f} {plain(text)}")

    def happened(self, event: Event) -> None:
        """Write an event of a system into the trace, unless its log entry is there already."""
        if self._traced and not event.logged:
            facts = (event.error, event.reason, event.detail)
            about = next((_described(fact) for fact in facts if fact is not None), "")
            self.step(f"{event.path}: {event.kind.value.replace('_', ' ')}{about and f', {about}'}")

    def logged(self, method: str, entry: MutableMapping[str, Any]) -> None:
        """Write a log entry into the trace. An entry about a fault of the runtime makes the run fail."""
        text = str(entry.get("event"))
        if text.startswith("runtime."):
            self.faults.append(f"{text}: {entry.get('actor')}\n{entry.get('stack')}")
        if self._traced:
            facts = "".join(f" {key}={value}" for key, value in entry.items() if key not in ("event", "stack"))
            self.step(f"{method}: {text}{facts}")

    def noise(self, _: object, context: dict[str, Any]) -> None:
        """Record a report of the event loop about something that nobody handles; the run fails."""
        error = context.get("exception")
        self.faults.append(f"the event loop reports: {context.get('message')}{f': {error!r}' if error else ''}")

    def later(self, seconds: float, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call a function later. The timer does not count as one of the program.

        Args:
            seconds: Virtual seconds until the call.
            callback: The function.
            *args: Its arguments.
        """
        number = next(self._numbers)

        def call() -> None:
            del self._timers[number]
            callback(*args)

        self._timers[number] = self.loop.call_later(seconds, call)

    def end(self) -> None:
        """Stop disturbing: the program has ended."""
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
        return [cell.path for system in self.systems for cell in system.cells() if self._can_strike(cell)]

    def _can_strike(self, cell: Cell) -> bool:
        return can_be_struck(cell) and self._is_disturbed(cell.path)

    def _strike(self, kind: str, path: str) -> None:
        if self._is_over:
            return
        for system in self.systems:
            cell = next((cell for cell in system.cells() if cell.path == path and cell.is_alive), None)
            if cell is not None and STRIKES[kind](system, cell):
                self._disturbed(kind, path)
                return

    def _disturbed(self, kind: str, path: str, detail: str = "") -> None:
        self.disturbances.append(Disturbance(kind, path, round(self.time(), 3), detail))
        self.step(f"{path}: {kind}{detail and f' ({detail})'}, by the simulation")


def _described(fact: object) -> str:
    """Return the text of a fact of an event, without the time of day."""
    if isinstance(fact, DeadLetter):
        return f"{fact.reason.value}: {type(fact.message).__name__}"
    return str(fact)


def _waiting(turning: Turning) -> str:
    """Return the text of what a turn begins with: the first messages in the mailbox, or the call that runs."""
    waiting = [envelope.message for envelope in turning.waiting()] if isinstance(turning, Cell) else [turning]
    messages = [message for message in waiting if message is not BARRIER]
    if not messages:
        return ""
    names = [
        f"call {message.id}" if isinstance(message, Interaction) else type(message).__name__ for message in messages[:3]
    ]
    return f" with {', '.join(names)}" + (f" and {len(messages) - 3} more" if len(messages) > 3 else "")


def plain(text: str) -> str:
    """Return a text without the addresses of objects, which differ from process to process."""
    return _ADDRESS.sub("0x…", text)
