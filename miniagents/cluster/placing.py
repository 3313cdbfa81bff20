"""`Placing`: which node an actor is placed on, and the actors that this node has placed on others."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.options import SpawnOptions
from miniagents.actors.messaging.placement import Placement, Rule
from miniagents.agents.agent import MiniAgent
from miniagents.cluster.authority import View
from miniagents.cluster.durable_placed_cell import DurablePlacedCell
from miniagents.cluster.placed_cell import PlacedCell
from miniagents.cluster.transport import LossCause, NodeId
from miniagents.errors import ActorStoppedError, InvalidOptionError, MiniAgentsError, NodeLostError
from miniagents.log import log as _log
from miniagents.supervision import Supervisor

if TYPE_CHECKING:
    from miniagents.cluster.nodes import ClusterNodes

SPREAD_OVER = 0.005
"""Seconds for each of many actors that are placed again at the same time: they are spread at random over the sum."""

SUSPECT_FOR = 300.0
"""Seconds after which an actor that lives is no longer suspected of having killed its node."""

_KILLS = (LossCause.OUT_OF_MEMORY.value, LossCause.KILLED.value)


class Placing:
    """Chooses nodes for actors, and knows what was placed from here.

    Args:
        nodes: The nodes, as this one knows them.

    Attributes:
        view: The newest view.
        resources: What each node offers, by its name.
        driver: The driver, which is known before any view is.
        suspect_after: How many nodes in a row may die under an actor before it is not placed any more; None for any
            number.
    """

    def __init__(self, nodes: "ClusterNodes") -> None:
        self.nodes = nodes
        self.view = View()
        self.resources: Mapping[str, Mapping[str, float]] = {}
        self.driver = nodes.here
        self.suspect_after: int | None = 3
        self._children: dict[int, PlacedCell] = {}
        self._counts: Counter[str] = Counter()
        self._suspects: dict[str, tuple[int, float]] = {}  # by path: deaths of its nodes, and the time of the last
        self._waiting: list[tuple[SpawnOptions, Callable[[], None]]] = []

    @property
    def is_driver(self) -> bool:
        """Whether this node is the driver."""
        return self.driver == self.nodes.here

    # The view

    def apply(self, view: View) -> None:
        """Take a view. An older one changes nothing."""
        if view.number < self.view.number or (view.number == self.view.number and view.settled <= self.view.settled):
            return
        self.view = view
        for name, epoch, cause in view.lost:
            self.nodes.lost(NodeId(name, epoch), LossCause(cause))
        for child in [child for child in self._children.values() if child.lives_on.name in view.leaving]:
            self._move(child)
        waiting, self._waiting = self._waiting, []
        for options, callback in waiting:
            self.when_ready(options, callback)

    def when_ready(self, options: SpawnOptions, callback: Callable[[], None]) -> None:
        """Call a function once an actor that was lost may be placed again: at once, if nothing speaks against it.

        Args:
            options: The options of the actor, which say where it may live.
            callback: The function.
        """
        if self.view.is_settled and self._has_place(options):
            callback()
        else:
            self._waiting.append((options, callback))

    def _has_place(self, options: SpawnOptions) -> bool:
        try:
            return bool(self._eligible("", options))
        except (InvalidOptionError, NodeLostError):
            return False

    def _candidates(self) -> list[NodeId]:
        leaving = self.view.leaving
        nodes = self.view.alive[1:] if self.resources else self.view.alive
        return [node for node in nodes if node.name not in leaving and not self.nodes.is_lost(node)]

    # Choosing

    def new_cell(
        self, parent: Cell, actor: Any, name: str, options: SpawnOptions, kwargs: Mapping[str, Any]
    ) -> LivingCell:
        """Make the cell of an actor on the node that its options choose, without starting it.

        Raises:
            InvalidOptionError: There is no such node or resource, or the actor cannot live on another node.
            NodeLostError: The node is lost, and not replaced yet.
            ActorStoppedError: Too many nodes have died under the actor.
            NotSendableError: The actor cannot be made on another node.
        """
        path = f"{parent.path}/{name}"
        node = self.choose(path, options)
        stays: Any = replace(options, node=None, placement=None)
        system: Any = self.nodes.system
        if node == self.nodes.here:
            cell: LivingCell = system.new_cell(parent, actor, name, stays, kwargs)
            return cell
        if isinstance(actor, Supervisor):
            raise InvalidOptionError(f"{path}: a supervisor lives where it is started; place its children")
        if options.durable:
            system.check_durable(path)
            if self.nodes.journal is not None:
                raise InvalidOptionError(
                    f"{path}: node= and placement= of a durable actor are for the driver, since it has to outlive node "
                    f"{self.nodes.here.name!r}; here it can be spawned without them"
                )
            if not isinstance(actor, MiniAgent):
                return DurablePlacedCell(self, parent, name, node, actor, options, kwargs)
            if actor.is_class:
                raise InvalidOptionError(
                    f"{path}: a durable class agent lives on the node that spawns it; place an Actor, or call function "
                    f"agents on other nodes"
                )
        return PlacedCell(self, parent, name, node, actor, options, kwargs)

    def choose(self, path: str, options: SpawnOptions) -> NodeId:
        """Return the node on which an actor is to live.

        Raises:
            InvalidOptionError: There is no such node or resource.
            NodeLostError: The node is lost, and not replaced yet.
            ActorStoppedError: Too many nodes have died under the actor.
        """
        candidates = self._apart_from_suspects(path, self._eligible(path, options))
        pack = options.placement is not None and options.placement.rule is Rule.PACK
        return (max if pack else min)(candidates, key=lambda node: self._counts[node.name])

    def _eligible(self, path: str, options: SpawnOptions) -> list[NodeId]:
        """Return the nodes among which the options leave the choice, one or more."""
        placement = options.placement if options.placement is not None else Placement.SPREAD
        if options.node is not None:
            return [self._named(path, options.node)]
        if placement.rule is Rule.BESIDE:
            assert placement.ref is not None  # test: test_an_actor_is_placed_beside_another_one
            return [self._named(path, placement.ref.node)]
        candidates = self._candidates()
        if placement.rule is Rule.RESOURCE:
            candidates = [node for node in candidates if self.resources.get(node.name, {}).get(placement.name, 0) > 0]
            if not candidates:
                raise InvalidOptionError(f"{path}: no node that is in offers {placement.name!r}")
        if not candidates:
            raise NodeLostError(f"{path}: no node is in that could take it")
        return candidates

    def _named(self, path: str, name: str) -> NodeId:
        for node in (self.driver, *self.view.alive):
            if node.name == name and not self.nodes.is_lost(node):
                if name in self.view.leaving:
                    raise InvalidOptionError(f"{path}: node {name!r} is being drained and takes no more actors")
                return node
        if any(lost == name for lost, _, _ in self.view.lost):
            raise NodeLostError(f"{path}: node {name!r} is lost, and not replaced yet", node=name)
        names = ", ".join(node.name for node in self.view.alive)
        raise InvalidOptionError(f"{path}: there is no node {name!r}; there are: {names}")

    # What was placed

    def placed(self, child: PlacedCell) -> None:
        """An actor is about to be started on another node."""
        self._children[child.uid] = child
        self._counts[child.lives_on.name] += 1

    def gone(self, child: PlacedCell) -> None:
        """An actor on another node has ended."""
        if self._children.pop(child.uid, None) is None:
            return
        self._counts[child.lives_on.name] -= 1
        if not self._counts[child.lives_on.name]:
            del self._counts[child.lives_on.name]
        reason = child.reason
        if isinstance(reason, NodeLostError) and reason.cause in _KILLS:
            deaths, _ = self._suspects.get(child.path, (0, 0.0))
            self._suspects[child.path] = deaths + 1, self.nodes.system.time()
        elif not isinstance(reason, NodeLostError):
            self._suspects.pop(child.path, None)

    def child_here(self, uid: int) -> PlacedCell | None:
        """Return the cell of an actor that this node has placed on another one, or None."""
        return self._children.get(uid)

    def reported(self, uid: int, what: str, reason: Any) -> None:
        """Take a report about an actor on another node."""
        child = self._children.get(uid)
        if child is not None:
            child.reported(what, reason)

    def __len__(self) -> int:
        return len(self._children)

    # After a loss

    def place_again(self, child: PlacedCell) -> None:
        """Place an actor without a supervisor again, whose node is lost."""
        system: Any = self.nodes.system
        parent, (actor, options, kwargs) = child.parent, child.made_of
        lost = len(self._waiting) + 1

        def again() -> None:
            if parent is None or parent.refuses_children() or not system.is_running:
                return
            try:
                system.spawn_under(parent, actor, child.name, options, kwargs)
            except NodeLostError:
                self.when_ready(options, later)  # another one was lost in between
            except (MiniAgentsError, ValueError) as error:
                _log.error("node.not_placed_again", actor=child.path, error=repr(error))

        def later() -> None:
            system.loop.call_later(self.pause(lost), again)

        self.when_ready(options, later)

    def pause(self, lost: int) -> float:
        """Return the seconds before an actor is placed again, at random.

        Args:
            lost: The number of actors that were lost at the same time.
        """
        pause: float = self.nodes.system.random() * SPREAD_OVER * lost
        return pause

    def _apart_from_suspects(self, path: str, candidates: list[NodeId]) -> list[NodeId]:
        """Return the nodes without another suspect, if the actor is one; all of them otherwise.

        Raises:
            ActorStoppedError: Too many nodes have died under the actor.
        """
        now = self.nodes.system.time()
        self._suspects = {p: entry for p, entry in self._suspects.items() if now - entry[1] < SUSPECT_FOR}
        deaths = self._suspects.get(path, (0, 0.0))[0]
        if not deaths:
            return candidates
        if self.suspect_after is not None and deaths >= self.suspect_after:
            del self._suspects[path]  # it is the supervisor's to decide: if that starts it again, it is placed
            raise ActorStoppedError(
                f"{path}: {deaths} nodes in a row have died of memory or a signal while it was aboard; it is not "
                f"placed again, unless its supervisor says so. Look for what it does, or set suspect_after=None"
            )
        with_suspects = {child.lives_on for child in self._children.values() if child.path in self._suspects}
        return [node for node in candidates if node not in with_suspects] or candidates

    def _move(self, child: PlacedCell) -> None:
        """End a child whose node is being drained, and place it again: it counts in no restart window."""
        name = child.lives_on.name
        child.move(NodeLostError(f"node {name!r} is being drained", node=name, cause=LossCause.DRAINED.value))
