"""When a durable timer is due: cron rules across the changes of daylight saving time."""

import datetime as dt
import sys
from importlib.util import find_spec
from zoneinfo import ZoneInfo

import pytest

from miniagents import InvalidOptionError, MissingDependencyError
from miniagents.actors.durable.rules import Cron, Every, Once, rule_of, text_of

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, fold: int = 0) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def times(rule: str, after: float, count: int) -> list[str]:
    cron = Cron(rule, "Europe/Berlin")
    found = []
    for _ in range(count):
        after = cron.first_after(after)
        local = dt.datetime.fromtimestamp(after, BERLIN)
        found.append(f"{local:%d. %H:%M}{'*' if local.fold else ''}")
    return found


def test_a_rule_comes_back_from_its_text() -> None:
    for rule in (Once(5.0), Every(60.0), Cron("0 9 * * 1-5", "Europe/Berlin"), Cron("* * * * *", "UTC", 30.0)):
        assert rule_of(text_of(rule)) == rule


def test_once_is_due_once_and_comes_however_late() -> None:
    assert Once(5.0).first_after(100.0) == 105.0
    assert Once(5.0).next_after(105.0, 105.0) is None
    assert Once(5.0).runs_late(105.0, 1e9)


def test_a_period_goes_on_in_its_own_beat_and_missed_ticks_are_one() -> None:
    every = Every(10.0)
    assert every.first_after(100.0) == 110.0
    assert every.next_after(110.0, 110.0) == 120.0
    assert every.next_after(110.0, 119.9) == 120.0
    assert every.next_after(110.0, 120.0) == 130.0
    assert every.next_after(110.0, 1234.0) == 1240.0
    assert every.next_after(110.0, 90.0) == 120.0  # the clock was set back
    assert every.runs_late(110.0, 1234.0)


cron = pytest.mark.skipif(find_spec("cronsim") is None, reason="cronsim is an extra")


@cron
def test_working_days_at_nine() -> None:
    assert times("0 9 * * 1-5", at("2026-03-06 09:00"), 3) == ["09. 09:00", "10. 09:00", "11. 09:00"]


@cron
def test_a_fixed_hour_that_is_skipped_in_spring_is_due_at_the_jump_once() -> None:
    assert times("30 2 * * *", at("2026-03-28 03:00"), 2) == ["29. 03:00", "30. 02:30"]
    assert times("*/30 2 * * *", at("2026-03-28 03:00"), 3) == ["29. 03:00", "30. 02:00", "30. 02:30"]
    assert times("0 2,3 * * *", at("2026-03-28 04:00"), 3) == ["29. 03:00", "30. 02:00", "30. 03:00"]


@cron
def test_a_fixed_hour_that_comes_twice_in_autumn_is_due_the_first_time() -> None:
    assert times("30 2 * * *", at("2026-10-24 03:00"), 2) == ["25. 02:30", "26. 02:30"]
    assert times("*/30 2 * * *", at("2026-10-24 03:00"), 3) == ["25. 02:00", "25. 02:30", "26. 02:00"]


@cron
def test_a_timer_that_is_made_in_the_hour_that_comes_twice_is_not_due_in_the_past() -> None:
    second_time = at("2026-10-25 02:10", fold=1)
    assert times("30 2 * * *", second_time, 1) == ["26. 02:30"]
    assert Cron("30 2 * * *", "Europe/Berlin").first_after(second_time) > second_time


@cron
def test_a_wildcard_hour_follows_the_time_that_has_passed() -> None:
    assert times("0 * * * *", at("2026-03-29 00:30"), 3) == ["29. 01:00", "29. 03:00", "29. 04:00"]
    assert times("0 * * * *", at("2026-10-25 01:30"), 3) == ["25. 02:00", "25. 02:00*", "25. 03:00"]
    assert times("*/30 * * * *", at("2026-10-25 02:00"), 3) == ["25. 02:30", "25. 02:00*", "25. 02:30*"]


@cron
def test_a_missed_tick_runs_if_the_last_one_missed_is_not_too_late() -> None:
    daily = "0 9 * * *"
    due, noon_two_days_later = at("2026-06-01 09:00"), at("2026-06-03 12:00")
    assert Cron(daily, "Europe/Berlin").runs_late(due, noon_two_days_later)
    assert Cron(daily, "Europe/Berlin", 3 * 3600.0).runs_late(due, noon_two_days_later)
    assert not Cron(daily, "Europe/Berlin", 3 * 3600.0 - 1).runs_late(due, noon_two_days_later)
    assert Cron(daily, "Europe/Berlin", 0.0).runs_late(due, due)
    assert Cron(daily, "Europe/Berlin").next_after(due, noon_two_days_later) == at("2026-06-04 09:00")


@cron
@pytest.mark.parametrize("rule", ["0 9 * *", "0 0 9 * * *", "61 * * * *", "@daily", "", "0 9 31 2 *"])
def test_what_is_no_rule_is_refused_by_name(rule: str) -> None:
    with pytest.raises(InvalidOptionError, match="schedule_cron"):
        Cron(rule, "UTC").first_after(0.0)


@cron
def test_an_unknown_zone_is_refused_by_name() -> None:
    for zone in ("Europe/Nowhere", "../etc/passwd", ""):
        with pytest.raises(InvalidOptionError, match="zone"):
            Cron("0 9 * * *", zone).first_after(0.0)


def test_without_the_cron_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(MissingDependencyError, match=r"miniagents\[journal\]"):
        Cron("0 9 * * *", "UTC").first_after(0.0)
