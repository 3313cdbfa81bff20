"""The rate limits and budgets that a system knows, and what they say of themselves."""

import itertools
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

import msgspec

CALLERS = 1_000
"""The number of callers whose shares are listed, of one limit or budget with `per="caller"`."""


class LimitInfo(msgspec.Struct, frozen=True):
    """A rate limit at one moment.

    Attributes:
        id: The number of the limit in its system.
        caller: The caller whose share this is; None for the whole, and for calls without a caller.
        is_share: True if this is the share of one caller. The whole comes before its shares.
        requests_per_minute: Requests in any minute; None for no limit.
        tokens_per_minute: Tokens in any minute; None for no limit.
        concurrent: Requests at once; None for no limit.
        share: The share of the full rate that 429s have left, from 0 to 1.
        rate: The current limit in requests a second; None for no limit.
        in_flight: The number of requests that were admitted and have not ended.
        waiting: The number of requests that wait, those that wait for a share included.
        waiters: The number of waiting requests of each sender, in the order of their turns.

    Example:
        >>> from miniagents.ext.llms import RateLimit
        >>> from miniagents.testing import Script, ScriptedModel
        >>> async with MiniAgents() as system:
        ...     model = ScriptedModel.fork(script=Script("Hello!"), rate_limit=RateLimit(concurrent=2))
        ...     replies = await model.inquire("Hi")
        ...     (limit,) = system.limits()
        >>> limit.concurrent, limit.in_flight, limit.waiters
        (2, 0, {})
    """

    id: int
    caller: str | None
    is_share: bool
    requests_per_minute: float | None
    tokens_per_minute: float | None
    concurrent: int | None
    share: float
    rate: float | None
    in_flight: int
    waiting: int
    waiters: dict[str, int]


class BudgetInfo(msgspec.Struct, frozen=True):
    """A budget at one moment.

    Attributes:
        id: The number of the budget in its system.
        caller: The caller whose share this is; None for the whole, and for calls without a caller.
        is_share: True if this is the share of one caller. Of a budget with `per="caller"` there are only shares.
        tokens: The tokens that may be spent; None for no limit.
        usd: The US dollars that may be spent; None for no limit.
        under: The path of the tree whose calls count; None for all.
        window: The seconds after which the whole budget is there again; None for never.
        spent_tokens: The tokens that were spent, in the current window.
        spent_usd: Their cost; None if the price of a model is not known.
        estimated_tokens: The number of tokens among them that are an estimate.

    Example:
        >>> from miniagents.ext.llms import Budget
        >>> async with MiniAgents(budget=Budget(tokens=1_000)) as system:
        ...     (budget,) = system.budgets()
        >>> budget.tokens, budget.spent_tokens
        (1000, 0)
    """

    id: int
    caller: str | None
    is_share: bool
    tokens: int | None
    usd: float | None
    under: str | None
    window: float | None
    spent_tokens: int
    spent_usd: float | None
    estimated_tokens: int


class Allowance(Protocol):
    """A `RateLimit` or a `Budget` of `miniagents.ext.llms`."""

    @property
    def per(self) -> object:
        """None, if it is one for all callers."""

    def shares_by_caller(self) -> dict[str | None, Any]:
        """Return the shares of all callers."""


A = TypeVar("A", bound=Allowance)


class Known(Generic[A]):
    """The allowances that the agents of a system have used, each with a number. One that nobody uses any more is
    forgotten."""

    def __init__(self) -> None:
        self._numbers: dict[ref[A], int] = {}
        self._next = itertools.count(1)

    def add(self, allowance: A) -> None:
        """Note an allowance. To note it again changes nothing."""
        known = ref(allowance)
        if known not in self._numbers:
            self._numbers[ref(allowance, self._forget)] = next(self._next)

    def _forget(self, gone: "ref[A]") -> None:
        self._numbers.pop(gone, None)

    def parts(self) -> Iterator[tuple[int, str | None, bool, A]]:
        """Return each allowance and each share of one, with its number, its caller, and whether it is a share."""
        for known, number in tuple(self._numbers.items()):
            allowance = known()
            if allowance is None:
                continue
            yield number, None, False, allowance
            if allowance.per is not None:
                shares = allowance.shares_by_caller()
                for caller, share in itertools.islice(shares.items(), CALLERS):
                    yield number, caller, True, share


def limit_infos(known: Known[Any]) -> tuple[LimitInfo, ...]:
    """Return what the known rate limits say of themselves."""
    return tuple(
        LimitInfo(
            id=number,
            caller=caller,
            is_share=is_share,
            requests_per_minute=limit.requests_per_minute,
            tokens_per_minute=limit.tokens_per_minute,
            concurrent=limit.concurrent,
            share=limit.share,
            rate=limit.rate,
            in_flight=limit.in_flight,
            waiting=limit.waiting,
            waiters=limit.waiters,
        )
        for number, caller, is_share, limit in known.parts()
    )


def budget_infos(known: Known[Any]) -> tuple[BudgetInfo, ...]:
    """Return what the known budgets say of themselves."""
    infos = []
    for number, caller, is_share, budget in known.parts():
        if budget.per is not None:
            continue  # only its shares spend anything
        spent = budget.spent
        infos.append(
            BudgetInfo(
                id=number,
                caller=caller,
                is_share=is_share,
                tokens=budget.tokens,
                usd=budget.usd,
                under=budget.under,
                window=budget.window,
                spent_tokens=spent.tokens,
                spent_usd=spent.usd,
                estimated_tokens=spent.estimated_tokens,
            )
        )
    return tuple(infos)
