"""Decisions: what a simulation draws wherever the order is free, and how a failing run is made smaller.

A decision has a place (a word and how often it was asked there) and a value; nothing, the calm value, is what would be
so without a simulation. A run is its decisions that are not calm: the same ones give the same run, and to make a run
smaller is to leave some of them out.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Decided = Mapping[tuple[str, int], Any]
"""What was decided, by place, where it was not the calm value."""


class Decisions:
    """The decisions of one run.

    Args:
        seed: What they are drawn from.
        given: The decisions of an earlier run; nothing is drawn then, and everything else is calm.

    Attributes:
        made: The decisions that were not calm, in order.
    """

    def __init__(self, seed: int, given: Decided | None = None) -> None:
        # A str is hashed by SHA-512 there, so that the numbers are the same in every process.
        self._random = Random(f"{seed} decisions")
        self._given = given
        self._asked: dict[str, int] = {}
        # Some runs are nearly in order, and some have hardly any: each finds races that the other does not.
        self._unrest = self._random.choice((0.03, 0.3, 1.0))
        self.made: dict[tuple[str, int], Any] = {}

    def decide(self, place: str, draw: Callable[[Random], Any]) -> Any:
        """Return what is so at this place.

        Args:
            place: A word for the question; the same words again are the next place.
            draw: Draws the answer; a false value is the calm one.
        """
        number = self._asked[place] = self._asked.get(place, 0) + 1
        made = draw(self._random) if self._given is None else self._given.get((place, number))
        if made:
            self.made[place, number] = made
        return made

    def one_of(self, place: str, count: int) -> int:
        """Return the index of one of `count` (1 or more); 0 is the calm value."""
        if count == 1:
            return 0
        index: int | None = self.decide(
            place, lambda random: random.randrange(count) if random.random() < self._unrest else 0
        )
        return min(index, count - 1) if index else 0


def smallest(decided: Decided, fails: Callable[[Decided], bool]) -> Decided:
    """Return a small part of some decisions that fails as well, after delta debugging (Zeller and Hildebrandt, 2002).

    Args:
        decided: Decisions that fail.
        fails: Whether some of them fail. It says False when it is to be asked no more.
    """
    kept = list(decided)

    def part(keys: "list[tuple[str, int]]") -> Decided:
        return {key: decided[key] for key in keys}

    if fails({}):
        return {}
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if fails(part(without)):
                kept = without
            else:
                at += size
        size //= 2
    return part(kept)
