"""Threads that hang hold up neither other calls nor the end of the program."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from miniagents import ActorSystem
from miniagents.actors.threads import DaemonExecutor
from miniagents.errors import InvalidOptionError

pytestmark = pytest.mark.real_time


class Gate:
    """Calls that run until it opens."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.opened = threading.Event()

    def hang(self) -> str:
        self.began.release()
        self.opened.wait(20)
        return "late"

    def wait_for(self, number: int) -> None:
        for _ in range(number):
            assert self.began.acquire(timeout=10)


@pytest.fixture
def gate() -> Any:
    made = Gate()
    yield made
    made.opened.set()


def test_calls_run_in_daemon_threads_and_give_their_results_and_errors() -> None:
    executor = DaemonExecutor(name="mine")

    assert executor.submit(lambda x, y=0: (x, y), 1, y=2).result(10) == (1, 2)
    assert executor.submit(lambda: threading.current_thread().daemon).result(10)
    assert executor.submit(lambda: threading.current_thread().name).result(10) == "mine"
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(10)
    assert executor.running == ""


def test_no_more_calls_run_at_once_than_allowed_and_the_others_follow(gate: Gate) -> None:
    executor = DaemonExecutor(2)
    hanging = [executor.submit(gate.hang) for _ in range(2)]
    gate.wait_for(2)

    third = executor.submit(lambda: "third")

    assert executor.running == "Gate.hang (2)"
    assert not third.done()
    gate.opened.set()
    assert third.result(10) == "third"
    assert [call.result(10) for call in hanging] == ["late", "late"]


def test_a_call_that_is_cancelled_while_it_runs_gives_its_place_to_the_next_one(gate: Gate) -> None:
    executor = DaemonExecutor(1)
    hanging = executor.submit(gate.hang)
    gate.wait_for(1)
    waiting = executor.submit(lambda: "at last")
    assert not waiting.done()

    assert not hanging.cancel()

    assert waiting.result(10) == "at last"
    assert executor.running == "Gate.hang"


def test_a_call_that_is_cancelled_before_it_begins_never_runs(gate: Gate) -> None:
    executor, ran = DaemonExecutor(1), list[int]()
    executor.submit(gate.hang)
    gate.wait_for(1)
    waiting = executor.submit(ran.append, 1)

    assert waiting.cancel()

    gate.opened.set()
    executor.submit(lambda: None).result(10)
    assert ran == []
    with pytest.raises(CancelledError):
        waiting.result(0)


def test_a_thread_that_was_replaced_ends_with_its_call(gate: Gate) -> None:
    executor = DaemonExecutor(1)
    first: Future[int] = executor.submit(lambda: (gate.hang(), threading.get_ident())[1])
    gate.wait_for(1)
    first.cancel()
    second = executor.submit(threading.get_ident)
    gate.opened.set()

    assert first.result(10) != second.result(10)
    assert executor.submit(threading.get_ident).result(10) == second.result()


def test_when_too_many_calls_hang_the_next_one_is_refused_with_their_names(gate: Gate) -> None:
    executor = DaemonExecutor(2, most_hung=2)
    for _ in range(2):
        call = executor.submit(gate.hang)
        gate.wait_for(1)
        call.cancel()

    with pytest.raises(RuntimeError, match=r"2 threads hang, .*: Gate.hang \(2\)"):
        executor.submit(gate.hang)


def test_shutdown_waits_for_the_grace_and_names_what_it_leaves(gate: Gate, log: list[dict[str, Any]]) -> None:
    executor, began = DaemonExecutor(grace=0.2), time.monotonic()
    executor.submit(gate.hang)
    gate.wait_for(1)

    executor.shutdown()

    assert 0.2 <= time.monotonic() - began < 5
    assert [one["calls"] for one in log if one["event"] == "shutdown.threads_left"] == ["Gate.hang"]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(gate.hang)


def test_shutdown_lets_end_what_ends_in_time() -> None:
    executor = DaemonExecutor(1)
    calls = [executor.submit(time.sleep, 0.01) for _ in range(3)]

    executor.shutdown()

    assert all(call.done() for call in calls)


def test_shutdown_also_waits_for_a_call_that_was_cancelled(gate: Gate, log: list[dict[str, Any]]) -> None:
    executor, written = DaemonExecutor(grace=10), list[str]()
    call = executor.submit(lambda: written.append(gate.hang()))
    gate.wait_for(1)
    call.cancel()
    threading.Timer(0.05, gate.opened.set).start()

    executor.shutdown()

    assert written == ["late"]
    assert log == []


def test_shutdown_may_cancel_what_has_not_begun(gate: Gate) -> None:
    executor = DaemonExecutor(1)
    executor.submit(gate.hang)
    gate.wait_for(1)
    waiting = executor.submit(lambda: None)

    executor.shutdown(wait=False, cancel_futures=True)

    assert waiting.cancelled()


@pytest.mark.parametrize("options", [{"most": 0}, {"most_hung": 0}, {"grace": -1}, {"grace": float("nan")}])
def test_an_option_outside_its_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(options))):
        DaemonExecutor(**options)


async def test_a_system_gives_its_loop_daemon_threads_and_a_timeout_frees_one_of_them(gate: Gate) -> None:
    async with ActorSystem():
        assert await asyncio.to_thread(lambda: threading.current_thread().daemon)
        executor = asyncio.get_running_loop()._default_executor  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(gate.hang), 0.05)
        assert executor.running == "Gate.hang"


async def test_threads_that_a_loop_has_already_are_left_alone() -> None:
    await asyncio.to_thread(lambda: None)
    before = asyncio.get_running_loop()._default_executor  # type: ignore[attr-defined]
    async with ActorSystem():
        assert asyncio.get_running_loop()._default_executor is before  # type: ignore[attr-defined]


_PROGRAM = """
import asyncio, sys, threading
from miniagents import MiniAgents
from miniagents.actors import threads

threads.DaemonExecutor.__init__.__kwdefaults__["grace"] = 0.2

def hang():
    print("hangs", flush=True)
    threading.Event().wait()

async def main():
    task = asyncio.ensure_future(asyncio.to_thread(hang))
    await asyncio.sleep(0.3)
    if "wait" in sys.argv:
        await task

async def whole():
    async with MiniAgents():
        await main()

if "run" in sys.argv:
    MiniAgents().run(main())
else:
    asyncio.run(whole())
print("over", flush=True)
"""


def _started(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("how", ["run", "asyncio.run"])
def test_a_program_ends_though_a_thread_of_asyncio_hangs(how: str) -> None:
    program = _started(how)
    said, complaints = program.communicate(timeout=20)

    assert (program.returncode, said.splitlines()) == (0, ["hangs", "over"]), complaints
    assert "shutdown.threads_left" in complaints
    assert "calls=hang" in complaints


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_program_whose_thread_hangs(signal_name: str) -> None:
    program = _started("run", "wait")
    assert program.stdout is not None
    assert program.stdout.readline() == "hangs\n"

    program.send_signal(getattr(signal, signal_name))

    program.communicate(timeout=20)
    assert program.returncode == -getattr(signal, signal_name)
