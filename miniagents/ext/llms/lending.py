"""The budgets and rate limits that the nodes of a cluster have together, as a request to a model uses them.

The driver owns each. On another node a request leases what it may use at the desk of that node (`AllowanceDesk`), which
takes one round trip.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from miniagents.actors import ActorRef, SpawnOptions
from miniagents.actors.observing.caller import current_caller
from miniagents.agents import Interaction
from miniagents.errors import LLMError, MailboxFullError, RateLimitedError
from miniagents.ext.llms.allowance_desk import (
    AllowanceDesk,
    GiveBack,
    Lease,
    LeaseTokens,
    LeaseTurn,
    ProviderLimits,
    WasRefused,
    owned,
)
from miniagents.ext.llms.allowances import Reservation
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.costs import Prices
from miniagents.ext.llms.limits import Admission, RateLimit, Slowed
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.prices import Price
from miniagents.messages import EMPTY, Message, Request


class Purse(Prices, Protocol):
    """A budget, as a request uses it: one of this process, or one of another node."""

    async def set_aside(self, path: str, model: str, input_tokens: int, output_tokens: int) -> Reservation[Usage]:
        """See `Budget.reserve`."""


class Pace(Protocol):
    """A rate limit, as a request uses it: one of this process, or one of another node."""

    async def admit(
        self, sender: str, tokens: int, patience: float | None = None, longest_pause: float = ...
    ) -> Admission:
        """See `RateLimit.admit`."""

    def slow_down(self, admission: Admission, retry_after: float | None = None) -> Slowed | None:
        """See `RateLimit.slow_down`."""

    def adapt(self, headers: Mapping[str, str]) -> None:
        """See `RateLimit.adapt`."""


def purse_of(budget: Budget, interaction: Interaction) -> Purse:
    """Return what a call of an agent uses in the place of a budget: the budget itself, unless another node owns it."""
    system = interaction.system
    if budget.shared is None or system.placing is None:
        return budget
    if system.placing.is_driver:
        return owned(Budget, budget.shared, budget.terms, system)
    return LentBudget(budget.shared, budget.terms, _branch(system))


def pace_of(limit: RateLimit, interaction: Interaction) -> Pace:
    """Return what a call of an agent uses in the place of a rate limit: the limit itself, unless another node owns
    it."""
    system = interaction.system
    if limit.shared is None or system.placing is None:
        return limit
    if system.placing.is_driver:
        return owned(RateLimit, limit.shared, limit.terms, system)
    return LentRateLimit(limit.shared, limit.terms, interaction.path, _branch(system))


def _branch(system: Any) -> "Branch":
    branch: Branch = system.shared(Branch, lambda: Branch(system))
    return branch


class Branch:
    """The leases of one node, and the way to its desk.

    Who ends the wait for a lease: the desk, or the loss of the driver, with which this node ends.

    Args:
        system: The system of the node.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._numbers = itertools.count(1)
        self._desks = itertools.count(1)
        self._desk: ActorRef | None = None

    def number(self) -> int:
        """Return the number of a new lease."""
        return next(self._numbers)

    def now(self) -> float:
        """Return the time on the clock of the system."""
        time: float = self._system.time()
        return time

    def _open_desk(self) -> ActorRef:
        desk = self._desk
        if desk is None or not desk.is_alive:
            system = self._system
            name = f"allowances-{system.node_name}-{system.node_epoch}-{next(self._desks)}"
            options = SpawnOptions(node=system.placing.driver.name)
            desk = self._desk = system.spawn(AllowanceDesk, name=name, options=options)
        return desk

    async def lease(self, number: int, wanted: Request[Lease]) -> Lease:
        """Ask for a lease, and wait until it is granted or refused.

        Args:
            number: Its number.
            wanted: What is asked for.

        Raises:
            LLMError: It is refused.
        """
        try:
            return await self._open_desk().ask(wanted)
        except LLMError:
            raise
        except BaseException:  # a cancel: it may be granted at this moment
            self.tell(GiveBack(number=number))
            raise

    def tell(self, message: Message) -> None:
        """Tell the desk, if it is there: one that has ended has given all leases back. If the link is full, the message
        waits for room."""
        desk = self._desk
        if desk is None or not desk.is_alive:
            return
        try:
            desk.tell(message)
        except MailboxFullError:
            self._system.start_soon(desk.send(message))


class LentBudget:
    """A budget that the driver owns, on another node.

    Args:
        shared: Its name.
        terms: What it is made with.
        branch: The leases of this node.
    """

    def __init__(self, shared: str, terms: Mapping[str, Any], branch: Branch) -> None:
        self.prices: Mapping[str, Price] = terms.get("prices", EMPTY)
        self._shared = shared
        self._terms = terms
        self._branch = branch

    async def set_aside(self, path: str, model: str, input_tokens: int, output_tokens: int) -> Reservation[Usage]:
        """See `Budget.reserve`."""
        number = self._branch.number()
        await self._branch.lease(
            number,
            LeaseTokens(
                number=number,
                shared=self._shared,
                terms=self._terms,
                caller=_caller(),
                path=path,
                model=model,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
            ),
        )
        return Reservation(partial(self._settle, number))

    def _settle(self, number: int, usage: Usage | None) -> None:
        self._branch.tell(GiveBack(number=number, usage=usage))


class LentAdmission(Admission):
    """The admission of a request by a rate limit that the driver owns.

    Args:
        number: The number of the lease.
        settle: As in `Admission`.
        admitted_at: As in `Admission`.
    """

    __slots__ = ("number",)

    def __init__(self, number: int, settle: Callable[[int | None], None], admitted_at: float) -> None:
        super().__init__(settle, admitted_at)
        self.number = number


class LentRateLimit:
    """A rate limit that the driver owns, on another node.

    Args:
        shared: Its name.
        terms: What it is made with.
        path: The path of the agent that uses it.
        branch: The leases of this node.
    """

    def __init__(self, shared: str, terms: Mapping[str, Any], path: str, branch: Branch) -> None:
        self._shared = shared
        self._terms = terms
        self._path = path
        self._branch = branch

    async def admit(
        self, sender: str, tokens: int, patience: float | None = None, longest_pause: float = math.inf
    ) -> LentAdmission:
        """See `RateLimit.admit`."""
        number = self._branch.number()
        lease = await self._branch.lease(
            number,
            LeaseTurn(
                number=number,
                shared=self._shared,
                terms=self._terms,
                caller=_caller(),
                sender=sender,
                tokens=tokens,
                patience=patience,
                longest_pause=longest_pause,
            ),
        )
        if lease.refusal:
            raise RateLimitedError(lease.refusal, retry_after=lease.retry_after)
        return LentAdmission(number, partial(self._settle, number), self._branch.now())

    def _settle(self, number: int, tokens: int | None) -> None:
        self._branch.tell(GiveBack(number=number, tokens=tokens))

    def slow_down(self, admission: Admission, retry_after: float | None = None) -> None:
        """See `RateLimit.slow_down`. What it leads to is reported by the driver."""
        assert isinstance(admission, LentAdmission)  # the one that `admit` has returned
        self._branch.tell(WasRefused(number=admission.number, path=self._path, retry_after=retry_after))

    def adapt(self, headers: Mapping[str, str]) -> None:
        """See `RateLimit.adapt`."""
        limits = {name: value for name, value in headers.items() if "ratelimit" in name}
        if limits:
            self._branch.tell(ProviderLimits(shared=self._shared, terms=self._terms, headers=limits))


def _caller() -> str | None:
    caller = current_caller.get()
    return caller.name if caller is not None else None
