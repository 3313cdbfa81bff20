"""`python -m tests.soak [--quick] [PART ...]`: runs the soaks one after the other, and writes their figures.

The parts are `swarm`, `count`, `storms`, `cluster`, `killed`, `losses`, `nodes`, `service` and `flat`; all of them, if
none is named. The figures of a full run go into `benchmarks/SOAK.md`. With `--quick` everything is small, and nothing
is written.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.soak import counting, nodes, swarm
from tests.storms.playing import report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "benchmarks" / "SOAK.md"
FIGURES = PAGE.with_suffix(".json")

HEAD = """# Soak

What takes longer than an ordinary test run allows. `make soak` runs all of it and makes this page. The same programs
run in small in `tests/soak/test_soak.py`. A run that breaks a promise stops with an error, and writes nothing.
"""


def soak_swarm(folder: Path, *, quick: bool) -> str:
    figures = swarm.play(folder, kills=3 if quick else 100)
    kills = ", ".join(f"{count} with {name}" for name, count in sorted(figures.kills.items()))
    return (
        f"A job of {figures.agents} calls of agents and {figures.answers:,} requests to a model was ended "
        f"{sum(figures.kills.values())} times ({kills}) and went on each time. No recorded answer was asked for again: "
        f"{figures.answers:,} answers are recorded, and the provider has given {figures.requests:,}, so "
        f"{figures.requests - figures.answers} were lost before they were on disk. In {figures.fruitless} lives "
        f"nothing was committed. Each message to a durable actor was handled once. {figures.seconds:.0f} s."
    )


def soak_count(folder: Path, *, quick: bool) -> str:
    figures = counting.play(folder, messages=1_500 if quick else 100_000, kills=3 if quick else 100)
    return (
        f"A durable mailbox was sent {figures.messages:,} messages under ids, {figures.sent - figures.messages:,} of "
        f"them again, while its process was ended {figures.kills} times. It has counted {figures.total:,}. "
        f"{figures.seconds:.0f} s."
    )


def soak_storms(_: Path, *, quick: bool) -> str:
    seeds, began = range(1_000_000, 1_000_000 + (50 if quick else 5_000)), time.monotonic()
    assert report("journal", seeds, processes=1), "a seed failed"
    seconds = time.monotonic() - began
    return f"{len(seeds):,} random programs that were killed at drawn writes kept all promises. {seconds:.0f} s."


def soak_cluster(_: Path, *, quick: bool) -> str:
    links, storms, began = (100, 20, time.monotonic()) if quick else (10_000, 2_000, time.monotonic())
    command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=7200"]
    environment = {**os.environ, "CLUSTER_RUNS": str(links), "CLUSTER_STORMS": str(storms)}
    tests = ["tests/cluster/test_model.py", "tests/cluster/test_durable_model.py", "tests/cluster/test_storms.py"]
    subprocess.run([*command, *tests], cwd=ROOT, env=environment, check=True)
    return (
        f"{links:,} random histories of the links between nodes, with frames that were lost, doubled, late and out of "
        f"order, as many of durable actors on nodes that died, were cut off and left, and {storms:,} random programs "
        f"on three nodes that were lost at drawn moments: no promise without an ending, and no message twice. "
        f"{time.monotonic() - began:.0f} s."
    )


def soak_killed(_: Path, *, quick: bool) -> str:
    runs, began = 1 if quick else 10, time.monotonic()
    tests = ["tests/examples/test_research_swarm_nodes.py", "tests/ext/ray/test_durable.py"]
    _tested(tests, {"SWARM_RUNS": str(runs)})
    return (
        f"On a real Ray, {runs} times each: a swarm whose node runtime was killed, whose raylet was killed, and whose "
        f"node runtime was stopped, while its readers were called; its citations were those of one process. A swarm as "
        f"a job whose node was killed, and that was run again: its model was asked nothing twice. A durable actor "
        f"whose node was killed under 200 messages: the same actor, and each message once. A job whose node was killed "
        f"between 30 answers: no recorded answer was asked for again. {time.monotonic() - began:.0f} s."
    )


def soak_losses(_: Path, *, quick: bool) -> str:
    runs, began = 1 if quick else 10, time.monotonic()
    for _run in range(runs):
        _tested(["tests/ext/ray/test_cluster.py", "tests/ext/ray/test_launcher.py", "tests/ext/ray/test_keeper.py"])
    return (
        f"{runs} runs, each on clusters of its own, of the tests of each row of the table of losses "
        f"(docs/guides/cluster-on-ray.md): every ask had its ending, every actor was placed again, nothing was left "
        f"behind. "
        f"{time.monotonic() - began:.0f} s."
    )


def _tested(tests: list[str], environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run test modules in a process of their own, and raise an error if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)


def soak_nodes(_: Path, *, quick: bool) -> str:
    seconds = 30.0 if quick else float(os.environ.get("NODES_DURATION") or 1800)
    figures = asyncio.run(nodes.play(seconds, float(os.environ.get("NODES_PAUSE") or 0)))
    if not quick:
        assert not figures.grown(), f"it grows: {figures.grown()}"
    return (
        f"Two nodes on Ray for {figures.seconds:.0f} s: {figures.tells:,} messages, {figures.asks:,} questions and "
        f"{figures.tokens:,} tokens of streams, and no message was lost. In MiB, in the second and in the last quarter "
        f"of the time:\n\n{figures.table()}\n\nOf {nodes.CANCELLED} questions and {nodes.CANCELLED} streams that were "
        f"cancelled 100 ms after their start, nothing ran on their node any more when `aclose` returned."
    )


def soak_service(_: Path, *, quick: bool) -> str:
    seconds = "20" if quick else os.environ.get("DURATION") or "3600"
    command = [sys.executable, "-m", "benchmarks.calm", "--soak", "--clients", "100", "--pause", "0.1"]
    environment = {**os.environ, "DURATION": seconds}
    output = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    return f"A service with 100 calm streams for {seconds} s:\n\n```\n{output.strip()}\n```"


def soak_flat(_: Path, *, quick: bool) -> str:
    command = [sys.executable, "-m", "benchmarks.flatness", *(["--quick"] if quick else [])]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return f"`python -m benchmarks.flatness` says:\n\n```\n{output.strip()}\n```"


PARTS: dict[str, tuple[str, Callable[..., str]]] = {
    "swarm": ("A swarm that is killed", soak_swarm),
    "count": ("A mailbox that counts", soak_count),
    "storms": ("Storms with a journal", soak_storms),
    "cluster": ("Links and nodes that fail", soak_cluster),
    "killed": ("Nodes of a real Ray that are killed", soak_killed),
    "losses": ("The table of losses", soak_losses),
    "nodes": ("Nodes under load", soak_nodes),
    "service": ("A service that stays flat", soak_service),
    "flat": ("Flatness", soak_flat),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Run the soaks.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="in small, to see whether it runs; nothing is written")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name in given.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            figures[name] = PARTS[name][1](Path(folder), quick=given.quick)
        print(f"{name}: {figures[name]}", flush=True)
        if not given.quick:
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
            PAGE.write_text(page(figures))


def page(figures: dict[str, str]) -> str:
    """Return the page of the figures."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}."
    parts = [f"## {title}\n\n{figures[name]}\n" for name, (title, _) in PARTS.items() if name in figures]
    return "\n".join([HEAD, machine + "\n", *parts])


if __name__ == "__main__":
    main()
