"""`RateLimit`: how many requests and tokens a minute all agents together send to a provider."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from miniagents.errors import InvalidOptionError, RateLimitedError
from miniagents.ext.llms.allowances import Allowance, Reservation
from miniagents.ext.llms.delays import duration, seconds_until
from miniagents.ext.llms.rates import RateShare
from miniagents.ext.llms.waiting import FairQueue, SharedClock, Waiter

_HEADROOM = 1.05
"""Requests are paced 5 % slower than allowed, since the network may push two of them together."""
_LONGEST_PAUSE = 600.0
"""The longest pause that a provider can impose on all requests, in seconds."""


class Admission(Reservation[int]):
    """The admission of a request, with the tokens that are reserved for it; settle it with the tokens used.

    Args:
        settle: Is called once, with the tokens that the request used (None for none).
        admitted_at: The time of the admission, in seconds of the limit's clock.

    Attributes:
        admitted_at: The time of the admission.
        was_refused: Whether the provider refused the request with a 429.
    """

    __slots__ = ("admitted_at", "was_refused")

    def __init__(self, settle: Callable[[int | None], None], admitted_at: float) -> None:
        self._settle = settle
        self.admitted_at = admitted_at
        self.was_refused = False


@dataclass(frozen=True, slots=True)
class Slowed:
    """The state of a rate limit after 429s lowered it: the `detail` of the event SLOWED.

    Attributes:
        share: The share of the full rate that is left, from 0 to 1.
        rate: Requests a second, or None for no limit.
    """

    share: float
    rate: float | None


class RateLimit(Allowance):
    """A limit on the requests and tokens that any number of agents send to a provider, together.

    Requests are paced evenly: no second has more than a second's share. Agents take turns, with one request each. A
    request reserves its estimated tokens, and the reservation is replaced by what it used. When more than a few
    requests are answered with a 429, the rate is halved for all, and it grows again by a tenth of the full rate each
    second (see `RateShare`). The provider's own rate-limit headers lower the rate, too.

    A rate limit may be used from several event loops, one after the other or in threads at once.

    Args:
        requests_per_minute: Requests in any minute, more than 0; None for no limit.
        tokens_per_minute: Tokens in any minute, more than 0; None for no limit.
        concurrent: Requests at once, 1 or more; None for no limit.
        per: "caller" for a limit of this size for each `Caller`; calls without a caller have one together. The
            provider's headers and 429s still count for all together. None for one limit for all.
        shared: The name under which all nodes of a cluster keep this limit together; None for one on each node.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import OpenAIAgent, RateLimit

        async def main() -> None:
            limit = RateLimit(requests_per_minute=6_000, concurrent=2)
            writer = OpenAIAgent.fork(model="gpt-5-mini", rate_limit=limit)
            critic = OpenAIAgent.fork(model="gpt-5-nano", rate_limit=limit)
            for replies in [writer.inquire("Write a line."), critic.inquire("Judge a line.")]:
                print(await replies)

        MiniAgents().run(main())
        ```
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        concurrent: int | None = None,
        *,
        per: Literal["caller"] | None = None,
        shared: str | None = None,
    ) -> None:
        for name, value in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if value is not None and not value > 0:
                raise InvalidOptionError(f"RateLimit({name}=) must be more than 0, or None, not {value!r}")
        if concurrent is not None and concurrent < 1:
            raise InvalidOptionError(f"RateLimit(concurrent=) must be 1 or more, or None, not {concurrent!r}")
        super().__init__(per, lambda: RateLimit(requests_per_minute, tokens_per_minute, concurrent), shared)
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.concurrent = concurrent
        is_whole = per is None  # with `per=`, the numbers are for each caller, and all together have no limit
        self._requests_per_minute = requests_per_minute if is_whole else None
        self._tokens_per_minute = tokens_per_minute if is_whole else None
        self._concurrent = concurrent if is_whole else None
        self._clock = SharedClock()
        self._queue: FairQueue[Admission] = FairQueue(self._clock, self._lock, self._pump)
        self._next_request = 0.0
        self._tokens_left = (self._tokens_per_minute or 0) / 60
        self._tokens_at: float | None = None
        self._paused_until = -math.inf
        self._share = RateShare()
        self._measured: float | None = None  # requests a second at the first 429, if no rate is configured
        self._provider_rates: dict[str, float] = {}
        self._recent: deque[float] = deque()

    def __repr__(self) -> str:
        rate = self.rate
        each = f", per={self.per!r}" if self.per is not None else ""
        now = f", share={self.share:.2f}, rate={f'{rate:.3g}/s' if rate is not None else None}"
        return (
            f"RateLimit(requests_per_minute={self.requests_per_minute!r}, "
            f"tokens_per_minute={self.tokens_per_minute!r}, concurrent={self.concurrent!r}{each}{now})"
        )

    @property
    def terms(self) -> Mapping[str, Any]:
        """The arguments that an equal limit is made with, apart from its shared name."""
        return {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "concurrent": self.concurrent,
            "per": self.per,
        }

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        with self._lock:
            waiting = len(self._queue)
        return waiting + sum(share.waiting for share in self.shares())

    @property
    def waiters(self) -> dict[str, int]:
        """The number of waiting requests of each sender, in the order of their turns."""
        with self._lock:
            return self._queue.by_sender()

    @property
    def in_flight(self) -> int:
        """The number of requests that were admitted and have not ended."""
        with self._lock:
            return self._queue.in_flight

    @property
    def share(self) -> float:
        """The share of the full rate that 429s have left, from 0 to 1."""
        with self._lock:
            return self._share.at(self._clock.now())

    @property
    def rate(self) -> float | None:
        """The current limit in requests a second; None for no limit. With `per=`, ask `of(caller).rate`."""
        with self._lock:
            rate = self._full_rate()
            return rate * self._share.at(self._clock.now()) if rate is not None else None

    @property
    def is_unused(self) -> bool:
        """True if no request runs or waits, and the next one would be sent at once, whatever its size."""
        with self._lock:
            now = self._clock.now()
            ready_at = self._ready_at(now, math.ceil(self._rate("tokens", self._tokens_per_minute) or 0))
            return not len(self._queue) and not self._queue.in_flight and ready_at is not None and ready_at <= now

    async def admit(
        self, sender: str, tokens: int, patience: float | None = None, longest_pause: float = math.inf
    ) -> Admission:
        """Wait until a request may be sent.

        The wait ends when earlier requests have ended or their time has passed, with an error after `patience`, or when
        the task that waits is cancelled.

        Args:
            sender: A name for the agent that sends the request: senders take turns.
            tokens: The estimated tokens of the request.
            patience: The longest wait in seconds; None for no limit.
            longest_pause: Seconds: the request is refused when the provider asks for a longer pause.

        Returns:
            The admission. Settle it when the request has ended.

        Raises:
            RateLimitedError: The wait took longer than `patience`, or the provider asks for a pause longer than
                `longest_pause`.
        """
        if self.per is None:
            return await self._admit_in_turn(sender, tokens, patience, longest_pause)
        time = asyncio.get_running_loop().time
        began = time()
        own = await self.of_current_caller().admit(sender, tokens, patience, longest_pause)
        try:
            rest = max(patience - (time() - began), 0.0) if patience is not None else None
            shared = await self._admit_in_turn(sender, tokens, rest, longest_pause)
        except BaseException:
            own.settle(None)
            raise

        def settle_both(used: int | None) -> None:
            shared.settle(used)
            own.settle(used)

        return Admission(settle_both, shared.admitted_at)

    async def _admit_in_turn(self, sender: str, tokens: int, patience: float | None, longest_pause: float) -> Admission:
        with self._lock:
            waiter = self._queue.join(sender, tokens, longest_pause)
            self._refuse_impatient()
            self._pump()
        try:
            if waiter.admission is None:
                async with asyncio.timeout(patience):
                    await waiter.future
            if waiter.refusal is not None:
                raise waiter.refusal
            assert waiter.admission is not None  # the future is resolved with one of the two
            return waiter.admission
        except BaseException as error:
            with self._lock:
                if waiter.admission is not None:
                    waiter.admission.settle(None)  # it was admitted just now, and will not be sent
                else:
                    self._queue.leave(waiter)
            if isinstance(error, TimeoutError):
                raise RateLimitedError(f"{sender}: waited {patience} s for the rate limit") from None
            raise

    def slow_down(self, admission: Admission, retry_after: float | None = None) -> Slowed | None:
        """Note that the provider answered a request with a 429, and lower the rate if there are many.

        Args:
            admission: The admission of the request.
            retry_after: The pause that the provider asks for, in seconds, or None.

        Returns:
            The state of the limit if the rate was lowered, or None.
        """
        with self._lock:
            now = self._clock.now()
            admission.was_refused = True
            if admission.admitted_at <= self._share.cut_at:
                return None  # it was sent before the rate was lowered, and says nothing new
            if self._share.refused(now):
                return None  # providers refuse some requests at any rate: only this one waits
            is_due = self._share.is_due()
            if retry_after:
                self._pause(now + retry_after)
                is_due = is_due or self._full_rate() is None  # without a rate, all would return at once
            if not is_due:
                return None
            if self._full_rate() is None:
                self._measured = max(float(len(self._recent)), 1.0)
            self._share.halve(now, self._paused_until)
            self._pump()
            return Slowed(self.share, self.rate)

    def adapt(self, headers: Mapping[str, str]) -> None:
        """Adopt the limits in the provider's rate-limit headers.

        Args:
            headers: The headers of an answer, their names in lower case.
        """
        with self._lock:
            for unit in ("requests", "tokens"):
                limit = _number(headers, f"x-ratelimit-limit-{unit}", f"anthropic-ratelimit-{unit}-limit")
                remaining = _number(headers, f"x-ratelimit-remaining-{unit}", f"anthropic-ratelimit-{unit}-remaining")
                if limit:
                    self._provider_rates[unit] = limit / 60
                if remaining == 0:
                    reset = headers.get(f"x-ratelimit-reset-{unit}") or headers.get(f"anthropic-ratelimit-{unit}-reset")
                    seconds = seconds_until(reset) if reset else None
                    if seconds:
                        self._pause(self._clock.now() + seconds)

    # The methods below are called with the lock held.

    def _pause(self, until: float) -> None:
        self._paused_until = max(self._paused_until, min(until, self._clock.now() + _LONGEST_PAUSE))
        self._refuse_impatient()

    def _refuse_impatient(self) -> None:
        """Refuse the waiting requests for which the pause is too long."""
        pause = self._paused_until - self._clock.now()
        if pause <= 0:
            return
        for waiter in self._queue.waiters:
            if pause > waiter.longest_pause:
                asks = f"the provider asks everybody to wait {duration(pause)}, longer than {waiter.longest_pause} s"
                self._queue.refuse(waiter, RateLimitedError(asks, retry_after=pause))

    def _full_rate(self) -> float | None:
        """Return requests a second: as configured, as the provider says, or as measured at the first 429."""
        rate = self._rate("requests", self._requests_per_minute)
        return rate if rate is not None else self._measured

    def _rate(self, unit: str, per_minute: float | None) -> float | None:
        """Return requests or tokens a second, by this limit and by the provider's headers; None for no limit."""
        rates = [rate for rate in (per_minute and per_minute / 60, self._provider_rates.get(unit)) if rate is not None]
        return min(rates, default=None)

    def _pump(self) -> None:
        """Admit all requests that may be sent now, in turn."""
        with self._lock:
            queue = self._queue
            queue.forget_ended_loops()
            while (first := queue.first) is not None:
                now = self._clock.now()
                at = self._ready_at(now, first.tokens)
                if at is None or at > now:
                    queue.serve_at(at)
                    return
                self._admit(first, now)
            queue.disarm()

    def _admit(self, waiter: Waiter[Admission], now: float) -> None:
        pace = self._pace(now)
        if pace is not None:
            self._next_request = now + pace
        self._tokens_left -= waiter.tokens
        self._recent.append(now)
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        tokens, loop_state = waiter.tokens, waiter.loop_state

        def settle(used: int | None) -> None:
            with self._lock:
                self._queue.ended(loop_state)
                if not admission.was_refused:
                    self._share.answered(self._clock.now())
                self._tokens_left += tokens - (used or 0)
                self._pump()

        admission = Admission(settle, now)
        self._queue.admit_first(admission)

    def _ready_at(self, now: float, tokens: int) -> float | None:
        """Return the time at which the next request may be sent; None if another request has to end first."""
        if self._concurrent is not None and self._queue.in_flight >= self._concurrent:
            return None
        at = max(now, self._paused_until)
        if self._pace(now) is not None:
            at = max(at, self._next_request)
        rate = self._rate("tokens", self._tokens_per_minute)
        if rate is not None:
            rate *= self._share.at(now)
            since = now - self._tokens_at if self._tokens_at is not None else 0.0
            self._tokens_left = min(rate, self._tokens_left + rate * since)
            self._tokens_at = now
            missing = min(tokens, rate) - self._tokens_left
            if missing > 1e-9 * rate:
                at = max(at, now + missing / rate)
        return at

    def _pace(self, now: float) -> float | None:
        """Return the seconds between two requests; None for no limit."""
        share = self._share.at(now)
        if share >= 1.0:
            self._measured = None  # a measured rate holds only while 429s have lowered the share
        rate = self._full_rate()
        return None if rate is None else _HEADROOM / (rate * share)


def _number(headers: Mapping[str, str], *names: str) -> float | None:
    for name in names:
        try:
            return float(headers[name])
        except (KeyError, ValueError):
            pass
    return None
