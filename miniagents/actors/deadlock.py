"""Deadlock detection: who waits for whom, and whether an await closes a ring.

Nodes are interactions and serial actors. What holds up a wait is found by going on from the promise that is awaited to
whoever its missing pieces come from: the handler of an ask, the code of an agent, and, where that has returned or only
hands on what others say, the tasks that flatten and stream, and the promises that those wait for in turn (`Search`).

The await that closes a ring fails at once. A ring may be closed by an end as well: of a producer that leaves streams
behind, of a task beside others. One of those who wait in it fails then.
"""

import asyncio
from collections.abc import Collection
from itertools import groupby
from typing import TYPE_CHECKING, Any

from miniagents.actors.events import EventKind
from miniagents.actors.helper_tasks import waited_for_together, waits_for
from miniagents.actors.search import Held, Holder, Search, Wait
from miniagents.errors import DeadlockError
from miniagents.promising import StreamedPromise
from miniagents.promising.context import PromisingContext, Scope, get_scope, get_work

if TYPE_CHECKING:
    from miniagents.actors.system import ActorSystem


_TURNS = 4
"""Turns of the loop until whoever is about to go on has done so: through a task, a `gather` and a group around it."""


class Node(Scope):
    """Who can wait and be waited for: an actor's cell, or an interaction.

    Attributes:
        system: Its system.
        task: The task of its handler, or None.
        waits: The waits of tasks that its handler has started, by task; or what it itself is `Held` by.
    """

    __slots__ = ()

    is_node = True
    system: "ActorSystem"
    task: Any
    waits: "dict[Any, Wait] | Held | None"

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

    def begin_wait(self, promise: Any, at: int | None, waiter: "asyncio.Future[None]") -> Any:
        """Code of this scope, or somebody who waits for an answer of it, is about to wait."""
        return begin_wait(promise, at, waiter)

    def end_wait(self, token: Any) -> None:
        """The wait is over."""
        end_wait(token)

    def look_again(self, promise: Any) -> None:
        """Fewer than before can bring a promise on."""
        look_again(self.system, promise)

    def deadlocked(self, error: BaseException) -> None:
        """A wait of its code would have closed a ring."""
        self.system.events.publish(EventKind.DEADLOCK, self.path, error=error, detail=getattr(self, "id", None))


class Watches:
    """What is to be looked at again: it is not stuck only as long as something else goes on.

    Args:
        system: The system.
    """

    __slots__ = ("_holders", "_system", "_witnesses")

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._witnesses: dict[Any, dict[Holder, None]] = {}
        self._holders: dict[Holder, Any] = {}

    def cover(self, node: Node, task: Any) -> bool:
        """Whether `node` is looked at again in time, although one more of its tasks waits."""
        witness = self._holders.get(node)
        return witness is not None and not (isinstance(witness, asyncio.Task) and waits_for(witness, task))

    def __contains__(self, witness: object) -> bool:
        return witness in self._witnesses

    def add(self, holder: Holder, witness: "asyncio.Future[Any]") -> None:
        """Look at `holder` again when `witness` has ended, or begins to wait."""
        before = self._holders.pop(holder, None)
        if before is not None:
            self._witnesses[before].pop(holder, None)
        self._holders[holder] = witness
        if witness in self._witnesses:
            self._witnesses[witness][holder] = None
        else:
            self._witnesses[witness] = {holder: None}
            witness.add_done_callback(self.stirred)

    def stirred(self, witness: "asyncio.Future[Any]") -> None:
        """It has ended, or waits."""
        witness.remove_done_callback(self.stirred)
        for holder in self._witnesses.pop(witness, ()):
            del self._holders[holder]
            # Whoever is woken by the same end has its turn first.
            self._system.loop.call_soon(_look, self._system, holder)


def begin_wait(promise: Any, at: int | None, waiter: "asyncio.Future[None]") -> Any:
    """The current task is about to wait for a promise.

    Args:
        promise: What for.
        at: The piece of it, or None for the whole.
        waiter: The future that will wake the task.

    Returns:
        What `end_wait` takes, or None where nothing is noted.

    Raises:
        DeadlockError: The wait would last for ever. The promise, if it is an ask or a call, ends with it too.
    """
    scope = get_scope()
    task = asyncio.current_task()
    if scope is None or task is None:
        return None
    node = scope.node
    system: Any = node.system if node is not None else scope.promising_context
    waiting = system.waiting
    waiting[task] = wait = (promise, at, waiter, node)
    helps = node is not None and node.task is not None and node.task is not task and not _streams()
    if helps:
        if node.waits is None:
            node.waits = {task: wait}
        elif node.waits.__class__ is dict:
            node.waits[task] = wait
    token = (waiting, task, node if helps else None)
    held = promise._held_by(at)
    if held is not None and not _goes_on(held[1], waiting):
        search = Search(waiting)
        if search.is_stuck((promise, at)):
            _alarm(search, promise, at, node, token)
        else:
            _watch(system, search, (promise, at), _TURNS)
    if task in system.watches:
        system.watches.stirred(task)
    if helps and not system.watches.cover(node, task):
        _look(system, node)
    return token


def end_wait(token: Any) -> None:
    """The wait is over."""
    if token is not None:
        waiting, task, node = token
        waiting.pop(task, None)
        if node is not None and node.waits.__class__ is dict:
            node.waits.pop(task, None)
            if not node.waits:
                node.waits = None


def look_again(system: "ActorSystem", promise: Any) -> None:
    """Look, as soon as the loop turns, whether what could still bring a promise on is stuck."""
    system.loop.call_soon(_look_at_all, system, promise)


def ring_through(node: Any, promise: Any) -> tuple[str, ...]:
    """The paths of the ring in which `node` waits for `promise`, or (); timeouts are no way out of it."""
    search = Search(node.system.waiting, ignores_timeouts=True)
    if not search.is_stuck((promise, None)):
        return ()
    nodes = search.nodes(search.ring((promise, None)))
    return _paths(_beginning_with(node, nodes)) if node in nodes else ()


def _streams() -> bool:
    """Whether the current task makes the pieces of a promise, and so is none that a handler waits for itself."""
    work = get_work()
    return work is not None and (isinstance(work, StreamedPromise) or work._task is not None)


def _goes_on(holders: Collection[Holder], waiting: dict[Any, Wait]) -> bool:
    """Whether what holds somebody up waits for nobody: the usual case, which takes one look."""
    first = next(iter(holders), None)
    if isinstance(first, Node):
        return first.waits is None and first.task not in waiting
    if isinstance(first, asyncio.Task):
        return first not in waiting and not waited_for_together(first, ())
    return False


def _look_at_all(system: "ActorSystem", promise: Any) -> None:
    for at in (None, len(getattr(promise, "_pieces", ()))):
        _look(system, (promise, at))


def _look(system: "ActorSystem", one: Holder, turns: int = _TURNS) -> None:
    """Look whether something that was not stuck is so now, and when to look again if it is not.

    Args:
        system: The system.
        one: What.
        turns: For how many turns of the loop to look again as long as something is about to go on.
    """
    is_promise = one.__class__ is tuple
    if one[0].done() if is_promise else one.waits.__class__ is not dict or one.task is None:
        return
    search = Search(system.waiting)
    if search.is_stuck(one):
        _fail_one(search, search.ring(one))
    else:
        _watch(system, search, one, turns)


def _watch(system: "ActorSystem", search: Search, one: Holder, turns: int) -> None:
    """Something is not stuck: see to it that it is looked at again when what it owes that to has changed."""
    if search.side_task is not None:
        system.watches.add(one, search.side_task)
    elif search.is_passing and turns:
        system.loop.call_soon(_look, system, one, turns - 1)
    for node in search.with_helpers():
        # Some of its tasks wait. It is stuck once all of them do, and itself for them.
        goes_on = search.what_goes_on(node.task, node.waits)
        if goes_on is not None:
            system.watches.add(node, goes_on)


def _alarm(search: Search, promise: Any, at: int | None, node: Any, token: Any) -> None:
    """A wait that is about to begin would last for ever: it fails."""
    nodes = search.nodes(search.ring((promise, at)))
    if nodes:  # else it is between streams that belong to nobody
        end_wait(token)
        raise _break(promise, node, nodes)


def _fail_one(search: Search, ring: list[Holder]) -> None:
    """Let the first wait of a ring fail."""
    nodes = search.nodes(ring)
    for promise, _, waiter, node in search.waits(ring) if nodes else ():
        if not waiter.done():
            error = _break(promise, node, nodes)
            if not waiter.done():
                waiter.set_exception(error)
            return


def _break(promise: Any, node: Any, nodes: list[Any]) -> DeadlockError:
    """Make the error of whoever waits for `promise` in a ring, and end that, if it is an ask or a call."""
    paths = _paths(_beginning_with(node, nodes) if node in nodes else nodes)
    error = _error(paths)
    end = getattr(promise, "end_ring", None)
    if end is not None:
        end(error)
        promise._look()  # its awaiter gets the error here and now
    (node if node is not None else nodes[0]).deadlocked(error)
    return error


def _error(paths: tuple[str, ...]) -> DeadlockError:
    return DeadlockError(
        f"{paths[0]}: this await would wait for ever, since the actors wait for each other: {' -> '.join(paths)}; "
        f"tell instead of ask, or give one ask a timeout=",
        ring=paths,
    )


def _beginning_with(node: Any, nodes: list[Any]) -> list[Any]:
    index = nodes.index(node)
    return nodes[index:] + nodes[:index]


def _paths(nodes: list[Any]) -> tuple[str, ...]:
    # A class agent waits for its own interaction: two nodes, and one name to whoever reads it.
    paths = [path for path, _ in groupby(node.node_path for node in nodes)]
    if len(paths) > 1 and paths[0] == paths[-1]:
        return tuple(paths)
    return (*paths, paths[0])
