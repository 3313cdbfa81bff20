"""The price of a request counts what was read from a cache, and what was written to it."""

import pytest

from miniagents import MiniAgents
from miniagents.ext.llms import PRICES, Price, Usage
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.ext.serving.http.json_messages import UsageOut
from miniagents.testing import Script, ScriptedModel


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


def test_the_models_of_anthropic_charge_more_for_what_they_write_to_the_cache() -> None:
    for name, price in PRICES.items():
        if name.startswith("claude"):
            assert price.cache_written == pytest.approx(1.25 * price.input)


@pytest.mark.parametrize(("model", "is_known"), [("gpt-5-mini", True), ("a model without a price", False)])
async def test_the_cost_of_a_model_without_a_price_is_unknown_and_not_nothing(model: str, is_known: bool) -> None:
    meter = Meter()
    current_meter.set(meter)

    async with MiniAgents():
        await ScriptedModel.fork(model=model, script=Script("Hello.")).inquire("Hi")

    assert (meter.cost is not None and meter.cost > 0) is is_known
    assert meter.output_tokens == 1


def test_a_sum_with_an_unknown_cost_is_unknown_and_null_for_clients() -> None:
    meter = Meter()
    meter.add(Usage(input_tokens=1), 0.5)
    assert UsageOut.of(meter).cost == 0.5

    meter.add(Usage(input_tokens=1), None)
    meter.add(Usage(input_tokens=1), 0.5)
    assert (UsageOut.of(meter).cost, UsageOut.of(meter).input_tokens) == (None, 3)
