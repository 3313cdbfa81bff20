"""How long a provider asks to wait."""

import datetime as dt
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.

    Returns:
        0 or more, maybe for ever (inf); None if it does not ask, or if it is not understood.
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
    """How long to wait, in words, and until when."""
    try:
        until = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return "for ever"
    return f"{seconds:.0f} s, until {until.isoformat(' ', 'seconds')}"


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_until(text: str) -> float | None:
    """`6m0s` or `20ms` (OpenAI), or a time in ISO 8601 (Anthropic), as seconds from now."""
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
