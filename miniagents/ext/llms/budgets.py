"""`Budget`: how much an agent, a part of the tree, or a whole run may spend."""

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from miniagents.actors.caller import current_caller
from miniagents.errors import BudgetExceededError, InvalidOptionError
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.prices import PRICES, Price, price_of

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MANY = 10_000
"""Callers whose budgets are remembered before those that are as they began are forgotten."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent.

    Attributes:
        tokens: Tokens, read and written.
        usd: What they cost; 0 for models without a price.
        estimated_tokens: How many of them are an estimate: calls that were cut, and providers that send no usage.
    """

    tokens: int = 0
    usd: float = 0.0
    estimated_tokens: int = 0


@dataclass(slots=True, eq=False)
class Reservation:
    """What a call may spend at most, until it is settled."""

    tokens: int
    usd: float
    _budget: "Budget"
    _is_open: bool = True

    def settle(self, usage: Usage | None, model: str) -> None:
        """The call is over.

        Args:
            usage: What it used; None if nothing.
            model: The model.
        """
        if self._is_open:
            self._is_open = False
            self._budget._settled(self, usage, model)


class Budget:
    """How much an agent, a part of the tree or a whole run may spend.

    Give it to `fork(budget=)` for an agent, to `MiniAgents(budget=)` for a run, and there with `under=` for a part of
    the tree. A call reserves its estimated input and its `max_tokens` before it is sent, and settles with what it used;
    one that exceeds what is left is refused. What runs already may finish. It may be used from several event loops, one
    after the other or in threads at once.

    Args:
        tokens: Tokens, read and written, 0 or more; None for no limit.
        usd: US dollars, 0 or more; None for no limit. A model without a price is refused then.
        under: A path of the tree: only calls that come from there count, however many agents lie in between.
        per: "caller" for as much for each `Caller`; calls that nobody is known for share theirs. None for all together.
        window: The time in which it may be spent, after which all of it is there again: seconds, more than 0, or "30s",
            "5m", "1h", "1d". Windows begin at multiples of their length, days at midnight (UTC). None for ever.
        prices: The prices, by model.

    Attributes:
        spent: What was spent so far, in this window; with `per=` see `of`.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    __miniagents_immutable__ = True  # it is shared as it is

    def __init__(
        self,
        tokens: int | None = None,
        usd: float | None = None,
        *,
        under: str | None = None,
        per: Literal["caller"] | None = None,
        window: float | str | None = None,
        prices: Mapping[str, Price] = PRICES,
    ) -> None:
        if tokens is None and usd is None:
            raise InvalidOptionError("Budget() needs tokens= or usd=")
        for name, value in (("tokens", tokens), ("usd", usd)):
            if value is not None and not value >= 0:
                raise InvalidOptionError(f"Budget({name}=) must be 0 or more, not {value!r}")
        self.tokens = tokens
        self.usd = usd
        self.under = under
        if per not in (None, "caller"):
            raise InvalidOptionError(f'Budget(per=) is "caller" or None, not {per!r}')
        self.per = per
        self.window = _seconds(window)
        self._period: float = 0
        self._of_callers: dict[str | None, Budget] = {}
        self.prices = prices
        self.spent = Spent()
        self._lock = threading.RLock()  # a coroutine that is collected settles wherever Python is
        self._reserved_tokens = 0
        self._reserved_usd = 0.0

    def __repr__(self) -> str:
        return f"Budget(tokens={self.tokens!r}, usd={self.usd!r}, spent={self.spent!r})"

    def reserve(self, who: str, model: str, input_tokens: int, output_tokens: int) -> Reservation:
        """Set aside what a call may use.

        Args:
            who: The path of the agent.
            model: The model.
            input_tokens: Tokens that it reads.
            output_tokens: Tokens that it writes at most.

        Raises:
            BudgetExceededError: That is more than is left, or the model has no price.
        """
        if self.per is not None:
            caller = current_caller.get()
            return self.of(caller.name if caller is not None else None).reserve(who, model, input_tokens, output_tokens)
        self._begin_window()
        tokens = input_tokens + output_tokens
        usd = self._cost(model, Usage(input_tokens, output_tokens))
        if usd is None:
            if self.usd is not None:
                raise BudgetExceededError(
                    f"{who}: the model {model!r} has no price, and the budget is in USD: give Budget(prices={{...}})",
                    path=who,
                )
            usd = 0.0
        with self._lock:
            if self.tokens is not None and tokens > (left := self.tokens - self.spent.tokens - self._reserved_tokens):
                raise BudgetExceededError(
                    f"{who}: the call needs {tokens} tokens at most (its input and max_tokens), and {max(left, 0)} of "
                    f"{self.tokens} are left: raise the budget, or lower max_tokens",
                    path=who,
                )
            if self.usd is not None and usd > (left_usd := self.usd - self.spent.usd - self._reserved_usd) + 1e-12:
                raise BudgetExceededError(
                    f"{who}: the call may cost {usd:.6f} USD, and {max(left_usd, 0.0):.6f} of {self.usd} are left: "
                    f"raise the budget, or lower max_tokens",
                    path=who,
                )
            self._reserved_tokens += tokens
            self._reserved_usd += usd
            return Reservation(tokens, usd, self)

    def of(self, caller: str | None) -> "Budget":
        """The budget of one caller, where it is `per="caller"`.

        Args:
            caller: The name; None for those that nobody is known for.
        """
        with self._lock:
            found = self._of_callers.get(caller)
            if found is None:
                if len(self._of_callers) >= _MANY:
                    self._forget_the_idle()
                found = Budget(self.tokens, self.usd, window=self.window, prices=self.prices)
                self._of_callers[caller] = found
        found._begin_window()
        return found

    def _forget_the_idle(self) -> None:
        """A budget that is as it was at the beginning need not be remembered."""
        for caller, budget in tuple(self._of_callers.items()):
            budget._begin_window()
            if budget.spent == Spent() and not budget._reserved_tokens:
                del self._of_callers[caller]

    def _begin_window(self) -> None:
        if self.window is not None:
            with self._lock:
                period = time.time() // self.window
                if period != self._period:
                    self._period = period
                    self.spent = Spent()

    def _settled(self, reservation: Reservation, usage: Usage | None, model: str) -> None:
        with self._lock:
            self._reserved_tokens -= reservation.tokens
            self._reserved_usd = max(self._reserved_usd - reservation.usd, 0.0)
            if usage is not None:
                spent = self.spent
                self.spent = Spent(
                    spent.tokens + usage.total_tokens,
                    spent.usd + (self._cost(model, usage) or 0.0),
                    spent.estimated_tokens + (usage.total_tokens if usage.estimated else 0),
                )

    def _cost(self, model: str, usage: Usage) -> float | None:
        price = price_of(model, self.prices)
        return price.of(usage) if price is not None else None


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
