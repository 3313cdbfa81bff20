"""Strategies: who is restarted with whom, how often at most, and after which pause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from miniagents.supervision.backoff import Backoff
from miniagents.supervision.checking import check_count, check_kind, check_seconds

T = TypeVar("T")


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
        check_count(f"{name}(max_restarts=)", self.max_restarts, 0, or_none=True)
        check_seconds(f"{name}(within=)", self.within, above_zero=True)
        check_kind(f"{name}(backoff=)", self.backoff, Backoff, or_none=True)


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


def restart_group(strategy: Strategy, children: Sequence[T], child: T) -> list[T]:
    """Return the children that are restarted when one of them is, in the order of their starts.

    Args:
        strategy: The strategy of the supervisor.
        children: All its children, in the order of their starts.
        child: The child that has ended; one of `children`.
    """
    if isinstance(strategy, OneForAll):
        return list(children)
    if isinstance(strategy, RestForOne):
        return list(children[children.index(child) :])
    return [child]
