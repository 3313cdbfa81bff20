"""The transports over calls of Ray: frames are pushed to a node. The driver, which is no actor of Ray, pulls its own.

One call takes about 1 ms, whatever it carries up to 100 KB. What is larger goes through Ray's object store, which takes
5 ms and more, unless it is cut: a call has any number of arguments, and each of up to 100 KB travels within the call.
So 1 MB takes 3 ms.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from miniagents.cluster.transport import NodeId
from miniagents.ext.ray.library import load_ray

PIECE_BYTES = 96 * 1024
"""The size of the pieces of a frame. Ray's limit for what travels within a call is 100 KiB."""

PULLS = 2
"""The calls by which the driver pulls from one node: one waits there while the answer of the other is on its way."""


class Piece(NamedTuple):
    """A part of a frame for the driver.

    Attributes:
        number: Its number among all pieces of its node; answers of two calls may overtake each other.
        is_last: Whether the frame ends with it.
        data: The bytes.
    """

    number: int
    is_last: bool
    data: bytes


def pieces_of(frame: bytes) -> Iterator[bytes]:
    """Cut a frame into pieces that Ray carries within a call."""
    if len(frame) <= PIECE_BYTES:
        yield frame
        return
    for start in range(0, len(frame), PIECE_BYTES):
        yield frame[start : start + PIECE_BYTES]


def _unset(node: NodeId, frame: bytes) -> None:
    raise AssertionError("a frame arrived before the node runtime was there")


class Hosts:
    """The Ray actors that host other nodes, for those who push frames to them.

    Args:
        here: This node.
        find: Returns the actor of a node, in another thread, since it asks Ray's metadata store.
    """

    def __init__(self, here: NodeId, find: Callable[[NodeId], Any]) -> None:
        self._here = here
        self._find = find
        self._actors: dict[NodeId, Any] = {}

    def add(self, node: NodeId, actor: Any) -> None:
        """Make the actor of a node known."""
        self._actors[node] = actor

    def remove(self, node: NodeId) -> None:
        """Forget a node."""
        self._actors.pop(node, None)

    async def push(self, node: NodeId, frame: bytes) -> None:
        """Hand a frame to a node.

        Raises:
            ConnectionError: Ray does not know the node, or it has ended.
        """
        try:
            if node not in self._actors:
                self._actors[node] = await asyncio.to_thread(self._find, node)
            actor = self._actors[node]
            await actor.receive.remote(self._here.name, self._here.epoch, *pieces_of(frame))
        except (load_ray().exceptions.RayError, ValueError) as error:
            self.remove(node)
            raise ConnectionError(f"{node} cannot be reached: {error}") from error


class DriverTransport:
    """The transport of the driver.

    Args:
        hosts: The actors of the other nodes.
    """

    def __init__(self, hosts: Hosts) -> None:
        self.receive: Callable[[NodeId, bytes], None] = _unset
        self._hosts = hosts
        self._pulls: dict[NodeId, list[asyncio.Task[None]]] = {}

    def add(self, node: NodeId, actor: Any) -> None:
        """Begin to exchange frames with a node."""
        self._hosts.add(node, actor)
        pieces = Pieces(lambda frame: self.receive(node, frame))
        self._pulls[node] = [asyncio.create_task(_pull(actor, pieces)) for _ in range(PULLS)]

    def remove(self, node: NodeId) -> None:
        """Exchange nothing with a node any more."""
        self._hosts.remove(node)
        for pull in self._pulls.pop(node, ()):
            pull.cancel()

    async def send(self, node: NodeId, frame: bytes) -> None:
        """Push a frame to a node."""
        await self._hosts.push(node, frame)

    async def close(self) -> None:
        """End the pulls."""
        for node in tuple(self._pulls):
            self.remove(node)


async def _pull(actor: Any, pieces: "Pieces") -> None:
    with suppress(load_ray().exceptions.RayError):  # the node has ended; whoever waits for that end reports it
        while True:
            pieces.take(Piece(*await actor.pull.remote()))


class Pieces:
    """The pieces of one node, which are put together in their order."""

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._next = 0
        self._early: dict[int, Piece] = {}
        self._frame: list[bytes] = []

    def take(self, piece: Piece) -> None:
        """Take a piece, and deliver each frame that is complete with it."""
        self._early[piece.number] = piece
        while (piece_now := self._early.pop(self._next, None)) is not None:
            self._next += 1
            self._frame.append(piece_now.data)
            if piece_now.is_last:
                frame, self._frame = b"".join(self._frame), []
                self._deliver(frame)


class HostTransport:
    """The transport of a node that is hosted by a Ray actor.

    Args:
        driver: The driver.
        hosts: The actors of the other nodes.
    """

    def __init__(self, driver: NodeId, hosts: Hosts) -> None:
        self.receive: Callable[[NodeId, bytes], None] = _unset
        self._driver = driver
        self._hosts = hosts
        self._numbers = itertools.count()
        self._outbox: asyncio.Queue[tuple[Piece, asyncio.Future[None] | None]] = asyncio.Queue()

    async def send(self, node: NodeId, frame: bytes) -> None:
        """Push a frame to a node, or have the driver pull it."""
        if node != self._driver:
            await self._hosts.push(node, frame)
            return
        taken = asyncio.get_running_loop().create_future()
        pieces = list(pieces_of(frame))
        for piece in pieces[:-1]:
            self._outbox.put_nowait((Piece(next(self._numbers), False, piece), None))
        self._outbox.put_nowait((Piece(next(self._numbers), True, pieces[-1]), taken))
        await taken  # ended by `pull`; a driver that pulls no more is lost, and then the channel cancels the call

    async def pull(self) -> Piece:
        """Return the next piece for the driver, once there is one."""
        piece, taken = await self._outbox.get()
        if taken is not None and not taken.done():
            taken.set_result(None)
        return piece

    async def close(self) -> None:
        """Do nothing: the process ends with the node."""
