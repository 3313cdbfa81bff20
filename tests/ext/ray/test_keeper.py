"""The keeper of an own cluster: what it leaves when it or its driver is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

from miniagents.ext.ray.own import remove_abandoned
from tests.ext.ray.clusters import processes

KEEPER = ["-m", "miniagents.ext.ray.keeper"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def killed_driver() -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A driver in a process of its own, with its folder and the process of its node."""
    process = subprocess.Popen([sys.executable, "-m", "tests.ext.ray.driver"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        folder, pid = process.stdout.readline().split()
        yield process, Path(folder), int(pid)
        process.kill()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_ten_seconds_after_a_driver_was_killed_no_process_and_no_file_of_it_is_left(
    killed_driver: tuple[subprocess.Popen[str], Path, int], stopped: bool
) -> None:
    process, folder, pid = killed_driver
    assert len(processes(str(folder))) > 5
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    killed_at = time.monotonic()

    process.kill()
    while processes(str(folder)) or folder.exists():
        assert time.monotonic() - killed_at < 10
        time.sleep(0.1)


def test_what_a_keeper_leaves_that_is_killed_with_its_driver_is_removed_at_the_next_start(
    killed_driver: tuple[subprocess.Popen[str], Path, int],
) -> None:
    process, folder, _ = killed_driver
    (keeper,) = [pid for pid in processes(str(folder)) if psutil.Process(pid).cmdline()[1:3] == KEEPER]

    os.kill(keeper, signal.SIGKILL)
    process.kill()
    process.wait()
    while keeper in processes(str(folder)):
        time.sleep(0.02)
    assert folder.exists()
    remove_abandoned()

    while folder.exists():  # the lock is free, and the folder no longer written to, when the last process has ended
        time.sleep(0.02)
        remove_abandoned()
    while processes(str(folder)):
        time.sleep(0.02)
