"""Nodes in one loop, joined by a network in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from miniagents import ActorRef, MiniAgents
from miniagents.actors.cells.absent import cell_of
from miniagents.cluster import NodeId
from miniagents.cluster.nodes import ClusterNodes
from miniagents.testing.network import Network


class TestNode:
    """One node: its system, and its links to the others."""

    __test__ = False

    def __init__(self, network: Network, name: str, epoch: int = 1, system: MiniAgents | None = None) -> None:
        self.id = NodeId(name, epoch)
        self.system = system if system is not None else MiniAgents(name=name)
        self.system.node_name, self.system.node_epoch = name, epoch
        self.transport = network.transport(self.id)
        self.nodes: ClusterNodes = None  # type: ignore[assignment]  # set when the system runs

    async def __aenter__(self) -> "TestNode":
        await self.system.__aenter__()
        self.nodes = ClusterNodes(self.id, self.system, self.transport, asyncio.get_running_loop())
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.nodes.close()
        await self.transport.close()
        await self.system.__aexit__(*error)

    def remote(self, ref: ActorRef) -> Any:
        """The reference here to an actor of another node."""
        return self.nodes.find(cell_of(ref).identity, type(ref)).ref


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[TestNode, TestNode, Network]]:
    """Two nodes; at the end nothing is under way between them."""
    network = Network()
    async with TestNode(network, "far") as there, TestNode(network, "near") as here:
        yield here, there, network
        await asyncio.sleep(30)
        assert (here.nodes.open, there.nodes.open) == (0, 0), "something is still under way"
