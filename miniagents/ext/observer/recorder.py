"""`FlightRecorder`: what went on lately, within one budget of bytes, for whoever opens the page after it went wrong."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Protocol

DEFAULT_BUDGET = 64 * 2**20
"""The bytes that the recorder keeps at most."""


class Recorded(Protocol):
    """Something that the recorder keeps.

    Attributes:
        kind: Its kind, for the counts of what was dropped.
        size: Its bytes, estimated.
        at: The time at which it was over, in seconds since the epoch.
    """

    @property
    def kind(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def at(self) -> float: ...

    def forget(self) -> None:
        """Take leave of all that leads here: the recorder has dropped it."""


class FlightRecorder:
    """A ring of what went on, whose budget is one number of bytes for all kinds together. The oldest goes first, and
    recording never stops.

    Args:
        budget_bytes: The most bytes, 0 or more.

    Attributes:
        budget_bytes: The most bytes.
        bytes: The bytes in use, as far as they are estimated.
        dropped: How many were dropped, by kind.
        dropped_until: The time of the youngest that was dropped, in seconds since the epoch; None if none was.

    Example:
        >>> recorder = FlightRecorder(1000)
        >>> len(recorder), recorder.bytes, recorder.oldest_at
        (0, 0, None)
    """

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET) -> None:
        self.budget_bytes = budget_bytes
        self.bytes = 0
        self.dropped: Counter[str] = Counter()
        self.dropped_until: float | None = None
        self._entries: deque[Recorded] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self._entries)

    @property
    def oldest_at(self) -> float | None:
        """The time of the oldest entry, in seconds since the epoch; None if there is none."""
        return self._entries[0].at if self._entries else None

    def keep(self, entry: Recorded) -> None:
        """Keep one more, and drop the oldest ones that it takes the place of.

        Args:
            entry: The entry. Its size must not change any more.
        """
        self._entries.append(entry)
        self.bytes += entry.size
        while self.bytes > self.budget_bytes and self._entries:
            oldest = self._entries.popleft()
            self.bytes -= oldest.size
            self.dropped[oldest.kind] += 1
            self.dropped_until = oldest.at
            oldest.forget()
