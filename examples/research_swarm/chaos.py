"""Chaos: a share of all attempts crashes, at the start, in the middle or at the end."""

from collections import Counter
from functools import cache
from random import Random

POINTS = ("start", "middle", "end")


class ChaosError(Exception):
    """A crash caused by chaos."""


class Chaos:
    """Decides which attempts crash, and at which point. The same seed gives the same decisions.

    Args:
        rate: The share of attempts that crash, 0 or more and less than 1.
        seed: The seed of the random numbers.
    """

    def __init__(self, rate: float, seed: int = 1) -> None:
        self.rate = rate
        self._seed = seed
        self._attempts: Counter[str] = Counter()

    def attempt(self, what: str) -> "Attempt":
        """Begin an attempt.

        Args:
            what: The name of the task. The attempts at a task are counted.
        """
        self._attempts[what] += 1
        random = Random(f"{self._seed}:{what}:{self._attempts[what]}")
        return Attempt(random.choice(POINTS) if random.random() < self.rate else None)


@cache
def chaos_of(rate: float) -> Chaos:
    """Return the chaos of this process with that rate."""
    return Chaos(rate)


class Attempt:
    """One attempt at a task, which crashes at a point, or at none."""

    def __init__(self, crashes_at: str | None) -> None:
        self._crashes_at = crashes_at

    def at(self, point: str) -> None:
        """Pass a point of the attempt.

        Args:
            point: One of `POINTS`.

        Raises:
            ChaosError: The attempt crashes at this point.
        """
        if point == self._crashes_at:
            raise ChaosError(f"chaos at the {point}")
