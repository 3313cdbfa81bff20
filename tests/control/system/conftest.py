"""A runtime folder, and questions to a system."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagents import ActorSystem
from miniagents.control import address, ask

Asked = Callable[..., Awaitable[Any]]
"""Asks a system: the system, the command, its arguments by name."""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test alone."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(address, "_folders", lambda: [Path(folder) / "m"])
        yield Path(folder) / "m"


@pytest.fixture
def asked() -> Asked:
    """Asks a system from a thread, as another process would."""

    async def asked(system: ActorSystem, command: str, **arguments: Any) -> Any:
        assert system.control is not None
        return await asyncio.to_thread(ask, system.control.path, command, arguments, patience=20)

    return asked
