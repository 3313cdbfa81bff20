"""Chaos: a share of the interactions crashes, each at a point of its own."""

from collections import Counter
from random import Random

POINTS = ("start", "middle", "end")


class ChaosError(Exception):
    """A crash that was asked for."""


class Chaos:
    """Decides which attempts crash, and where; the same seed decides the same.

    Args:
        rate: The share of attempts that crash, 0 or more and less than 1.
        seed: Where chance begins.
    """

    def __init__(self, rate: float, seed: int = 1) -> None:
        self.rate = rate
        self.crashes = 0
        self._seed = seed
        self._attempts: Counter[str] = Counter()

    def attempt(self, what: str) -> "Attempt":
        """One more attempt at something.

        Args:
            what: What is attempted: its attempts are counted.
        """
        self._attempts[what] += 1
        random = Random(f"{self._seed}:{what}:{self._attempts[what]}")
        return Attempt(self, random.choice(POINTS) if random.random() < self.rate else None)


class Attempt:
    """One attempt, and the point at which it crashes, or None."""

    def __init__(self, chaos: Chaos, crashes_at: str | None) -> None:
        self._chaos = chaos
        self._crashes_at = crashes_at

    def at(self, point: str) -> None:
        """The attempt has come to this point.

        Raises:
            ChaosError: It crashes here.
        """
        if point == self._crashes_at:
            self._chaos.crashes += 1
            raise ChaosError(f"chaos at the {point}")
