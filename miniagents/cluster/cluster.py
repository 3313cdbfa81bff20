"""`Cluster`: the nodes of one system, as its driver runs them."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from miniagents.actors.observing.events import EventKind
from miniagents.agents.system import MiniAgents
from miniagents.cluster.authority import Authority, Member, NodeState
from miniagents.cluster.heart import Heart
from miniagents.cluster.heartbeat import BeatAnswer, NodeSettings, pack
from miniagents.cluster.linked_journal import NUMBERS, JournalTerms
from miniagents.cluster.names import budget_to_wire
from miniagents.cluster.nodes import ClusterNodes
from miniagents.cluster.transport import Launcher, LossCause, NodeId, Place, Transport
from miniagents.cluster.versions import versions_here
from miniagents.errors import InvalidOptionError, MiniAgentsError
from miniagents.log import log as _log
from miniagents.supervision import Backoff
from miniagents.supervision.checking import check_count, check_seconds

DRIVER = NodeId("driver", 1)

UIDS_OF_A_NODE = 1 << 40
"""The numbers that each life of a node may give to actors."""

_STARTS = Backoff(0.5, 30.0, jitter=0.2)

BUSY = 1.0
"""Seconds by which the loop of a node is late before the actor that holds it is logged."""


class NodeInfo(msgspec.Struct, frozen=True):
    """One node at one moment.

    Attributes:
        name: Its name.
        epoch: The number of its life.
        state: "up", "leaving" or "driver".
        actors: The number of actors that live there and were placed from elsewhere.
        lag: Seconds by which its loop is late.
        busy: The path of the actor that holds the loop, "" if none does.
        silence: Seconds since it was heard of.
        unreached: The names of the nodes that it cannot reach.
        resources: What it offers, by name.
    """

    name: str
    epoch: int
    state: str
    actors: int = 0
    lag: float = 0.0
    busy: str = ""
    silence: float = 0.0
    unreached: tuple[str, ...] = ()
    resources: dict[str, float] = {}


class Cluster:
    """The nodes of one system, for `MiniAgents(cluster=...)`. A platform brings the launcher, or a subclass.

    Args:
        launcher: The platform.
        modules: The names of modules that each node imports at its start: those that define message types and agents.
        variables: The names of environment variables that must be set on each node.
        setup: The name of a function (`module:name`) that makes the system of each node, a `MiniAgents`; None for one
            without options.
        lease: Seconds after which a node that the driver does not hear of is lost, and has stopped itself.
        margin: Seconds beyond that after which it is replaced.
        suspect_after: How many nodes in a row may die of memory or a signal under an actor, before the actor is not
            placed any more and its supervisor is told; None for any number.
        heartbeat_thread: Whether heartbeats are sent by a thread of their own, so that code that blocks the loop of the
            driver costs no node its lease. `launcher.beat` is awaited there. Not for a platform with virtual time.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        modules: Iterable[str] = (),
        variables: Iterable[str] = (),
        setup: str | None = None,
        lease: float = 5.0,
        margin: float = 1.0,
        suspect_after: int | None = 3,
        heartbeat_thread: bool = False,
    ) -> None:
        check_seconds("lease=", lease, above_zero=True)
        check_seconds("margin=", margin)
        check_count("suspect_after=", suspect_after, 1, or_none=True)
        self._launcher = launcher
        self._modules = tuple(modules)
        self._variables = tuple(variables)
        self._setup = setup or ""
        self._lease = lease
        self._margin = margin
        self._beat_every = lease / 5
        self._suspect_after = suspect_after
        self._heartbeat_thread = heartbeat_thread
        self._authority = Authority(DRIVER, lease, margin, self._beat_every)
        self._system: MiniAgents | None = None
        self._transport: Transport | None = None
        self._lives = itertools.count(1)  # over all nodes: numbers of actors must be unique
        self._epochs: dict[str, int] = {}
        self._places: dict[str, Place] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._heart: Heart | None = None
        self._settled = asyncio.Event()
        self._budgets: tuple[list[Any], ...] = ()
        self._busy: set[str] = set()
        self._drained: dict[str, asyncio.Future[None]] = {}
        self._is_closing = False
        self.links: ClusterNodes | None = None

    # Life

    async def start(self, system: MiniAgents) -> None:
        """Start all nodes for a system, which has just been activated.

        Raises:
            ConnectionError: A node does not start. Those that have started are ended again.
            VersionMismatchError: A node does not fit to the driver.
            InvalidOptionError: The cluster serves another system.
        """
        if self._system is not None:
            raise InvalidOptionError("cluster= serves one system at a time, and has one already")
        self._system = system
        self._is_closing = False
        self._authority = Authority(DRIVER, self._lease, self._margin, self._beat_every)
        self._drained.clear()
        system.shared(("cluster", id(self)), lambda: self, lambda cluster: cluster.close())
        self._launcher.lost = self._reported_lost
        system.node_name, system.node_epoch = DRIVER
        self._budgets = self._share_budgets(system)
        self._transport = await self._launcher.open(DRIVER)
        links = self.links = ClusterNodes(DRIVER, system, self._transport, system.loop)
        links.placing.suspect_after = self._suspect_after
        system.placing = links.placing
        self._places = {place.name: place for place in self._launcher.places()}
        self._publish()
        starts = [self._start_node(place) for place in self._places.values()]
        for failed in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed
        heart = self._heart = Heart(
            self._authority,
            self._launcher,
            lease=self._lease,
            every=self._beat_every,
            resources=self._resources,
            silent=self._silent,
            answered=self._answered,
        )
        self._settled.clear()
        heart.start(in_thread=self._heartbeat_thread)
        await self._until_all_know()

    @staticmethod
    def _share_budgets(system: MiniAgents) -> tuple[list[Any], ...]:
        """Let the budgets of the system count on all nodes: it is found under the same name that they travel with."""
        shared = []
        for number, budget in enumerate(system.own_budgets, 1):
            name = budget.shared or f"budget {number} of the system"
            system.shared((type(budget), name), partial(lambda its: its, budget))
            shared.append(budget_to_wire(budget, name))
        return tuple(shared)

    async def _until_all_know(self) -> None:
        """Wait until all nodes know each other, so that each of them can place actors on the others."""
        with contextlib.suppress(TimeoutError):  # one that does not answer is lost by then
            async with asyncio.timeout(self._lease):
                await self._settled.wait()

    async def close(self) -> None:
        """End all nodes. The system calls this when its tree has stopped."""
        self._is_closing = True
        heart, self._heart = self._heart, None
        if heart is not None:
            await heart.stop()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for future in self._drained.values():
            if not future.done():
                future.set_result(None)
        if self.links is not None:
            self.links.close()
        for member in self._authority.members:
            await self._launcher.kill(member.node)
        if self._transport is not None:
            await self._transport.close()
        await self._launcher.close()
        if self._system is not None:
            self._system.placing = None
            self._system = None

    def _run(self, coro: Any) -> None:
        task = asyncio.get_running_loop().create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    def _ran(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("cluster.failed", error=repr(task.exception()))

    def _now(self) -> float:
        return self._running().time()

    def _running(self) -> MiniAgents:
        if self._system is None:
            raise InvalidOptionError("the cluster is not running: use it as MiniAgents(cluster=...)")
        return self._system

    # Nodes

    async def _start_node(self, place: Place) -> None:
        system = self._running()
        epoch = self._epochs[place.name] = self._epochs.get(place.name, 0) + 1
        node = NodeId(place.name, epoch)
        settings = NodeSettings(
            system.id,
            node.name,
            node.epoch,
            next(self._lives) * UIDS_OF_A_NODE,
            DRIVER,
            self._lease,
            self._modules,
            self._variables,
            self._setup,
            self._suspect_after,
            self._budgets,
            versions_here(),
            self._journal_terms(),
        )
        await self._launcher.start(node, pack(settings))
        self._authority.joined(node, self._now())
        _log.info("node.up", node=node.name, epoch=node.epoch)
        system.events.publish(EventKind.NODE_UP, node.name, detail=node.epoch)
        self._publish()

    def _journal_terms(self) -> JournalTerms | None:
        system = self._running()
        journal = system.journal
        if journal is None:
            return None
        records_all = system.durability is not None and system.durability.records_all
        return JournalTerms(journal.max_message_bytes, journal.patience, records_all, journal.next_id(NUMBERS))

    async def _replace(self, node: NodeId, cause: LossCause) -> None:
        """Start another node in the place of one that is lost, once that one has stopped for sure: at once if its
        process has certainly ended, and otherwise when its lease and the margin are over."""
        is_gone = await self._kill(node)
        if is_gone and cause is not LossCause.SILENT:
            self._authority.gone(node, self._now())
            self._publish()
        await asyncio.sleep(max(0.0, self._authority.fenced_at(node.name) - self._now()))
        attempt = 0
        while node.name in self._places and not self._is_closing:
            try:
                await self._start_node(self._places[node.name])
                return
            except (ConnectionError, OSError, MiniAgentsError) as error:
                _log.warning("node.not_started", node=node.name, error=repr(error))
                await asyncio.sleep(_STARTS.delay(attempt, self._running().random))
                attempt += 1

    async def _kill(self, node: NodeId) -> bool:
        try:
            return await self._launcher.kill(node)
        except Exception as error:  # it is fenced by its lease, whatever the platform can do
            _log.warning("node.not_killed", node=node.name, error=repr(error))
            return False

    def _reported_lost(self, node: NodeId, cause: LossCause) -> None:
        if self._system is not None and not self._is_closing:
            self._lost(node, cause)

    def _lost(self, node: NodeId, cause: LossCause) -> None:
        member = self._authority.member(node)
        if member is not None and member.standing is NodeState.LEAVING and cause is not LossCause.OUT_OF_MEMORY:
            cause = LossCause.DRAINED
        if not self._authority.lost(node, cause, self._now()):
            return
        links = self.links
        assert links is not None  # nodes are lost while the cluster runs
        if cause is LossCause.DRAINED:
            _log.info("node.left", node=node.name, epoch=node.epoch)
        else:
            _log.error("node.lost", node=node.name, epoch=node.epoch, cause=cause.value)
        self._running().events.publish(EventKind.NODE_LOST, node.name, detail=cause.value, logged=True)
        self._publish()
        self._settle_later(node)
        if node.name in self._drained:
            self._run(self._kill(node))
            if not self._drained[node.name].done():
                self._drained[node.name].set_result(None)
        else:
            self._run(self._replace(node, cause))

    def _settle_later(self, node: NodeId) -> None:
        at = self._authority.fenced_at(node.name)
        self._running().loop.call_at(at, self._publish)

    def _publish(self) -> None:
        """Let the driver know the view that it has made."""
        if self.links is not None and self._system is not None:
            placing = self.links.placing
            placing.resources = self._resources()
            view = self._authority.view(self._now())
            placing.apply(view)
            if view.is_settled and not self._authority.has_joining:
                self._settled.set()

    # Heartbeats

    def _resources(self) -> dict[str, dict[str, float]]:
        return {place.name: dict(place.resources) for place in tuple(self._places.values())}

    def _answered(self, member: Member, answer: BeatAnswer) -> None:
        if self._is_closing or self._authority.member(member.node) is not member:
            return
        member.lag, member.busy, member.hosted = answer.lag, answer.busy, answer.hosted
        member.unreached = answer.unreached
        self._report_busy(member)
        if answer.leaves and member.standing is NodeState.UP:
            self._begin_drain(member)
        self._publish()
        if member.standing is NodeState.LEAVING and answer.has_left:
            self._lost(member.node, LossCause.DRAINED)

    def _silent(self, node: NodeId) -> None:
        if not self._is_closing:
            self._lost(node, LossCause.SILENT)

    def _report_busy(self, member: Member) -> None:
        name = member.node.name
        if member.lag < BUSY:
            self._busy.discard(name)
        elif name not in self._busy:
            self._busy.add(name)
            _log.warning("node.loop_is_held", node=name, seconds=round(member.lag, 1), actor=member.busy)

    # For users

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Return the nodes that are in, the driver first."""
        here = NodeInfo(DRIVER.name, DRIVER.epoch, "driver")
        return (
            here,
            *(
                NodeInfo(
                    member.node.name,
                    member.node.epoch,
                    member.standing.value,
                    member.hosted,
                    member.lag,
                    member.busy,
                    round(member.silence, 3),
                    member.unreached,
                    dict(self._places[member.node.name].resources) if member.node.name in self._places else {},
                )
                for member in self._authority.members
            ),
        )

    async def drain(self, node: str) -> None:
        """Let a node leave: it takes no more actors, those on it end within their time to shut down and are placed
        elsewhere, which counts in no restart window, and then the node ends. It is not replaced.

        Args:
            node: The name of the node.

        Raises:
            InvalidOptionError: There is no such node, or it is the driver.
        """
        member = next((member for member in self._authority.members if member.node.name == node), None)
        if member is None:
            names = ", ".join(member.node.name for member in self._authority.members)
            raise InvalidOptionError(f"drain({node!r}): there is no such node that can leave; there are: {names}")
        await asyncio.shield(self._drained[node] if node in self._drained else self._begin_drain(member))

    def _begin_drain(self, member: Member) -> "asyncio.Future[None]":
        name = member.node.name
        drained = self._drained[name] = self._running().loop.create_future()
        self._places.pop(name, None)
        self._authority.leaves(member.node)
        self._publish()
        return drained
