"""Playing storms: many seeds of a kind, on all processors, and what came of them."""

import gc
import multiprocessing
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import structlog

from miniagents.testing.run import Run, playing

KINDS = ("supervision", "agents", "pools", "mailboxes", "timers", "service", "models", "journal")
_CHUNK = 50


class Outcome(NamedTuple):
    """A seed that failed, and how; the text is the same one that `simulate` would begin with."""

    seed: int
    kind: str
    failure: str


def storm_of(kind: str) -> Any:
    """The module of a kind: its `storm`, and the virtual seconds `UNTIL` that it may take."""
    return import_module(f"tests.storms.{kind}")


def play(kind: str, seeds: Iterable[int]) -> list[Outcome]:
    """Play seeds one after the other, in this process.

    Returns:
        Those that failed.
    """
    module = storm_of(kind)
    failed = []
    # What is logged in a run is in its trace; what the garbage of failed ones says is of no use. And a task that is
    # cancelled before its first step warns of the coroutine that it was to run.
    with structlog.testing.capture_logs(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        with playing():
            for seed in seeds:
                run = Run(module.storm, seed, module.UNTIL)
                if run.failure is not None:
                    failed.append(Outcome(seed, run.kind, run.failure))
                del run
        if failed:
            gc.collect()
    return failed


def _play_chunk(job: "tuple[str, range]") -> list[Outcome]:
    return play(*job)


def play_at_once(kind: str, seeds: range, processes: int) -> Iterator[Outcome]:
    """Play seeds in several processes, and yield those that failed as they come, in order."""
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if processes == 1:
        for chunk in chunks:
            yield from play(kind, chunk)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for failed in pool.imap(_play_chunk, [(kind, chunk) for chunk in chunks]):
            yield from failed


def likeness(failure: str) -> str:
    """What failures of one sort have in common: the beginning, without paths and numbers."""
    lines = failure.splitlines()
    text = lines[0] if not lines[0].endswith(":") else " ".join(lines[:2])
    return re.sub(r"\d+", "#", re.sub(r"/[\w./-]+", "/…", text.split(";")[0]))[:140]


def report(kind: str, seeds: range, processes: int) -> bool:
    """Play seeds and print what came of them.

    Returns:
        Whether none failed.
    """
    began = time.monotonic()
    first: dict[str, list[Outcome]] = {}
    number = 0
    for outcome in play_at_once(kind, seeds, processes):
        number += 1
        alike = first.setdefault(likeness(outcome.failure), [])
        if len(alike) < 8:
            alike.append(outcome)
        if number <= 20:
            print(f"  {kind} {outcome.seed}: {outcome.failure[:300]}", file=sys.stderr)
    seconds = time.monotonic() - began
    for what, alike in sorted(first.items(), key=lambda item: -len(item[1])):
        print(f"  {what}: seeds {', '.join(str(one.seed) for one in alike)}")
    print(
        f"{kind}: {len(seeds) - number} of the seeds {seeds[0]} to {seeds[-1]} passed, in {seconds:.0f} s", flush=True
    )
    return not number
