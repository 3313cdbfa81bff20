"""Deadlock detection: who waits for whom, and whether an await closes a cycle.

Nodes are interactions and serial actors. What holds up a wait is found by going on from the promise that is awaited to
whoever its missing pieces come from: the handler of an ask, the code of an agent, and, where that has returned or only
hands on what others say, the tasks that flatten and stream, and the promises that those wait for in turn (`Search`).

The await that closes a cycle fails at once. A cycle may be closed by an end as well: of a producer that leaves streams
behind, of a task beside others. One of those who wait in it fails then.
"""

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Any

from miniagents.actors.observing.events import EventKind
from miniagents.actors.waiting.helper_tasks import awaited_future, waited_for_together
from miniagents.actors.waiting.search import Causes, Held, Holder, Search
from miniagents.errors import DeadlockError
from miniagents.promising import Promise
from miniagents.promising.scope import PromisingContext, Scope, get_scope, get_work
from miniagents.promising.waits import Combined, waits

if TYPE_CHECKING:
    from miniagents.actors.ports import System


_TURNS = 8
"""Turns of the loop until whoever is about to go on has done so: through a task, a `gather` and a group around it."""

_MOST = 100
"""Things that are looked at, at most, before a wait begins: a longer way is looked at later, with others."""

_LATER = 1.0
"""Seconds until then."""


class Node(Scope):
    """A node of the wait-for graph: an actor's cell, or an interaction.

    Attributes:
        system: Its system.
        task: The task of its handler, or None.
        waits: What it itself is `Held` by, and not its handler; or None.
    """

    __slots__ = ()

    is_node = True
    is_awaited = True
    """Whether anybody may wait for what its code brings; without that it can be part of no cycle."""

    system: "System"
    task: Any
    waits: "Held | None"

    @property
    def path(self) -> str:
        """Where it is in the tree."""
        raise NotImplementedError

    @property
    def promising_context(self) -> PromisingContext:
        """The system."""
        return self.system  # type: ignore[return-value]  # every system is one

    @property
    def node(self) -> "Node":
        """The node that waits when its code awaits: itself."""
        return self

    @property
    def node_path(self) -> str:
        """The path that a cycle shows."""
        return self.path

    def begin_wait(self, promise: Promise[Any], at: int | None) -> None:
        """Code of this scope, or somebody who waits for an answer of it, is about to wait."""
        begin_wait(promise, at, self.system)

    def look_again(self, promise: Promise[Any]) -> None:
        """Fewer than before can bring a promise on."""
        look_again(self.system, promise)

    def deadlocked(self, error: BaseException) -> None:
        """A wait of its code would have closed a cycle."""
        self.system.events.publish(EventKind.DEADLOCK, self.path, error=error, detail=getattr(self, "id", None))


class Watches(dict[Any, dict[Holder, None]]):
    """What is to be looked at again: it is not stuck only as long as something else goes on.

    The keys are the witnesses, that is, what goes on; each value is what is not stuck because of that.

    Args:
        system: The system.
    """

    __slots__ = ("_holders", "_later", "_system", "_timer")

    def __init__(self, system: "System") -> None:
        super().__init__()
        self._system = system
        self._holders: dict[Holder, Any] = {}
        self._later: dict[Holder, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, holder: Holder, witness: Holder) -> None:
        """Look at `holder` again when `witness`, a task, an interaction or a promise, has ended or begins to wait."""
        before = self._holders.pop(holder, None)
        if before is not None:
            self[before].pop(holder, None)
        self._holders[holder] = witness
        if witness in self:
            self[witness][holder] = None
        else:
            self[witness] = {holder: None}
            if isinstance(witness, asyncio.Future):
                witness.add_done_callback(self.stirred)
            elif witness.__class__ is tuple:
                witness[0].add_done_callback(lambda _: self.stirred(witness))

    def stirred(self, witness: Holder) -> None:
        """Look again at what `witness` kept from being stuck: it has ended, or waits."""
        if witness not in self:
            return
        if isinstance(witness, asyncio.Future):
            witness.remove_done_callback(self.stirred)
        for holder in self.pop(witness):
            del self._holders[holder]
            # Whoever is woken by the same end has its turn first.
            self._system.loop.call_soon(_look, self._system, holder)

    def add_later(self, holder: Holder) -> None:
        """Look at `holder` in a while, together with others, so that a long way is gone along once for all of them."""
        self._later[holder] = None
        if self._timer is None:
            self._timer = self._system.loop.call_later(_LATER, self._look_at_the_rest)

    def _look_at_the_rest(self) -> None:
        self._timer = None
        waiting = [one for one in self._later if _is_waited_for(one)]
        self._later = {}
        search = Search()
        stuck = search.stuck(*waiting) if waiting else []
        if stuck and _fail_one(self._system, search, stuck[0]):
            waiting = stuck  # there may be another cycle
        elif not search.is_passing:
            return
        for one in waiting:
            self.add_later(one)

    def close(self) -> None:
        """Look at nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._later = {}


def begin_wait(promise: Promise[Any], at: int | None, system: "System") -> None:
    """The current task is about to wait for a promise.

    Args:
        promise: What for.
        at: The piece of it, or None for the whole.
        system: Whose promise it is, or whose code waits.

    Raises:
        DeadlockError: The wait would last for ever. The promise, if it is an ask or a call, ends with it too.
    """
    scope: Any = get_scope()
    if scope is None:
        return
    if system.watches:
        system.watches.stirred(asyncio.current_task(system.loop))
    # As long as nobody waits for what the current task brings, its wait closes no cycle: whoever comes to wait for that
    # looks for one then.
    work = get_work()
    if work is None:
        if not scope.is_awaited:
            return
    elif hasattr(work, "piece_waiters") and not (work.piece_waiters or work.waiters or work.callbacks):
        return
    held = promise.held_by(at)
    if held is None or (_all_go_on if isinstance(promise, Combined) else _goes_on)(held, scope, system):
        return
    node = scope if scope.is_node else scope.node
    search = Search((asyncio.current_task(system.loop), (promise, at, node)), limit=_MOST)
    if search.stuck((promise, at)):
        nodes = search.nodes(search.cycle((promise, at)))
        if nodes:  # else it is between streams that belong to nobody
            error = _break(system, search, (promise, at), (promise, at, node), nodes)
            if error is not None:
                raise error
    else:
        _watch(system, search, (promise, at), _TURNS)


def look_again(system: "System", promise: Promise[Any]) -> None:
    """Look, as soon as the loop turns, whether what could still bring a promise on is stuck."""
    system.loop.call_soon(_look_at_all, system, promise)


def cycle_through(node: Node, promise: Promise[Any]) -> tuple[str, ...]:
    """The paths of the cycle in which `node` waits for `promise`, or (); timeouts are no way out of it."""
    search = Search(ignores_timeouts=True)
    if not search.stuck((promise, None)):
        return ()
    nodes = search.nodes(search.cycle((promise, None)))
    return _paths(_beginning_with(node, nodes)) if node in nodes else ()


def _all_go_on(held: Causes, scope: Scope, system: "System") -> bool:
    """Whether each of several promises waits for nobody: if one did, it would have to be looked at when others end."""
    members = held[1]
    if len(members) > _MOST:
        return False
    causes = [promise.held_by(at) for promise, at in members]
    return all(cause is None or _goes_on(cause, scope, system) for cause in causes)


def _goes_on(held: Causes, scope: Scope, system: "System") -> bool:
    """Whether what holds somebody up waits for nobody: the usual case, which takes one look."""
    any_holds, holders = held
    if any_holds and len(holders) > 1:
        return False
    first = next(iter(holders), None)
    if isinstance(first, Node):
        if first.waits is not None or first is (scope if scope.is_node else scope.node):
            return False
        first = first.task
        if first is None:
            return True
    if not isinstance(first, asyncio.Task):
        return False
    waiter = awaited_future(first)
    if waiter is None:
        return first is not asyncio.current_task(system.loop)
    if waiter in waits:
        return waiter.done()  # it is about to run, and looks for itself if it has to wait again
    return waited_for_together(first) == []


def _look_at_all(system: "System", promise: Promise[Any]) -> None:
    for at in (None, len(getattr(promise, "pieces", ()))):
        _look(system, (promise, at))


def _look(system: "System", one: Holder, turns: int = _TURNS) -> None:
    """Look whether something that was not stuck is so now, and when to look again if it is not.

    Args:
        system: The system.
        one: What.
        turns: For how many turns of the loop to look again as long as something is about to go on.
    """
    if not _is_waited_for(one):
        return
    search = Search(limit=_MOST)
    if search.stuck(one):
        _fail_one(system, search, one)
    else:
        _watch(system, search, one, turns)


def _is_waited_for(one: Holder) -> bool:
    """Return True if it still goes on."""
    if one.__class__ is tuple:
        return not one[0].done()
    task = one.task if isinstance(one, Node) else one
    return task is not None and not task.done()


def _watch(system: "System", search: Search, one: Holder, turns: int) -> None:
    """Something is not stuck: see to it that it is looked at again when what it owes that to has changed."""
    witnesses = search.witnesses()
    if search.was_cut:
        system.watches.add_later(one)
    elif search.beside is not None:
        system.watches.add(one, search.beside)
    elif search.is_passing and turns:
        system.loop.call_soon(_look, system, one, turns - 1)
    for holder, witness in witnesses:
        # Some of its tasks wait. It is stuck once all of them do, and itself for them.
        system.watches.add(holder, witness)


def _fail_one(system: "System", search: Search, start: Holder) -> bool:
    """Let the first wait of the cycle that `start` waits in fail.

    Returns:
        Whether there is one that belongs to anybody.
    """
    cycle = search.cycle(start)
    nodes = search.nodes(cycle)
    for waiter, wait in search.waits_in(cycle) if nodes else ():
        if not waiter.done():
            error = _break(system, search, start, wait, nodes)
            if error is not None:
                if not waiter.done():
                    waiter.set_exception(error)
                if start.__class__ is tuple and isinstance(start[0], Combined):
                    system.loop.call_soon(_look, system, start)  # another of its promises may be part of another cycle
            return True
    return False


def _break(
    system: "System", search: Search, start: Holder, wait: tuple[Any, int | None, Any], nodes: list[Node]
) -> DeadlockError | None:
    """End what is waited for in a cycle, if it is an ask or a call.

    Args:
        system: The system.
        search: The search that found the cycle.
        start: Where it began.
        wait: One of the waits of the cycle.
        nodes: The nodes of the cycle.

    Returns:
        The error of whoever waits; None if the wait goes on, since it is for several promises, and one of them failed.
    """
    promise, at, node = wait
    error = _error(_paths(_beginning_with(node, nodes) if node in nodes else nodes))
    ended = search.member_in_cycle((promise, at), start)
    end = getattr(ended, "end_cycle", None)
    settles = end is not None and end(error)
    (node if node is not None else nodes[0]).deadlocked(error)
    if ended is not promise and settles:
        # The others may be part of another cycle, which is looked for when the wait has heard of this one.
        ended.add_done_callback(lambda _: system.loop.call_soon(_look, system, (promise, at)))
        return None
    if end is not None:
        ended.mark_seen()  # who waits gets the error here and now
    return error


def _error(paths: tuple[str, ...]) -> DeadlockError:
    return DeadlockError(
        f"{paths[0]}: this await would wait for ever, since the actors wait for each other: {' -> '.join(paths)}; "
        f"tell instead of ask, or give one ask a timeout=",
        ring=paths,
    )


def _beginning_with(node: Node, nodes: list[Node]) -> list[Node]:
    index = nodes.index(node)
    return nodes[index:] + nodes[:index]


def _paths(nodes: list[Node]) -> tuple[str, ...]:
    # A class agent waits for its own interaction: two nodes, and one name to whoever reads it.
    paths = [path for path, _ in groupby(node.node_path for node in nodes)]
    if len(paths) > 1 and paths[0] == paths[-1]:
        return tuple(paths)
    return (*paths, paths[0])
