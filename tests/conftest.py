"""What all tests share: virtual time, and a log that is kept instead of printed."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.virtual_time import VirtualTimeLoop

settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture(autouse=True)
def log() -> Iterator[list[Any]]:
    """What was logged, as dicts."""
    with structlog.testing.capture_logs() as entries:
        yield entries
