"""Delays that providers ask for, in their headers."""

import datetime as dt
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the delay in `retry-after-ms`, or in `retry-after`, which has seconds or a date.

    Args:
        headers: The headers of a response, their names in lower case.

    Returns:
        Seconds, 0 or more, maybe infinite; None if there is no such header, or it has no such value.
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        return max(seconds, 0.0) if not math.isnan(seconds) else None
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC)
    return max((date - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)


def duration(seconds: float) -> str:
    """Return a delay in words, with the time at which it ends."""
    try:
        until = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return "for ever"
    return f"{seconds:.0f} s, until {until.isoformat(' ', 'seconds')}"


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_until(text: str) -> float | None:
    """Return the seconds in `6m0s` or `20ms` (OpenAI) or until a time in ISO 8601 (Anthropic); None for other texts."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return max((at - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)
