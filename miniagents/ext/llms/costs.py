"""`cost_of`: the cost of a request, by the prices that a user gives and else by those of the catalogue."""

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from miniagents.ext.llms.catalogue import OWN
from miniagents.ext.llms.list_prices import ListPrice, list_price_of
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.prices import Price


class Prices(Protocol):
    """A budget, as far as it says what models cost.

    Attributes:
        prices: The prices that the user gave, by model.
    """

    @property
    def prices(self) -> Mapping[str, Price]: ...


def cost_of(model: str, usage: Usage, budgets: Iterable[Prices] = ()) -> float | None:
    """Return the cost of a request.

    Args:
        model: The model.
        usage: The tokens that it used, and the tier that served it.
        budgets: The budgets that pay for it: their prices come before those of the catalogue.

    Returns:
        The cost in USD; None if the model has no price.
    """
    price: Price | ListPrice | None
    for budget in budgets:
        if budget.prices:
            price = _price_in(model, budget.prices)
            if price is not None:
                return price.of(usage)
    if model in OWN:
        return None
    price = list_price_of(model, usage.service_tier, int(time.time() // 60))
    return price.of(usage) if price is not None else None


def _price_in(model: str, prices: Mapping[str, Price]) -> Price | None:
    if model in prices:
        return prices[model]
    families = [name for name in prices if model.startswith(f"{name}-")]
    return prices[max(families, key=len)] if families else None
