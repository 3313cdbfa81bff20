"""Metering: what all models below one call use, while it runs."""

from contextvars import ContextVar
from dataclasses import dataclass

from miniagents.ext.llms.messages import Usage


@dataclass(slots=True)
class Meter:
    """What was used so far.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        cached_tokens: Those of the input that came from a cache.
        cost: What they cost, in USD, as far as the models have a price.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0

    def add(self, usage: Usage, cost: float) -> None:
        """One more call of a model is over."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_tokens += usage.cached_tokens
        self.cost += cost


current_meter: ContextVar[Meter | None] = ContextVar("current_meter", default=None)
"""The meter of the call at work: interactions start with a copy of their caller's context, so it reaches all below."""
