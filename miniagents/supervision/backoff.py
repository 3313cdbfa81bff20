"""Backoff: how long to wait before the next restart."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_seconds

_MANY = 64  # 2**64 times any pause is beyond any maximum that means something


@dataclass(frozen=True)
class Backoff:
    """Pauses that double: min(maximum, first * 2**n), as Akka's `BackoffSupervisor`.

    Args:
        first: The first pause, in seconds, more than 0.
        maximum: The longest pause, in seconds, not below `first`. Jitter never leads above it.
        jitter: The share of the pause, 0 to 1, that is left to chance.

    Raises:
        InvalidOptionError: An argument is outside its range.
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
        """The pause before the n-th restart in a row, `n` from 0.

        Args:
            n: How many pauses there were before this one.
            random: Gives a number from 0 to 1 for the jitter.

        Returns:
            Seconds.
        """
        pause: float = min(self.maximum, self.first * 2.0 ** min(n, _MANY))
        # Spread over both sides of the pause, so that those that failed together do not come back together.
        return min(self.maximum, pause * (1 + self.jitter * (2 * random() - 1)))
