"""Clocks for tests that count: how long a turn lasts must not depend on the machine."""

import itertools
from collections.abc import Callable

import pytest

from miniagents.actors.cells import actor_cell
from miniagents.actors.dispatch.scheduling import Scheduling


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still."""
    _set(monkeypatch, lambda: 0.0)


@pytest.fixture
def ticking_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on by 50 microseconds whenever it is looked at."""
    ticks = itertools.count()
    _set(monkeypatch, lambda: next(ticks) * 50e-6)


def _set(monkeypatch: pytest.MonkeyPatch, monotonic: Callable[[], float]) -> None:
    monkeypatch.setattr(Scheduling, "clock", staticmethod(monotonic))
    monkeypatch.setattr(Scheduling, "cpu_clock", staticmethod(monotonic))
    monkeypatch.setattr(actor_cell, "monotonic", monotonic)
