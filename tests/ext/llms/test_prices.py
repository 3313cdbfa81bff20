"""The price of a request counts what was read from a cache, and what was written to it."""

import pytest

from miniagents.ext.llms import Price, Usage
from miniagents.ext.llms.metering import Meter
from miniagents.ext.serving.http.json_messages import UsageOut


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(input_tokens=1_000_000), 4.0),
        (Usage(input_tokens=1_000_000, cached_tokens=1_000_000), 1.0),
        (Usage(input_tokens=1_000_000, cache_written_tokens=1_000_000), 5.0),
        (Usage(input_tokens=1_000_000, cached_tokens=500_000, cache_written_tokens=250_000), 0.5 + 1.25 + 1.0),
        (Usage(output_tokens=1_000_000, reasoning_tokens=400_000), 10.0),
    ],
)
def test_each_kind_of_token_has_its_own_price(usage: Usage, usd: float) -> None:
    assert Price(4.0, 10.0, 1.0, 5.0).of(usage) == pytest.approx(usd)


def test_without_a_price_of_its_own_a_written_token_costs_as_much_as_another_one() -> None:
    assert Price(4.0, 10.0).of(Usage(input_tokens=1_000_000, cache_written_tokens=1_000_000)) == 4.0


def test_reasoning_may_have_a_price_of_its_own() -> None:
    usage = Usage(output_tokens=1_000_000, reasoning_tokens=400_000)
    assert Price(4.0, 10.0, reasoning=20.0).of(usage) == pytest.approx(0.6 * 10 + 0.4 * 20)


def test_a_sum_with_an_unknown_cost_is_unknown_and_null_for_clients() -> None:
    meter = Meter()
    meter.add(Usage(input_tokens=1), 0.5)
    assert UsageOut.of(meter).cost == 0.5

    meter.add(Usage(input_tokens=1), None)
    meter.add(Usage(input_tokens=1), 0.5)
    assert (UsageOut.of(meter).cost, UsageOut.of(meter).input_tokens) == (None, 3)
