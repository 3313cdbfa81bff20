"""The events of a system in the log: starts, ends, crashes, restarts, dead letters, hangs, deadlocks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog

from miniagents.actors import ActorSystem, DeadLetter, Event, EventKind
from miniagents.actors.observing.events import Subscription
from miniagents.agents import Interaction
from miniagents.errors import InvalidOptionError
from miniagents.supervision import StopReason

_log = structlog.get_logger("miniagents")

_LEVELS = ("debug", "info", "warning", "error")

_SAID: Mapping[EventKind, tuple[str, str]] = MappingProxyType(
    {
        EventKind.SPAWN: ("debug", "actor.started"),
        EventKind.STOP: ("debug", "actor.stopped"),
        EventKind.CRASH: ("warning", "actor.crashed"),
        EventKind.RESTART: ("info", "actor.restarted"),
        EventKind.ESCALATION: ("error", "actor.escalated"),
        EventKind.DEAD_LETTER: ("warning", "actor.dead_letter"),
        EventKind.HANG: ("error", "actor.hangs"),
        EventKind.DEADLOCK: ("error", "actor.deadlock"),
    }
)
"""Levels and texts; interactions that start and end are no news: spans show them."""


def log_events(system: ActorSystem, *, level: str = "debug", dead_letters_per_second: int = 10) -> "EventLog":
    """Log what happens in a system, through structlog, as the logger "miniagents".

    Each line has `kind`, `actor` (the path) and, where there is one, `interaction`. What the runtime logs itself anyway
    (crashes of actors, supervisors that give up, tools that fail) is not logged twice. What messages say is never
    logged.

    Args:
        system: The system; it may be active already.
        level: The lowest level that is logged: debug (starts and ends), info (restarts), warning (crashes of
            interactions, dead letters) or error (hangs, deadlocks, escalations).
        dead_letters_per_second: At most so many dead letters are logged in one second, 0 or more; the next one that is
            says how many were left out. All of them are counted by `system.dead_letters`.

    Returns:
        The log: `close()` ends it, and so does leaving it as a context manager, or the end of the system.

    Raises:
        InvalidOptionError: An option is none of these.
    """
    if level not in _LEVELS:
        raise InvalidOptionError(f"log_events(level=) must be one of {', '.join(_LEVELS)}, not {level!r}")
    if dead_letters_per_second < 0:
        raise InvalidOptionError(
            f"log_events(dead_letters_per_second=) must be 0 or more, not {dead_letters_per_second!r}"
        )
    return EventLog(system, level, dead_letters_per_second)


class EventLog(Subscription):
    """Logs each event when it happens; see `log_events`."""

    def __init__(self, system: ActorSystem, level: str, dead_letters_per_second: int) -> None:
        super().__init__(system.events)
        self._system = system
        self._lowest = _LEVELS.index(level)
        self._most = dead_letters_per_second
        self._second = 0.0
        self._in_this_second = 0
        self._left_out = 0
        system.events.attach(self)

    def put(self, event: Event) -> None:
        """Log it, if the runtime has not."""
        said = _SAID.get(event.kind)
        if event.logged or said is None:
            return
        level, text = said
        if _LEVELS.index(level) < self._lowest or (event.kind is EventKind.DEAD_LETTER and not self._may_log(event)):
            return
        try:
            facts = self._facts(event)
            if event.caller is not None:
                facts["caller"] = event.caller
            if event.request_id is not None:
                facts["request_id"] = event.request_id
            getattr(_log, level)(text, kind=event.kind.value, actor=event.path, **facts)
        except Exception as error:  # a log that fails must not stop what it tells of
            self._system.loop.call_exception_handler({"message": "an event could not be logged", "exception": error})

    def _may_log(self, event: Event) -> bool:
        if event.at - self._second >= 1.0:
            self._second, self._in_this_second = event.at, 0
        self._in_this_second += 1
        if self._in_this_second > self._most:
            self._left_out += 1
            return False
        return True

    def _facts(self, event: Event) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        detail = event.detail
        if isinstance(detail, DeadLetter):
            facts["reason"] = detail.reason.value
            facts["message"] = type(detail.message).__name__  # not what it says
            if isinstance(detail.message, Interaction):
                facts["interaction"] = detail.message.id
            if detail.sender is not None:
                facts["sender"] = detail.sender.path
            if self._left_out:
                facts["left_out"], self._left_out = self._left_out, 0
        elif detail is not None:
            facts["interaction"] = detail
        if event.reason is not None:
            facts["reason"] = event.reason.value if isinstance(event.reason, StopReason) else event.reason
        if event.error is not None:
            facts["error"] = f"{event.error_type}({event.error!r})"
        if event.ring:
            facts["ring"] = event.ring
        return facts
