"""`Budget`: how much an agent, a part of the tree, or a whole run may spend."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from miniagents.errors import BudgetExceededError, InvalidOptionError
from miniagents.ext.llms.allowances import Allowance, Reservation
from miniagents.ext.llms.costs import cost_of
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.prices import Price
from miniagents.messages import EMPTY

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Spent:
    """The amount that was spent of a `Budget`.

    Attributes:
        tokens: Input and output tokens.
        usd: Their cost in US dollars; None if it is not known, since a model without a price was used.
        estimated_tokens: The number of tokens that are an estimate: of calls that were cut off, and of providers that
            send no usage.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import Budget, OpenAIAgent, Spent

        budget = Budget(usd=1.0)

        async def main() -> None:
            await OpenAIAgent.fork(model="gpt-5-mini", max_tokens=100, budget=budget).inquire("Hi")
            assert budget.spent != Spent()

        MiniAgents().run(main())
        ```
    """

    tokens: int = 0
    usd: float | None = 0.0
    estimated_tokens: int = 0


class Budget(Allowance):
    """The amount that an agent, a part of the tree, or a whole run may spend.

    Give it to `fork(budget=)` for an agent, to `MiniAgents(budget=)` for a run, and there with `under=` for a part of
    the tree. Before a request is sent, its estimated input and its `max_tokens` are reserved; at its end the
    reservation is replaced by what the request used. A request that exceeds what is left is refused, and running ones
    finish. A budget may be used from several event loops, one after the other or in threads at once.

    Args:
        tokens: Input and output tokens, 0 or more; None for no limit.
        usd: US dollars, 0 or more; None for no limit. With a limit, models without a price are refused.
        under: A path of the tree: only calls from there and below count, through any number of agents in between.
        per: "caller" for a budget of this size for each `Caller`; calls without a caller have one together. None for
            one budget for all.
        window: The period after which the whole budget is available again: seconds, more than 0, or "30s", "5m", "1h",
            "1d". Periods begin at multiples of their length, days at midnight (UTC). None for a budget that ends.
        prices: The prices of models, by their names; a name also stands for those that begin with it and a dash. Other
            models have the list price that `genai-prices` knows. What calls cost, for this budget and everywhere else,
            is told by these prices, too.
        shared: The name under which all nodes of a cluster spend this budget together. The budgets of
            `MiniAgents(budget=, cluster=)` need none, they count on all nodes. Without a name each node has its own.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.errors import BudgetExceededError
        from miniagents.ext.llms import Budget, OpenAIAgent

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", max_tokens=1000, budget=Budget(tokens=500))
            try:
                await agent.inquire("Hi")
            except BudgetExceededError as error:
                print(error)

        MiniAgents().run(main())
        ```
    """

    def __init__(
        self,
        tokens: int | None = None,
        usd: float | None = None,
        *,
        under: str | None = None,
        per: Literal["caller"] | None = None,
        window: float | str | None = None,
        prices: Mapping[str, Price] = EMPTY,
        shared: str | None = None,
    ) -> None:
        if tokens is None and usd is None:
            raise InvalidOptionError("Budget() needs tokens= or usd=")
        for name, value in (("tokens", tokens), ("usd", usd)):
            if value is not None and not value >= 0:
                raise InvalidOptionError(f"Budget({name}=) must be 0 or more, not {value!r}")
        super().__init__(per, lambda: Budget(tokens, usd, window=window, prices=prices), shared)
        self.tokens = tokens
        self.usd = usd
        self.under = under
        self.window = _seconds(window)
        self.prices = prices
        self._period: float = 0
        self._spent = Spent()
        self._reserved_tokens = 0
        self._reserved_usd = 0.0

    def __repr__(self) -> str:
        return f"Budget(tokens={self.tokens!r}, usd={self.usd!r}, spent={self.spent!r})"

    @property
    def terms(self) -> Mapping[str, Any]:
        """The arguments that an equal budget is made with, apart from its shared name."""
        terms = {"tokens": self.tokens, "usd": self.usd, "under": self.under, "per": self.per, "window": self.window}
        return {**terms, "prices": dict(self.prices)} if self.prices else terms

    @property
    def spent(self) -> Spent:
        """The amount spent so far, in the current window; with `per=`, ask `of(caller).spent`."""
        self._begin_window()
        return self._spent

    @property
    def is_unused(self) -> bool:
        """True if nothing is spent in the current window, and nothing is reserved."""
        return self.spent == Spent() and not self._reserved_tokens

    def reserve(self, path: str, model: str, input_tokens: int, output_tokens: int) -> Reservation[Usage]:
        """Set aside the most that a request may use.

        Args:
            path: The path of the agent.
            model: The model.
            input_tokens: The estimated input tokens.
            output_tokens: The most output tokens.

        Returns:
            The reservation; settle it with the usage of the request.

        Raises:
            BudgetExceededError: The request may use more than is left, or the model has no price.
        """
        if self.per is not None:
            return self.of_current_caller().reserve(path, model, input_tokens, output_tokens)
        self._begin_window()
        tokens = input_tokens + output_tokens
        usd = cost_of(model, Usage(input_tokens, output_tokens), (self,))
        if usd is None:
            if self.usd is not None:
                raise BudgetExceededError(
                    f"{path}: the model {model!r} has no price, and the budget is in USD: give "
                    f"Budget(prices={{{model!r}: Price(input=..., output=...)}}), in USD for a million tokens",
                    path=path,
                )
            usd = 0.0
        with self._lock:
            if self.tokens is not None and tokens > (rest := self.tokens - self._spent.tokens - self._reserved_tokens):
                raise BudgetExceededError(
                    f"{path}: the call needs {tokens} tokens at most (its input and max_tokens), and {max(rest, 0)} of "
                    f"{self.tokens} are left: raise the budget, or lower max_tokens",
                    path=path,
                )
            if self.usd is not None:
                left_usd = self.usd - (self._spent.usd or 0.0) - self._reserved_usd
                if usd > left_usd + 1e-12:
                    raise BudgetExceededError(
                        f"{path}: the call may cost {usd:.6f} USD, and {max(left_usd, 0.0):.6f} of {self.usd} are "
                        f"left: raise the budget, or lower max_tokens",
                        path=path,
                    )
            self._reserved_tokens += tokens
            self._reserved_usd += usd
        return Reservation(partial(self._spend, tokens, usd, model))

    async def set_aside(self, path: str, model: str, input_tokens: int, output_tokens: int) -> Reservation[Usage]:
        """See `reserve`. The budget of another node is asked over a link, so that all budgets are awaited."""
        return self.reserve(path, model, input_tokens, output_tokens)

    def _begin_window(self) -> None:
        if self.window is not None:
            with self._lock:
                period = time.time() // self.window
                if period != self._period:
                    self._period = period
                    self._spent = Spent()

    def _spend(self, reserved_tokens: int, reserved_usd: float, model: str, usage: Usage | None) -> None:
        """Replace a reservation by the usage of its request."""
        with self._lock:
            self._reserved_tokens -= reserved_tokens
            self._reserved_usd = max(self._reserved_usd - reserved_usd, 0.0)
            if usage is not None:
                spent, cost = self._spent, cost_of(model, usage, (self,))
                if cost is None and self.usd is not None:
                    cost = reserved_usd  # the catalogue had a price at the beginning, and has none any more
                self._spent = Spent(
                    spent.tokens + usage.total_tokens,
                    spent.usd + cost if spent.usd is not None and cost is not None else None,
                    spent.estimated_tokens + (usage.total_tokens if usage.estimated else 0),
                )


def _seconds(window: float | str | None) -> float | None:
    if isinstance(window, str):
        unit = _UNITS.get(window[-1:])
        try:
            seconds = float(window[:-1]) * unit if unit is not None else math.nan
        except ValueError:
            seconds = math.nan
    elif window is None:
        return None
    else:
        seconds = float(window)
    if not 0 < seconds < math.inf:
        raise InvalidOptionError(f'Budget(window=) is seconds, more than 0, or "30s", "5m", "1h", "1d", not {window!r}')
    return seconds
