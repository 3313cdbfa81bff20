"""`RateLimit`: how fast a whole swarm may ask a provider."""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from miniagents.errors import InvalidOptionError, RateLimitedError
from miniagents.ext.llms.delays import duration, seconds_until
from miniagents.ext.llms.per_caller import PerCaller, check_per
from miniagents.ext.llms.rates import RateShare
from miniagents.ext.llms.waiting import Line, SharedClock, Trampoline, Waiter

_HEADROOM = 1.05
"""Requests are paced a little slower than allowed: the network may push two of them together."""
_LONGEST_PAUSE = 600.0
"""Seconds that a provider is believed to be closed without another look."""


@dataclass(slots=True, eq=False)
class Admission:
    """A request that may be sent.

    Attributes:
        tokens: Tokens that are reserved for it.
        admitted_at: When it was admitted, on the clock of the limit.
    """

    tokens: int
    admitted_at: float
    _limit: "RateLimit"
    _lane: Trampoline
    _own: "Admission | None" = None
    _is_open: bool = True
    _was_refused: bool = False

    def settle(self, used: int | None) -> None:
        """It is over.

        Args:
            used: Tokens that it used; None if none at all.
        """
        if self._is_open:
            self._is_open = False
            self._limit._settled(self, used or 0)
            if self._own is not None:
                self._own.settle(used)


@dataclass(frozen=True, slots=True)
class Slowed:
    """A rate limit as it was when 429s lowered it: the `detail` of the event SLOWED.

    Attributes:
        share: The share of the full rate that is left.
        rate: Requests a second.
    """

    share: float
    rate: float | None


class RateLimit:
    """How fast any number of agents may ask a provider, together.

    Requests are paced evenly, so that no second sees more than a second's share. Those who wait are served in turn,
    one request of each agent. A request reserves the tokens that it is estimated to use, and settles with what it used.
    When more than a few requests are answered with a 429, the rate is halved for everybody, and it grows again by a
    tenth of the full rate each second (see `RateShare`). The provider's own rate-limit headers lower it, too.

    It may be used from several event loops, one after the other or in threads at once.

    Args:
        requests_per_minute: Requests in any minute, more than 0; None for no limit.
        tokens_per_minute: Tokens in any minute, more than 0; None for no limit.
        concurrent: Requests at once, 1 or more; None for no limit.
        per: "caller" for as much for each `Caller`; calls that nobody is known for share theirs. What the provider
            says, and its 429s, count for all together even so. None for all together.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    __miniagents_immutable__ = True  # it is shared as it is

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        concurrent: int | None = None,
        *,
        per: Literal["caller"] | None = None,
    ) -> None:
        for name, value in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if value is not None and not value > 0:
                raise InvalidOptionError(f"RateLimit({name}=) must be more than 0, or None, not {value!r}")
        if concurrent is not None and concurrent < 1:
            raise InvalidOptionError(f"RateLimit(concurrent=) must be 1 or more, or None, not {concurrent!r}")
        check_per(per, "RateLimit")
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.concurrent = concurrent
        self.per = per
        self._callers: PerCaller[RateLimit] | None = None
        if per is not None:  # these numbers are each caller's, and for all together there are none
            given = (requests_per_minute, tokens_per_minute, concurrent)
            self._callers = PerCaller(lambda: RateLimit(*given), RateLimit._is_as_it_began)
            requests_per_minute = tokens_per_minute = concurrent = None
        self._requests_per_minute = requests_per_minute
        self._tokens_per_minute = tokens_per_minute
        self._concurrent = concurrent
        self._lock = threading.RLock()  # a coroutine that is collected settles wherever Python is
        self._clock = SharedClock()
        self._line = Line(self._clock, self._lock, self._pump)
        self._next_request = 0.0
        self._tokens_left = (tokens_per_minute or 0) / 60
        self._tokens_at: float | None = None
        self._paused_until = -math.inf
        self._share = RateShare()
        self._measured: float | None = None  # requests per second when the first 429 came, where none is configured
        self._told: dict[str, float] = {}
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
    def waiting(self) -> int:
        """How many requests wait."""
        with self._lock:
            waiting = len(self._line)
        return waiting + sum(one.waiting for one in self._callers.all()) if self._callers is not None else waiting

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        with self._lock:
            return self._line.in_flight

    @property
    def share(self) -> float:
        """The share of the full rate that 429s have left, up to 1."""
        with self._lock:
            return self._share.at(self._clock.now())

    @property
    def rate(self) -> float | None:
        """How many requests a second may be sent now; None for any number. With `per=` see `of`."""
        with self._lock:
            rate = self._full_rate()
            return rate * self._share.at(self._clock.now()) if rate is not None else None

    def of(self, caller: str | None) -> "RateLimit":
        """The limit of one caller, where it is `per="caller"`; or else this one.

        Args:
            caller: The name; None for those that nobody is known for.
        """
        return self._callers.of(caller) if self._callers is not None else self

    async def admit(
        self, who: str, tokens: int, patience: float | None = None, longest_pause: float = math.inf
    ) -> Admission:
        """Wait until a request may be sent.

        Args:
            who: Which agent asks: agents take turns.
            tokens: Tokens that it will use, estimated.
            patience: Seconds to wait at most; None for as long as it takes.
            longest_pause: Seconds that the provider may ask everybody to wait: a request does not wait for longer ones.

        Raises:
            RateLimitedError: It took longer than `patience`, or the provider asks to wait for longer than
                `longest_pause`.
        """
        if self._callers is None:
            return await self._admission(who, tokens, patience, longest_pause)
        time = asyncio.get_running_loop().time
        began = time()
        own = await self._callers.of_current().admit(who, tokens, patience, longest_pause)
        try:
            left = max(patience - (time() - began), 0.0) if patience is not None else None
            admission = await self._admission(who, tokens, left, longest_pause)
        except BaseException:
            own.settle(None)
            raise
        admission._own = own
        return admission

    async def _admission(self, who: str, tokens: int, patience: float | None, longest_pause: float) -> Admission:
        with self._lock:
            waiter = self._line.join(who, tokens, longest_pause)
            self._give_up()
            self._pump()
        try:
            if waiter.admission is None:
                async with asyncio.timeout(patience):
                    await waiter.future
            if waiter.refusal is not None:
                raise waiter.refusal
            admission: Admission = waiter.admission
            return admission
        except BaseException as error:
            with self._lock:
                if waiter.admission is not None:
                    waiter.admission.settle(None)  # it was admitted in this very moment, and will not be sent
                else:
                    self._line.leave(waiter)
            if isinstance(error, TimeoutError):
                raise RateLimitedError(f"{who}: waited {patience} s for the rate limit") from None
            raise

    def slow_down(self, admission: Admission, retry_after: float | None = None) -> bool:
        """The provider answered a request with a 429.

        Args:
            admission: The request's.
            retry_after: Seconds that the provider asks to wait.

        Returns:
            Whether the rate was lowered.
        """
        with self._lock:
            now = self._clock.now()
            admission._was_refused = True
            if admission.admitted_at <= self._share.cut_at:
                return False  # it was sent before everybody slowed down: it says nothing new
            if self._share.refused(now):
                return False  # some are refused at any rate: this one waits, and the others do not
            is_due = self._share.is_due()
            if retry_after:
                self._pause(now + retry_after)
                is_due = is_due or self._full_rate() is None  # or all that wait would come back at once
            if not is_due:
                return False
            if self._full_rate() is None:
                self._measured = max(float(len(self._recent)), 1.0)
            self._share.halve(now, self._paused_until)
            self._pump()
            return True

    def adapt(self, headers: Mapping[str, str]) -> None:
        """Heed the provider's rate-limit headers.

        Args:
            headers: Those of an answer, lower case.
        """
        with self._lock:
            self._heed(headers)

    # Inside; the lock is held

    def _heed(self, headers: Mapping[str, str]) -> None:
        for what in ("requests", "tokens"):
            limit = _number(headers, f"x-ratelimit-limit-{what}", f"anthropic-ratelimit-{what}-limit")
            remaining = _number(headers, f"x-ratelimit-remaining-{what}", f"anthropic-ratelimit-{what}-remaining")
            if limit:
                self._told[what] = limit / 60
            if remaining == 0:
                reset = headers.get(f"x-ratelimit-reset-{what}") or headers.get(f"anthropic-ratelimit-{what}-reset")
                seconds = seconds_until(reset) if reset else None
                if seconds:
                    self._pause(self._clock.now() + seconds)

    def _pause(self, until: float) -> None:
        self._paused_until = max(self._paused_until, min(until, self._clock.now() + _LONGEST_PAUSE))
        self._give_up()

    def _give_up(self) -> None:
        """Whoever does not wait for as long as the pause lasts is told."""
        left = self._paused_until - self._clock.now()
        if left <= 0:
            return
        for waiter in self._line.waiters:
            if left > waiter.longest_pause:
                asks = f"the provider asks everybody to wait {duration(left)}, longer than {waiter.longest_pause} s"
                self._line.refuse(waiter, RateLimitedError(asks, retry_after=left))

    def _full_rate(self) -> float | None:
        """Requests a second: as configured, as the provider says, or as measured when there were too many."""
        rate = self._rate("requests", self._requests_per_minute)
        return rate if rate is not None else self._measured

    def _rate(self, what: str, per_minute: float | None) -> float | None:
        """How many requests or tokens a second may see, by our own limit and the provider's; None for any number."""
        rates = [rate for rate in (per_minute and per_minute / 60, self._told.get(what)) if rate is not None]
        return min(rates, default=None)

    def _settled(self, admission: Admission, used: int) -> None:
        with self._lock:
            self._line.ended(admission._lane)
            if not admission._was_refused:
                self._share.answered(self._clock.now())
            self._tokens_left += admission.tokens - used
            self._pump()

    def _pump(self) -> None:
        """Admit whoever may go now, one of each agent in turn."""
        with self._lock:
            line = self._line
            line.forget_ended_loops()
            while (first := line.first) is not None:
                now = self._clock.now()
                at = self._ready_at(now, first.tokens)
                if at is None or at > now:
                    line.serve_at(at)
                    return
                self._admit(first, now)
            line.disarm()

    def _admit(self, waiter: Waiter, now: float) -> None:
        pace = self._pace(now)
        if pace is not None:
            self._next_request = now + pace
        self._tokens_left -= waiter.tokens
        self._recent.append(now)
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        self._line.admit_first(Admission(waiter.tokens, now, self, waiter.lane))

    def _ready_at(self, now: float, tokens: int) -> float | None:
        """When the next request may go; None if that depends on another one's end."""
        if self._concurrent is not None and self._line.in_flight >= self._concurrent:
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

    def _is_as_it_began(self) -> bool:
        with self._lock:
            now = self._clock.now()
            ready_at = self._ready_at(now, math.ceil(self._rate("tokens", self._tokens_per_minute) or 0))
            return not len(self._line) and not self._line.in_flight and ready_at is not None and ready_at <= now

    def _pace(self, now: float) -> float | None:
        """Seconds between two requests."""
        share = self._share.at(now)
        if share >= 1.0:
            self._measured = None  # it is needed only while there are too many
        rate = self._full_rate()
        return None if rate is None else _HEADROOM / (rate * share)


def _number(headers: Mapping[str, str], *names: str) -> float | None:
    for name in names:
        try:
            return float(headers[name])
        except (KeyError, ValueError):
            pass
    return None
