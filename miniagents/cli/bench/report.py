"""The output of `miniagents bench`: tables, and a file of JSON."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from miniagents.actors.runner import loop_factory
from miniagents.cli.bench.load import LoadResult
from miniagents.cli.bench.workloads import WorkloadResult
from miniagents.errors import InvalidOptionError

_BUSY = 0.9
"""The share of a core below which other programs have slowed a workload that never waits."""

_WIDTH = 120


def show_workloads(results: Sequence[WorkloadResult]) -> None:
    """Print a table of workloads on stdout."""
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
    slowed = [result.name for result in results if result.cpu < _BUSY and result.bytes_each is None]
    if slowed:
        _print(
            f"Others used the processor meanwhile ({', '.join(slowed)} got less than {_BUSY:.0%} of a core): "
            f"these figures mean little."
        )


def show_load(result: LoadResult) -> None:
    """Print a table of the calls of one agent on stdout."""
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
        " / ".join(f"{size / 2**20:,.1f}" for size in (result.rss_before, result.rss_peak, result.rss_after)) + " MiB",
    )
    _print(table)
    for failure in result.failures:
        first = failure.first.splitlines()[0] if failure.first else ""
        text = "".join(
            character for character in first if character.isprintable()
        )  # the text of an agent must not control the terminal
        text = text if len(text) <= 200 else text[:200] + "..."
        _print(f"{failure.count:,} x {failure.kind}" + (f", the first: {text}" if text else ""))
    if result.interrupted:
        _print("Interrupted: these are the figures so far.")
    _print(_facts_line())


def write_json(path: Path, **results: LoadResult | list[WorkloadResult]) -> None:
    """Write results as JSON, with the facts of the machine.

    Args:
        path: The file.
        **results: The results, by name.

    Raises:
        InvalidOptionError: The file cannot be written.
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


def _print(*parts: RenderableType) -> None:
    # Without a terminal the width is unknown, and rich would take 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False, highlight=False, soft_wrap=False)
    for part in parts:
        console.print(part)
