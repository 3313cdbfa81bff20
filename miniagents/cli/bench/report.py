"""What `miniagents bench` shows and writes."""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from miniagents.actors.runner import loop_factory
from miniagents.cli.bench.load import LoadResult
from miniagents.cli.bench.workloads import Took
from miniagents.errors import InvalidOptionError

_BUSY = 0.9
"""The share of a core below which a workload that never waits was kept from running by others."""

_WIDTH = 120


class WorkloadResult(msgspec.Struct, frozen=True):
    """What was measured of a built-in workload.

    Attributes:
        operations: How many operations a run is.
        per_second: Operations per second, of each run.
        median: Their median.
        cpu: The share of one core that this process got.
        bytes_each: Memory of each, where that is the question.
    """

    name: str
    what: str
    operations: int
    per_second: tuple[float, ...]
    median: float
    cpu: float
    bytes_each: float | None

    @classmethod
    def of(cls, name: str, what: str, runs: Sequence[Took]) -> "WorkloadResult":
        """Sum up its runs, one or more."""
        rates = tuple(run.operations / run.seconds for run in runs)
        return cls(
            name=name,
            what=what,
            operations=runs[0].operations,
            per_second=rates,
            median=statistics.median(rates),
            cpu=statistics.median(run.cpu / run.seconds for run in runs),
            bytes_each=statistics.median(run.bytes / run.operations for run in runs) if runs[0].bytes else None,
        )


def show_workloads(results: Sequence[WorkloadResult]) -> None:
    """Print a table on stdout."""
    if not results:
        _print("Nothing was measured.")
        return
    table = Table(
        "workload", _right("per second"), _right("min - max"), _right("us each"), "one operation is", box=SIMPLE_HEAD
    )
    for result in results:
        if result.bytes_each is not None:
            table.add_row(result.name, "", "", "", f"{result.bytes_each:,.0f} {result.what}")
            continue
        low, high = min(result.per_second), max(result.per_second)
        table.add_row(
            result.name,
            f"{result.median:,.0f}",
            f"{low:,.0f} - {high:,.0f}",
            f"{1e6 / result.median:.2f}",
            result.what,
        )
    _print(table, _facts_line())
    kept_waiting = [result.name for result in results if result.cpu < _BUSY and result.bytes_each is None]
    if kept_waiting:
        _print(
            f"Others used the processor meanwhile ({', '.join(kept_waiting)} got less than {_BUSY:.0%} of a core): "
            f"these figures mean little."
        )


def show_load(result: LoadResult) -> None:
    """Print a table on stdout."""
    table = Table("", _right(result.target), box=SIMPLE_HEAD)
    table.add_row("calls", f"{result.done:,} of {result.calls:,}, {result.concurrency:,} at a time")
    table.add_row("throughput", f"{result.per_second:,.1f} a second, over {result.seconds:.2f} s")
    for name, value in (
        ("latency p50", result.p50),
        ("latency p90", result.p90),
        ("latency p99", result.p99),
        ("latency max", result.longest),
    ):
        table.add_row(name, f"{value * 1000:,.2f} ms" if result.succeeded else "-")
    table.add_row("errors", f"{result.done - result.succeeded:,}")
    table.add_row("processor", f"{result.cpu:.0%} of a core")
    table.add_row(
        "memory before, peak, after",
        " / ".join(f"{one / 2**20:,.1f}" for one in (result.rss_before, result.rss_peak, result.rss_after)) + " MiB",
    )
    _print(table)
    for failure in result.failures:
        first = failure.first.splitlines()[0] if failure.first else ""
        text = "".join(character for character in first if character.isprintable())  # what agents say is only text
        text = text if len(text) <= 200 else text[:200] + "..."
        _print(f"{failure.count:,} x {failure.kind}" + (f", the first: {text}" if text else ""))
    if result.interrupted:
        _print("Interrupted: these are the figures so far.")
    _print(_facts_line())


def write_json(path: Path, **results: Any) -> None:
    """Write results, with the facts of the machine.

    Raises:
        InvalidOptionError: It cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode({"machine": _facts(), **results}), indent=1)
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise InvalidOptionError(f"--json {path}: {error.strerror}") from error


def _facts() -> dict[str, Any]:
    factory = loop_factory()
    return {
        "miniagents": version("miniagents"),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "loop": "asyncio" if factory is None else f"uvloop {version('uvloop')}",
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }


def _facts_line() -> str:
    facts = _facts()
    return (
        f"miniagents {facts['miniagents']}, {facts['implementation']} {facts['python']}, {facts['loop']}, "
        f"{facts['cores']} cores, {facts['system']}"
    )


def _right(title: str) -> Column:
    return Column(Text(title), justify="right")


def _print(*parts: Any) -> None:
    # Where it is no terminal, nobody's width is known; rich would take 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False, highlight=False, soft_wrap=False)
    for part in parts:
        console.print(part)
