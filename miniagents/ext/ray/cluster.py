"""`RayCluster`: the nodes of a system on Ray, for `MiniAgents(cluster=RayCluster(nodes=3))`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from miniagents.cluster import Cluster, Place
from miniagents.errors import InvalidOptionError
from miniagents.ext.ray.launcher import RayLauncher
from miniagents.ext.ray.library import load_ray
from miniagents.supervision.checking import check_count


class RayCluster(Cluster):
    """The nodes of one system, each in a process that Ray runs.

    Without an address it is a cluster of its own: Ray is started on this machine, listens on the loopback address
    alone, and ends with this program, whatever ends that. With an address the nodes are placed on an existing Ray
    cluster, and leave it again.

    Needs the extra `ray`. Do not use a cluster where one process is enough: a message to another node costs a hundred
    times one that stays, and a cluster takes about 10 s to start.

    Args:
        nodes: The number of nodes besides the driver, 1 or more, or what each of them offers, by Ray's names of
            resources: `[{"GPU": 1}, {}]`. By default one for each CPU of this machine, or one for each machine of an
            existing cluster.
        address: The address of the head of an existing cluster, `host:port`, or "auto" for one on this machine; None
            for a cluster of its own. `RAY_ADDRESS` does not count.
        suspect_after: How many nodes in a row may die of memory or a signal under an actor, before the actor is not
            placed any more and its supervisor is told, 1 or more; None for any number.
        modules: The names of modules that each node imports at its start: those that define message types and agents.
        variables: The names of environment variables that must be set on each node, API keys for example. Their values
            do not travel.
        setup: The name of a function (`module:name`) that makes the system of each node, a `MiniAgents`; None for one
            without options.
        lease: Seconds after which a node that the driver does not hear of is lost, and has stopped itself.
        margin: Seconds beyond that after which it is replaced.
        resource: The name of a resource of which each node takes 1 from an existing cluster, so that its machines say
            how many nodes they take; "" to let Ray spread the nodes.

    Raises:
        InvalidOptionError: An option is outside its range, or contradicts another one.

    Example:
        >>> cluster = RayCluster(nodes=3, modules=["shop.agents"])
        >>> cluster = RayCluster(address="10.0.0.7:6379", resource="miniagents")
    """

    def __init__(
        self,
        nodes: int | Sequence[Mapping[str, float]] | None = None,
        *,
        address: str | None = None,
        suspect_after: int | None = 3,
        modules: Iterable[str] = (),
        variables: Iterable[str] = (),
        setup: str | None = None,
        lease: float = 5.0,
        margin: float = 1.0,
        resource: str = "",
    ) -> None:
        if address is None and resource:
            raise InvalidOptionError("resource= is for an existing cluster: give its address=")
        if nodes is None and address is None:
            nodes = os.cpu_count() or 1
        if isinstance(nodes, int):
            check_count("nodes=", nodes, 1)
            nodes = [{}] * nodes
        places = [Place(f"node-{number}", dict(offers)) for number, offers in enumerate(nodes or (), 1)]
        if nodes is not None and not places:
            raise InvalidOptionError("nodes= must be 1 node or more")
        self._ray_launcher = RayLauncher(places, address=address, resource=resource)
        super().__init__(
            self._ray_launcher,
            modules=modules,
            variables=variables,
            setup=setup,
            lease=lease,
            margin=margin,
            suspect_after=suspect_after,
            heartbeat_thread=True,  # a handler that holds the driver's loop costs no node its lease
        )

    @property
    def ray(self) -> Any:
        """The module `ray`, connected, as long as the cluster runs: for what a program does with Ray itself."""
        return self._ray_launcher.ray

    async def start(self, system: Any) -> None:
        """Start Ray, or find it, and all nodes. The system calls this.

        Raises:
            MissingDependencyError: Ray is not installed.
            ConnectionError: Ray or a node does not start.
        """
        load_ray()
        try:
            await super().start(system)
        except BaseException:
            await self._ray_launcher.close()
            raise
