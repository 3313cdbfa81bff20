"""RESULTS.md and what a quick run prints."""

import json

import pytest

from benchmarks import targets
from benchmarks.__main__ import as_json
from benchmarks.report import markdown, summary
from tests.benchmarks.made import results

TELL = {
    "miniagents": [800_000.0, 1_000_000.0],
    "raw-deque": [1_000_000.0, 1_000_000.0],
    "pykka": [500_000.0, 400_000.0],
}


def test_a_cell_is_the_median_with_its_range() -> None:
    page = markdown(results({"tell": TELL}))

    assert "| tell | **900,000 (800,000-1,000,000)** | 1,000,000 (1,000,000-1,000,000) |" in page


def test_the_best_library_is_bold_and_no_floor_is() -> None:
    page = markdown(results({"tell": {"miniagents": [1.0], "raw-deque": [9.0], "pykka": [2.0]}}))

    assert "| tell | 1 | 9 | **2** |" in page


def test_a_time_is_shown_as_microseconds_of_its_rate() -> None:
    assert "| model_call (µs) | 250 |" in markdown(results({"model_call": {"miniagents": [4000.0]}}))


def test_each_target_has_a_row_with_its_verdict() -> None:
    page = markdown(results({"tell": TELL}))

    assert "| tell | raw-deque | at least 0.80x | 0.90x | 0.90x | reached |" in page
    assert "| tell | the fastest Python peer: pykka | at least 3.00x | 2.05x | 2.05x | **not reached** |" in page
    assert "| ask | raw-deque | at least 1.00x |  |  | not measured |" in page
    assert "## Targets: 1 of 2 reached" in page


def test_a_number_stands_beside_its_limit_with_its_unit() -> None:
    measured = {"model_call": 10_000.0, "loop_mem": 31_000.0, "first_call": 4.0, "import": 0.25}
    page = markdown(results({name: {"miniagents": [value]} for name, value in measured.items()}))

    assert "| model_call | - | at most 100 µs | 100 µs | 90.9 µs | reached |" in page
    assert "| loop_mem | - | at most 30,000 bytes | 31,000 bytes |  | **not reached** |" in page
    assert "| first_call | - | at most 20 ms | 4 ms |  | reached |" in page
    assert "| import | - | at most 1.70x | 0.25x |  | reached |" in page
    assert "| first_call (ms) | 4 |" in page


def test_what_limits_a_missed_target_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.LIMITS, ("tell", "raw-deque"), "the reason")

    missed = markdown(results({"tell": {"miniagents": [1.0], "raw-deque": [9.0]}}))
    reached = markdown(results({"tell": {"miniagents": [9.0], "raw-deque": [9.0]}}))

    assert "**not reached** | the reason |" in missed
    assert "the reason" not in reached


def test_a_peer_that_could_not_run_is_named_with_the_reason() -> None:
    skipped = {"peer": "gen_server", "skipped": "there is no `erl` here"}

    assert "- gen_server: there is no `erl` here" in markdown(results({"tell": TELL}, skipped))


def test_one_reason_for_several_workloads_is_one_line() -> None:
    rows = [{"peer": "pykka", "workload": name, "unsupported": "no loop"} for name in ("stream_live", "stream3_live")]

    assert "- pykka, stream_live, stream3_live: no loop" in markdown(results({"tell": TELL}, *rows))


def test_a_failure_is_on_the_page() -> None:
    failed = {"peer": "xoscar", "workload": "tell", "round": 0, "failed": "took longer than 240 s"}

    assert "- xoscar, tell: took longer than 240 s" in markdown(results({"tell": TELL}, failed))


def test_the_machine_and_the_versions_are_on_the_page() -> None:
    page = markdown(results({"tell": TELL}))

    assert "A CPU, 2 cores, 24 GiB, Linux 6.1, Python 3.11.7. 2 rounds" in page
    assert "miniagents 1.0, raw-deque 1.0, pykka 1.0" in page


def test_the_plots_that_are_there_are_on_the_page() -> None:
    page = markdown(results({"tell": TELL}), ["readme"])

    assert 'srcset="plots/readme-dark.svg"' in page
    assert 'src="plots/readme-light.svg"' in page
    assert "plots/agents" not in page


def test_results_are_written_as_json_with_a_row_in_a_line() -> None:
    made = results({"tell": TELL})

    text = as_json(made)

    assert json.loads(text) == made
    assert sum('"peer"' in line for line in text.splitlines()) == len(made["rows"])


def test_a_quick_run_prints_figures_and_targets() -> None:
    text = summary(results({"tell": TELL}))

    assert "miniagents 900,000 (800,000-1,000,000)" in text
    assert "0.90x of at least 0.80x reached" in text
