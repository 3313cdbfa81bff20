"""Workloads that other modules of `benchmarks` measure, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def figure_of(module: str, *arguments: str) -> Any:
    """Run `python -m benchmarks.<module>`, and return the figure that it prints as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout)


def imported(statement: str) -> Callable[[int], Awaitable[float]]:
    """Return the workload of one statement: see `benchmarks.imports`."""

    async def run(n: int) -> float:
        return float(figure_of("imports", "--one", statement, "--rounds", str(n))["ratio"])

    return run


async def first_call(n: int) -> float:
    """See `benchmarks.first_call`."""
    return 1000 * float(figure_of("first_call", "--longest", str(n))["longest callback"])


WORKLOADS = dict(first_call=first_call, **{"import": imported("bare")}, import_used=imported("used"))
DEFAULTS = dict(first_call=500, **{"import": 11}, import_used=11)
