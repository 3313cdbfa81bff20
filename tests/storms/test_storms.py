"""Some seeds of each kind of storm (`make storms-quick` and `make storms` play more), and what each kind finds."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from miniagents.actors.cells.receiving_cell import ReceivingCell
from miniagents.actors.cells.timers import Timer
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.agents.durable.interaction import DurableInteraction
from miniagents.agents.interaction import Interaction
from miniagents.ext.llms.limits import Admission
from miniagents.ext.serving.conversations.turn_queue import Turns
from miniagents.supervision.routing import HashRing
from tests.storms.playing import KINDS, likeness, play

ONCE_FAILED: dict[str, list[int]] = {
    "supervision": [34, 63, 110, 130, 205, 252, 305, 328, 340, 475, 660, 722, 2002182, 2002571],
    "agents": [44, 434, 1001139, 1001412, 5000932, 5005919, 91544428, 20006052, 20011372, 20016199, 633844000],
    "pools": [110, 137, 170, 180],
    "mailboxes": [41, 53, 83, 141, 170, 187],
    "timers": [83, 127, 183, 2028222],
    "service": [137, 169, 310, 279043308],
    "models": [36, 48, 52, 103],
    "journal": [33, 116, 153, 467],
}
"""Beside the first ones, seeds that found a fault."""

SEEDS = {kind: [*range(1, 31), *seeds] for kind, seeds in ONCE_FAILED.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_storm_everything_comes_back_and_nothing_is_left(kind: str) -> None:
    assert play(kind, SEEDS[kind]) == []


def nothing(*_: object, **__: object) -> None:
    """What a planted fault does."""


def forgets_a_child(self: Any, cell: Any, reason: object) -> bool:
    """A keeper that takes every exit for a normal one."""
    return False


numbers = itertools.count()


def goes_around(self: HashRing, key: object) -> int:
    """A ring that forgets who has which key."""
    return next(numbers) % (max(self._owners) + 1)


FAULTS: dict[str, tuple[Any, str, Callable[..., Any], str]] = {
    "supervision": (RunningSupervisor, "answers", forgets_a_child, "lost for ever"),
    "agents": (Interaction, "close_replies", nothing, "did not come back"),
    "pools": (HashRing, "pick", goes_around, "goes to"),
    "mailboxes": (ReceivingCell, "made_room", nothing, "did not come back"),
    "timers": (Timer, "cancel", nothing, "a tick of a timer that was cancelled"),
    "service": (Turns, "_release", nothing, "still have or want their turn"),
    "models": (Admission, "settle", nothing, "in flight"),
    "journal": (DurableInteraction, "_may_answer", nothing, "was recorded as"),
}
"""For each kind a fault of the runtime, and what a storm says of it."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_fault_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, planted, said = FAULTS[kind]
    monkeypatch.setattr(owner, name, planted)

    failures: list[str] = []
    for seed in range(1, 31):
        failures += [outcome.failure for outcome in play(kind, [seed])]
        if any(said in failure for failure in failures):
            return

    pytest.fail(f"nothing said {said!r}, but { ({likeness(failure) for failure in failures}) }")
