"""Snapshots of the tree: what every actor is doing at one moment."""

from collections.abc import Iterator

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
        tokens: The tokens that models have used for the agents there, those included that have ended since.
        cost: Their cost, in the currency of the price list; None if a part of it is not known.

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
    tokens: int = 0
    cost: float | None = 0.0


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
        tokens: The tokens that models have used for it, if it is an agent.
        cost: Their cost, in the currency of the price list; None if a part of it is not known.
        kind: The kind of actor: "actor", "agent", "class agent", "supervisor", "pool", or "system" for the root.
        type: The name of the actor's class or function; "" for the root.

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
    tokens: int = 0
    cost: float | None = 0.0
    kind: str = ""
    type: str = ""

    def __str__(self) -> str:
        """Draw the tree below the actor, one line for each actor."""
        return "\n".join(drawn(self))


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
        below=NOBODY
        if sums is None
        else SubtreeSums(sums.actors, sums.restarts, sums.failures, waiting, sums.tokens, sums.cost),
        tokens=cell.spent_tokens,
        cost=cell.spent_cost,
        kind=cell.kind,
        type=cell.type_name,
    )


def drawn(info: ActorInfo) -> Iterator[str]:
    """Draw a tree.

    Returns:
        The lines, each with the name of an actor, its class, its kind and state, and what is remarkable: messages that
        wait, restarts, the last error.
    """
    yield _line(info, info.path)
    yield from _branches(info, "")


def _branches(info: ActorInfo, margin: str) -> Iterator[str]:
    for number, child in enumerate(info.children, 1):
        is_last = number == len(info.children)
        yield f"{margin}{'└── ' if is_last else '├── '}{_line(child, child.path.rpartition('/')[2])}"
        yield from _branches(child, f"{margin}{'    ' if is_last else '│   '}")


def _line(info: ActorInfo, name: str) -> str:
    words = [printable(name)]
    if info.kind:
        words.append(f"{printable(info.type)} ({info.kind})" if info.type else f"({info.kind})")
    words.append(info.state)
    if info.node:
        words.append(f"on {printable(info.node)}")
    if info.mailbox_depth:
        words.append(f"{info.mailbox_depth} waiting")
    if info.restarts:
        words.append(f"{info.restarts} restarts" if info.restarts > 1 else "1 restart")
    if info.last_error:
        words.append(f"last error: {printable(info.last_error)}")
    return "  ".join(words)


def printable(text: str) -> str:
    """Return one line of a text without what moves a cursor or colours a terminal, cut to 200 characters."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:200])
    return line if len(text) <= 200 else f"{line}…"
