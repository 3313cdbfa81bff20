"""The account of an interaction: what a call has used itself, and what all calls below it have used with it.

This is the one place where both are worked out, for tokens, cost and time. Over a whole tree of calls the sum of what
each has used itself is the total of the call at its top, also with attempts, fallbacks, cached answers and calls that
were cancelled. A call is over when its code has ended and nothing below it is open any more.

Accounts are kept as long as an observer follows calls to their end (`Observer.interaction_over`).
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.observing.observers import Observers

DEEPEST = 64
"""The number of levels of a tree that are kept: a call below them stands beside the one that made it. So a call that
makes another one and ends, and so on without an end, keeps no more than these."""


class Attempt(msgspec.Struct, frozen=True):
    """One run of the code of a call that has failed and was tried again.

    Attributes:
        begun_at: The time of its beginning, on `loop.time()`.
        ended_at: The time of its end.
        error_type: The name of the exception's class.
    """

    begun_at: float
    ended_at: float
    error_type: str


class InteractionAccount(msgspec.Struct, eq=False):
    """What one call has used, so far or in the end. It lives longer than the call, and keeps nothing of what was said.

    The time of a call itself is that in which it is open and nothing below it is: it waits in a mailbox, runs its own
    code, waits for a model, or pauses between two attempts. Calls that run side by side are counted each, so that the
    total may be longer than the time that has passed.

    Attributes:
        id: The number of the interaction.
        cell: The cell of the agent: it has the agent, its path, uid, node, epoch and restarts.
        label: The label that tells equal calls apart, or None.
        above: The account of the call that made this one; None from outside. The call itself may have ended.
        level: The number of calls above.
        at: The time of its start, in seconds since the epoch.
        started_at: The time of its start, on `loop.time()`: it goes into the mailbox.
        begun_at: The time at which its code first began; None before.
        ended_at: The time at which its code ended; None before.
        over_at: The time at which nothing below it was open any more; None before.
        attempts: The number of runs of its code so far.
        failed_attempts: The runs that have failed and were followed by another one.
        error: The text of the error that the call failed with, or None.
        own_tokens: The tokens of its own requests to models.
        own_cost: Their cost; None if it is not known.
        own_seconds: Its own time, up to the last change.
        tokens: The tokens with those of all calls below.
        cost: The cost with that of all calls below; None if a part of it is not known.
        seconds: The time with that of all calls below, those that are over.
        open_below: The number of calls that it has made and that are not over.
        background: The number of tasks that its code has started and that go on after its end.
        since: The time up to which its own time is counted.
        attempt_begun_at: The time at which its code last began.
        book: The open accounts of the system.

    Example:
        >>> @miniagent
        ... async def answerer(ctx):
        ...     ctx.reply("42")
        >>> @miniagent
        ... async def asker(ctx):
        ...     ctx.reply(await answerer.inquire("?"))
        >>> class Printing(Observer):
        ...     def interaction_over(self, account):
        ...         above = account.above.cell.path if account.above is not None else "outside"
        ...         print(f"{account.cell.path} from {above}: {account.own_tokens} of {account.tokens} tokens")
        >>> async with MiniAgents(observers=[Printing()]):
        ...     replies = await asker.inquire("Hi")
        /agents/answerer from /agents/asker: 0 of 0 tokens
        /agents/asker from outside: 0 of 0 tokens
    """

    id: int
    cell: Any
    label: str | None
    book: "Accounts"
    above: "InteractionAccount | None"
    level: int
    started_at: float
    since: float  # all up to here are given by position, which is quicker (`MiniAgents.interaction_started`)
    at: float = msgspec.field(default_factory=time.time)
    begun_at: float | None = None
    ended_at: float | None = None
    over_at: float | None = None
    attempts: int = 0
    failed_attempts: tuple[Attempt, ...] = ()
    attempt_begun_at: float = 0.0
    error: str | None = None
    own_tokens: int = 0
    own_cost: float | None = 0.0
    own_seconds: float = 0.0
    tokens: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0
    open_below: int = 0
    background: int = 0

    def attempt_failed(self, now: float, error: BaseException) -> None:
        """A run of the code has failed, and the call has not ended with it."""
        self.failed_attempts += (Attempt(self.attempt_begun_at, now, type(error).__name__),)

    def spend(self, tokens: int, cost: float | None) -> None:
        """Count what a request to a model has used."""
        self.own_tokens += tokens
        self.own_cost = None if cost is None or self.own_cost is None else self.own_cost + cost
        account: InteractionAccount | None = self
        while account is not None:
            account.tokens += tokens
            account.cost = None if cost is None or account.cost is None else account.cost + cost
            account = account.above

    def own_seconds_at(self, now: float) -> float:
        """Return its own time up to now.

        Args:
            now: The time, on `loop.time()`.
        """
        runs = self.over_at is None and not self.open_below
        return self.own_seconds + max(0.0, now - self.since) if runs else self.own_seconds

    def wait_for(self, background: "Iterable[asyncio.Task[Any]]") -> None:
        """Be not over before these tasks, which the code has started and which go on after its end."""
        for task in background:
            self.background += 1
            task.add_done_callback(self._task_ended)

    def _task_ended(self, _: object) -> None:
        self.background -= 1
        self.settle(self.book.dispatcher.time())

    def settle(self, now: float) -> None:
        """Close the account if the call is over, and with it those above whose calls are over now."""
        account, book = self, self.book
        while account.ended_at is not None and not account.open_below and not account.background:
            account.own_seconds += now - account.since
            account.seconds += account.own_seconds
            account.over_at = now
            del book.open[account.id]
            above = account.above
            if above is not None:
                above.seconds += account.seconds
                above.open_below -= 1
                if not above.open_below:
                    above.since = now
            for hook in book.observers.interaction_over:
                try:
                    hook(account)
                except Exception as error:
                    book.observers.failed(hook, error)
            if above is None:
                break
            account = above


class Accounts:
    """The accounts of the calls of one system that are open.

    Args:
        observers: Those who are told when one is over.
        dispatcher: Has the time.

    Attributes:
        open: The accounts by the numbers of the interactions, oldest first.
    """

    def __init__(self, observers: Observers, dispatcher: Dispatcher) -> None:
        self.observers = observers
        self.dispatcher = dispatcher
        self.open: dict[int, InteractionAccount] = {}


def open_above(account: InteractionAccount) -> InteractionAccount | None:
    """Return the account that a new one stands under, where the call that makes it is over or too deep in the tree."""
    above: InteractionAccount | None = account
    while above is not None and (above.over_at is not None or above.level >= DEEPEST):
        above = above.above
    return above
