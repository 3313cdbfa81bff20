"""Actions: what the page can do to the system. Each says what it expects to find, and each is kept as a happening."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from miniagents.errors import InvalidOptionError, MiniAgentsError
from miniagents.ext.observer.following import Following
from miniagents.log import log as _log

KINDS = ("restart", "stop", "cancel", "resend", "drop", "answer", "cancel_job")
"""The kinds of actions."""
_MOST = 1_000
"""The most targets of one action."""

Asked = dict[str, Any]


class RefusedError(Exception):
    """An action was not done, and the text says why."""


def allowed_kinds(actions: bool | Iterable[str]) -> frozenset[str]:
    """Return the kinds of actions that are allowed.

    Args:
        actions: True for all, False for none, or the kinds.

    Raises:
        InvalidOptionError: There is no such kind.
    """
    if isinstance(actions, bool):
        return frozenset(KINDS if actions else ())
    kinds = frozenset((actions,) if isinstance(actions, str) else actions)
    unknown = sorted(kinds - set(KINDS))
    if unknown:
        raise InvalidOptionError(f"actions= takes True, False, or some of {', '.join(KINDS)}, not {unknown[0]!r}")
    return kinds


class Actions:
    """The actions on one system.

    Args:
        system: The system.
        following: Its observer, which keeps each action as a happening.
        kinds: The kinds that are allowed.
        boot: The id of this process, which every action must name.
    """

    def __init__(self, system: Any, following: Following, kinds: frozenset[str], boot: str) -> None:
        self._system = system
        self._following = following
        self.kinds = kinds
        self._boot = boot
        self._do: dict[str, Callable[[Asked], Coroutine[Any, Any, tuple[str, str]]]] = {
            "restart": self._restart,
            "stop": self._stop,
            "cancel": self._cancel,
            "resend": self._resend,
            "drop": self._drop,
            "answer": self._answer,
            "cancel_job": self._cancel_job,
        }

    async def do(self, asked: Any, by: str) -> str:
        """Do an action.

        Args:
            asked: `kind`; the `target`, or for dead letters the `targets`; `expect`, what the page has seen of it; and
                `boot`.
            by: The name of the session.

        Returns:
            A line for the user.

        Raises:
            RefusedError: It was not done: the kind is not allowed, or the target is not what the page has seen.
        """
        kind = asked.get("kind") if type(asked) is dict else None
        if kind not in KINDS:
            raise RefusedError("there is no such action")
        if kind not in self.kinds:
            raise RefusedError(f"the action {kind!r} is turned off here")
        if asked.get("boot") != self._boot:
            raise RefusedError("another process is behind this address now; look again")
        path = str(asked.get("target") or "")
        try:
            path, line = await self._do[kind](asked)
        except (RefusedError, MiniAgentsError, LookupError, ValueError) as error:
            reason = str(error)
            self._note(kind, path, f"refused: {reason}", by)
            raise RefusedError(reason) from error
        self._note(kind, path, line, by)
        return line

    def _note(self, kind: str, path: str, line: str, by: str) -> None:
        self._following.add("action", path, text=f"{kind}: {line}", by=by)
        _log.warning("observer.action", actor=path, action=kind, outcome=line, by=by)

    # Actors

    def _actor(self, asked: Asked) -> Any:
        """Return the reference of an actor, if it is what the page has seen."""
        path, expect = str(asked.get("target")), asked.get("expect") or {}
        ref = self._system.lookup(path)
        if ref is None:
            raise RefusedError(f"there is no actor at {path} any more")
        info = self._system.tree(path, depth=0)
        for name, word in (("uid", "another actor is at this path now"), ("epoch", "its node has been started again")):
            if expect.get(name) != getattr(info, name):
                raise RefusedError(word)
        if expect.get("restarts") != info.restarts:
            raise RefusedError(f"it has been restarted meanwhile ({info.restarts} restarts)")
        return ref

    async def _restart(self, asked: Asked) -> tuple[str, str]:
        ref = self._actor(asked)
        ref.restart().mark_seen()
        return ref.path, "is restarting"

    async def _stop(self, asked: Asked) -> tuple[str, str]:
        ref = self._actor(asked)
        ref.stop().mark_seen()
        return ref.path, "is stopping"

    # Interactions and jobs

    async def _cancel(self, asked: Asked) -> tuple[str, str]:
        id, expect = asked.get("target"), asked.get("expect") or {}
        record = self._following.records.get(id) if type(id) is int else None
        if record is None:
            raise RefusedError("the interaction is not known any more")
        if record.path != expect.get("path"):
            raise RefusedError("the interaction is one of another agent")
        if record.uses.attempts != expect.get("attempts", 0):
            raise RefusedError("the interaction is at another attempt now")
        if record.interaction is None:
            open_below = _first_open(record)
            if open_below is None:
                raise RefusedError("the interaction has ended")
            record = open_below
        below = len(record.interaction.all_below())
        record.interaction.begin_cancel("cancelled in the observer")
        return record.path, f"interaction {id} was cancelled, with {below} below it"

    async def _cancel_job(self, asked: Asked) -> tuple[str, str]:
        name = str(asked.get("target"))
        if not await self._system.cancel_job(name):
            raise RefusedError(f"there is no job {name!r}, or it has ended")
        return "/", f"job {name!r} was cancelled"

    async def _answer(self, asked: Asked) -> tuple[str, str]:
        id, expect = str(asked.get("target")), asked.get("expect") or {}
        answer = asked.get("answer")
        if type(answer) not in (str, dict, bool):
            raise RefusedError("an answer is a text, a JSON object, or true or false")
        if type(answer) is bool:
            answer = "yes" if answer else "no"
        await self._system.deliver(str(expect.get("job") or ""), id, answer, by="observer")
        return str(expect.get("agent") or "/"), f"{id} was answered"

    # Dead letters

    async def _resend(self, asked: Asked) -> tuple[str, str]:
        letters = self._letters(asked)
        accepted = [letter for letter in letters if self._system.dead_letters.resend(letter.id)]
        if not accepted:
            raise RefusedError("the receiver has ended, and has not accepted it; the dead letter stays")
        return letters[0].receiver.path, f"{len(accepted)} of {len(letters)} dead letters were accepted"

    async def _drop(self, asked: Asked) -> tuple[str, str]:
        letters = self._letters(asked)
        for letter in letters:
            self._system.dead_letters.drop(letter.id)
        return letters[0].receiver.path, f"{len(letters)} dead letters were dropped"

    def _letters(self, asked: Asked) -> list[Any]:
        ids = asked.get("targets")
        if type(ids) is not list or not 0 < len(ids) <= _MOST or not all(type(id) is int for id in ids):
            raise RefusedError(f"targets must be 1 to {_MOST} ids of dead letters")
        letters = [self._system.dead_letters.get(id) for id in ids]
        missing = letters.count(None)
        if missing:
            raise RefusedError(f"{missing} of {len(ids)} dead letters are not kept any more")
        return letters


def _first_open(record: Any) -> Any:
    """Return a call below one that has ended and which is still under way, or None."""
    todo = list(record.below or ())
    for call in todo:
        if call.interaction is not None:
            return call
        todo += call.below or ()
    return None
