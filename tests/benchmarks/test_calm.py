"""`calm`: calm streams, their figures, and a soak."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.calm import Round, is_flat
from benchmarks.serving import Load

ROOT = Path(__file__).parents[2]
FEW = ("--clients", "4", "--pause", "0.02", "--tokens", "5")


def run(*arguments: str, duration: str = "1") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.calm", *arguments],
        cwd=ROOT,
        env={**os.environ, "DURATION": duration},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([50.0], True),
        ([40.0, 50.0, 50.0, 51.4], True),
        ([40.0, 50.0, 50.0, 51.6], False),
        ([40.0, 50.0, 60.0, 50.0], True),
    ],
)
def test_memory_is_flat_if_it_has_not_grown_since_the_first_quarter(sizes: list[float], expected: bool) -> None:
    assert is_flat(sizes) is expected


def test_a_round_that_took_less_cpu_than_its_clock_tells_has_figures() -> None:
    load = Load(first=[0.1, 0.2], seconds=1.0)
    figures = Round(load, late=[0.0, 0.1], pauses=[(0, 0.001)], cpu=0.0, rss=50.0).figures()

    assert figures["of CPU, %"] == 0.0
    assert figures["gc share, %"] == pytest.approx(0.1)


@pytest.mark.slow
def test_a_comparison_shows_each_figure_of_both_servers() -> None:
    done = run(*FEW, "--times", "3", "--rounds", "1")

    assert done.returncode == 0, done.stderr
    for figure in ("first p99", "late p99", "gc max", "gc full", "CPU a stream", "MiB"):
        assert any(line.startswith(figure) and "by hand" in line for line in done.stdout.splitlines()), figure


@pytest.mark.slow
def test_a_soak_reads_the_memory_and_ends_with_a_verdict() -> None:
    done = run(*FEW, "--soak", duration="3")

    *readings, verdict = done.stdout.splitlines()
    assert len(readings) >= 5
    assert all("MiB" in reading and "broken 0" in reading for reading in readings)
    assert verdict.startswith("flat") is (done.returncode == 0), done.stdout
