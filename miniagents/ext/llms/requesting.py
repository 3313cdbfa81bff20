"""Requests to models: `ask` sends one, with cache, attempts, pauses and deadlines. Nothing else sends requests."""

import asyncio
import math
from collections.abc import Coroutine
from functools import partial
from typing import Any

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
from miniagents.ext.llms.attempting import Sink, Terms, attempt_once, push_again
from miniagents.ext.llms.breaker import Failover, current_failover, patience
from miniagents.ext.llms.cache import Cache, cache_key
from miniagents.ext.llms.delays import duration
from miniagents.ext.llms.endings import lets_calls_run
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.llms.recorded import recorded
from miniagents.log import is_configured
from miniagents.log import log as _log
from miniagents.supervision import Backoff

DEFAULT_ATTEMPTS = 6
DEFAULT_BACKOFF = Backoff(0.5, 30.0, jitter=0.5)
_SPREAD = 0.5
"""The largest share of a `Retry-After` that is added at random."""


def ask(
    provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> Coroutine[Any, Any, Answer]:
    """Send one request to a model, retrying as the policy allows. In a call that is in a journal, a request that was
    answered before is not sent again.

    Every request of every agent goes through this function, requests for embeddings too. Agents call it as an attribute
    of this module, so that what records or replays requests can take its place.

    Args:
        provider: The API to send the request to.
        request: The request.
        sink: Receives the tokens as they arrive. It is not ended.
        terms: Limits, budgets, attempts and cache.
        interaction: The call of the agent that sends the request.

    Returns:
        The coroutine of the answer: the whole of it, from the provider, from the cache or from the journal.

    Raises:
        LLMError: There is no answer.
        JournalError: The journal cannot be read.
    """
    # No coroutine of its own: each one that waits for a model is stepped for each token.
    records = interaction.records
    if records is not None:
        send = partial(_unrecorded, provider, request, sink, terms, interaction)
        return recorded(records, provider.key, request, sink, send)
    return _unrecorded(provider, request, sink, terms, interaction)


def _unrecorded(
    provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> Coroutine[Any, Any, Answer]:
    """Answer a request without the journal; takes, returns and raises the same as `ask`."""
    if terms.cache is None:
        return _attempts(provider, request, sink, terms, interaction)
    return _cached(terms.cache, provider, request, sink, terms, interaction)


async def _cached(
    cache: Cache, provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> Answer:
    """Take the answer from the cache, or send the request and store it; takes and raises the same as `ask`."""
    key = cache_key(provider.key, request)
    stored = await cache.get(key)
    if stored is not None:
        answer = stored.answer
        push_again(answer, sink)
        return answer
    try:
        answer = await _attempts(provider, request, sink, terms, interaction)
    except BaseException:
        cache.done(key)
        raise
    is_whole = lets_calls_run(answer.stop_reason) or answer.stop_reason == "stop_sequence"
    cache.done(key, answer.tokens if is_whole else None, answer.message() if is_whole else None)
    return answer


async def _attempts(
    provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> Answer:
    """Send a request until it succeeds or the retry policy gives up; takes and raises the same as `ask`."""
    retry, system = terms.retry, interaction.system
    backoff = retry.backoff or DEFAULT_BACKOFF
    max_attempts = retry.attempts_of(None, DEFAULT_ATTEMPTS)
    path, began, attempt = interaction.path, system.time(), 0
    failover = current_failover.get()
    if failover is not None and failover.asked_by is not interaction.parent:
        failover = None  # it is for an agent further up: this request may go to another model
    while True:
        attempt += 1
        try:
            if failover is None:
                answer, first = await attempt_once(provider, request, sink, terms, interaction)
            else:
                answer, first = await _counted(failover, provider, request, sink, terms, interaction)
        except LLMError as error:
            error.path = path
            if not isinstance(error, ProviderError) or not _should_retry(error, retry) or sink.was_delivered:
                raise
            now = system.time()
            pause = _pause(backoff.delay(attempt - 1, system.random), error, interaction)
            ending = (
                f"{attempt} attempts were made"
                if attempt >= max_attempts
                else _is_too_late(pause, error, retry, interaction, now - began)
                or _failover_reason(failover, error, now)
            )
            if ending is not None:
                error.add_note(f"{path}: {ending}")
                raise
            _log.warning(
                "llm.retry",
                **interaction.log_fields,
                model=request.model,
                attempt=attempt,
                pause=round(pause, 3),
                error=f"{type(error).__name__}: {error}",
            )
            sink.retract()
            await asyncio.sleep(pause)
        else:
            if is_configured():  # without configuration structlog prints to the terminal, which is the user's
                _log_call(provider, request, answer, interaction, first, began, attempt)
            return answer


async def _counted(
    failover: Failover, provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
) -> tuple[Answer, float | None]:
    """Make one attempt and count its outcome for the circuit breaker of the model."""
    system = interaction.system
    if not failover.may_ask(system.time()):
        raise ProviderUnavailableError(f"{provider.name}: {request.model} rests after failures", should_retry=False)
    succeeded: bool | None = None
    try:
        outcome = await attempt_once(provider, request, sink, terms, interaction)
        succeeded = True
        return outcome
    except LLMError as error:
        if is_down(error):
            succeeded = False
        raise
    finally:
        failover.count(system.time(), succeeded=succeeded)


def is_down(error: LLMError) -> bool:
    """Return whether an error means that the model is not available, whatever the request and its rate."""
    return isinstance(error, (ProviderUnavailableError, QuotaExceededError, AuthenticationError)) or (
        isinstance(error, InvalidRequestError) and error.status == 404
    )


def _should_retry(error: ProviderError, retry: RetryPolicy) -> bool:
    if not isinstance(error, retry.on):
        return False
    if error.should_retry is not None:
        return error.should_retry
    return isinstance(error, (RateLimitedError, ProviderUnavailableError))


def _pause(pause: float, error: ProviderError, interaction: Interaction) -> float:
    """Return the seconds until the next attempt, spread so that requests with the same `Retry-After` do not collide."""
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
    """Return why the next attempt would be too late; None if it would not."""
    wait = error.retry_after or 0.0
    if wait > retry.max_retry_after:
        return f"the provider asks to wait {duration(wait)}, longer than max_retry_after={retry.max_retry_after} s"
    deadline = interaction.deadline
    if deadline is not None and interaction.system.time() + pause >= deadline:
        return f"the next attempt, in {pause:.1f} s, would be after the deadline"
    limit = patience()
    if limit is not None and waited + pause > limit:
        return f"the next attempt, after {waited + pause:.1f} s, is later than the patience of {limit} s"
    return None


def _failover_reason(failover: Failover | None, error: ProviderError, now: float) -> str | None:
    """Return why the next model of the `Fallback` is tried instead of this one; None if this one is tried again."""
    if failover is None:
        return None
    if isinstance(error, ProviderUnavailableError) and not error.was_reached:
        return "it was not reached, and there is another model"
    return "the model rests after failures" if failover.breaker.is_open(now) else None


def _log_call(
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
        **interaction.log_fields,
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
