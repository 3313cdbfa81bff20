"""What all tests share: virtual time, and a log that is kept instead of printed."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from miniagents.testing import VirtualTimeLoop

settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


pytest_plugins = ["miniagents.testing.fixtures"]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time, save for tests that talk to a real server."""
    if item.get_closest_marker("real_time") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}


def pytest_configure() -> None:
    """Let SIGINT reach the programs that tests start: a shell starts jobs in the background with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Hide modules and test items from the garbage collector: many tests collect, and each would walk all of them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Fail a test that has run into its timeout and goes on: what it tests has swallowed the exception of that."""
    report: Any = yield
    marker = item.get_closest_marker("timeout")
    most = float(marker.args[0] if marker is not None else item.config.getini("timeout"))
    if report.passed and call.duration > most:
        report.outcome = "failed"
        report.longrepr = f"it took {call.duration:.0f} s of {most:.0f}, and passed since its timeout was swallowed"
    return report


@pytest.fixture(autouse=True)
def control() -> Iterator[None]:
    """No control socket after a test that has called `serve`, which sets this variable, in this process."""
    yield
    os.environ.pop("MINIAGENTS_CONTROL", None)


@pytest.fixture(autouse=True)
def log() -> Iterator[list[Any]]:
    """What was logged, as dicts."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def thresholds() -> Iterator[None]:
    """Thresholds of the garbage collector that can be told from the usual ones: 701, 11 and 12."""
    before = gc.get_threshold()
    gc.set_threshold(701, 11, 12)
    yield
    gc.set_threshold(*before)
