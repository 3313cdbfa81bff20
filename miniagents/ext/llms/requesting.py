"""Asking a model: limits, budgets, attempts, deadlines. The one place where a request meets the network."""

import asyncio
import math
import uuid
from dataclasses import replace
from typing import Any

import structlog

from miniagents.actors import RetryPolicy
from miniagents.agents import Interaction
from miniagents.errors import (
    AuthenticationError,
    InvalidRequestError,
    LLMError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
)
from miniagents.ext.llms.attempting import Sink, Terms, attempt_once
from miniagents.ext.llms.breaker import WayOn, patience, way_on
from miniagents.ext.llms.cache import cache_key
from miniagents.ext.llms.delays import duration
from miniagents.ext.llms.endings import lets_calls_run
from miniagents.ext.llms.messages import ReplyMessage, Usage
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.llms.replies import ModelReplyPromise
from miniagents.supervision import Backoff

_log = structlog.get_logger("miniagents")

DEFAULT_ATTEMPTS = 6
DEFAULT_BACKOFF = Backoff(0.5, 30.0, jitter=0.5)
_SPREAD = 0.5
"""The share of a `Retry-After` that is added by chance."""


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
    whole = lets_calls_run(answer.stop_reason) or answer.stop_reason == "stop_sequence"
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
    way = way_on.get()
    if way is not None and way.asked_by is not interaction.parent:
        way = None  # it is the way on of an agent above: this request may go to another model than the one that is down
    while True:
        attempt += 1
        try:
            if way is None:
                answer, first = await attempt_once(provider, request, reply, terms, interaction)
            else:
                answer, first = await _counted(way, provider, request, reply, terms, interaction)
        except LLMError as error:
            error.path = path
            if not isinstance(error, ProviderError) or not _is_worth_another(error, retry) or reply.was_delivered:
                raise
            now = system.time()
            pause = _pause(backoff.delay(attempt - 1, system.random), error, interaction)
            why = (
                f"{attempt} attempts were made"
                if attempt >= most
                else _is_too_late(pause, error, retry, interaction, now - began) or _goes_on(way, error, now)
            )
            if why is not None:
                error.add_note(f"{path}: {why}")
                raise
            _log.warning(
                "llm.retry",
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
                _tell_call(provider, request, answer, interaction, first, began, attempt)
            return answer


async def _counted(
    way: WayOn, provider: Provider, request: ModelRequest, reply: Sink, terms: Terms, interaction: Interaction
) -> tuple[Answer, float | None]:
    """Make one request, and let the breaker of the model know how it ended."""
    system = interaction.system
    if not way.may_ask(system.time()):
        raise ProviderUnavailableError(f"{provider.name}: {request.model} rests after failures", should_retry=False)
    succeeded: bool | None = None
    try:
        found = await attempt_once(provider, request, reply, terms, interaction)
        succeeded = True
        return found
    except LLMError as error:
        if is_down(error):
            succeeded = False
        raise
    finally:
        way.count(system.time(), succeeded=succeeded)


def is_down(error: LLMError) -> bool:
    """Whether an error says that the model cannot be had: it is no fault of the request, and no matter of its rate."""
    return isinstance(error, (ProviderUnavailableError, QuotaExceededError, AuthenticationError)) or (
        isinstance(error, InvalidRequestError) and error.status == 404
    )


def _is_worth_another(error: ProviderError, retry: RetryPolicy) -> bool:
    if not isinstance(error, retry.on):
        return False
    if error.should_retry is not None:
        return error.should_retry
    return isinstance(error, (RateLimitedError, ProviderUnavailableError))


def _pause(pause: float, error: ProviderError, interaction: Interaction) -> float:
    """Seconds until the next attempt. Those that are told to wait equally long come back one after the other."""
    wait = error.retry_after
    if not wait or math.isinf(wait):
        return wait or pause
    spread = _SPREAD * wait
    if interaction.deadline is not None:
        spread = min(spread, max(interaction.deadline - interaction.system.time() - wait, 0.0) / 2)
    return max(pause, wait + spread * interaction.system.random())


def _is_too_late(
    pause: float, error: ProviderError, retry: RetryPolicy, interaction: Interaction, waited: float
) -> str | None:
    """Why the next attempt would be too late, or None."""
    wait = error.retry_after or 0.0
    if wait > retry.max_retry_after:
        return f"the provider asks to wait {duration(wait)}, longer than max_retry_after={retry.max_retry_after} s"
    deadline = interaction.deadline
    if deadline is not None and interaction.system.time() + pause >= deadline:
        return f"the next attempt, in {pause:.1f} s, would be after the deadline"
    most_patience = patience()
    if most_patience is not None and waited + pause > most_patience:
        return f"the next attempt, after {waited + pause:.1f} s, is later than the patience of {most_patience} s"
    return None


def _goes_on(way: WayOn | None, error: ProviderError, now: float) -> str | None:
    """Why another model is asked instead of this one again, or None."""
    if way is None:
        return None
    if isinstance(error, ProviderUnavailableError) and not error.was_reached:
        return "it was not reached, and there is another model"
    return "the model rests after failures" if way.breaker.is_open(now) else None


def _tell_call(
    provider: Provider,
    request: ModelRequest,
    answer: Answer,
    interaction: Interaction,
    first: float | None,
    began: float,
    attempt: int,
) -> None:
    usage = answer.usage or Usage()
    _log.info(
        "llm.call",
        actor=interaction.path,
        provider=provider.name,
        model=request.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        seconds=round(interaction.system.time() - began, 3),
        seconds_to_first_token=round(first - began, 3) if first is not None else None,
        retries=attempt - 1,
        stop_reason=answer.stop_reason,
        request_id=answer.request_id,
    )
