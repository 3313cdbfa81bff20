"""RESULTS.md: medians, ratios against the peers of the same run, and the targets."""

import statistics
from collections.abc import Collection
from typing import Any

from benchmarks.catalog import GROUPS, OURS, PEERS, WORKLOADS, Workload
from benchmarks.targets import LIMIT, SOURCES, Rounds, Samples, Target, Verdict, samples_of, verdicts

PLOTS = {
    "readme": "MiniAgents beside other libraries: tell, ask, agent call, stream",
    "targets": "How far each target is",
    "agents": "Agents of LLM frameworks: time and memory",
    "memory": "Bytes of an idle actor",
}
"""The plots of a page, in order, with their descriptions."""


def markdown(results: dict[str, Any], plots: Collection[str] = ()) -> str:
    """Return the page.

    Args:
        results: The content of `results.json`.
        plots: The plots that exist, by name.
    """
    rows = results["rows"]
    wall, cpu = samples_of(rows), samples_of(rows, "per_cpu_s")
    lines = ["# Results", "", _machine(results), ""]
    for name, about in PLOTS.items():
        if name in plots:
            lines += [picture(f"plots/{name}", about), ""]
    lines += _targets(verdicts(rows))
    for group, title in GROUPS.items():
        names = [name for name in wall if WORKLOADS[name].group == group]
        if names:
            lines += [f"## {title}", "", *_shared(results, names), *_table(names, wall)]
            rates = [name for name in names if name in cpu]
            if rates:
                lines += [
                    "By CPU time of the own process, which a busy machine disturbs less:",
                    "",
                    *_table(rates, cpu),
                ]
    lines += _workloads(wall)
    lines += _versions(rows)
    lines += _notes(rows)
    return "\n".join(lines)


def summary(results: dict[str, Any]) -> str:
    """Return the output of a quick run: the figures side by side."""
    wall = samples_of(results["rows"])
    lines = []
    for name, found in wall.items():
        cells = [f"{peer} {figure(WORKLOADS[name], rounds)}" for peer, rounds in found.items()]
        lines.append(f"{name:24} {'   '.join(cells)}")
    for verdict in verdicts(results["rows"]):
        if verdict.value is not None:
            reached = "reached" if verdict.reached else "not reached"
            lines.append(f"{verdict.target.workload:24} {_value(verdict)} of {_goal(verdict)} {reached}")
    return "\n".join(lines)


def picture(path: str, about: str) -> str:
    """Return the HTML of a plot, which GitHub shows in the colours of the page.

    Args:
        path: The path of the plot, without `-light.svg` or `-dark.svg`.
        about: The description.
    """
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{path}-dark.svg">'
    return f'<picture>{dark}<img alt="{about}" src="{path}-light.svg"></picture>'


def figure(workload: Workload, rounds: Rounds) -> str:
    """Return the median, with the range in brackets if there are several values."""
    values = [workload.as_shown(value) for value in rounds.values()]
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))}-{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shared(results: dict[str, Any], names: Collection[str]) -> list[str]:
    """Return a line that says how busy the machine was with the work of others, if it was."""
    loads = [row["load1"] for row in results["rows"] if row.get("workload") in names and "load1" in row]
    cores = results["machine"]["cores"]
    if not loads or min(loads) <= 2 * cores:
        return []
    return [f"Others used the machine as well: a load of {min(loads):.0f} to {max(loads):.0f} on {cores} cores.", ""]


def _machine(results: dict[str, Any]) -> str:
    facts = results["machine"]
    memory = f", {facts['memory'] / 2**30:.0f} GiB" if facts.get("memory") else ""
    pinned = ", pinned to one core" if facts.get("pinned") else ""
    return (
        f"{facts['cpu']}, {facts['cores']} cores{memory}, {facts['system']}, Python {facts['python']}. "
        f"{results['rounds']} rounds, all peers interleaved, one process for each measurement{pinned}; load at the end "
        f"{facts['load1']}. `python -m benchmarks run` makes this page; [SOAK.md](SOAK.md) "
        f"has the long runs of `make soak`."
    )


def _targets(found: list[Verdict]) -> list[str]:
    reached = sum(verdict.reached is True for verdict in found)
    measured = sum(verdict.reached is not None for verdict in found)
    lines = [
        f"## Targets: {reached} of {measured} reached",
        "",
        "A ratio is the median of the ratios of the rounds; of rates it should be high, of bytes low. A number is the "
        "median of the rounds.",
        "",
        "| workload | against | target | measured | by CPU time | | what limits it |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for verdict in found:
        cpu = "" if verdict.cpu is None else _compared(verdict.target, verdict.cpu)
        word = {True: "reached", False: "**not reached**", None: "not measured"}[verdict.reached]
        cells = (verdict.target.workload, _against(verdict), _goal(verdict), _value(verdict), cpu, word, verdict.limit)
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    published = [f"{name}: {source}." for name, source in SOURCES.items()]
    return [*lines, "Published elsewhere, on other machines: " + " ".join(published), ""]


def _against(verdict: Verdict) -> str:
    if verdict.target.against == LIMIT:
        return "-"
    named = verdict.other in (None, verdict.target.against)
    return verdict.target.against if named else f"{verdict.target.against}: {verdict.other}"


def _goal(verdict: Verdict) -> str:
    target = verdict.target
    return f"at {'most' if target.lower_is_better else 'least'} {_compared(target, target.factor)}"


def _value(verdict: Verdict) -> str:
    if verdict.value is None:
        return ""
    return _compared(verdict.target, verdict.value)


def _compared(target: Target, value: float) -> str:
    """Return a ratio, or a number with its unit."""
    workload = WORKLOADS[target.workload]
    if target.against == LIMIT and workload.shown != "ratio":
        return f"{_number(value)} {workload.unit}"
    return _times(value)


def _times(value: float) -> str:
    return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def _table(names: list[str], samples: Samples) -> list[str]:
    peers = [peer for peer in PEERS if any(peer in samples[name] for name in names)]
    lines = [f"| | {' | '.join(peers)} |", f"|---|{'---:|' * len(peers)}"]
    for name in names:
        workload = WORKLOADS[name]
        unit = f" ({workload.unit})" if workload.shown in ("time", "ms") else ""
        cells = [figure(workload, samples[name][peer]) if peer in samples[name] else "" for peer in peers]
        best = _best(workload, samples[name])
        cells = [f"**{cell}**" if peer == best else cell for peer, cell in zip(peers, cells, strict=True)]
        lines.append(f"| {name}{unit} | {' | '.join(cells)} |")
    return [*lines, ""]


def _best(workload: Workload, found: dict[str, Rounds]) -> str | None:
    """Return the best library of Python, ours among them; None if there is only one."""
    kinds = ("library", "agents")
    middle = {
        peer: statistics.median(rounds.values())
        for peer, rounds in found.items()
        if peer == OURS or PEERS[peer].kind in kinds
    }
    choose = min if workload.lower_is_better else max
    return choose(middle, key=lambda peer: middle[peer]) if len(middle) > 1 else None


def _workloads(samples: Samples) -> list[str]:
    lines = [
        "## Workloads",
        "",
        "Operations per second, or where it says so µs or bytes for each. Bold is the best library.",
    ]
    return [*lines, "", *(f"- {name}: {WORKLOADS[name].title}" for name in samples), ""]


def _versions(rows: list[dict[str, Any]]) -> list[str]:
    found = {row["peer"]: row["version"] for row in rows if "version" in row}
    return ["## Versions", "", ", ".join(f"{peer} {found[peer]}" for peer in PEERS if peer in found), ""]


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    skipped = {row["peer"]: row["skipped"] for row in rows if "skipped" in row}
    if skipped:
        lines += ["## Could not run here", "", *(f"- {peer}: {why}" for peer, why in skipped.items()), ""]
    for title, key in (("Failed", "failed"), ("What is different", "note"), ("What a peer has not", "unsupported")):
        found: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            if row.get(key):
                names = found.setdefault((row["peer"], row[key]), [])
                if row["workload"] not in names:
                    names.append(row["workload"])
        if found:
            lines += [f"## {title}", ""]
            lines += [f"- {peer}, {', '.join(names)}: {text}" for (peer, text), names in found.items()]
            lines.append("")
    return lines
