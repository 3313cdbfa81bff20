"""The seam between the cluster and a platform: how bytes travel between nodes, and how nodes are started and killed.

A platform (processes in memory, Ray) implements `Transport` and `Launcher`. Everything above them, the frames, the
links and the membership, knows no platform.
"""

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol


class NodeId(NamedTuple):
    """The identity of one life of a node.

    Attributes:
        name: The name, which a replacement keeps.
        epoch: The number of the life, which grows with each start of a node of this name; 1 or more.
    """

    name: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.name}#{self.epoch}"


class LossCause(enum.StrEnum):
    """The cause of the loss of a node."""

    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed"
    DRAINED = "drained"
    SILENT = "silent"
    UNKNOWN = "unknown"


class Place(NamedTuple):
    """A place where a platform can start a node.

    Attributes:
        name: The name of the node that is started there.
        resources: The amounts of what it offers, by name: {"CPU": 2.0, "gpu": 1.0}.
    """

    name: str
    resources: Mapping[str, float] = MappingProxyType({})


class Transport(Protocol):
    """The way of one node to all others. Each life of a node has one of its own.

    A transport may lose, repeat and reorder frames; the channels above it repair that. It never changes a frame.

    Attributes:
        receive: Called in the loop of the node with the sender and the frame, for each frame that arrives. The node
            runtime sets it before anything can arrive.
    """

    receive: Callable[[NodeId, bytes], None]

    async def send(self, node: NodeId, frame: bytes) -> None:
        """Hand a frame to another node. Returns once `receive` was called there, as far as the platform can tell, or
        the frame is on its way. A channel has one call under way for each node.

        Raises:
            ConnectionError: That life of the node is gone, or cannot be reached now. The channel tries again.
        """

    async def close(self) -> None:
        """End what the transport runs. Nothing is received afterwards."""


class Launcher(Protocol):
    """The platform, as the driver uses it to start and to kill nodes.

    Attributes:
        lost: Called in the driver's loop when the platform itself reports the end of a node. The cluster sets it.
    """

    lost: Callable[[NodeId, LossCause], None]

    async def open(self, driver: NodeId) -> Transport:
        """Prepare the platform, and return the transport of the driver, which is a node, too."""

    def places(self) -> tuple[Place, ...]:
        """Return the places for nodes, the driver's excluded."""

    async def start(self, node: NodeId, settings: bytes) -> None:
        """Start a node. Its host makes `NodeRuntime(settings, transport)` there and awaits `run()`, which returns when
        the node has ended. The call returns once the runtime can receive frames.

        Raises:
            ConnectionError: It cannot be started now; the cluster tries again later.
        """

    async def beat(self, node: NodeId, request: bytes) -> bytes:
        """Hand a heartbeat to a node, and return the answer: what `NodeRuntime.beat(request)` returns there, called
        from a thread that no code of the user can hold up.

        Raises:
            ConnectionError: The node is gone, or cannot be reached. A call that never returns is cancelled.
        """

    async def kill(self, node: NodeId) -> bool:
        """End a node at once, whatever it does. Ending one that is gone is harmless.

        Returns:
            True if it is certain that nothing of the node runs any more, as when the kernel says so of its process.
            False if it can only be hoped, as for a machine that does not answer.
        """

    async def close(self) -> None:
        """End all nodes and the platform, as far as it was started here."""
