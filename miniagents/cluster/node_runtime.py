"""`NodeRuntime`: one node at work. A platform hosts it: a process, a Ray actor, a task in a test."""

import asyncio
import importlib
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

from miniagents.agents.system import MiniAgents
from miniagents.cluster.authority import View
from miniagents.cluster.heartbeat import BeatAnswer, beat_of, pack, settings_of
from miniagents.cluster.lease import Lease
from miniagents.cluster.linked_journal import LinkedJournal
from miniagents.cluster.names import budget_from_wire, named
from miniagents.cluster.nodes import ClusterNodes
from miniagents.cluster.transport import NodeId, Transport
from miniagents.cluster.versions import check_fit, versions_here
from miniagents.errors import InvalidOptionError, NodeLostError
from miniagents.log import log as _log
from miniagents.supervision import StopReason

PULSE = 0.25
"""Seconds between two looks at the lease, and between two signs of life of the loop."""


class NodeRuntime:
    """One node of a cluster, other than the driver.

    Its host makes it in the loop of the node, awaits `run()`, and calls `beat()` from a thread for each heartbeat that
    comes from the driver.

    Args:
        settings: What `Launcher.start` was given.
        transport: The way of the frames of this node.
        clock: The clock of the lease. It must run on while the process is stopped.

    Attributes:
        node: The node.
        system: The system of the node, once `run` has begun.
        nodes: The other nodes, once `run` has begun.

    Raises:
        InvalidOptionError: The node lacks environment variables that the cluster requires.
        ImportError: A module of the settings is not there.
        VersionMismatchError: The node does not fit to the driver.
    """

    system: MiniAgents
    nodes: ClusterNodes

    def __init__(self, settings: bytes, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings_of(settings)
        self.node = NodeId(self.settings.name, self.settings.epoch)
        self._transport = transport
        self._clock = clock
        self._lease = Lease(clock() + self.settings.lease)
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._is_ready = asyncio.Event()
        self._pulsed_at = clock()
        self._known = 0
        self._leaves = self._has_left = False
        self._check_variables()
        for module in self.settings.modules:
            importlib.import_module(module)
        check_fit(self.settings.driver[0], self.settings.versions, self.node.name, versions_here())

    def _check_variables(self) -> None:
        lacking = [name for name in self.settings.variables if not os.environ.get(name)]
        if lacking:
            raise InvalidOptionError(
                f"node {self.node.name!r} lacks environment variables that the cluster requires: {', '.join(lacking)}"
            )

    async def ready(self) -> None:
        """Wait until the node can receive frames."""
        await self._is_ready.wait()

    async def run(self) -> bool:
        """Be a node, until `stop` is called or the lease lapses.

        Returns:
            True if the node was told to stop, False if its lease has lapsed. In both cases nothing of it runs any more.
        """
        system = self.system = named(self.settings.setup)() if self.settings.setup else MiniAgents()
        self._join(system)
        await system.__aenter__()
        pulse = self._loop.create_task(self._pulse())
        try:
            self.nodes = ClusterNodes(self.node, system, self._transport, self._loop, self._may_speak)
            self.nodes.placing.suspect_after = self.settings.suspect_after
            self.nodes.placing.driver = NodeId(*self.settings.driver)
            system.placing = self.nodes.placing
            if isinstance(system.journal, LinkedJournal):
                system.journal.connect(self.nodes, NodeId(*self.settings.driver))
            self._is_ready.set()
            await self._stopping.wait()
        finally:
            pulse.cancel()
            is_fenced = self._lease.has_lapsed(self._clock())
            self.nodes.close()
            await self._transport.close()
            if is_fenced:
                for cell in system.cells():
                    cell.terminate(StopReason.KILLED)  # without a grace: another node is about to take its place
            # With an error, so that it ends at once: nobody waits for what it does.
            ends = NodeLostError(f"node {self.node.name!r} ends", node=self.node.name)
            await system.__aexit__(type(ends), ends, None)
        return not is_fenced

    def _join(self, system: MiniAgents) -> None:
        settings = self.settings
        system.id = settings.system
        system.node_name, system.node_epoch = self.node
        system.uids = itertools.count(settings.first_uid)
        names = {budget.shared for budget in system.own_budgets}
        lent = (budget_from_wire(budget) for budget in settings.budgets)
        system.own_budgets = (*system.own_budgets, *(budget for budget in lent if budget.shared not in names))
        if system.journal is not None:
            raise InvalidOptionError(
                f"node {self.node.name!r}: the system that setup= makes has a journal; the one journal of a cluster is "
                f"that of the driver: MiniAgents(journal=, cluster=)"
            )
        if settings.journal is not None:
            system.use_journal(LinkedJournal(settings.journal), records_all=settings.journal.records_all)

    def _may_speak(self) -> bool:
        if not self._lease.has_lapsed(self._clock()):
            return True
        self.stop()
        return False

    async def _pulse(self) -> None:
        while True:
            self._pulsed_at = self._clock()
            if self._lease.has_lapsed(self._pulsed_at):
                _log.error("node.fenced", node=self.node.name, epoch=self.node.epoch)
                self.stop()
            await asyncio.sleep(PULSE)

    def stop(self) -> None:
        """End the node. Called in its loop."""
        self._stopping.set()

    # From a thread

    def leave(self) -> None:
        """Ask the driver to drain the node, as `cluster.drain` does, and end then. A host calls this on a SIGTERM, from
        any thread."""
        self._leaves = True

    @property
    def lease_left(self) -> float:
        """Seconds until the node must have stopped. A host whose loop does not answer then ends the process."""
        return self._lease.left(self._clock())

    def beat(self, request: bytes) -> bytes:
        """Take a heartbeat of the driver, from any thread.

        Returns:
            The answer.

        Raises:
            DecodeError: It is none.
        """
        beat = beat_of(request)
        now = self._clock()
        if beat.until is not None:
            self._lease.extend(beat.until, now)
        if self._is_ready.is_set() and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._apply, beat.view, beat.resources)
        lag = max(0.0, now - self._pulsed_at - PULSE)
        ready = self._is_ready.is_set()
        return pack(
            BeatAnswer(
                clock=now,
                knows=self._known,
                lag=lag,
                busy=self._held_by() if lag > PULSE else "",
                hosted=len(self.nodes.hosting) if ready else 0,
                unreached=self.nodes.unreached(now) if ready else (),
                leaves=self._leaves,
                has_left=self._has_left,
            )
        )

    def _apply(self, view: View, resources: dict[str, dict[str, float]]) -> None:
        if self._stopping.is_set():
            return
        self.nodes.placing.resources = resources
        self.nodes.placing.apply(view)
        self._known = max(self._known, view.number)
        if self.node.name in view.leaving:
            is_heard = self.nodes.peer(NodeId(*self.settings.driver)).channel.is_heard
            self._has_left = is_heard and not len(self.nodes.hosting)

    def _held_by(self) -> str:
        """Return the path of what runs in the loop now."""
        task: Any = asyncio.current_task(self._loop)
        for runs in self.system.dispatcher.serving():
            if runs.task is task:
                return runs.path
        return ""
