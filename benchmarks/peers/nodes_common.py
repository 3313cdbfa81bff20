"""What the peers with actors in another process have in common. Processes of one machine have one monotonic clock."""

import statistics
import time

STREAMS = 50


def lateness(token: str) -> float:
    """The seconds since a token was made."""
    return (time.monotonic_ns() - int(token)) / 1e9


def median_ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1000
