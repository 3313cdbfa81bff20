"""`AllowanceDesk`: the actor on the driver of a cluster at which one node draws on the budgets and rate limits that all
nodes have together.

Each request to a model leases from the one allowance what it may use, and gives the lease back with what it has used.
A node places its desk on the driver itself, so the desk ends with the node, also when that is lost. What is leased then
goes back.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from miniagents.actors import Actor, ActorContext, EventKind
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.errors import InvalidOptionError, LLMError, RateLimitedError
from miniagents.ext.llms.allowances import Allowance, Reservation
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.limits import Admission, RateLimit, Slowed
from miniagents.ext.llms.messages import Usage
from miniagents.log import log as _log
from miniagents.messages import Message, Request
from miniagents.supervision import StopReason

A = TypeVar("A", bound=Allowance)


class Lease(Message):
    """The answer of a desk to a request for a lease.

    Attributes:
        refusal: The reason for which a rate limit refuses it, or "".
        retry_after: Seconds that the provider asks everybody to wait, if that is the reason.
    """

    refusal: str = ""
    retry_after: float | None = None


class LeaseTokens(Request[Lease]):
    """Lease from a budget what a request may use.

    Attributes:
        number: The number of the lease, which its node gives it.
        shared: The name of the budget.
        terms: What a new one is made with.
        caller: The name of the caller that the request is for, or None.
        path: The path of the agent.
        model: The model.
        input_tokens: The estimated input tokens.
        output_tokens: The most output tokens.
    """

    number: int
    shared: str
    terms: Mapping[str, Any]
    caller: str | None
    path: str
    model: str
    input_tokens: int
    output_tokens: int


class LeaseTurn(Request[Lease]):
    """Wait until a rate limit admits a request.

    Attributes:
        number: The number of the lease, which its node gives it.
        shared: The name of the rate limit.
        terms: What a new one is made with.
        caller: The name of the caller that the request is for, or None.
        sender: A name for the agent that sends the request: senders take turns.
        tokens: The estimated tokens of the request.
        patience: The longest wait in seconds; None for no limit.
        longest_pause: Seconds: the request is refused when the provider asks for a longer pause.
    """

    number: int
    shared: str
    terms: Mapping[str, Any]
    caller: str | None
    sender: str
    tokens: int
    patience: float | None
    longest_pause: float


class GiveBack(Message):
    """The end of a lease, granted or not.

    Attributes:
        number: The number of the lease.
        usage: The usage of the request, for a budget; None if it was not sent.
        tokens: The tokens that the request used, for a rate limit; None if it was not sent.
    """

    number: int
    usage: Usage | None = None
    tokens: int | None = None


class WasRefused(Message):
    """The provider has refused a request with a 429.

    Attributes:
        number: The number of the lease.
        path: The path of the agent.
        retry_after: Seconds that the provider asks to wait, or None.
    """

    number: int
    path: str
    retry_after: float | None


class ProviderLimits(Message):
    """The rate-limit headers of an answer of the provider.

    Attributes:
        shared: The name of the rate limit.
        terms: What a new one is made with.
        headers: The headers, their names in lower case.
    """

    shared: str
    terms: Mapping[str, Any]
    headers: Mapping[str, str]


def owned(kind: type[A], shared: str, terms: Mapping[str, Any], system: Any) -> A:
    """Return the one allowance of a name that the nodes of a cluster have together. The system of the driver has it.

    Args:
        kind: The class of the allowance.
        shared: The name.
        terms: The arguments that it is made with.
        system: The system of the driver.

    Raises:
        InvalidOptionError: There is one with other arguments.
    """
    allowance: A = system.shared((kind, shared), lambda: kind.named(shared, terms))
    if dict(allowance.terms) != dict(terms):
        raise InvalidOptionError(
            f"{kind.__name__}(shared={shared!r}) has the arguments {dict(allowance.terms)} on one node and "
            f"{dict(terms)} on another: give it the same ones on all nodes"
        )
    return allowance


class AllowanceDesk(Actor):
    """The desk of one node."""

    errors = (LLMError, InvalidOptionError)

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[Reservation[Usage], Usage]] = {}
        self._turns: dict[int, tuple[RateLimit, Admission, int]] = {}
        self._waiting: dict[int, Any] = {}

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        """Take a message of the node."""
        match message:
            case LeaseTokens():
                return self._lease_tokens(message, ctx)
            case LeaseTurn():
                limit = owned(RateLimit, message.shared, message.terms, ctx.system).of(message.caller)
                wait = self._admit(limit, message, ctx.reply_later())
                self._waiting[message.number] = ctx.create_task(wait)
            case GiveBack():
                self._give_back(message)
            case WasRefused():
                self._was_refused(message, ctx)
            case ProviderLimits():
                owned(RateLimit, message.shared, message.terms, ctx.system).adapt(message.headers)
        return None

    def _lease_tokens(self, wanted: LeaseTokens, ctx: ActorContext) -> Lease:
        budget = owned(Budget, wanted.shared, wanted.terms, ctx.system).of(wanted.caller)
        reservation = budget.reserve(wanted.path, wanted.model, wanted.input_tokens, wanted.output_tokens)
        self._tokens[wanted.number] = reservation, Usage(wanted.input_tokens, estimated=True)
        return Lease()

    async def _admit(self, limit: RateLimit, wanted: LeaseTurn, reply_to: ReplyTo) -> None:
        try:
            admission = await limit.admit(wanted.sender, wanted.tokens, wanted.patience, wanted.longest_pause)
        except RateLimitedError as error:
            reply_to.reply(Lease(refusal=str(error), retry_after=error.retry_after))
        else:
            self._turns[wanted.number] = limit, admission, wanted.tokens
            reply_to.reply(Lease())
        finally:
            del self._waiting[wanted.number]

    def _give_back(self, ended: GiveBack) -> None:
        waiting = self._waiting.get(ended.number)
        if waiting is not None:
            waiting.cancel()
        elif ended.number in self._tokens:
            reservation, _ = self._tokens.pop(ended.number)
            reservation.settle(ended.usage)
        elif ended.number in self._turns:
            _, admission, _ = self._turns.pop(ended.number)
            admission.settle(ended.tokens)

    def _was_refused(self, refused: WasRefused, ctx: ActorContext) -> None:
        if refused.number in self._turns:
            limit, admission, _ = self._turns[refused.number]
            slowed = limit.slow_down(admission, refused.retry_after)
            if slowed is not None:
                report_slowed(slowed, limit, refused.path, ctx.system)

    async def on_stop(self, reason: "StopReason | BaseException") -> None:
        """Give back what is leased. Of a request in flight its input counts as used: what more the provider charges is
        known to nobody."""
        for reservation, usage in self._tokens.values():
            reservation.settle(usage)
        for _, admission, tokens in self._turns.values():
            admission.settle(tokens)


def report_slowed(slowed: Slowed, limit: object, path: str, system: Any) -> None:
    """Publish and log that refusals of the provider have lowered a rate.

    Args:
        slowed: The state of the limit.
        limit: The limit.
        path: The path of the agent that was refused.
        system: The system to publish in.
    """
    system.events.publish(EventKind.SLOWED, path, detail=slowed, logged=True)
    _log.warning("limit.slowed", actor=path, share=slowed.share, rate=slowed.rate, limit=repr(limit))
