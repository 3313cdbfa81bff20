"""The work that a task of an actor has started."""

from typing import Protocol

from miniagents.promising.work import Cancellable, Work


class Owner(Protocol):
    """An ask or another promise that owns what is started for it."""

    def done(self) -> bool:
        """Return True when it has settled."""

    def owns(self, work: Cancellable) -> None: ...


class OfTask(Work):
    """The work that a task of an actor has started. It is cancelled when the end of the actor cuts the task off.

    Args:
        of: The ask, or another promise, that the task works for as long as that is open; None for nothing.
    """

    __slots__ = ("of",)

    def __init__(self, of: Owner | None) -> None:
        super().__init__()
        self.of = of

    def owns(self, work: Cancellable) -> None:
        """Note that the task has started `work`."""
        self.add(work)
        if self.of is not None:
            self.of.owns(work)
