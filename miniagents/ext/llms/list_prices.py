"""`list_price_of`: the price of a model in the catalogue, for the tier that served a request."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from miniagents.ext.llms.catalogue import catalogue
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.prices import Price


@dataclass(frozen=True, slots=True)
class ListPrice:
    """The price of a model that may depend on the length of the input.

    Attributes:
        steps: For inputs of more than so many tokens, the price of all tokens of the request; the longest inputs first,
            and a step for all inputs last.
    """

    steps: tuple[tuple[int, Price], ...]

    def of(self, usage: Usage) -> float:
        """Return the cost of a request, in USD."""
        return next(price for start, price in self.steps if usage.input_tokens > start).of(usage)


@lru_cache(maxsize=1024)
def list_price_of(model: str, tier: str | None, minute: int) -> ListPrice | None:
    """Return the list price of a model.

    The price is worked out once and kept: each request needs one.

    Args:
        model: The provider's name of the model.
        tier: The service tier that serves the request: "flex", "priority", "fast", "batch" or another name of the
            provider; None for the standard one. A tier without a price of its own has the standard one.
        minute: The minute for which the price holds, in minutes since 1970: some prices begin on a day, or depend on
            the time of day.

    Returns:
        The price; None if it is not known.
    """
    moment = datetime.fromtimestamp(minute * 60, UTC)
    # The catalogue has three names for what our providers call the tier. Each entry uses those that it needs.
    context = {"service_tier": tier, "processing": tier, "speed": tier} if tier is not None else None
    prices = (_price(entry.get_prices(moment, context)) for entry in catalogue.entries(model))
    return next((price for price in prices if price is not None), None)


def _price(entry: Any) -> ListPrice | None:
    """Return a `genai_prices.types.ModelPrice` as our own; None if it has no price of tokens."""
    if entry.input_mtok is None and entry.output_mtok is None:
        return None
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok")
    prices = [getattr(entry, name) for name in names]
    starts = {-1, *(tier.start for price in prices for tier in getattr(price, "tiers", ()))}
    steps = []
    for start in sorted(starts, reverse=True):
        read, written, *others = (_at(price, start + 1) for price in prices)
        steps.append((start, Price(read or 0.0, written or 0.0, *others)))
    return ListPrice(tuple(steps))


def _at(price: Any, input_tokens: int) -> float | None:
    """Return a price of the catalogue for an input of so many tokens."""
    if price is None:
        return None
    tiers = [tier.price for tier in getattr(price, "tiers", ()) if input_tokens > tier.start]
    return float(tiers[-1] if tiers else getattr(price, "base", price))
