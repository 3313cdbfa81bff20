"""A clock that stands still, for tests that count: how long a turn lasts must not depend on the machine."""

from types import SimpleNamespace

import pytest

from miniagents.actors import actor_cell, dispatcher, helping


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    still = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(dispatcher, "time", still)
    monkeypatch.setattr(helping, "time", still)
    monkeypatch.setattr(actor_cell, "monotonic", still.monotonic)
