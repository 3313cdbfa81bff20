"""`log_events`: the events of a system in the log, such as starts, crashes, restarts and dead letters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from miniagents.actors import ActorSystem, DeadLetter, Event, EventKind
from miniagents.actors.observing.events import Subscription
from miniagents.agents import Interaction
from miniagents.errors import InvalidOptionError
from miniagents.log import log as _log
from miniagents.supervision import StopReason

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
"""The level and the log event of each kind. Spans show starts and ends of interactions, so these are not logged."""


def log_events(system: ActorSystem, *, level: str = "debug", dead_letters_per_second: int = 10) -> "EventLog":
    """Log the events of a system through structlog, as the logger "miniagents".

    Each entry has `kind`, `actor` (the path) and, if there is one, `interaction`. Events that the runtime logs itself
    (crashes of actors, supervisors that give up, tools that fail) are not logged twice. Messages are logged by their
    class alone, never by their content.

    Args:
        system: The system; it may be active already.
        level: The lowest level that is logged: debug (starts and ends), info (restarts), warning (crashes of
            interactions, dead letters) or error (hangs, deadlocks, escalations).
        dead_letters_per_second: The most dead letters that are logged in one second, 0 or more. The next entry has the
            number of those left out. `system.dead_letters` counts them all.

    Returns:
        The log. It ends with `close()`, when it is left as a context manager, or with the system.

    Raises:
        InvalidOptionError: `level` is unknown, or `dead_letters_per_second` is negative.

    Example:
        >>> from miniagents import ActorSystem
        >>> with log_events(ActorSystem(), level="warning") as log:
        ...     log.missed
        0
    """
    if level not in _LEVELS:
        raise InvalidOptionError(f"log_events(level=) must be one of {', '.join(_LEVELS)}, not {level!r}")
    if dead_letters_per_second < 0:
        raise InvalidOptionError(
            f"log_events(dead_letters_per_second=) must be 0 or more, not {dead_letters_per_second!r}"
        )
    return EventLog(system, level, dead_letters_per_second)


class EventLog(Subscription):
    """A subscription that logs each event when it happens; see `log_events`.

    Args:
        system: The system.
        level: The lowest level that is logged.
        dead_letters_per_second: The most dead letters that are logged in one second.

    Example:
        >>> from miniagents.ext.telemetry import log_events
        >>> system = ActorSystem()
        >>> log = log_events(system, level="error")
        >>> system.events.wanted
        True
        >>> log.close()
        >>> system.events.wanted
        False
    """

    def __init__(self, system: ActorSystem, level: str, dead_letters_per_second: int) -> None:
        super().__init__(system.events)
        self._system = system
        self._lowest = _LEVELS.index(level)
        self._limit = dead_letters_per_second
        self._second = 0.0
        self._in_this_second = 0
        self._left_out = 0
        system.events.attach(self)

    def put(self, event: Event) -> None:
        """Log an event, unless the runtime has logged it."""
        entry = _SAID.get(event.kind)
        if event.logged or entry is None:
            return
        level, name = entry
        if _LEVELS.index(level) < self._lowest or (event.kind is EventKind.DEAD_LETTER and not self._may_log(event)):
            return
        try:
            facts = self._facts(event)
            if event.caller is not None:
                facts["caller"] = event.caller
            if event.request_id is not None:
                facts["request_id"] = event.request_id
            getattr(_log, level)(name, kind=event.kind.value, actor=event.path, **facts)
        except Exception as error:  # the log must not stop the program
            self._system.loop.call_exception_handler({"message": "an event could not be logged", "exception": error})

    def _may_log(self, event: Event) -> bool:
        if event.at - self._second >= 1.0:
            self._second, self._in_this_second = event.at, 0
        self._in_this_second += 1
        if self._in_this_second > self._limit:
            self._left_out += 1
            return False
        return True

    def _facts(self, event: Event) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        detail = event.detail
        if isinstance(detail, DeadLetter):
            facts["reason"] = detail.reason.value
            if isinstance(detail.message, Interaction):
                facts["message"] = Interaction.__name__  # a durable call has a class of its own, which says nothing
                facts |= {name: value for name, value in detail.message.log_fields.items() if name != "actor"}
            else:
                facts["message"] = type(detail.message).__name__  # never its content
            if detail.error is not None:
                facts["error"] = detail.error
            if detail.sender is not None:
                facts["sender"] = detail.sender.path
            if self._left_out:
                facts["left_out"], self._left_out = self._left_out, 0
        elif detail is not None:
            facts["interaction"] = detail
        optional = {"parent": event.parent, "label": event.label, "attempt": event.attempt}
        facts |= {name: value for name, value in optional.items() if value is not None}
        if event.reason is not None:
            facts["reason"] = event.reason.value if isinstance(event.reason, StopReason) else event.reason
        if event.error is not None:
            facts["error"] = f"{event.error_type}({event.error!r})"
        if event.ring:
            facts["ring"] = event.ring
        return facts
