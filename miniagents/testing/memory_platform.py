"""`MemoryPlatform`: the nodes of a cluster as tasks of one loop, for tests with virtual time."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from miniagents.cluster import LossCause, NodeId, Place
from miniagents.cluster.node_runtime import NodeRuntime
from miniagents.testing.network import MemoryTransport, Network


class MemoryPlatform:
    """A platform whose nodes are tasks of the running loop, joined by a `Network`. Faults come at will.

    Args:
        names: The names of the nodes.
        network: The network; None for one without faults.
        resources: What the nodes offer, by name of the node.

    Attributes:
        network: The network.
        runtimes: The nodes that run now.
        started: All lives of nodes that were started.
        fails_to_start: The names of nodes that cannot be started now.
        kill_is_certain: Whether the platform knows that a node that it has killed has ended.

    Example:
        >>> from miniagents.cluster import Cluster
        >>> from miniagents.testing.memory_platform import MemoryPlatform
        >>> async def main():
        ...     async with MiniAgents(cluster=Cluster(MemoryPlatform(["a", "b"]))) as system:
        ...         print([node.name for node in system.nodes()])
        >>> asyncio.run(main())
        ['driver', 'a', 'b']
    """

    def __init__(
        self,
        names: Iterable[str],
        network: Network | None = None,
        resources: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    ) -> None:
        self.network = network if network is not None else Network()
        self.runtimes: dict[NodeId, NodeRuntime] = {}
        self.started: list[NodeId] = []
        self.fails_to_start: set[str] = set()
        self.kill_is_certain = True
        self.lost: Callable[[NodeId, LossCause], None] = lambda node, cause: None
        self._places = tuple(Place(name, resources.get(name, {})) for name in names)
        self._driver: NodeId | None = None
        self._tasks: dict[NodeId, asyncio.Task[bool]] = {}

    async def open(self, driver: NodeId) -> MemoryTransport:
        """Return the transport of the driver."""
        self._driver = driver
        return self.network.transport(driver)

    def places(self) -> tuple[Place, ...]:
        """Return the places."""
        return self._places

    async def start(self, node: NodeId, settings: bytes) -> None:
        """Start a node as a task.

        Raises:
            ConnectionError: The name of the node is in `fails_to_start`.
        """
        if node.name in self.fails_to_start:
            raise ConnectionError(f"node {node.name!r} does not start")
        loop = asyncio.get_running_loop()
        runtime = NodeRuntime(settings, self.network.transport(node), clock=loop.time)
        self.runtimes[node] = runtime
        self.started.append(node)
        task = self._tasks[node] = loop.create_task(runtime.run(), name=f"node {node}")
        ready = loop.create_task(runtime.ready())
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            task.result()
            raise ConnectionError(f"node {node.name!r} has ended at once")

    async def beat(self, node: NodeId, request: bytes) -> bytes:
        """Hand a heartbeat to a node. A cut way swallows it."""
        assert self._driver is not None  # `open` comes first
        await self._travel(self._driver, node)
        runtime = self.runtimes.get(node)
        if runtime is None:
            raise ConnectionError(f"node {node} is gone")
        answer = runtime.beat(request)
        await self._travel(node, self._driver)
        return answer

    async def _travel(self, source: NodeId, destination: NodeId) -> None:
        await asyncio.sleep(self.network.delay)
        if not self.network.reaches(source, destination):
            await asyncio.Event().wait()  # nobody answers; the caller gives up

    def die(self, node: NodeId, cause: LossCause | None = LossCause.KILLED) -> None:
        """Let a node be gone from one moment to the next, as by kill -9.

        Args:
            node: The node.
            cause: The cause that the platform reports; None for a platform that does not notice.
        """
        self.network.leaves(node)
        runtime = self.runtimes.pop(node, None)
        if runtime is not None:
            runtime.stop()
        if cause is not None:
            self.lost(node, cause)

    def node(self, name: str) -> NodeId:
        """Return the life of a node that runs now."""
        return next(node for node in self.runtimes if node.name == name)

    async def kill(self, node: NodeId) -> bool:
        """End a node, and wait until its task has ended. The answer is `kill_is_certain`."""
        self.die(node, None)
        task = self._tasks.pop(node, None)
        if task is not None:
            await asyncio.wait([task])
        return self.kill_is_certain

    async def close(self) -> None:
        """End all nodes."""
        for node in tuple(self._tasks):
            await self.kill(node)
