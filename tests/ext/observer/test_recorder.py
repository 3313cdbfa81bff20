from dataclasses import dataclass, field

import pytest

from miniagents.errors import InvalidOptionError
from miniagents.ext.observer import WebObserver
from miniagents.ext.observer.recorder import FlightRecorder


@dataclass
class Entry:
    size: int
    at: float
    kind: str = "thing"
    forgotten: list[float] = field(default_factory=list)

    def forget(self) -> None:
        self.forgotten.append(self.at)


def test_the_oldest_goes_first_when_the_budget_is_used_up() -> None:
    recorder = FlightRecorder(100)
    entries = [Entry(size=40, at=float(number)) for number in range(4)]

    for entry in entries:
        recorder.keep(entry)

    assert list(recorder) == entries[2:]
    assert recorder.bytes == 80
    assert recorder.oldest_at == 2.0
    assert (recorder.dropped["thing"], recorder.dropped_until) == (2, 1.0)
    assert [entry.forgotten for entry in entries] == [[0.0], [1.0], [], []]


def test_the_budget_itself_may_be_used() -> None:
    recorder = FlightRecorder(100)

    for number in range(2):
        recorder.keep(Entry(size=50, at=float(number)))

    assert (len(recorder), recorder.bytes, recorder.dropped.total()) == (2, 100, 0)


def test_what_is_larger_than_the_budget_is_dropped_with_all_before_it_and_recording_goes_on() -> None:
    recorder = FlightRecorder(100)
    recorder.keep(Entry(size=10, at=0.0))

    recorder.keep(Entry(size=101, at=1.0))
    assert (len(recorder), recorder.bytes, recorder.oldest_at) == (0, 0, None)

    recorder.keep(Entry(size=10, at=2.0))
    assert (len(recorder), recorder.bytes) == (1, 10)


def test_a_budget_of_nothing_keeps_nothing() -> None:
    recorder = FlightRecorder(0)
    recorder.keep(Entry(size=1, at=0.0))

    assert (len(recorder), recorder.bytes, recorder.dropped.total()) == (0, 0, 1)


def test_a_budget_below_nothing_is_a_mistake() -> None:
    with pytest.raises(InvalidOptionError, match="budget_bytes="):
        WebObserver(budget_bytes=-1)
