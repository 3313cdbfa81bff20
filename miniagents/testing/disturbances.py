"""Disturbances: what a simulation does to actors and agents, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.agents.agent_cell import AgentCell
from miniagents.errors import SimulatedCrashError
from miniagents.supervision import StopReason

_REASON = "cancelled by the simulation"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a simulation has done to a program.

    Args:
        kind: "kill", "crash", "cancel", "delay" or "fault".
        path: The actor or agent that it was done to.
        at: When, in virtual seconds since the program began.
        detail: How long the delay was, or which fault; "" otherwise.
    """

    kind: str
    path: str
    at: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}{self.detail and f' ({self.detail})'}"


def can_be_struck(cell: Any) -> bool:
    """Return whether a cell is that of an actor or agent, and alive. A supervisor's has no code that could fail."""
    return isinstance(cell, (ActorCell, AgentCell)) and cell.is_alive


def _kill(system: Any, cell: Any) -> bool:
    cell.stop(reason=StopReason.KILLED, drain=False)
    return True


def _crash(system: Any, cell: Any) -> bool:
    error = SimulatedCrashError(f"{cell.path}: crashes because a simulation wants it", path=cell.path)
    if isinstance(cell, ActorCell):
        cell.crash(error)
        return True
    for interaction in _calls(system, cell):
        interaction.begin_cancel(error)
        return True
    return False


def _cancel(system: Any, cell: Any) -> bool:
    for interaction in _calls(system, cell):
        interaction.replies.cancel(_REASON)
        return True
    for envelope in (cell.envelope, *cell.waiting()):
        if envelope is not None and envelope.ask is not None and not envelope.ask.done():
            envelope.ask.cancel(_REASON)
            return True
    return False


def _calls(system: Any, cell: Any) -> list[Any]:
    """The calls of an agent that are under way, oldest first."""
    interactions = system.interactions() if isinstance(cell, AgentCell) else ()
    return [interaction for interaction in interactions if interaction.cell is cell]


STRIKES: dict[str, Callable[[Any, Any], bool]] = {"kill": _kill, "crash": _crash, "cancel": _cancel}
"""What does it, by the kind: a function of the system and the cell, which says whether it has done anything."""
