"""`Price`: the price of a model, in US dollars for a million tokens of each kind."""

from dataclasses import dataclass

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
        reasoning: The price of output tokens that are reasoning; None for the price of other output tokens.

    Example:
        ```python
        from miniagents.ext.llms import Budget, Price, Usage

        own = Price(input=1.0, output=2.0)
        print(own.of(Usage(input_tokens=1_000_000, output_tokens=500_000)))  # 2.0
        budget = Budget(usd=5.0, prices={"my-model": own})
        ```
    """

    input: float
    output: float
    cached: float | None = None
    cache_written: float | None = None
    reasoning: float | None = None

    def of(self, usage: Usage) -> float:
        """Return the cost of a request, in USD."""
        cached = self.cached if self.cached is not None else self.input
        read, written = usage.cached_tokens, usage.cache_written_tokens
        cost = (usage.input_tokens - read) * self.input + read * cached + usage.output_tokens * self.output
        if written and self.cache_written is not None:
            cost += written * (self.cache_written - self.input)
        if self.reasoning is not None:
            cost += usage.reasoning_tokens * (self.reasoning - self.output)
        return cost / 1_000_000


register_value_type(Price)  # those of a budget travel to the other nodes of a cluster
