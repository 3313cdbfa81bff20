"""The pauses before new connections."""

from miniagents.ext.mcp.reconnecting import Reconnecting


def test_pauses_double_up_to_a_minute_and_never_end() -> None:
    reconnecting = Reconnecting(lambda: 0.5)

    pauses = [reconnecting.failed(float(now)) for now in range(20)]

    assert pauses[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert set(pauses[9:]) == {60}


def test_a_connection_that_was_short_counts_as_a_failure_and_a_long_one_begins_anew() -> None:
    reconnecting = Reconnecting(lambda: 0.5)
    reconnecting.failed(0.0)

    reconnecting.connected(1.0)
    after_a_short_one = reconnecting.failed(30.9)
    reconnecting.connected(100.0)
    after_a_long_one = reconnecting.failed(130.0)

    assert (after_a_short_one, after_a_long_one) == (1.0, 0.5)


def test_pauses_are_spread_to_both_sides() -> None:
    assert Reconnecting(lambda: 0.0).failed(0.0) == 0.35
    assert Reconnecting(lambda: 1.0).failed(0.0) == 0.65
