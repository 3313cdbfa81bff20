"""Medians, ratios against the peers of the same run, and the targets."""

import statistics
from typing import Any

from benchmarks.runner import RUNS, WORKLOADS

OURS, FLOOR = "miniagents", "raw-deque"
NO_PEERS = (OURS, "raw-deque", "raw-drain", "raw-queue", "miniagents-0.0.35")

TARGETS: dict[str, tuple[float | None, float | None]] = {
    "tell": (0.8, 3.0),
    "ask": (1.0, 1.3),
    "ask_concurrent": (0.7, 3.0),
    "ring": (1.0, 2.5),
    "fanout": (0.7, 3.0),
    "spawn": (1.0, 4.0),
    "stream_live": (0.8, None),
    "stream": (0.4, 2.5),
    "agent_call": (None, 7.0),
    "agent_call_concurrent": (None, 8.0),
    "crash": (0.5, None),
}
"""At least so much, against `raw-deque` and against the fastest Python peer."""

Samples = dict[str, dict[str, list[float]]]


def samples_of(rows: list[dict[str, Any]]) -> Samples:
    """The samples, by workload and peer; bytes per actor for `spawn_mem`."""
    found: Samples = {workload: {} for workload in WORKLOADS}
    for row in rows:
        value = row.get("per_s", row.get("bytes_per_actor"))
        if value is not None:
            found[row["workload"]].setdefault(row["peer"], []).append(value)
    return {workload: peers for workload, peers in found.items() if peers}


def ratio(ours: list[float], other: list[float]) -> float:
    """The median of the ratios of rounds: what disturbs a round disturbs both."""
    return statistics.median(a / b for a, b in zip(ours, other, strict=False))


def fastest_peer(peers: dict[str, list[float]]) -> str | None:
    """The fastest library that is no hand-written floor and not ours."""
    others = {name: statistics.median(values) for name, values in peers.items() if name not in NO_PEERS}
    return max(others, key=lambda name: others[name]) if others else None


def markdown(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    samples, facts = samples_of(results["rows"]), results["machine"]
    peers = [name for name in RUNS if any(name in found for found in samples.values())]
    lines = [
        "# Results",
        "",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}; "
        f"{results['rounds']} rounds, "
        f"all peers interleaved, one process for each measurement; load at the end {facts['load1']}. "
        "`python -m benchmarks run` makes this page.",
        "",
        "Operations per second, median (min-max).",
        "",
        f"| workload | {' | '.join(peers)} |",
        f"|---|{'---:|' * len(peers)}",
    ]
    for workload, found in samples.items():
        label = "bytes per idle actor, at 10,000" if workload == "spawn_mem" else workload
        lines.append(f"| {label} | {' | '.join(_cell(found.get(name)) for name in peers)} |")
    lines += ["", "## Targets: medians of ratios", "", _TARGET_HEAD, "|---|---:|---:|---:|---:|---|"]
    for workload, (floor, peer) in TARGETS.items():
        found = samples.get(workload, {})
        if OURS in found:
            lines.append(_target_row(workload, found, floor, peer))
    versions = sorted({f"{row['peer']} {row['version']}" for row in results["rows"] if "version" in row})
    lines += ["", f"Versions: {', '.join(versions)} (raw-*: the version is uvloop's).", ""]
    notes = {(row["peer"], row["workload"]): row["note"] for row in results["rows"] if row.get("note")}
    failed = {(row["peer"], row["workload"]): row["failed"] for row in results["rows"] if row.get("failed")}
    unsupported = {
        (row["peer"], row["workload"]): row["unsupported"] for row in results["rows"] if "unsupported" in row
    }
    for title, found_notes in (("Notes", notes), ("Unsupported", unsupported), ("Failed", failed)):
        if found_notes:
            lines += [f"## {title}", ""]
            lines += [f"- {name}, {workload}: {text}" for (name, workload), text in sorted(found_notes.items())]
            lines.append("")
    return "\n".join(lines)


_TARGET_HEAD = "| workload | against raw-deque | target | against the fastest peer | target | |"


def _target_row(workload: str, found: dict[str, list[float]], floor: float | None, peer: float | None) -> str:
    cells, reached, compared = [], True, False
    name = fastest_peer(found)
    for target, other in ((floor, FLOOR), (peer, name)):
        if target is None or other is None or other not in found:
            cells += ["-", "-"]
            continue
        value = ratio(found[OURS], found[other])
        reached, compared = reached and value >= target, True
        shown = f"{value:.2f}" if other == FLOOR else f"{value:.2f} ({other})"
        cells += [shown, f"{target}"]
    return f"| {workload} | {' | '.join(cells)} | {'-' if not compared else 'reached' if reached else 'not reached'} |"


def _cell(values: list[float] | None) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What changed between two results beyond noise: ratios to `raw-deque` of the same run are compared, since machines
    differ, and a change counts where the ranges of the two do not overlap."""
    before, after = samples_of(old["rows"]), samples_of(new["rows"])
    lines = []
    for workload in WORKLOADS:
        ranges = []
        for found in (before.get(workload, {}), after.get(workload, {})):
            if OURS in found and FLOOR in found:
                ranges.append([a / b for a, b in zip(found[OURS], found[FLOOR], strict=False)])
            elif OURS in found:
                ranges.append(found[OURS])
        if len(ranges) < 2:
            continue
        first, second = ranges
        change = statistics.median(second) / statistics.median(first)
        apart = min(second) > max(first) or max(second) < min(first)
        lines.append(f"{workload:24} x {change:5.2f}   {'changed' if apart else 'within noise'}")
    return "\n".join(lines)
