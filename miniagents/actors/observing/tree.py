"""Snapshots of the tree: what every actor is doing at one moment."""

import msgspec

from miniagents.actors.observing.shown import Shown


class SubtreeSums(msgspec.Struct, frozen=True):
    """The sums over all actors below one, at any depth.

    Attributes:
        actors: The number of actors that live there.
        restarts: The number of restarts there, those of actors included that have ended since.
        failures: The number of failures there: crashes, starts that failed, and calls of agents that failed.
        waiting: The number of messages that wait there; None if they were not counted. Only pages of the tree count
            them, each among 10,000 actors at most.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     await system.spawn(Idle, name="idle").started()
        ...     system.tree("/").below.actors
        1
    """

    actors: int = 0
    restarts: int = 0
    failures: int = 0
    waiting: int | None = None


NOBODY = SubtreeSums(waiting=0)
"""The sums of an actor that has never had a child."""


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
        children: Those below it, in the order of their starts; empty in a page of the tree.
        uid: A number that no other actor of its system has had. A restart keeps it.
        node: The node that it lives on; "" for the only one.
        epoch: The life of that node.
        below: The sums over all actors below it.

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
    uid: int = 0
    node: str = ""
    epoch: int = 0
    below: SubtreeSums = NOBODY


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
    return info(cell, now, tuple(children))


def info(cell: Shown, now: float, children: tuple[ActorInfo, ...] = (), waiting: int | None = None) -> ActorInfo:
    """Return the state of one cell.

    Args:
        cell: The cell.
        now: On `loop.time()`.
        children: The states of those below it that are to be shown with it.
        waiting: The number of messages that wait below it, if they were counted.
    """
    sums, oldest = cell.children, cell.oldest_at
    return ActorInfo(
        path=cell.path or "/",
        state=cell.state.value,
        mailbox_depth=cell.depth,
        oldest_age=max(0.0, now - oldest) if oldest is not None else None,
        restarts=cell.restarts,
        last_error=cell.last_error,
        handled=cell.handled,
        message_age=max(0.0, now - cell.since) if cell.current is not None and cell.since else None,
        children=children,
        uid=cell.uid,
        node=cell.node_name,
        epoch=cell.node_epoch,
        below=NOBODY if sums is None else SubtreeSums(sums.actors, sums.restarts, sums.failures, waiting),
    )
