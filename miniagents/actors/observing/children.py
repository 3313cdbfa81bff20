"""The children of a cell, with the sums of all that is below it."""

from typing import TypeVar

C = TypeVar("C")


class Children(dict[str, C]):
    """The children of one cell by their names, in the order of their starts.

    The sums are kept up as things happen, so that nobody has to walk through a hundred thousand actors to know them. An
    actor without children has no such object, and pays nothing.

    Attributes:
        actors: The number of actors that live below the cell, at any depth.
        restarts: The number of restarts below it, those of actors included that have ended since.
        tokens: The tokens that models have used for the agents below it, those included that have ended since.
        cost: Their cost; None if a part of it is not known.
        failures: The number of failures below it: crashes, starts that failed, and calls of agents that failed.
    """

    __slots__ = ("actors", "cost", "failures", "restarts", "tokens")

    def __init__(self) -> None:
        super().__init__()
        self.actors = 0
        self.restarts = 0
        self.failures = 0
        self.tokens = 0
        self.cost: float | None = 0.0
