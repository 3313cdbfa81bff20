"""Strategies: which children are restarted together, how often at most, and after which pause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from miniagents.supervision.backoff import Backoff
from miniagents.supervision.checking import check_count, check_kind, check_seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Strategy:
    """The base of the strategies.

    Args:
        max_restarts: The number of restarts allowed in `within` seconds, 0 or more. With one more the supervisor gives
            up. None for no limit, which OTP does not have.
        within: The length of the window in seconds, more than 0.
        backoff: The pause before a restart, which OTP does not have either; None for no pause.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> from miniagents.supervision import DEFAULT_SUPERVISION, Strategy
        >>> isinstance(OneForAll(max_restarts=3), Strategy), DEFAULT_SUPERVISION.max_restarts
        (True, None)
    """

    max_restarts: int | None = 1
    within: float = 5.0
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_count(f"{name}(max_restarts=)", self.max_restarts, 0, or_none=True)
        check_seconds(f"{name}(within=)", self.within, above_zero=True)
        check_kind(f"{name}(backoff=)", self.backoff, Backoff, or_none=True)


class OneForOne(Strategy):
    """Restart the child that ended, alone.

    Example:
        >>> OneForOne(max_restarts=5, within=60.0).max_restarts
        5
    """

    __slots__ = ()


class OneForAll(Strategy):
    """Restart all children when one ends.

    Example:
        >>> Supervisor("pair", strategy=OneForAll(backoff=Backoff(0.1, 5.0))).strategy.backoff.first
        0.1
    """

    __slots__ = ()


class RestForOne(Strategy):
    """Restart the child that ended and all children that were started after it.

    Example:
        >>> RestForOne(max_restarts=0).max_restarts  # the first crash ends the supervisor
        0
    """

    __slots__ = ()


class SimpleOneForOne(Strategy):
    """Start children at run time, all of one specification, with `start_child(**kwargs)`. Restart each alone.

    Example:
        >>> class Session(Actor):
        ...     def __init__(self, user):
        ...         self.user = user
        >>> async with MiniAgents() as system:
        ...     template = ChildSpec("session", Session, restart=Restart.TEMPORARY)
        ...     sessions = Supervisor("sessions", strategy=SimpleOneForOne(), children=[template])
        ...     ref = await system.supervise(sessions)
        ...     print((await ref.start_child(user="ada")).path)
        /sessions/session-1
    """

    __slots__ = ()


DEFAULT_SUPERVISION = OneForOne(max_restarts=None, backoff=Backoff(0.1, 30.0, jitter=0.2))
"""The strategy for actors without a supervisor and for the members of a pool: restarts without a limit, after a pause
that grows as long as no message is handled in between (as in Akka's `BackoffSupervisor`)."""


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
