"""The runner: it runs the workloads of all peers, interleaved, each in a process of its own."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.catalog import COMMANDS, ENVIRONMENTS, PEERS, WORKLOADS

HERE = Path(__file__).parent
FILES = HERE / "peers"
_LIMIT = 240
_MILLION = 600


class CannotRunError(Exception):
    """An environment cannot be made, or its peer does not start; the text has the reason."""


def python_of(environment: str, folder: Path) -> str:
    """Return the interpreter of an environment, which is created if needed.

    Args:
        environment: A key of `ENVIRONMENTS`.
        folder: The folder of the environments.

    Raises:
        CannotRunError: The environment cannot be made.
    """
    for command in COMMANDS.get(environment, ()):
        if shutil.which(command) is None:
            raise CannotRunError(f"there is no `{command}` here (Debian: apt-get install erlang-base)")
    packages = ENVIRONMENTS[environment]
    if not packages:
        return sys.executable
    home = folder / environment
    python = home / "bin" / "python"
    done = home / ".complete"
    wanted = "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        print(f"making the environment {environment}", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True, text=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
            subprocess.run(install, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise CannotRunError(f"{', '.join(packages)} cannot be installed: {_last_line(error.stderr)}") from error
        done.write_text(wanted)
    return str(python)


def describe(peer: str, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the command that runs a peer, and its description of itself.

    Args:
        peer: A key of `PEERS`.
        folder: The folder of the environments.

    Returns:
        The command without the workload, and a dict with `version`, `workloads` and `unsupported`.

    Raises:
        CannotRunError: The peer does not start on this machine.
    """
    one = PEERS[peer]
    command = [python_of(one.environment, folder), one.file, *one.arguments]
    found = _run([*command, "describe"], _LIMIT)
    if "failed" in found:
        raise CannotRunError(f"it does not start: {found['failed']}")
    return command, found


def measure(peers: list[str], workloads: list[str], rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure in rounds: in each round, each workload with one peer after the other.

    Args:
        peers: Keys of `PEERS`.
        workloads: Keys of `WORKLOADS`.
        rounds: The number of rounds.
        folder: The folder of the environments.

    Yields:
        One row for each measurement, with `peer`, `workload` and `round`. A failed measurement has `failed`, a
        workload that the peer does not support `unsupported`, and a peer that cannot run on this machine `skipped`,
        each with the reason.
    """
    commands: dict[str, list[str]] = {}
    can: dict[str, set[str]] = {}
    for name in peers:
        try:
            commands[name], found = describe(name, folder)
        except CannotRunError as why:
            yield {"peer": name, "skipped": str(why)}
            continue
        can[name] = set(found["workloads"])
        for workload, why_not in found["unsupported"].items():
            if workload in workloads:
                yield {"peer": name, "workload": workload, "unsupported": why_not}
    for number in range(rounds):
        for workload in workloads:
            limit = WORKLOADS[workload].rounds
            if limit is not None and number >= limit:
                continue
            for name, command in commands.items():
                if workload not in can[name] or (workload == "spawn_mem_million" and not PEERS[name].million):
                    continue
                print(f"round {number + 1}/{rounds}  {workload:24}{name:20}", end="\r", file=sys.stderr, flush=True)
                found = _run([*command, workload], _MILLION if workload == "spawn_mem_million" else _LIMIT)
                yield {**found, "peer": name, "workload": workload, "round": number}
    print(file=sys.stderr)


def _run(command: list[str], limit: float) -> dict[str, Any]:
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=FILES, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {limit} s"}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return {**found, "took": round(time.monotonic() - began, 1)}
    return {"failed": _last_line(done.stderr)}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def machine() -> dict[str, Any]:
    """Return the facts that the figures depend on."""
    model = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pinned": hasattr(os, "sched_setaffinity"),
        "load1": round(os.getloadavg()[0], 1),
    }
