"""Confidence intervals of pass rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents.testing.intervals import effective_trials, wilson


@pytest.mark.parametrize(
    ("passed", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: the score interval.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(passed: int, of: int, low: float, high: float) -> None:
    assert wilson(passed, of) == pytest.approx((low, high), abs=5e-5)


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert effective_trials([(0, 0)]) == 0.0


@given(st.integers(1, 500), st.data())
def test_an_interval_has_its_rate_and_its_mirror(of: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, of))
    low, high = wilson(passed, of)
    assert 0.0 <= low <= passed / of + 1e-12
    assert passed / of - 1e-12 <= high <= 1.0
    assert wilson(of - passed, of) == pytest.approx((1 - high, 1 - low))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: (min(pair), max(pair)))))
def test_clusters_say_no_more_than_their_trials_and_no_less_than_one_trial_each_if_they_are_unanimous(
    clusters: list[tuple[int, int]],
) -> None:
    trials = sum(of for _, of in clusters)
    effective = effective_trials(clusters)
    assert 0 <= effective <= trials + 1e-9
    if trials:
        assert effective > 0


def test_attempts_that_resemble_each_other_count_as_one_and_others_as_many() -> None:
    assert effective_trials([(10, 10), (0, 10), (10, 10), (0, 10)]) == pytest.approx(4)
    assert effective_trials([(5, 10)] * 4) == pytest.approx(40)
    assert effective_trials([(10, 10)] * 4) == 4
