"""`compare`: what is noise and what is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare import Change, chance, changes, comparison
from tests.benchmarks.made import results

FLOOR = [100.0, 110.0, 90.0, 105.0]


def run(workload: str, ours: list[float], floor: list[float] | None = None, **machine: Any) -> dict[str, Any]:
    values = {"miniagents": ours}
    if floor is not None:
        values["raw-deque"] = floor
    return results({workload: values}, **machine)


def only(old: dict[str, Any], new: dict[str, Any]) -> Change:
    (change,) = changes(old, new)
    return change


def test_what_is_apart_in_every_round_has_changed() -> None:
    old = run("tell", [50.0, 55.0, 45.0, 53.0], FLOOR)
    new = run("tell", [80.0, 88.0, 70.0, 84.0], FLOOR)

    assert only(old, new).verdict == "faster"
    assert only(new, old).verdict == "SLOWER"


def test_a_machine_that_is_half_as_fast_changes_nothing() -> None:
    old = run("tell", [50.0, 56.0, 45.0, 52.0], FLOOR)
    new = run("tell", [25.0, 28.0, 22.0, 26.5], [value / 2 for value in FLOOR])

    assert only(old, new).verdict == "within noise"


def test_ranges_that_overlap_by_much_are_noise() -> None:
    old = run("tell", [50.0, 70.0, 45.0, 60.0], FLOOR)
    new = run("tell", [55.0, 68.0, 50.0, 66.0], FLOOR)

    assert only(old, new).verdict == "within noise"


def test_a_change_of_two_percent_is_none_however_sure() -> None:
    old = run("tell", [50.0, 50.1, 50.0, 50.1], [100.0] * 4)
    new = run("tell", [51.0, 51.1, 51.0, 51.1], [100.0] * 4)

    assert only(old, new).chance <= 0.05
    assert only(old, new).verdict == "within noise"


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_few_rounds_tell_nothing_however_far_apart(rounds: int) -> None:
    old = run("tell", [50.0] * rounds, [100.0] * rounds)
    new = run("tell", [500.0] * rounds, [100.0] * rounds)

    assert only(old, new).verdict == "too few rounds to tell"


def test_bytes_are_compared_as_they_are_in_however_few_rounds() -> None:
    old = run("spawn_mem", [900.0, 901.0], [2000.0] * 2)
    new = run("spawn_mem", [1200.0], [1000.0])

    assert only(old, new).verdict == "LARGER"
    assert only(new, old).verdict == "smaller"


def test_bytes_whose_ranges_overlap_have_not_changed() -> None:
    old = run("agent_mem_call", [9000.0, 11000.0])
    new = run("agent_mem_call", [10900.0, 12000.0])

    assert only(old, new).verdict == "within noise"


def test_a_workload_without_a_floor_is_measured_by_the_floor_of_ask() -> None:
    old = results({"ask": {"raw-deque": [100.0] * 4}, "agent_call": {"miniagents": [10.0, 10.1, 9.9, 10.0]}})
    new = results({"ask": {"raw-deque": [50.0] * 4}, "agent_call": {"miniagents": [10.0, 10.1, 9.9, 10.0]}})

    change = only(old, new)

    assert (change.factor, change.verdict) == (2.0, "faster")


def test_another_machine_is_named() -> None:
    old, new = run("tell", [1.0] * 4, FLOOR), run("tell", [1.0] * 4, FLOOR, cpu="Another")

    assert "note: cpu differs: A CPU and Another" in comparison(old, new)


def test_what_only_one_of_the_two_has_is_left_out() -> None:
    assert comparison(run("tell", [1.0], [1.0]), run("ask", [1.0], [1.0])) == "nothing of miniagents is in both"


positive = st.lists(st.floats(0.1, 1000.0), min_size=1, max_size=5)


@given(positive, positive)
def test_chance_is_a_probability_and_the_same_from_both_sides(first: list[float], second: list[float]) -> None:
    found = chance(first, second)

    assert 0 < found <= 1
    assert found == pytest.approx(chance(second, first))


def test_with_everything_apart_chance_has_two_ways_of_all() -> None:
    assert chance([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]) == 2 / 70


def test_many_rounds_are_cut_to_what_can_be_counted() -> None:
    assert chance([1.0, 1.1] * 20, [2.0, 2.1] * 20) < 0.001
