"""`Meter`: the tokens that all models below one call use, while it runs."""

from contextvars import ContextVar
from dataclasses import dataclass

from miniagents.ext.llms.messages import Usage


@dataclass(slots=True)
class Meter:
    """The usage so far.

    Attributes:
        input_tokens: Input tokens.
        output_tokens: Output tokens.
        cached_tokens: The input tokens that came from a provider's cache.
        cost: The cost in USD; None if it is not known, since a model without a price has been used.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = 0.0

    def add(self, usage: Usage, cost: float | None) -> None:
        """Add the usage of a request, and its cost; None if it is not known."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_tokens += usage.cached_tokens
        self.cost = self.cost + cost if self.cost is not None and cost is not None else None


current_meter: ContextVar[Meter | None] = ContextVar("current_meter", default=None)
"""The meter of the running call; interactions start with a copy of their caller's context, and so share it."""
