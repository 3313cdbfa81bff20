"""Strategies: who is restarted with whom, how often at most, and after which pause."""

from dataclasses import dataclass

from miniagents.errors import InvalidOptionError
from miniagents.supervision.backoff import Backoff


@dataclass(frozen=True)
class Strategy:
    """What the strategies have in common.

    Args:
        max_restarts: Restarts allowed within `within` seconds, 0 or more; one more and the supervisor gives up. None
            for no limit, which OTP does not have.
        within: Length of the window in seconds, more than 0.
        backoff: The pause before a restart, which OTP does not have either; None for no pause.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    max_restarts: int | None = 1
    within: float = 5.0
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.max_restarts is not None and (
            isinstance(self.max_restarts, bool) or not isinstance(self.max_restarts, int) or self.max_restarts < 0
        ):
            raise InvalidOptionError(f"{name}(max_restarts=) must be 0 or more, or None, not {self.max_restarts!r}")
        if not self.within > 0:  # written this way round it also refuses NaN
            raise InvalidOptionError(f"{name}(within=) must be more than 0 seconds, not {self.within!r}")
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise InvalidOptionError(f"{name}(backoff=) must be a Backoff or None, not {self.backoff!r}")


@dataclass(frozen=True)
class OneForOne(Strategy):
    """The child that ended is restarted, alone."""


@dataclass(frozen=True)
class OneForAll(Strategy):
    """All children are restarted with it."""


@dataclass(frozen=True)
class RestForOne(Strategy):
    """Those that were started after it are restarted with it."""


@dataclass(frozen=True)
class SimpleOneForOne(Strategy):
    """All children are made of one specification, at run time, with `start_child(**kwargs)`."""


DEFAULT_SUPERVISION = OneForOne(max_restarts=None, backoff=Backoff(0.1, 30.0, jitter=0.2))
"""For whatever has no supervisor of its own, and for the members of a pool: restarts without a limit, with backoff that
grows as long as no message is handled in between (Akka's `BackoffSupervisor`)."""
