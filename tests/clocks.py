"""Clocks for tests that count: how long a turn lasts must not depend on the machine."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from miniagents.actors import actor_cell, dispatcher, helping


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
    clock = SimpleNamespace(monotonic=monotonic, thread_time=monotonic)
    monkeypatch.setattr(dispatcher, "time", clock)
    monkeypatch.setattr(helping, "time", clock)
    monkeypatch.setattr(actor_cell, "monotonic", monotonic)
