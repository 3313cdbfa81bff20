"""Targets: which ratio counts, against whom, and which way round."""

from typing import Any

import pytest

from benchmarks.catalog import PEERS, WORKLOADS
from benchmarks.targets import (
    FASTEST,
    LEANEST,
    LIMIT,
    LIMITS,
    PUBLISHED,
    SOURCES,
    TARGETS,
    Verdict,
    samples_of,
    verdicts,
)
from tests.benchmarks.made import results


def verdict(workload: str, against: str, values: dict[str, list[float]]) -> Verdict:
    found = verdicts(results({workload: values})["rows"])
    return next(one for one in found if (one.target.workload, one.target.against) == (workload, against))


def test_a_ratio_is_the_median_of_those_inside_the_rounds() -> None:
    # The machine was ten times slower in the second round, for both: a ratio of medians would say 1.0.
    found = verdict("tell", "raw-deque", {"miniagents": [90.0, 9.0, 100.0], "raw-deque": [100.0, 10.0, 100.0]})

    assert found.value == 0.9
    assert found.reached


def test_rounds_that_only_one_has_count_for_nothing() -> None:
    rows = results({"tell": {"miniagents": [50.0, 100.0], "raw-deque": [100.0, 100.0]}})["rows"]
    rows = [row for row in rows if (row["peer"], row["round"]) != ("miniagents", 0)]

    found = next(one for one in verdicts(rows) if one.target.against == "raw-deque" and one.value is not None)

    assert found.value == 1.0


def test_the_fastest_peer_is_a_library_and_neither_a_hand_written_floor_nor_another_language() -> None:
    found = verdict(
        "tell",
        FASTEST,
        {
            "miniagents": [600.0],
            "raw-deque": [900.0],
            "gen_server": [5000.0],
            "miniagents-0.0.35": [700.0],
            "pykka": [200.0],
            "xoscar": [100.0],
        },
    )

    assert (found.other, found.value, found.reached) == ("pykka", 3.0, True)


def test_the_leanest_framework_is_the_one_with_the_most_calls() -> None:
    found = verdict("model_call", LEANEST, {"miniagents": [100.0], "langgraph": [30.0], "pydantic-ai": [10.0]})

    assert (found.other, found.reached) == ("langgraph", False)


def test_of_bytes_less_is_better() -> None:
    values = {"miniagents": [900.0], "gen_server": [2700.0]}

    assert verdict("spawn_mem", "gen_server", values).reached
    assert verdict("spawn_mem", LIMIT, values).reached
    assert not verdict("spawn_mem", LIMIT, {"miniagents": [1001.0]}).reached


def test_a_time_has_a_largest_number_of_microseconds() -> None:
    assert verdict("model_call", LIMIT, {"miniagents": [10_000.0]}).value == 100.0
    assert verdict("model_call", LIMIT, {"miniagents": [10_000.0]}).reached
    assert not verdict("model_call", LIMIT, {"miniagents": [9_900.0]}).reached


@pytest.mark.parametrize(("workload", "most"), [("first_call", 20.0), ("import", 1.7)])
def test_of_milliseconds_and_of_ratios_of_a_workload_less_is_better(workload: str, most: float) -> None:
    assert verdict(workload, LIMIT, {"miniagents": [most]}).reached
    assert not verdict(workload, LIMIT, {"miniagents": [most + 0.1]}).reached


def test_a_published_figure_needs_no_measurement_beside_ours() -> None:
    found = verdict("agent_loop", "awaken", {"miniagents": [2000.0]})

    assert found.value is not None
    assert round(found.value, 2) == 8.8  # 0.5 ms for ten turns, and 4.4 ms
    assert not found.reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    found = verdict("tell", "raw-deque", {"miniagents": [1.0]})

    assert (found.value, found.reached) == (None, None)


def test_the_rate_by_cpu_time_is_a_second_figure() -> None:
    rows = results({"tell": {"miniagents": [40.0], "raw-deque": [100.0]}})["rows"]
    rows[0]["per_cpu_s"] = 220.0  # it had to wait for the core

    found = verdicts(rows)[0]

    assert (found.value, found.reached) == (0.4, False)
    assert found.cpu == pytest.approx(2.0)


def test_rows_of_peers_and_workloads_that_are_gone_are_left_out() -> None:
    rows: list[dict[str, Any]] = [
        {"peer": "a-peer-of-before", "workload": "tell", "round": 0, "per_s": 1.0},
        {"peer": "miniagents", "workload": "a-workload-of-before", "round": 0, "per_s": 1.0},
        {"peer": "gen_server", "skipped": "there is no `erl` here"},
    ]

    assert samples_of(rows) == {}


def test_every_target_names_what_there_is() -> None:
    assert PUBLISHED.keys() == SOURCES.keys()
    for target in TARGETS:
        assert target.workload in WORKLOADS
        assert target.against in {*PEERS, *PUBLISHED, FASTEST, LEANEST, LIMIT}


def test_every_limit_belongs_to_a_target() -> None:
    assert LIMITS.keys() <= {(target.workload, target.against) for target in TARGETS}
