"""The rules of durable timers: when a timer is due, first and next. Pure functions of the time of day.

A rule is kept in the journal as text. Cron rules follow Debian's cron at the changes of daylight saving time: a rule
with fixed hours that is skipped in spring is due at the jump, and one that comes twice in autumn is due the first time.
A rule with a wildcard hour follows the time that has passed. `cronsim` does so if the minute is fixed, too. A wildcard
minute is written out for it, so that `*/30 2 * * *` does not come four times in autumn and never in spring.
"""

import datetime as dt
import zoneinfo
from typing import Any, TypeAlias

import msgspec

from miniagents.errors import InvalidOptionError, MissingDependencyError

_FIELDS = 5


class Once(msgspec.Struct, frozen=True, tag="once"):
    """Due once.

    Attributes:
        delay: Seconds from now, 0 or more.
    """

    delay: float

    def first_after(self, now: float) -> float:
        """Return when a timer that is made now is due."""
        return now + self.delay

    def next_after(self, due_at: float, now: float) -> float | None:
        """Return when a timer that was due is due again: never."""
        return None

    def runs_late(self, due_at: float, now: float) -> bool:
        """Return True: a message that was to come once comes, however late."""
        return True


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Due again and again.

    Attributes:
        interval: The period in seconds, more than 0.
    """

    interval: float

    def first_after(self, now: float) -> float:
        """Return when a timer that is made now is due first."""
        return now + self.interval

    def next_after(self, due_at: float, now: float) -> float | None:
        """Return the first time after now that is a number of whole periods after `due_at`."""
        missed = max((now - due_at) // self.interval, 0)
        return due_at + (missed + 1) * self.interval

    def runs_late(self, due_at: float, now: float) -> bool:
        """Return True: of the ticks that were missed, the last one is less than a period late."""
        return True


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """Due at times of day.

    Attributes:
        rule: The five fields of cron: minute, hour, day of the month, month, day of the week.
        zone: The name of the time zone.
        max_late: How many seconds late a missed tick may run, 0 or more; None for one period.
    """

    rule: str
    zone: str
    max_late: float | None = None

    def first_after(self, now: float) -> float:
        """Return the first time after now that fits.

        Raises:
            InvalidOptionError: No time fits the rule, or it is none.
            MissingDependencyError: `cronsim` is not installed.
        """
        start = dt.datetime.fromtimestamp(now, _zone(self.zone))
        for due in _times(self.rule, start):
            due_at: float = due.timestamp()
            if due_at > now:  # in an hour that comes twice, the first one may be over
                return due_at
        raise InvalidOptionError(f"schedule_cron({self.rule!r}): no time fits this rule within 50 years")

    def next_after(self, due_at: float, now: float) -> float | None:
        """Return the first time that fits, after both now and the time at which the timer was due."""
        return self.first_after(max(due_at, now))

    def runs_late(self, due_at: float, now: float) -> bool:
        """Return True if the last time that was missed is no more than `max_late` ago."""
        if self.max_late is None or now - due_at <= self.max_late:
            return True
        return self.first_after(now - self.max_late - 1e-6) <= now


Rule: TypeAlias = Once | Every | Cron

_decoder: msgspec.json.Decoder[Rule] = msgspec.json.Decoder(Rule)


def text_of(rule: Rule) -> str:
    """Return a rule as the text that a journal keeps."""
    return msgspec.json.encode(rule).decode()


def rule_of(text: str) -> Rule:
    """Return the rule of such a text."""
    return _decoder.decode(text)


def _zone(name: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise InvalidOptionError(
            f"schedule_cron(zone=) is the name of a time zone, such as 'Europe/Berlin', not {name!r}; where the system "
            f"has no time zones, install miniagents[journal]"
        ) from error


def _times(rule: str, start: dt.datetime) -> Any:
    """Return the times that fit a rule, from the one after `start` on."""
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise MissingDependencyError("schedule_cron() needs cronsim: pip install 'miniagents[journal]'") from error
    fields = rule.split()
    if len(fields) != _FIELDS:
        raise InvalidOptionError(f"schedule_cron({rule!r}): a rule has five fields, as '0 9 * * 1-5'")
    if not fields[1].startswith("*"):
        fields[0] = fields[0].replace("*", "0-59")
    try:
        return CronSim(" ".join(fields), start)
    except CronSimError as error:
        raise InvalidOptionError(f"schedule_cron({rule!r}): {error}; a rule is, for example, '0 9 * * 1-5'") from error
