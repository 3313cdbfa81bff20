"""The plots: SVG files, each for light and for dark pages, for GitHub's `<picture>`.

The plots show medians. In those of the README a longer bar is better.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.catalog import FLOOR, OLD, OURS, PEERS, WORKLOADS
from benchmarks.targets import LIMIT, Rounds, Samples, samples_of, verdicts


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a page."""

    name: str
    text: str
    soft: str
    ours: str
    other: str
    floor: str
    missed: str


THEMES = (
    Theme("light", "#1f2328", "#59636e", "#0969da", "#afb8c1", "#dfe3e8", "#bc4c00"),
    Theme("dark", "#f0f6fc", "#9198a1", "#4493f8", "#656c76", "#343b44", "#f0883e"),
)
README = ("tell", "ask", "agent_call", "stream")
LABELS = {FLOOR: "a deque and a task, by hand", OLD: "MiniAgents 0.0.35", OURS: "MiniAgents"}
TITLES = {
    "tell": "tell: messages a second",
    "ask": "ask: questions answered a second",
    "agent_call": "agent call: one text in, one out, a second",
    "stream": "stream: tokens a second",
    "model_call": "µs of framework per model call",
    "agent_loop": "µs for an agent of ten turns",
    "agent_mem_rest": "bytes of an agent at rest",
    "agent_mem_call": "bytes while its model thinks",
    "spawn_mem": "bytes of an idle actor",
}


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw all plots that the results have figures for.

    Args:
        results: The content of `results.json`.
        folder: The folder of the files; it is created if needed.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = samples_of(results["rows"])
    written = []
    style: Any = {"svg.hashsalt": "miniagents", "font.family": "DejaVu Sans", "font.size": 9}
    with mpl.rc_context(style):
        for theme in THEMES:
            for name, figure in _figures(results, samples, theme):
                path = folder / f"{name}-{theme.name}.svg"
                # Without a date, the same results give the same file.
                figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
                written.append(path)
    return written


def _figures(results: dict[str, Any], samples: Samples, theme: Theme) -> Iterator[tuple[str, Figure]]:
    readme = [name for name in README if OURS in samples.get(name, {})]
    if readme:
        yield "readme", _panels(samples, readme, theme, _in_readme)
    agents = ("model_call", "agent_loop", "agent_mem_rest", "agent_mem_call")
    agents_there = [name for name in agents if OURS in samples.get(name, {})]
    if agents_there:
        yield "agents", _panels(samples, agents_there, theme, lambda peer: True)
    if OURS in samples.get("spawn_mem", {}):
        yield "memory", _panels(samples, ["spawn_mem"], theme, lambda peer: True, logarithmic=True)
    found = _targets(results, theme)
    if found is not None:
        yield "targets", found


def _in_readme(peer: str) -> bool:
    return peer == FLOOR or PEERS[peer].kind in ("ours", "library", "agents")


def _panels(
    samples: Samples, names: list[str], theme: Theme, shown: Callable[[str], bool], *, logarithmic: bool = False
) -> Figure:
    """Draw bars, two panels in a row, the best on top."""
    rows = (len(names) + 1) // 2
    columns = min(2, len(names))
    heights = [
        max(sum(map(shown, samples[name])) for name in names[row * columns : (row + 1) * columns])
        for row in range(rows)
    ]
    figure = Figure(figsize=(4.7 * columns, sum(0.7 + 0.24 * height for height in heights)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=[1.6 + height for height in heights])
    for index, axes in enumerate(axes for row in grid for axes in row):
        if index >= len(names):
            axes.axis("off")
            continue
        name = names[index]
        found = {peer: rounds for peer, rounds in samples[name].items() if shown(peer)}
        _bars(axes, name, found, theme, logarithmic=logarithmic)
        # The bars of one row are equally thick.
        axes.set_ylim(len(found) - heights[index // columns] - 0.5, len(found) - 0.5)
    return figure


def _bars(axes: Axes, name: str, found: dict[str, Rounds], theme: Theme, *, logarithmic: bool) -> None:
    workload = WORKLOADS[name]
    middle = {peer: workload.as_shown(statistics.median(rounds.values())) for peer, rounds in found.items()}
    lower = workload.shown != "rate"
    order = sorted(middle, key=lambda peer: middle[peer], reverse=lower)
    values = [middle[peer] for peer in order]
    colours = [_colour(peer, theme) for peer in order]
    bars = axes.barh([LABELS.get(peer, peer) for peer in order], values, color=colours, height=0.72)
    axes.bar_label(bars, labels=[short(value) for value in values], padding=4, color=theme.text)
    for label, peer in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(theme.text)
        label.set_fontweight("bold" if peer == OURS else "normal")
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 3, max(values) * 3)
    else:
        axes.set_xlim(0, max(values) * 1.18)
    title = TITLES.get(name, name) + (" (less is better)" if lower else "") + (", log scale" if logarithmic else "")
    axes.set_title(title, loc="left", color=theme.text, fontsize=10)
    _bare(axes)


def _colour(peer: str, theme: Theme) -> str:
    if peer == OURS:
        return theme.ours
    return theme.floor if PEERS[peer].kind == "floor" else theme.other


def _bare(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False, which="both")
    axes.set_facecolor("none")


def _targets(results: dict[str, Any], theme: Theme) -> Figure | None:
    """Draw the distance to each target: 1 is the target, and more is better."""
    found = []
    for verdict in verdicts(results["rows"]):
        if verdict.value:
            factor = verdict.target.factor
            far = factor / verdict.value if verdict.target.lower_is_better else verdict.value / factor
            other = "" if verdict.target.against == LIMIT else f" / {verdict.other}"
            found.append((f"{verdict.target.workload}{other}", far))
    if not found:
        return None
    found.reverse()
    names = [f"{name}  " for name, _ in found]
    figure = Figure(figsize=(9.4, 0.5 + 0.22 * len(found)), layout="constrained")
    axes = figure.subplots()
    places = range(len(found))
    for place, (_, far) in zip(places, found, strict=True):
        colour = theme.ours if far >= 1 else theme.missed
        axes.plot([1, far], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot([far], [place], "o", color=colour, markersize=6)
        axes.annotate(
            f"{far:.2f}" if far < 10 else f"{far:.0f}", (far, place), xytext=(8 if far >= 1 else -8, 0),
            textcoords="offset points", ha="left" if far >= 1 else "right", va="center", color=theme.text,
        )  # fmt: skip
    axes.axvline(1, color=theme.soft, linewidth=1)
    axes.set_xscale("log")
    distances = [far for _, far in found]
    axes.set_xlim(min(0.5, *distances) / 1.6, max(2.0, *distances) * 1.6)
    axes.set_ylim(-0.7, len(found) - 0.3)
    axes.set_yticks(list(places), names, color=theme.text)
    axes.set_title(
        "measured by target: 1 is the target, to the right is better", loc="left", color=theme.text, fontsize=10
    )
    _bare(axes)
    return figure


def short(value: float) -> str:
    """Return a number in short form: 1.2 M, 340 k, 52."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}{letter}" if scaled < 10 else f"{scaled:.0f}{letter}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
