"""The log of what has changed in a tree: which actors appeared, changed or ended, since a version.

The log is kept from the first moment on at which somebody asks for a page of the tree. It is bounded: who comes back
too late gets the whole tree anew (`miniagents.actors.observing.pages`), and a log that nobody reads ends by itself.
"""

import time
from collections import deque

import msgspec

from miniagents.actors.observing.shown import Shown
from miniagents.supervision import StopReason

TOMBSTONES = 1_000
"""The number of ended actors that are remembered."""

UNREAD = 100_000
"""The number of changes that nobody has read, after which the log is not kept any more."""


class EndedActor(msgspec.Struct, frozen=True):
    """The last facts of an actor that has ended for good.

    Attributes:
        path: Its place in the tree.
        uid: Its number; no other actor of its system has had it.
        node: The node that it lived on; "" for the only one.
        epoch: The life of that node.
        reason: The reason of its end; after a crash the name of the exception's class.
        ended_at: The time of its end, in seconds since the epoch.
        restarts: The number of its restarts.
        handled: The number of messages that it handled.
        last_error: Its last failure, as text, or None.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     page = system.tree(cursor="")
        ...     reason = await system.spawn(Idle, name="idle").stop()
        ...     page = system.tree(changed_since=page.version)
        >>> [(ended.path, ended.reason.name) for ended in page.ended]
        [('/idle', 'SHUTDOWN')]
    """

    path: str
    uid: int
    node: str
    epoch: int
    reason: StopReason | str
    ended_at: float
    restarts: int
    handled: int
    last_error: str | None


class Changes:
    """The log of one system's tree.

    Attributes:
        wanted: True while the log is kept. Who changes something looks here first.
        version: The number of the last change. It never goes back.
        forgotten: The number of the last change that the log does not know any more.
        changed: The last change of each living actor that has changed, oldest first.
        ended: The actors that have ended, each with the number of that change, oldest first.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.version = 1
        self.forgotten = 1
        self.changed: dict[Shown, int] = {}
        self.ended: deque[tuple[int, EndedActor]] = deque()
        self._read_at = 1

    def read(self) -> None:
        """Somebody reads the log: keep it, from now on or for longer."""
        self.wanted = True
        self._read_at = self.version

    def note(self, cell: Shown) -> None:
        """An actor has appeared or changed, and with it the sums of those above it. Those that have ended are left out:
        `note_end` notes an end."""
        changed, version = self.changed, self.version
        above: Shown | None = cell
        while above is not None:
            if above.is_alive:
                version += 1
                changed.pop(above, None)
                changed[above] = version
            above = above.parent
        self.version = version
        if version - self._read_at > UNREAD:
            self.forget()

    def note_end(self, cell: Shown) -> None:
        """An actor has ended for good."""
        self.changed.pop(cell, None)
        self.version += 1
        reason = cell.reason
        self.ended.append(
            (
                self.version,
                EndedActor(
                    path=cell.path,
                    uid=cell.uid,
                    node=cell.node_name,
                    epoch=cell.node_epoch,
                    # The class alone: the text of an exception is made by code of the user's, and `last_error` has it.
                    reason=reason if isinstance(reason, StopReason) else type(reason).__name__,
                    ended_at=time.time(),
                    restarts=cell.restarts,
                    handled=cell.handled,
                    last_error=cell.last_error,
                ),
            )
        )
        if len(self.ended) > TOMBSTONES:
            self.forgotten, _ = self.ended.popleft()
        if cell.parent is not None:
            self.note(cell.parent)

    def forget(self) -> None:
        """Keep the log no longer, until somebody asks again."""
        self.wanted = False
        self.changed.clear()
        self.ended.clear()
        self.forgotten = self.version
