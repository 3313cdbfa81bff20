"""Decisions: the random choices of a simulation, and how a failing run is made smaller.

A decision has a place (a word, and the number of earlier decisions with that word) and a value. The calm value (false)
is the behaviour without a simulation. The decisions that are not calm define a run: the same decisions give the same
run, and a run is made smaller by leaving some of them out.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

Place = tuple[str, int]
"""A word, and the number of decisions with that word so far, this one included."""

Decided = Mapping[Place, Any]
"""The decisions that were not calm, by place."""


class Decisions:
    """The decisions of one run.

    Args:
        seed: The seed of the random numbers.
        given: The decisions of an earlier run. If they are given, nothing is drawn, and every other decision is calm.

    Attributes:
        made: The decisions that were not calm, in order.

    Example:
        >>> decisions = Decisions(seed=0, given={("door", 2): "open"})
        >>> [decisions.decide("door", lambda random: "shut") for _ in range(2)]
        [None, 'open']
        >>> decisions.made
        {('door', 2): 'open'}
    """

    def __init__(self, seed: int, given: Decided | None = None) -> None:
        # Random hashes a str by SHA-512, so that the numbers are the same in every process.
        self._random = Random(f"{seed} decisions")
        self._given = given
        self._counts: dict[str, int] = {}
        # Some runs keep the order nearly everywhere, some hardly anywhere: they find different races.
        self._unrest = self._random.choice((0.03, 0.3, 1.0))
        self.made: dict[Place, Any] = {}

    def decide(self, word: str, draw: Callable[[Random], T]) -> T | None:
        """Make the next decision.

        Args:
            word: A word for the decision. Decisions with the same word are numbered.
            draw: Draws the value; a false value is the calm one.

        Returns:
            The value, or None where an earlier run was calm.
        """
        number = self._counts[word] = self._counts.get(word, 0) + 1
        value: T | None = draw(self._random) if self._given is None else self._given.get((word, number))
        if value:
            self.made[word, number] = value
        return value

    def one_of(self, word: str, count: int) -> int:
        """Decide for one of several things.

        Args:
            word: A word for the decision; see `decide`.
            count: The number of things, 1 or more.

        Returns:
            The index of the chosen thing; 0 is the calm value.
        """
        if count == 1:
            return 0
        index = self.decide(word, lambda random: random.randrange(count) if random.random() < self._unrest else 0)
        return min(index, count - 1) if index else 0


def smallest(decided: Decided, fails: Callable[[Decided], bool]) -> Decided:
    """Return a small part of some decisions that still fails, by delta debugging (Zeller and Hildebrandt, 2002).

    Args:
        decided: Decisions that fail.
        fails: Returns whether a part of the decisions fails; False also when no more tries are wanted.

    Example:
        >>> smallest({("a", 1): 1, ("b", 1): 2, ("c", 1): 3}, lambda decided: ("b", 1) in decided)
        {('b', 1): 2}
    """
    places = list(decided)

    def part(places: list[Place]) -> Decided:
        return {place: decided[place] for place in places}

    if fails({}):
        return {}
    size = len(places) // 2
    while size:
        at = 0
        while at < len(places):
            without = places[:at] + places[at + size :]
            if fails(part(without)):
                places = without
            else:
                at += size
        size //= 2
    return part(places)
