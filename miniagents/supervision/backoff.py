"""Backoff: the pause before the next restart."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_seconds

_MANY = 64  # 2**64 times any pause is beyond any maximum that means something


@dataclass(frozen=True)
class Backoff:
    """Pauses that double, as those of Akka's `BackoffSupervisor`: min(maximum, first * 2**n).

    Args:
        first: The first pause, in seconds, more than 0.
        maximum: The longest pause, in seconds, not below `first`. No jitter makes a pause longer.
        jitter: The share of the pause that is random, 0 to 1: with 0.2 a pause is 20 % shorter to 20 % longer.

    Raises:
        InvalidOptionError: An argument is outside its range.

    Example:
        >>> backoff = Backoff(first=0.5, maximum=4.0)
        >>> [backoff.delay(n, lambda: 0.5) for n in range(5)]
        [0.5, 1.0, 2.0, 4.0, 4.0]
    """

    first: float
    maximum: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_seconds("Backoff(first=)", self.first, above_zero=True)
        check_seconds("Backoff(maximum=)", self.maximum, above_zero=True)
        if self.maximum < self.first:
            raise InvalidOptionError(
                f"Backoff(maximum=) must be first ({self.first!r}) or more, in seconds, not {self.maximum!r}"
            )
        if not isinstance(self.jitter, Real) or not 0 <= self.jitter <= 1:
            raise InvalidOptionError(f"Backoff(jitter=) must be from 0 to 1, not {self.jitter!r}")

    def delay(self, n: int, random: Callable[[], float]) -> float:
        """Return the pause before a restart, in seconds.

        Args:
            n: The number of pauses before this one, 0 or more.
            random: Returns a number from 0 to 1 for the jitter.
        """
        pause: float = min(self.maximum, self.first * 2.0 ** min(n, _MANY))
        # On both sides of the pause, so that children that failed together do not restart together.
        return min(self.maximum, pause * (1 + self.jitter * (2 * random() - 1)))
