"""The plots: files that are there, that parse, and that say what the results say."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.plots import draw, short
from tests.benchmarks.made import results

RESULTS = results(
    {
        "tell": {"miniagents": [900.0], "raw-deque": [1000.0], "pykka": [300.0], "gen_server": [5000.0]},
        "ask": {"miniagents": [900.0], "raw-deque": [1000.0], "xoscar": [300.0]},
        "agent_call": {"miniagents": [100.0], "autogen-core": [10.0]},
        "stream": {"miniagents": [100.0], "raw-deque": [90.0]},
        "model_call": {"miniagents": [100.0], "langgraph": [10.0]},
        "spawn_mem": {"miniagents": [900.0], "gen_server": [2800.0]},
    }
)


def test_every_plot_is_there_for_light_and_for_dark_pages(tmp_path: Path) -> None:
    written = draw(RESULTS, tmp_path / "plots")

    names = {path.name for path in written}
    assert names == {
        f"{name}-{theme}.svg" for name in ("readme", "agents", "memory", "targets") for theme in ("light", "dark")
    }
    for path in written:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    first, second = draw(RESULTS, tmp_path / "a"), draw(RESULTS, tmp_path / "b")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_plot_without_figures_is_not_drawn(tmp_path: Path) -> None:
    written = draw(results({"tell": {"pykka": [1.0]}}), tmp_path)

    assert written == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(1_340_000, "1.3 M"), (25_000_000, "25 M"), (340_000, "340 k"), (4_300, "4.3 k"), (52, "52"), (3.25, "3.2")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text
