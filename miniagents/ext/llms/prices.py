"""`PRICES`: the list prices of models. Prices change: give a `Budget` your own table where it matters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from miniagents.ext.llms.messages import Usage
from miniagents.messages import register_value_type


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, in USD for a million tokens.

    Args:
        input: The price of input tokens.
        output: The price of output tokens.
        cached: The price of input tokens from the provider's cache; None for the price of other input tokens.
        cache_written: The price of input tokens that are written to the cache; None for that of other input tokens.

    Example:
        ```python
        from miniagents.ext.llms import PRICES, Budget, Price, Usage

        own = Price(input=1.0, output=2.0)
        print(own.of(Usage(input_tokens=1_000_000, output_tokens=500_000)))  # 2.0
        budget = Budget(usd=5.0, prices={**PRICES, "my-model": own})
        ```
    """

    input: float
    output: float
    cached: float | None = None
    cache_written: float | None = None

    def of(self, usage: Usage) -> float:
        """Return the cost of a request, in USD."""
        cached = self.cached if self.cached is not None else self.input
        read, written = usage.cached_tokens, usage.cache_written_tokens
        cost = (usage.input_tokens - read) * self.input + read * cached + usage.output_tokens * self.output
        if written and self.cache_written is not None:
            cost += written * (self.cache_written - self.input)
        return cost / 1_000_000


register_value_type(Price)  # those of a budget travel to the other nodes of a cluster

PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "gpt-5": Price(1.25, 10.0, 0.125),
        "gpt-5-mini": Price(0.25, 2.0, 0.025),
        "gpt-5-nano": Price(0.05, 0.4, 0.005),
        "gpt-4.1": Price(2.0, 8.0, 0.5),
        "gpt-4.1-mini": Price(0.4, 1.6, 0.1),
        "gpt-4.1-nano": Price(0.1, 0.4, 0.025),
        "gpt-4o": Price(2.5, 10.0, 1.25),
        "gpt-4o-mini": Price(0.15, 0.6, 0.075),
        "o3": Price(2.0, 8.0, 0.5),
        "o4-mini": Price(1.1, 4.4, 0.275),
        "text-embedding-3-small": Price(0.02, 0.0),
        "text-embedding-3-large": Price(0.13, 0.0),
        "claude-opus-4-5": Price(5.0, 25.0, 0.5, 6.25),
        "claude-opus-4-1": Price(15.0, 75.0, 1.5, 18.75),
        "claude-sonnet-4-5": Price(3.0, 15.0, 0.3, 3.75),
        "claude-sonnet-4": Price(3.0, 15.0, 0.3, 3.75),
        "claude-haiku-4-5": Price(1.0, 5.0, 0.1, 1.25),
        "claude-3-5-haiku": Price(0.8, 4.0, 0.08, 1.0),
    }
)
"""List prices of late 2025, from openai.com/api/pricing and claude.com/pricing. A model that is not listed has the
price of the longest listed name that its own name begins with (`gpt-4o-mini-2024-07-18`)."""


def price_of(model: str, prices: Mapping[str, Price] = PRICES) -> Price | None:
    """Return the price of a model, or None if the table does not have it."""
    return _list_price(model) if prices is PRICES else _price_in(model, prices)


def _price_in(model: str, prices: Mapping[str, Price]) -> Price | None:
    if model in prices:
        return prices[model]
    families = [name for name in prices if model.startswith(f"{name}-")]
    return prices[max(families, key=len)] if families else None


@lru_cache(maxsize=1024)
def _list_price(model: str) -> Price | None:
    return _price_in(model, PRICES)  # every request needs the price, and this table never changes
