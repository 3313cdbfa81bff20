"""`Breaker`, the circuit breaker of a model, and `Failover`, its use by the requests of a `Fallback`."""

from contextvars import ContextVar
from dataclasses import dataclass


class Breaker:
    """A circuit breaker (M. Nygard, "Release It!"): it opens when several requests in a row have failed.

    Args:
        failures: The number of failed requests in a row that opens the breaker, 1 or more.
        rest: Seconds that it stays open, 0 or more; then a single request probes the model.
    """

    def __init__(self, failures: int, rest: float) -> None:
        self._max_failures = failures
        self._rest = rest
        self._failures = 0
        self._until = 0.0
        self._probing = False

    def lets_through(self, now: float) -> bool:
        """Return whether a request may be sent now; if so, its outcome must be counted."""
        if self._failures < self._max_failures:
            return True
        if now < self._until or self._probing:
            return False
        self._probing = True
        return True

    def is_open(self, now: float) -> bool:
        """Return whether requests are refused now."""
        return self._failures >= self._max_failures and (now < self._until or self._probing)

    def succeeded(self) -> None:
        """Count a request that succeeded."""
        self._failures = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """Count a request that failed."""
        self._failures += 1
        self._probing = False
        self._until = now + self._rest

    def undecided(self) -> None:
        """Count a request that says nothing about the model: it was cancelled, or was itself invalid."""
        self._probing = False


@dataclass(slots=True, eq=False)
class Failover:
    """The failover of one model in a `Fallback`: its requests may give up early, since there is another model.

    Attributes:
        patience: Seconds that a request may retry and wait before the `Fallback` calls the next model; None for no
            limit.
        breaker: The circuit breaker of the model.
        asked_by: The interaction of the `Fallback`. Only requests of the agent that it called itself go to the model;
            agents further below may have other models.
        has_pass: Whether the breaker has let the next request through already.
        has_failed: Whether a request has failed and was counted.
    """

    patience: float | None
    breaker: Breaker
    asked_by: object
    has_pass: bool = True
    has_failed: bool = False

    def may_ask(self, now: float) -> bool:
        """Return whether a request may be sent now; if so, `count` must be called at its end."""
        if self.has_pass:
            self.has_pass = False
            return True
        return self.breaker.lets_through(now)

    def count(self, now: float, *, succeeded: bool | None) -> None:
        """Count the outcome of a request: success, failure, or None for one that says nothing about the model."""
        if succeeded is None:
            self.breaker.undecided()
        elif succeeded:
            self.breaker.succeeded()
        else:
            self.has_failed = True
            self.breaker.failed(now)


current_failover: ContextVar[Failover | None] = ContextVar("current_failover", default=None)
"""The failover of the running call; interactions start with a copy of their caller's context."""


def patience() -> float | None:
    """Return the seconds that a request may wait for limits before it fails; None for no limit."""
    failover = current_failover.get()
    return failover.patience if failover is not None else None
