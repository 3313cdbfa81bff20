"""Disturbances: how a simulation kills, crashes and cancels actors and agents."""

from collections.abc import Callable
from dataclasses import dataclass

from miniagents.actors import ActorSystem
from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.actors.cells.cell import Cell
from miniagents.agents import Interaction, MiniAgents
from miniagents.agents.agent_cell import AgentCell
from miniagents.errors import SimulatedCrashError
from miniagents.supervision import StopReason

_REASON = "cancelled by the simulation"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One disturbance of a program by a simulation.

    Args:
        kind: "kill", "crash", "cancel", "delay" or "fault".
        path: The path of the actor or agent that was disturbed.
        at: Virtual seconds since the program began.
        detail: The length of the delay, or the fault; "" otherwise.

    Example:
        >>> print(Disturbance("delay", "/worker", at=2.5, detail="0.1 s"))
        delay /worker (0.1 s)
    """

    kind: str
    path: str
    at: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}{self.detail and f' ({self.detail})'}"


def can_be_struck(cell: object) -> bool:
    """Return whether a cell belongs to a living actor or agent. A supervisor has no code that could fail."""
    return isinstance(cell, (ActorCell, AgentCell)) and cell.is_alive


def _kill(system: ActorSystem, cell: Cell) -> bool:
    cell.stop(reason=StopReason.KILLED, drain=False)
    return True


def _crash(system: ActorSystem, cell: Cell) -> bool:
    error = SimulatedCrashError(f"{cell.path}: crashed by the simulation", path=cell.path)
    if isinstance(cell, ActorCell):
        cell.crash(error)
        return True
    for interaction in _calls(system, cell):
        interaction.begin_cancel(error)
        return True
    return False


def _cancel(system: ActorSystem, cell: Cell) -> bool:
    for interaction in _calls(system, cell):
        interaction.replies.cancel(_REASON)
        return True
    for envelope in (cell.envelope, *cell.waiting()):
        if envelope is not None and envelope.ask is not None and not envelope.ask.done():
            envelope.ask.cancel(_REASON)
            return True
    return False


def _calls(system: ActorSystem, cell: Cell) -> list[Interaction]:
    """Return the calls of an agent that are under way, oldest first."""
    interactions = system.interactions() if isinstance(system, MiniAgents) else ()
    return [interaction for interaction in interactions if interaction.cell.ref is cell.ref]


STRIKES: dict[str, Callable[[ActorSystem, Cell], bool]] = {"kill": _kill, "crash": _crash, "cancel": _cancel}
"""The functions that disturb a cell, by the kind. Each returns whether there was anything to disturb."""
