"""`RayLauncher`: Ray as the platform of a cluster. Nodes are Ray actors, each at a place of its own."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from miniagents.cluster.transport import LossCause, NodeId, Place
from miniagents.errors import InvalidOptionError
from miniagents.ext.ray.connection import RayConnection
from miniagents.ext.ray.host import Boarded, Boarding, NodeHost
from miniagents.ext.ray.life import BEAT, NodeLife, runs
from miniagents.ext.ray.losses import cause_of
from miniagents.ext.ray.own import OwnRay
from miniagents.ext.ray.transport import DriverTransport, Hosts

START_TIMEOUT = 30.0
"""Seconds for the start of a node. Ray waits without end for a place that it has not."""


class RayLauncher:
    """Ray, as a driver uses it to start nodes and to kill them.

    Args:
        places: The places for nodes. In an own cluster each is a raylet with these resources, in an existing one a node
            takes them from where Ray places it. Without any there is one for each machine of the existing cluster.
        address: The address of an existing cluster, or None for an own one on this machine.
        resource: The resource of which each node of an existing cluster takes 1, or "" to have Ray spread the nodes.
        runtime: The class of the node runtime, `module:name`.

    Attributes:
        lost: Called with each node whose end Ray reports, and the cause.
        own: The own cluster, or None.
        ray: The module `ray`, once it is connected.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        address: str | None,
        resource: str,
        runtime: str = "miniagents.cluster.node_runtime:NodeRuntime",
    ) -> None:
        self.lost: Callable[[NodeId, LossCause], None] = lambda node, cause: None
        self.own = OwnRay() if address is None else None
        self._places = tuple(places)
        self._address = address
        self._resource = resource
        self._runtime = runtime
        self._namespace = f"miniagents-{uuid.uuid4().hex}"
        self._driver: NodeId | None = None
        self.ray: Any = None
        self._connection: RayConnection | None = None
        self._transport: DriverTransport | None = None
        self._lives: dict[NodeId, NodeLife] = {}
        self._ended: dict[NodeId, NodeLife] = {}  # those whose end was reported, until `kill`
        self._broken: set[str] = set()  # places of an own cluster whose raylet is lost, or may be

    async def open(self, driver: NodeId) -> DriverTransport:
        """Start the own cluster, or find the existing one, and connect to it.

        Raises:
            ConnectionError: There is no cluster, or it did not start.
        """
        self._driver = driver
        if self.own is None:
            assert self._address is not None
            await _check_reachable(self._address)
            address, environment = self._address, {"RAY_USAGE_STATS_ENABLED": "0"}
        else:
            await self.own.open({place.name: _with_mark(place) for place in self._places})
            address, environment = self.own.address, self.own.environment
        self._connection = RayConnection(environment)
        self.ray = self._connection.open(address, self._namespace)
        if not self._places:
            self._places = tuple(Place(f"node-{number}") for number in range(1, self._machines() + 1))
        hosts = Hosts(driver, lambda node: self.ray.get_actor(str(node), namespace=self._namespace))
        self._transport = DriverTransport(hosts)
        return self._transport

    def _machines(self) -> int:
        """Return how many nodes the machines of the existing cluster take."""
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not self._resource:
            return len(machines)
        room = int(sum(resources.get(self._resource, 0) for resources in machines))
        if not room:
            raise ConnectionError(f"no machine of the Ray cluster at {self._address!r} offers {self._resource!r}")
        return room

    def places(self) -> tuple[Place, ...]:
        """Return the places."""
        return self._places

    async def start(self, node: NodeId, settings: bytes) -> None:
        """Start a node at the place of its name.

        Raises:
            ConnectionError: Ray cannot start it now.
            InvalidOptionError: The node refuses to start: it lacks environment variables or modules, for example.
        """
        assert self._driver is not None
        assert self._transport is not None
        place = next(place for place in self._places if place.name == node.name)
        if self.own is not None and (node.name in self._broken or not runs(self.own.raylets[node.name])):
            await self.own.start(node.name, _with_mark(place))
            self._broken.discard(node.name)
        boarding = Boarding(*node, *self._driver, self._namespace, self._runtime, settings)
        actor = self._actor(place, node)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                answer = await actor.open.remote(msgspec.msgpack.encode(boarding))
        except (TimeoutError, self.ray.exceptions.RayError) as error:
            self._broken.add(node.name)
            self.ray.kill(actor, no_restart=True)
            raise ConnectionError(
                f"node {node.name!r}: Ray did not start it: {str(error) or 'no place was free'}"
            ) from error
        boarded = msgspec.msgpack.decode(answer, type=Boarded)
        if boarded.refusal:
            self.ray.kill(actor, no_restart=True)
            raise InvalidOptionError(f"node {node.name!r} does not start: {boarded.refusal}")
        self._transport.add(node, actor)
        life = self._lives[node] = NodeLife(actor, boarded.pid if self.own is not None else None)
        life.watch = asyncio.create_task(self._watch(node, life))

    def _actor(self, place: Place, node: NodeId) -> Any:
        options: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0}
        if self.own is not None:
            options["resources"] = {_mark(node.name): 1}
        else:
            needs = dict(place.resources)
            options["num_cpus"], options["num_gpus"] = needs.pop("CPU", 0), needs.pop("GPU", 0)
            options["resources"] = {**needs, self._resource: 1} if self._resource else needs
            options["scheduling_strategy"] = "SPREAD"
        host = self.ray.remote(concurrency_groups={BEAT: 2})(NodeHost)
        return host.options(name=str(node), namespace=self._namespace, **options).remote()

    async def _watch(self, node: NodeId, life: NodeLife) -> None:
        """Wait in a call that returns when the node ends, and fails when its process does."""
        try:
            await life.actor.ended.remote()
            cause = LossCause.UNKNOWN
        except self.ray.exceptions.RayError as error:
            cause = self._cause(node, error)
        self._end(node, life)
        self._ended[node] = life
        self.lost(node, cause)

    def _cause(self, node: NodeId, error: BaseException) -> LossCause:
        cause = cause_of(error, self.ray.exceptions)
        if cause is LossCause.SILENT:
            self._broken.add(node.name)
        if self.own is not None and not runs(self.own.raylets[node.name]):
            return LossCause.KILLED  # with its raylet, of which Ray knows later than the guard of the node
        return cause

    def _end(self, node: NodeId, life: NodeLife) -> None:
        del self._lives[node]
        self.ray.kill(life.actor, no_restart=True)
        life.kill()  # Ray asks the process first, and waits for 5 s
        if self._transport is not None:
            self._transport.remove(node)

    async def beat(self, node: NodeId, request: bytes) -> bytes:
        """Hand a heartbeat to a node.

        Raises:
            ConnectionError: The node has ended.
        """
        life = self._lives.get(node)
        if life is None:
            raise ConnectionError(f"{node} has ended")
        try:
            answer: bytes = await life.beat.remote(request)
        except self.ray.exceptions.RayError as error:
            raise ConnectionError(f"{node} does not answer: {error}") from error
        return answer

    async def kill(self, node: NodeId) -> bool:
        """End a node at once. One whose process is stopped ends, too.

        Returns:
            True if the kernel has said that the process has ended. It does so for processes of this machine.
        """
        life = self._ended.pop(node, None)
        if life is None:
            life = self._lives.get(node)
            if life is None:
                return False
            if life.watch is not None:
                life.watch.cancel()
            self._end(node, life)
        return await life.has_ended()

    async def close(self) -> None:
        """End all nodes, and the own cluster."""
        for node in (*self._lives, *self._ended):
            await self.kill(node)
        if self._transport is not None:
            await self._transport.close()
        if self.own is not None and not runs(self.own.store_pid):
            await self.own.close()  # first, since without its metadata store Ray takes 5 s to disconnect
        if self._connection is not None:
            self._connection.close()
        if self.own is not None:
            await self.own.close()


def _mark(place: str) -> str:
    """Return the resource that only the raylet of a place has. An affinity to a raylet misses (soft) or cannot move."""
    return f"miniagents-{place}"


def _with_mark(place: Place) -> Mapping[str, float]:
    return {**place.resources, _mark(place.name): 1}


async def _check_reachable(address: str) -> None:
    """Try to connect: Ray itself takes minutes to give up an address where nothing is.

    Raises:
        ConnectionError: Nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return  # "auto": Ray looks for the cluster of this machine
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 5.0)
    except (OSError, TimeoutError) as error:
        raise ConnectionError(f"no Ray cluster at {address!r}: {str(error) or 'no answer for 5 s'}") from error
    writer.close()
