"""Asking a model: limits, budgets, attempts, deadlines. The one place where a request meets the network."""

import asyncio
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from miniagents.actors import RetryPolicy
from miniagents.actors.observing import Call
from miniagents.errors import LLMError, ProviderError, ProviderUnavailableError, RateLimitedError, StalledError
from miniagents.ext.llms.budgets import Budget, Reservation
from miniagents.ext.llms.cache import Cache, cache_key
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.messages import ReplyMessage, Usage, text_of
from miniagents.ext.llms.metering import current_meter
from miniagents.ext.llms.model import Answer, ModelRequest, Provider
from miniagents.ext.llms.prices import price_of
from miniagents.ext.llms.replies import ModelReplyPromise
from miniagents.messages import Message
from miniagents.miniagents import Interaction
from miniagents.promising import Flow
from miniagents.promising.flow import current_flow
from miniagents.supervision import Backoff

_log = structlog.get_logger("miniagents")

DEFAULT_ATTEMPTS = 6
DEFAULT_BACKOFF = Backoff(0.5, 30.0, jitter=0.5)
DEFAULT_OUTPUT = 1024
"""Tokens that a call is assumed to write where it has no `max_tokens`: for reservations."""
_LETTERS_PER_TOKEN = 4
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")

patience: ContextVar[float | None] = ContextVar("patience", default=None)
"""Seconds that a call may wait for limits before it fails, where there is another model to go on with."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms an agent asks.

    Attributes:
        retry: How often, and after which pauses.
        idle_timeout: Seconds without a token after which a request has stalled; None for no limit.
        rate_limit: How fast, or None.
        budgets: What it may spend.
        cache: Where equal requests are answered from, or None.
    """

    retry: RetryPolicy
    idle_timeout: float | None
    rate_limit: RateLimit | None
    budgets: tuple[Budget, ...]
    cache: Cache | None


class Sink(Protocol):
    """Where the tokens of an answer go."""

    @property
    def was_delivered(self) -> bool: ...

    def push(self, text: str) -> None: ...

    async def room(self, flow: Flow) -> None: ...

    def retract(self) -> None: ...


async def ask(
    provider: Provider,
    request: ModelRequest,
    reply: ModelReplyPromise,
    terms: Terms,
    interaction: Interaction,
    **more: Any,
) -> ReplyMessage:
    """Ask a model once, as often as it takes.

    Args:
        provider: Whom to ask.
        request: What to ask.
        reply: Where the tokens go. It is not ended.
        terms: Limits, budgets and attempts.
        interaction: Whose request it is.
        **more: Metadata of the answer.

    Returns:
        The answer.

    Raises:
        LLMError: There is none.
    """
    cache = terms.cache
    if cache is None:
        answer = await attempts(provider, request, reply, terms, interaction)
        return answer.message(**more)
    key = cache_key(provider.key, request)
    stored = await cache.get(key)
    if stored is not None:
        for token in stored.tokens:
            reply.push(token)
        return stored.reply.with_metadata(cached=True, **more)
    try:
        answer = await attempts(provider, request, reply, terms, interaction)
    except BaseException:
        cache.done(key)
        raise
    message = answer.message(**more)
    whole = answer.stop_reason in ("stop", "end_turn", "tool_calls", "tool_use", "stop_sequence")
    cache.done(key, answer.tokens if whole else None, message if whole else None)
    return message


async def attempts(
    provider: Provider, request: ModelRequest, reply: Sink, terms: Terms, interaction: Interaction
) -> Answer:
    """Ask until there is an answer, or the policy says that it is enough.

    Args:
        provider: Whom to ask.
        request: What to ask.
        reply: Where the tokens go.
        terms: Limits, budgets and attempts.
        interaction: Whose request it is.

    Raises:
        LLMError: There is none.
    """
    retry, system = terms.retry, interaction.system
    backoff = retry.backoff or DEFAULT_BACKOFF
    most = retry.attempts_of(None, DEFAULT_ATTEMPTS)
    request = replace(request, idempotency_key=request.idempotency_key or str(uuid.uuid4()))
    path, began, attempt = interaction.path, system.time(), 0
    while True:
        attempt += 1
        try:
            answer, first = await _attempt(provider, request, reply, terms, interaction)
        except LLMError as error:
            error.path = path
            if not isinstance(error, ProviderError) or not _is_worth_another(error, retry) or reply.was_delivered:
                raise
            pause = max(backoff.delay(attempt - 1, system.random), error.retry_after or 0.0)
            why = _why_no_more(pause, attempt, most, error, interaction, system.time() - began)
            if why is not None:
                error.add_note(f"{path}: {why}")
                raise
            _log.warning(
                "llm call is tried again",
                actor=path,
                model=request.model,
                attempt=attempt,
                pause=round(pause, 3),
                error=f"{type(error).__name__}: {error}",
            )
            reply.retract()
            await asyncio.sleep(pause)
        else:
            if structlog.is_configured():  # unconfigured, it prints all to the terminal, which is the user's
                usage = answer.usage or Usage()
                _log.info(
                    "llm call",
                    actor=path,
                    provider=provider.name,
                    model=request.model,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    seconds=round(system.time() - began, 3),
                    seconds_to_first_token=round(first - began, 3) if first is not None else None,
                    retries=attempt - 1,
                    stop_reason=answer.stop_reason,
                    request_id=answer.request_id,
                )
            return answer


def _is_worth_another(error: ProviderError, retry: RetryPolicy) -> bool:
    if not isinstance(error, retry.on):
        return False
    if error.should_retry is not None:
        return error.should_retry
    return isinstance(error, (RateLimitedError, ProviderUnavailableError))


def _why_no_more(
    pause: float, attempt: int, most: int, error: ProviderError, interaction: Interaction, waited: float
) -> str | None:
    if attempt >= most:
        return f"{attempt} attempts were made"
    deadline = interaction.deadline
    if deadline is not None and interaction.system.time() + pause >= deadline:
        return f"the next attempt, in {pause:.1f} s, would be after the deadline"
    most_patience = patience.get()
    if most_patience is not None and isinstance(error, RateLimitedError) and waited + pause > most_patience:
        return f"the next attempt, after {waited + pause:.1f} s, is later than the patience of {most_patience} s"
    return None


async def _attempt(
    provider: Provider, request: ModelRequest, reply: Sink, terms: Terms, interaction: Interaction
) -> tuple[Answer, float | None]:
    """One request. Returns the answer, and when its first token came."""
    limit, admission = terms.rate_limit, None
    reserves = limit is not None or terms.budgets
    read, written = (estimate(request.messages), _most_output(request)) if reserves else (0, 0)
    reservations: list[Reservation] = []
    answer = Answer()
    path, system = interaction.path, interaction.system
    whole = False
    call: Call | None = None
    failed: BaseException | None = None
    try:
        if limit is not None:
            admission = await limit.admit(_who(interaction), read + written, patience.get())
        for budget in terms.budgets:
            reservations.append(budget.reserve(path, request.model, read, written))
        if interaction.deadline is not None:
            request = replace(request, timeout=max(interaction.deadline - system.time(), 0.001))
        if system.observer is not None:
            call = system.observer.model_called(interaction, provider, request)
        first = await _read(provider, request, reply, terms.idle_timeout, answer, interaction, call)
        whole = True
        return answer, first
    except BaseException as error:
        failed = error
        if isinstance(error, RateLimitedError) and limit is not None and admission is not None:
            limit.slow_down(admission, error.retry_after)
            limit.adapt(error.limits or {})
        raise
    finally:
        # Whatever came was paid for, also if the call was cancelled or cut.
        usage = _used(answer, request.messages, whole=whole)
        answer.usage = usage
        if call is not None:
            call.ended(answer, failed)
        failed = None  # or the error would hold this frame, and the frame the error
        for reservation in reservations:
            reservation.settle(usage, request.model)
        if limit is not None and admission is not None:
            limit.adapt(answer.limits)
            admission.settle(usage.total_tokens if usage is not None else None)
        if usage is not None:
            price, meter = price_of(request.model), current_meter.get()
            cost = price.of(usage) if price is not None else 0.0
            interaction.tokens += usage.total_tokens
            interaction.cost += cost
            if meter is not None:
                meter.add(usage, cost)


async def _read(
    provider: Provider,
    request: ModelRequest,
    reply: Sink,
    idle_timeout: float | None,
    answer: Answer,
    interaction: Interaction,
    call: Call | None,
) -> float | None:
    loop = asyncio.get_running_loop()
    first: float | None = None
    when = loop.time() + idle_timeout if idle_timeout is not None else None
    flow = current_flow.get()
    pieces = provider.stream(request, answer)
    try:
        async with asyncio.timeout_at(when) as idle:
            async for piece in pieces:
                if idle_timeout is not None:
                    idle.reschedule(loop.time() + idle_timeout)
                if call is not None:
                    call.piece(piece)
                if piece:
                    if first is None:
                        first = interaction.system.time()
                    answer.tokens.append(piece)
                    reply.push(piece)
                    if flow is not None and flow.is_full:
                        idle.reschedule(None)  # the pause is ours, and no silence of the provider
                        await reply.room(flow)
                        if idle_timeout is not None:
                            idle.reschedule(loop.time() + idle_timeout)
    except TimeoutError:
        raise StalledError(
            f"{provider.name}: nothing came for {idle_timeout} s (idle_timeout), after {len(answer.tokens)} tokens"
        ) from None
    finally:
        await pieces.aclose()
    return first


def _used(answer: Answer, messages: tuple[Message, ...], *, whole: bool) -> Usage | None:
    """What a call used: what the provider says, or else an estimate; None if nothing came at all."""
    usage = answer.usage
    if whole and usage is not None:
        return usage
    written = sum(len(token) for token in answer.tokens) // _LETTERS_PER_TOKEN
    # Most providers stream token by token, so that the number of pieces is the better estimate where it is larger.
    written = max(written, len(answer.tokens)) + answer.silent_tokens
    if usage is not None:
        return Usage(usage.input_tokens, max(usage.output_tokens, written), usage.cached_tokens, estimated=True)
    return Usage(estimate(messages), written, estimated=True) if written or whole else None


def estimate(messages: tuple[Message, ...]) -> int:
    """How many tokens a conversation has, roughly: one for four letters, and some for each message."""
    return len(text_of(messages)) // _LETTERS_PER_TOKEN + 4 * len(messages)


def _most_output(request: ModelRequest) -> int:
    for name in _MAX_TOKENS:
        value = request.options.get(name)
        if isinstance(value, int):
            return value
    return DEFAULT_OUTPUT


def _who(interaction: Interaction) -> str:
    """Who waits for a limit: an agent on behalf of its caller, so that no caller starves the others."""
    parent = interaction.parent
    caller = parent.path if parent is not None else interaction.sender.path if interaction.sender is not None else ""
    return f"{interaction.path} for {caller}" if caller else interaction.path
