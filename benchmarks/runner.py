"""Runs every peer's workloads, interleaved, one process each."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE / "peers"

ENVIRONMENTS = {
    "ours": (),
    "actors": ("uvloop", "msgspec", "pykka==4.5.0", "thespian==4.0.1", "xoscar==0.12.2", "autogen-core==0.7.5"),
    "old": ("uvloop", "msgspec", "miniagents==0.0.35"),
}
"""Virtual environments, and what is installed in them; `ours` is the one that runs this."""

RUNS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "miniagents": ("ours", "peer_ours.py", ()),
    "raw-deque": ("ours", "peer_raw.py", ("--variant", "deque")),
    "raw-drain": ("ours", "peer_raw.py", ("--variant", "drain")),
    "raw-queue": ("ours", "peer_raw.py", ("--variant", "queue")),
    "pykka-1core": ("actors", "peer_pykka.py", ("--one-core",)),
    "thespian": ("actors", "peer_thespian.py", ()),
    "xoscar": ("actors", "peer_xoscar.py", ()),
    "autogen-core": ("actors", "peer_autogen_core.py", ()),
    "miniagents-0.0.35": ("old", "peer_miniagents_0_0_35.py", ()),
}
"""Who is measured: the environment, the file, and its arguments."""

WORKLOADS = (
    "tell",
    "ask",
    "ask_concurrent",
    "ring",
    "fanout",
    "spawn",
    "stream_live",
    "stream",
    "agent_call",
    "agent_call_concurrent",
    "crash",
    "spawn_mem",
)
_LIMIT = 120


def python_of(environment: str, folder: Path) -> str:
    """The interpreter of an environment, which is made if it is not there."""
    packages = ENVIRONMENTS[environment]
    if not packages:
        return sys.executable
    home = folder / environment
    python = home / "bin" / "python"
    done = home / ".complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True
        )
        done.touch()
    return str(python)


def measure(peers: list[str], workloads: list[str], rounds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure, interleaved: in each round, each workload with one peer after the other.

    Args:
        peers: Names in `RUNS`.
        workloads: Names in `WORKLOADS`.
        rounds: How often.
        folder: Where the environments are.

    Yields:
        One result for each measurement; one that failed has `failed`, with the reason.
    """
    pythons = {name: python_of(RUNS[name][0], folder) for name in peers}
    for number in range(rounds):
        for workload in workloads:
            for name in peers:
                _, file, more = RUNS[name]
                command = [pythons[name], file, workload, "--repeats", "1", *more]
                print(f"round {number + 1}/{rounds}  {workload:24}{name:20}", end="\r", file=sys.stderr, flush=True)
                yield {**_one(command), "peer": name, "workload": workload, "round": number}
    print(file=sys.stderr)


def _one(command: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {_LIMIT} s"}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {"failed": (done.stderr.strip().splitlines() or ["printed nothing"])[-1]}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load1": round(os.getloadavg()[0], 1),
    }
