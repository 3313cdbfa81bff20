"""The commands that every system answers: their names, their arguments, and their results."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from miniagents.control.protocol import Command, mistake, path_text
from miniagents.control.system.diagnosis import diagnose
from miniagents.control.typed import typed

MOST_ROWS = 1_000
"""The number of actors, calls or dead letters in one answer, at most."""


MOST_PATHS, MOST_CHILDREN = 100, 200
"""The number of actors in one view whose children are shown, and the number of rows below each of them, at most."""


class RunningSystem(Protocol):
    """A running system, as commands see it."""

    @property
    def name(self) -> str:
        """The name of the system."""

    @property
    def dead_letters(self) -> Any:
        """Its dead letters."""

    def tree(self, path: str = "/", *, depth: int | None, limit: int | None, cursor: str) -> Any:
        """Return a page of the tree."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command that has none."""


class OfTree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `system.tree`: those of `ActorSystem.tree`."""

    path: str = "/"
    depth: int | None = None
    limit: int = 250
    cursor: str = ""


class OfView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `system.view`: the paths whose actors are wanted, each with those directly below it."""

    paths: tuple[str, ...]


class OfCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `system.cancel`."""

    id: int
    by: str = ""


class OfLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command for one dead letter."""

    id: int


def commands_of_system(system: RunningSystem, journal: Path | None = None) -> dict[str, Command]:
    """Return the commands that a system answers, by their names.

    Args:
        system: The system. One without agents has no calls.
        journal: The file of its journal; None without one.

    Returns:
        Functions of arguments, which raise `CommandError`, to results that JSON can carry.
    """
    facts = {
        "pid": os.getpid(),
        "system": system.name,
        "program": " ".join(sys.argv[:1]) or sys.executable,
        "started_at": time.time(),
        "journal": None if journal is None else path_text(journal),
    }

    async def hello(_: Nothing) -> Any:
        return facts

    async def tree(a: OfTree) -> Any:
        try:
            return system.tree(a.path, depth=a.depth, limit=min(a.limit, MOST_ROWS), cursor=a.cursor)
        except LookupError as error:
            raise mistake(str(error)) from None

    async def view(a: OfView) -> Any:
        levels = {}
        for path in a.paths[:MOST_PATHS]:
            try:
                page = system.tree(path, depth=1, limit=MOST_CHILDREN, cursor="")
            except LookupError:  # it has ended meanwhile
                continue
            levels[path] = {"nodes": page.nodes, "has_more": page.cursor is not None}
            await asyncio.sleep(0)  # whatever is ready comes in between
        calls = _calls(system)
        shown = [_shown(call) for call in calls[:MOST_CHILDREN]]
        letters = system.dead_letters.total
        return {"levels": levels, "interactions": shown, "calls": len(calls), "dead_letters": letters}

    async def interactions(_: Nothing) -> Any:
        calls = _calls(system)
        return {"interactions": [_shown(call) for call in calls[:MOST_ROWS]], "total": len(calls)}

    async def cancel(a: OfCall) -> Any:
        call = next((call for call in _calls(system) if call.id == a.id), None)
        if call is None:
            raise mistake(f"no call {a.id} is under way")
        by = f" by {a.by}" if a.by else ""
        abandoned = await call.cancel(f"cancelled{by} with `miniagents ps kill`")
        return {"id": a.id, "agent": call.path, "abandoned": [_shown(other) for other in abandoned]}

    async def letters(_: Nothing) -> Any:
        kept = list(system.dead_letters)[-MOST_ROWS:]
        return {"letters": [_letter(letter) for letter in kept], "total": system.dead_letters.total}

    async def resend(a: OfLetter) -> Any:
        letter = _known_letter(system, a.id)
        return {"id": a.id, "receiver": letter.receiver.path, "accepted": system.dead_letters.resend(a.id)}

    async def drop(a: OfLetter) -> Any:
        letter = _known_letter(system, a.id)
        system.dead_letters.drop(a.id)
        return {"id": a.id, "receiver": letter.receiver.path}

    async def diagnosis(_: Nothing) -> Any:
        return await diagnose(system, _calls(system), _shown)

    return {
        "hello": typed(Nothing, hello),
        "system.tree": typed(OfTree, tree),
        "system.view": typed(OfView, view),
        "system.interactions": typed(Nothing, interactions),
        "system.cancel": typed(OfCall, cancel),
        "system.letters": typed(Nothing, letters),
        "system.letters.resend": typed(OfLetter, resend),
        "system.letters.drop": typed(OfLetter, drop),
        "system.diagnose": typed(Nothing, diagnosis),
    }


def _calls(system: RunningSystem) -> list[Any]:
    """Return the calls of a system that are under way, the oldest first."""
    interactions: Callable[[], Iterable[Any]] | None = getattr(system, "interactions", None)
    return [] if interactions is None else list(interactions())


def _shown(call: Any) -> dict[str, Any]:
    return {
        "id": call.id,
        "agent": call.path,
        "parent": call.parent_id,
        "state": _state(call),
        "age": round(call.age, 3),
        "tokens": call.tokens,
        "cost": call.cost,
        "label": call.label,
        "job": call.job or None,
    }


def _state(call: Any) -> str:
    if call.abandoned:
        return "abandoned"
    if call.cancelled is not None:
        return "cancelled"
    return "running" if call.is_running or call.done() else "waiting"


def _known_letter(system: RunningSystem, id: int) -> Any:
    letter = system.dead_letters.get(id)
    if letter is None:
        raise mistake(f"no dead letter {id} is kept")
    return letter


def _letter(letter: Any) -> dict[str, Any]:
    return {
        "id": letter.id,
        "receiver": letter.receiver.path,
        "type": type(letter.message).__name__,
        "reason": letter.reason.value,
        "at": letter.dropped_at,
    }
