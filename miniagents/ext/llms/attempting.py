"""`attempt_once`, one attempt of a request: wait for the rate limit, reserve budget, send, read, settle."""

from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from miniagents.actors import RetryPolicy
from miniagents.actors.observing.observer import ObservedCall
from miniagents.agents import Interaction
from miniagents.errors import BudgetExceededError, RateLimitedError, StalledError
from miniagents.ext.llms.allowance_desk import report_slowed
from miniagents.ext.llms.allowances import Reservation
from miniagents.ext.llms.breaker import patience
from miniagents.ext.llms.cache import Cache
from miniagents.ext.llms.catalogue import OWN, catalogue
from miniagents.ext.llms.costs import cost_of
from miniagents.ext.llms.estimating import estimate, most_output, usage_of
from miniagents.ext.llms.lending import Pace, Purse
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.metering import current_meter
from miniagents.ext.llms.parts import tokens_of
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.llms.silence import Silence
from miniagents.log import log as _log
from miniagents.messages import Token
from miniagents.promising import Flow
from miniagents.promising.flow import current_flow


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits, budgets and retry policy of the requests of an agent.

    Attributes:
        retry: How many attempts a request has, and the pauses between them.
        idle_timeout: Seconds without a token after which a request has stalled, more than 0; None for no limit.
        rate_limit: The rate limit, or None.
        budgets: The budgets that pay for each request.
        cache: The cache that answers equal requests, or None.
    """

    retry: RetryPolicy
    idle_timeout: float | None
    rate_limit: Pace | None
    budgets: tuple[Purse, ...]
    cache: Cache | None


class Sink(Protocol):
    """The receiver of the tokens of an answer, such as the promise of the reply.

    Attributes:
        was_delivered: Whether a reader has taken a token; then no other attempt may follow.
    """

    @property
    def was_delivered(self) -> bool: ...

    def push(self, text: str) -> None:
        """Take one more piece of the text."""

    def push_token(self, token: Token) -> None:
        """Take a token without text: a piece of reasoning, or another part."""

    async def room(self, flow: Flow) -> None:
        """Wait until a full flow has room again."""

    def retract(self) -> None:
        """Drop all tokens: another attempt begins."""


class NoTokens:
    """The sink of requests whose answer has no text: embeddings."""

    was_delivered = False

    def push(self, text: str) -> None:
        """See `Sink`."""

    def push_token(self, token: Token) -> None:
        """See `Sink`."""

    async def room(self, flow: Flow) -> None:
        """See `Sink`."""

    def retract(self) -> None:
        """See `Sink`."""


async def attempt_once(
    provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> tuple[Answer, float | None]:
    """Make one attempt of a request.

    Args:
        provider: The API to send the request to.
        request: The request.
        sink: Receives the tokens as they arrive.
        terms: Limits and budgets.
        interaction: The call of the agent that sends the request.

    Returns:
        The answer, and the time of its first token on the clock of the system (None if there was no token).

    Raises:
        LLMError: There is no answer.
    """
    limit, admission = terms.rate_limit, None
    # A local variable less is eight bytes less for each request that waits (tests/test_costs.py).
    read, written = (estimate(request.messages), most_output(request)) if limit is not None or terms.budgets else (0, 0)
    reservations: list[Reservation[Usage]] = []
    answer = Answer()
    path, system = interaction.path, interaction.system
    whole = False
    call: ObservedCall | None = None
    failed: BaseException | None = None
    try:
        # Not in the loop, at the end of the first request. A simulated program has no threads.
        if not catalogue.is_loaded and provider.name not in OWN:
            await catalogue.load()
        if limit is not None:
            admission = await limit.admit(
                _queue_of(interaction), read + written, patience(), terms.retry.max_retry_after
            )
        for budget in terms.budgets:
            reservations.append(await budget.set_aside(path, request.model, read, written))
        if interaction.deadline is not None:
            request = replace(request, timeout=max(interaction.deadline - system.time(), 0.001))
        call = system.observers.model_called(interaction, provider, request)
        first = await _read(provider, request, sink, terms.idle_timeout, answer, interaction, call)
        whole = True
        return answer, first
    except BaseException as error:
        failed = error
        if isinstance(error, BudgetExceededError):
            _log.info("llm.refused", **interaction.log_fields, model=request.model, error=str(error))
        if isinstance(error, RateLimitedError) and limit is not None and admission is not None:
            limit.adapt(error.limits or {})
            slowed = limit.slow_down(admission, error.retry_after)
            if slowed is not None:
                report_slowed(slowed, limit, path, system)
        raise
    finally:
        # The provider charges for all that it sent, also when the call was cancelled or cut off.
        usage = usage_of(answer, request.messages, is_whole=whole)
        if usage is not None and answer.service_tier is not None:
            usage = msgspec.structs.replace(usage, service_tier=answer.service_tier)
        answer.usage = usage
        if call is not None:
            call.ended(answer, failed)
        failed = None  # or the error would hold this frame, and the frame the error
        for reservation in reservations:
            reservation.settle(usage)
        if limit is not None and admission is not None:
            limit.adapt(answer.limits)
            admission.settle(usage.total_tokens if usage is not None else None)
        if usage is not None:
            cost, meter = cost_of(request.model, usage, terms.budgets), current_meter.get()
            interaction.cell.spend(interaction, usage.total_tokens, cost)  # what `spend` does, without a call more
            if meter is not None:
                meter.add(usage, cost)


async def _read(
    provider: Provider,
    request: ModelRequest,
    sink: Sink,
    idle_timeout: float | None,
    answer: Answer,
    interaction: Interaction,
    call: ObservedCall | None,
) -> float | None:
    first: float | None = None
    flow = current_flow.get()
    pieces = provider.stream(request, answer)
    add, push = answer.tokens.append, sink.push
    silence = Silence(idle_timeout)
    try:
        async with silence.timeout:
            async for piece in pieces:
                silence.steps = 0
                if piece is None:
                    continue
                if call is not None:
                    call.piece(piece)
                if answer.arrived:
                    if first is None:
                        first = interaction.system.time()
                    for token in answer.arrived:
                        sink.push_token(token)
                    answer.arrived.clear()
                if piece:
                    if first is None:
                        first = interaction.system.time()
                    add(piece)
                    push(piece)
                    if flow is not None and flow.is_full:
                        silence.stop()  # this pause is the reader's, not the provider's
                        await sink.room(flow)
                        silence.go_on()
    except TimeoutError:
        raise StalledError(
            f"{provider.name}: nothing came for {idle_timeout} s (idle_timeout), after {len(answer.tokens)} tokens"
        ) from None
    finally:
        silence.stop()
        await pieces.aclose()
    return first


def push_again(answer: Answer, sink: Sink) -> None:
    """Stream an answer that was whole before: out of the journal, or out of a cache."""
    for part in answer.parts:
        for token in tokens_of(part):
            sink.push_token(token)
    for text in answer.tokens:
        sink.push(text)


def _queue_of(interaction: Interaction) -> str:
    """Return the name of the queue at a rate limit: one for each agent and caller, so that no caller starves others."""
    parent = interaction.parent
    caller = parent.path if parent is not None else interaction.sender.path if interaction.sender is not None else ""
    return f"{interaction.path} for {caller}" if caller else interaction.path
