"""Deadlock detection: who waits for whom, and whether an await closes a ring.

Nodes are interactions and serial actors. A node has at most one edge of its own: the promise that its handler's own
task awaits. Tasks that the handler started (`gather`, a `TaskGroup`) count only where it can be proved that the handler
waits for every one of them; in doubt there is no edge, since a timeout ends a hang and nothing mends a false alarm.
This is the OR-model of Chandy, Misra and Haas (1983) cut down to what one process sees at once: no messages are
needed, a walk along the edges is enough.
"""

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Any

from miniagents.actors.events import EventKind
from miniagents.errors import DeadlockError
from miniagents.promising.context import PromisingContext, Scope, get_scope

if TYPE_CHECKING:
    from miniagents.actors.system import ActorSystem


class Node(Scope):
    """Who can wait and be waited for: an actor's cell, or an interaction.

    Attributes:
        system: Its system.
    """

    __slots__ = ()

    is_node = True
    system: "ActorSystem"

    @property
    def path(self) -> str:
        """Where it is in the tree."""
        raise NotImplementedError

    @property
    def promising_context(self) -> PromisingContext:
        """The system."""
        return self.system

    @property
    def node(self) -> Any:
        """What waits when its code awaits: itself."""
        return self

    @property
    def node_path(self) -> str:
        """What a ring calls it."""
        return self.path

    def begin_wait(self, promise: Any) -> Any:
        """Somebody is about to wait for an answer of it."""
        return begin_wait(promise)

    def end_wait(self, token: Any) -> None:
        """The wait is over."""
        end_wait(token)

    def deadlocked(self, error: BaseException) -> None:
        """A wait of its code would have closed a ring."""
        self.system.events.publish(EventKind.DEADLOCK, self.path, error=error, detail=getattr(self, "id", None))


class Waits:
    """What the tasks of one node wait for.

    Attributes:
        own: The promise that the handler's own task awaits, or None.
        helpers: The same for tasks that the handler started.
    """

    __slots__ = ("helpers", "own")

    def __init__(self) -> None:
        self.own: Any = None
        self.helpers: dict[Any, Any] = {}


def begin_wait(promise: Any) -> Any:
    """The current task is about to wait for `promise`.

    Returns:
        What `end_wait` takes, or None where no edge comes of it.

    Raises:
        DeadlockError: The wait would close a ring. The promise, if it is an ask, ends with it too.
    """
    scope = get_scope()
    node = scope.node if scope is not None else None
    if node is None:
        return None
    target = _target(promise)
    if target is None:
        return None
    task = asyncio.current_task()
    waits = node.waits
    if waits is None:
        waits = node.waits = Waits()
    own = node.task is task
    if own:
        waits.own = promise
    else:
        waits.helpers[task] = promise
    # The usual case is a target that waits for nobody: one look and we are through.
    if target is node or target.waits is not None:
        ring = _find(node, promise)
        if ring is not None and not any(getattr(p, "own_timeout", False) for _, p in ring):
            end_wait((waits, own, task))
            error = _error(ring)
            end = getattr(promise, "end_ring", None)
            if end is not None:
                end(error)
                promise._look()  # its awaiter gets the error here and now
            node.deadlocked(error)
            raise error
    return (waits, own, task)


def end_wait(token: Any) -> None:
    """The wait is over."""
    if token is not None:
        waits, own, task = token
        if own:
            waits.own = None
        else:
            waits.helpers.pop(task, None)


def ring_through(node: Any, promise: Any) -> tuple[str, ...]:
    """The paths of the ring in which `node` waits for `promise`, or ()."""
    ring = _find(node, promise)
    return _paths(ring) if ring is not None else ()


def _target(promise: Any) -> Any:
    producer = promise._producer
    return None if producer is None else producer.node_behind(promise)


def _find(start: Any, promise: Any) -> list[tuple[Any, Any]] | None:
    """The ring that leads from `start` over `promise` back to it, as (node, promise that it waits for)."""
    ring: list[tuple[Any, Any]] = []
    if not _is_stuck(start, promise):
        return None
    return ring if _walk(start, start, promise, ring, set()) else None


def _is_stuck(node: Any, promise: Any) -> bool:
    """Whether `node` can do nothing before `promise` settles."""
    waits = node.waits
    if waits is None:
        return False
    if waits.own is promise:
        return True
    return any(p is promise for p in _proved(node))


def _walk(start: Any, node: Any, promise: Any, ring: list[tuple[Any, Any]], seen: set[int]) -> bool:
    """Whether whatever `node` waits for leads back to `start`; the way is put into `ring`."""
    while True:
        ring.append((node, promise))
        target = _target(promise)
        if target is None or promise.done():
            return False
        if target is start:
            return True
        if id(target) in seen or target.waits is None:
            return False
        seen.add(id(target))
        if target.waits.own is not None:
            node, promise = target, target.waits.own
            continue
        # The handler waits for several tasks: it is stuck only if each of them is.
        first: list[tuple[Any, Any]] | None = None
        for one in _proved(target):
            branch: list[tuple[Any, Any]] = []
            if not _walk(start, target, one, branch, set(seen)):
                return False
            first = first or branch
        ring.extend(first or ())
        return first is not None


def _proved(node: Any) -> list[Any]:
    """The promises for all of which the handler of `node` waits through helper tasks, or [] where nothing proves it."""
    waits = node.waits
    if waits is None or not waits.helpers or node.task is None:
        return []
    waited = getattr(node.task, "_fut_waiter", None)
    children = getattr(waited, "_children", None)  # asyncio.gather's future
    if children is None:
        children = _group_tasks(waits.helpers, waited)
    if not children:
        return []
    promises = []
    for child in children:
        if child.done():
            continue
        promise = waits.helpers.get(child)
        if promise is None:
            return []
        promises.append(promise)
    return promises


def _group_tasks(helpers: dict[Any, Any], waited: Any) -> Any:
    """The tasks of the `asyncio.TaskGroup` whose end `waited` is, if one of the helpers belongs to it."""
    for helper in helpers:
        for callback, _ in getattr(helper, "_callbacks", None) or ():
            group = getattr(callback, "__self__", None)
            if isinstance(group, asyncio.TaskGroup) and getattr(group, "_on_completed_fut", None) is waited:
                return tuple(group._tasks)
    return ()


def _paths(ring: list[tuple[Any, Any]]) -> tuple[str, ...]:
    # A class agent waits for its own interaction: two nodes, and one name to whoever reads it.
    paths = [path for path, _ in groupby(node.node_path for node, _ in ring)]
    if len(paths) > 1 and paths[0] == paths[-1]:
        return tuple(paths)
    return (*paths, paths[0])


def _error(ring: list[tuple[Any, Any]]) -> DeadlockError:
    paths = _paths(ring)
    return DeadlockError(
        f"{paths[0]}: this await would wait for ever, since the actors wait for each other: {' -> '.join(paths)}; "
        f"tell instead of ask, or give one ask a timeout=",
        ring=paths,
    )
