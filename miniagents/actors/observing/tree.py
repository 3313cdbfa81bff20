"""Snapshots of the tree: what every actor is doing at one moment."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class ActorInfo(msgspec.Struct, frozen=True):
    """One actor at one moment.

    Attributes:
        path: Where it is in the tree; "/" for the root.
        state: starting, idle, running, restarting or stopping.
        mailbox_depth: How many messages wait.
        oldest_age: How long the first of them has waited, in seconds; None if none does.
        restarts: How often it was restarted.
        last_error: Its last crash, as text.
        handled: How many messages it has handled.
        message_age: How long it has been at the message in hand, in seconds; None if there is none.
        children: Those below it, in the order of their starts.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     await system.spawn(Idle, name="idle").started()
        ...     info = system.tree("/idle")
        >>> info.path, info.state, info.mailbox_depth
        ('/idle', 'idle', 0)
    """

    path: str
    state: str
    mailbox_depth: int = 0
    oldest_age: float | None = None
    restarts: int = 0
    last_error: str | None = None
    handled: int = 0
    message_age: float | None = None
    children: tuple["ActorInfo", ...] = ()


class Waiting(Protocol):
    """A message that waits."""

    @property
    def at(self) -> float:
        """When it came, on `loop.time()`."""


class State(Protocol):
    """The state of an actor."""

    @property
    def value(self) -> str:
        """Its name."""


class Shown(Protocol):
    """The cell of an actor, as a snapshot shows it."""

    @property
    def children(self) -> "Mapping[str, Shown] | None": ...
    @property
    def current(self) -> object: ...
    @property
    def handled(self) -> int: ...
    @property
    def last_error(self) -> str | None: ...
    @property
    def path(self) -> str: ...
    @property
    def restarts(self) -> int: ...
    @property
    def since(self) -> float: ...
    @property
    def state(self) -> State: ...
    def waiting(self) -> Sequence[Waiting]: ...


def snapshot(cell: Shown, now: float, depth: int | None, limit: int | None) -> ActorInfo:
    """Return the state of a cell and of all cells below it.

    Args:
        cell: Where to begin.
        now: On `loop.time()`.
        depth: How many levels below it, or None.
        limit: How many actors at most, or None.
    """
    left = [limit if limit is not None else -1]
    return _info(cell, now, depth, left)


def _info(cell: Shown, now: float, depth: int | None, left: list[int]) -> ActorInfo:
    left[0] -= 1
    children = []
    if depth is None or depth > 0:
        for child in (cell.children or {}).values():
            if left[0] == 0:
                break
            children.append(_info(child, now, None if depth is None else depth - 1, left))
    waiting = [envelope.at for envelope in cell.waiting()]
    return ActorInfo(
        path=cell.path or "/",
        state=cell.state.value,
        mailbox_depth=len(waiting),
        oldest_age=max(0.0, now - min(waiting)) if waiting else None,
        restarts=cell.restarts,
        last_error=cell.last_error,
        handled=cell.handled,
        message_age=max(0.0, now - cell.since) if cell.current is not None and cell.since else None,
        children=tuple(children),
    )
