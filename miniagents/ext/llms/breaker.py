"""A circuit breaker, and the way on that a call has when its model is down."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


class Breaker:
    """A circuit breaker (M. Nygard, "Release It!"): a model whose requests failed several times in a row gets a rest.

    Args:
        failures: After so many failed requests in a row it rests, 1 or more.
        rest: For so many seconds; then one request probes whether it is back.
    """

    def __init__(self, failures: int, rest: float) -> None:
        self._most = failures
        self._rest = rest
        self._failures = 0
        self._until = 0.0
        self._probing = False

    def lets_through(self, now: float) -> bool:
        """Whether a request may be made now; if so, its end must be told."""
        if self._failures < self._most:
            return True
        if now < self._until or self._probing:
            return False
        self._probing = True
        return True

    def is_open(self, now: float) -> bool:
        """Whether the model rests."""
        return self._failures >= self._most and (now < self._until or self._probing)

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """A request failed."""
        self._failures += 1
        self._probing = False
        self._until = now + self._rest

    def undecided(self) -> None:
        """A request ended without telling anything: it was cancelled, or it was wrong itself."""
        self._probing = False


@dataclass(slots=True, eq=False)
class WayOn:
    """There is another model to go on with, if this one does not answer.

    Attributes:
        patience: Seconds that a call may try and wait before the other one is asked; None for no limit.
        breaker: That of the model.
        asked_by: The interaction that goes on with the other model. Only the requests of an agent that it called itself
            are those of the model; what is called below may be another one.
        has_pass: Whether the breaker has let the next request through already.
        has_failed: Whether a request failed, and the breaker knows it.
    """

    patience: float | None
    breaker: Breaker
    asked_by: Any
    has_pass: bool = True
    has_failed: bool = False

    def may_ask(self, now: float) -> bool:
        """Whether a request may be made now; if so, its end must be told to `count`."""
        if self.has_pass:
            self.has_pass = False
            return True
        return self.breaker.lets_through(now)

    def count(self, now: float, *, succeeded: bool | None) -> None:
        """A request ended: it was answered, or not, or told nothing (None)."""
        if succeeded is None:
            self.breaker.undecided()
        elif succeeded:
            self.breaker.succeeded()
        else:
            self.has_failed = True
            self.breaker.failed(now)


way_on: ContextVar[WayOn | None] = ContextVar("way_on", default=None)
"""The way on of the call at work; interactions start with a copy of their caller's context."""


def patience() -> float | None:
    """Seconds that a call may wait for limits before it fails; None for no limit."""
    way = way_on.get()
    return way.patience if way is not None else None
