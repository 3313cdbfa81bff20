"""A network in memory, with virtual time: the transport of clusters in tests. Faults come at will."""

import asyncio
from collections.abc import Callable
from random import Random

from miniagents.cluster import NodeId


class Network:
    """Nodes in one process, and the ways between them.

    Frames are delayed by what the loop calls time, which is virtual in tests. The faults are attributes, which may be
    changed at any moment. The network knows nodes by their names alone: a frame that is on its way when its sender dies
    arrives all the same, and one for a life that is over arrives at the next life of that name.

    Args:
        seed: The seed of everything that is drawn.

    Attributes:
        delay: Seconds that a frame takes, at least.
        jitter: Seconds by which a frame may take longer. Frames overtake each other by it.
        loss: The share of frames that are lost, from 0 to 1.
        duplication: The share of frames that arrive twice.
        sent: The number of frames that were sent.

    Example:
        >>> from miniagents.cluster import NodeId
        >>> async def main():
        ...     network = Network()
        ...     here, there = network.transport(NodeId("a", 1)), network.transport(NodeId("b", 1))
        ...     there.receive = lambda source, frame: print(source, frame)
        ...     await here.send(NodeId("b", 1), b"frame")
        ...     await asyncio.sleep(0.1)
        >>> asyncio.run(main())
        a#1 b'frame'
    """

    def __init__(self, seed: int = 0) -> None:
        self.delay = 0.001
        self.jitter = 0.0
        self.loss = 0.0
        self.duplication = 0.0
        self.sent = 0
        self._random = Random(seed)
        self._nodes: dict[NodeId, MemoryTransport] = {}
        self._cut: set[tuple[str, str]] = set()

    def transport(self, node: NodeId) -> "MemoryTransport":
        """Return the transport of a node, which can be reached from now on."""
        transport = self._nodes[node] = MemoryTransport(self, node)
        return transport

    def cut(self, source: str, destination: str, *, both: bool = True) -> None:
        """Lose all frames from one node to another.

        Args:
            source: The name of the one.
            destination: The name of the other.
            both: Whether those back are lost, too.
        """
        self._cut.add((source, destination))
        if both:
            self._cut.add((destination, source))

    def mend(self) -> None:
        """Take all cuts back."""
        self._cut.clear()

    def leaves(self, node: NodeId) -> None:
        """Let a life of a node be gone."""
        self._nodes.pop(node, None)

    def reaches(self, source: NodeId, destination: NodeId) -> bool:
        """Return True if the way is not cut, and both lives of the nodes are there."""
        is_there = source in self._nodes and destination in self._nodes
        return is_there and (source.name, destination.name) not in self._cut

    def post(self, source: NodeId, destination: NodeId, frame: bytes) -> None:
        """Put a frame on its way."""
        self.sent += 1
        if source not in self._nodes or self._newest(destination.name) is None:
            raise ConnectionError(f"node {destination} is gone")
        copies = 2 if self._random.random() < self.duplication else 1
        for _ in range(copies):
            if self._random.random() >= self.loss:
                delay = self.delay + self.jitter * self._random.random()
                asyncio.get_running_loop().call_later(delay, self._arrives, source, destination, frame)

    def _arrives(self, source: NodeId, destination: NodeId, frame: bytes) -> None:
        transport = self._newest(destination.name)
        if transport is not None and (source.name, destination.name) not in self._cut:
            transport.receive(source, frame)

    def _newest(self, name: str) -> "MemoryTransport | None":
        lives = [node for node in self._nodes if node.name == name]
        return self._nodes[max(lives)] if lives else None


class MemoryTransport:
    """The transport of one node of a `Network`."""

    def __init__(self, network: Network, node: NodeId) -> None:
        self.receive: Callable[[NodeId, bytes], None] = lambda source, frame: None
        self._network = network
        self._node = node

    async def send(self, node: NodeId, frame: bytes) -> None:
        """Put a frame on its way, and return after the time that it takes without jitter."""
        self._network.post(self._node, node, frame)
        await asyncio.sleep(self._network.delay)

    async def close(self) -> None:
        """Leave the network."""
        self._network.leaves(self._node)
