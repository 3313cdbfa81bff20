"""List prices are those of `genai-prices`, for each model, tier, kind of token and length of the input."""

from datetime import UTC, datetime
from typing import Any

import pytest

from miniagents.ext.llms import Usage
from miniagents.ext.llms.list_prices import list_price_of

data = pytest.importorskip("genai_prices.data_snapshot", reason="the prices of models are in genai-prices")
genai = pytest.importorskip("genai_prices")

MOMENT = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = int(MOMENT.timestamp()) // 60
TIERS = (None, "flex", "priority", "fast", "batch", "a tier that nobody has")
USAGES = (
    Usage(input_tokens=1000, output_tokens=200),
    Usage(input_tokens=1000, output_tokens=200, cached_tokens=300, cache_written_tokens=400, reasoning_tokens=150),
    Usage(input_tokens=900_000, output_tokens=5000, cached_tokens=200_000, cache_written_tokens=100_000),
)


def models_of(provider_id: str) -> list[str]:
    """The names of the models of a provider that a request without a provider finds."""
    snapshot = data.get_snapshot()
    provider = next(provider for provider in snapshot.providers if provider.id == provider_id)
    names = []
    for model in provider.models:
        try:
            at, entry = snapshot.find_provider_model(model.id, None, None, None)
        except LookupError:
            continue
        if at is provider and entry is model:
            names.append(model.id)
    return names


def cost_in_the_catalogue(model: str, tier: str | None, usage: Usage) -> float:
    """What `genai-prices` says that a request costs."""
    context = {"service_tier": tier, "processing": tier, "speed": tier} if tier is not None else None
    tokens = genai.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_written_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    price = genai.calc_price(tokens, model, genai_request_timestamp=MOMENT, price_context=context)
    return float(price.total_price)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "deepseek", "mistral"])
def test_a_request_costs_what_the_catalogue_says_in_each_tier_and_at_each_length(provider: str) -> None:
    models = models_of(provider)
    assert models
    for model in models:
        for tier in TIERS:
            price = list_price_of(model, tier, MINUTE)
            for usage in USAGES if price is not None else ():
                assert price is not None
                assert price.of(usage) == pytest.approx(cost_in_the_catalogue(model, tier, usage)), (model, tier, usage)


@pytest.mark.parametrize(
    ("model", "tier", "changed"),
    [
        ("gpt-5-mini", "flex", "less"),
        ("gpt-5-mini", "batch", "less"),
        ("gpt-5-mini", "priority", "more"),
        ("claude-haiku-4-5", "batch", "less"),
        ("claude-haiku-4-5", "unheard of", "no"),
    ],
)
def test_the_tier_that_served_a_request_changes_its_price(model: str, tier: str, changed: str) -> None:
    costs = [_price(model, which).of(USAGES[0]) for which in (None, tier)]
    assert (costs[1] < costs[0], costs[1] > costs[0]) == (changed == "less", changed == "more")


@pytest.mark.parametrize(
    ("model", "other"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
    ],
)
def test_a_name_with_a_date_has_the_price_of_the_model(model: str, other: str) -> None:
    assert _price(model, None) == _price(other, None)


@pytest.mark.parametrize(
    "model", ["openai/gpt-4o", "anthropic.claude-sonnet-4-5-20250929-v1:0", "text-embedding-3-small"]
)
def test_the_names_that_routers_and_clouds_have_for_a_model_have_a_price(model: str) -> None:
    assert _price(model, None).of(USAGES[0]) > 0


def test_reasoning_has_its_own_price_where_the_catalogue_has_one() -> None:
    price = _price("perplexity/sonar-deep-research", None)
    silent = Usage(input_tokens=10, output_tokens=1000)
    assert price.of(Usage(input_tokens=10, output_tokens=1000, reasoning_tokens=1000)) < price.of(silent)


def test_a_model_that_nobody_lists_has_no_price() -> None:
    assert list_price_of("my own model", None, MINUTE) is None


def test_a_long_input_is_charged_at_the_price_for_long_inputs_with_all_its_tokens() -> None:
    price = _price("gemini-2.5-pro", None)
    (long, dear), (_, cheap) = price.steps
    assert price.of(Usage(input_tokens=long)) == cheap.of(Usage(input_tokens=long))
    assert (
        price.of(Usage(input_tokens=long + 1))
        == dear.of(Usage(input_tokens=long + 1))
        > cheap.of(Usage(input_tokens=long + 1))
    )


def _price(model: str, tier: str | None) -> Any:
    price = list_price_of(model, tier, MINUTE)
    assert price is not None
    return price
