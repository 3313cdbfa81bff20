"""An own Ray cluster with echoing nodes, for the tests of the launcher and the transport."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from miniagents import Event, EventKind
from miniagents.cluster.transport import LossCause, NodeId, Place
from miniagents.ext.ray.launcher import RayLauncher

DRIVER = NodeId("driver", 1)


class Driver:
    """A driver that keeps what it receives and which nodes were lost."""

    def __init__(self, launcher: RayLauncher, transport: Any) -> None:
        self.launcher = launcher
        self.transport = transport
        self.received: asyncio.Queue[tuple[NodeId, bytes]] = asyncio.Queue()
        self.losses: asyncio.Queue[tuple[NodeId, LossCause]] = asyncio.Queue()
        transport.receive = lambda node, frame: self.received.put_nowait((node, frame))
        launcher.lost = lambda node, cause: self.losses.put_nowait((node, cause))

    async def ask(self, node: NodeId, frame: bytes) -> bytes:
        """Send a frame and return the one that comes back from there."""
        await self.transport.send(node, frame)
        sender, answer = await self.received.get()
        assert sender == node
        return answer

    async def facts(self, node: NodeId) -> dict[str, Any]:
        """Return what a node says of itself."""
        return dict(msgspec.msgpack.decode(await self.ask(node, b"s")))


def echo_launcher(*places: str, **options: Any) -> RayLauncher:
    """Make a launcher of an own cluster, whose nodes echo."""
    settings: dict[str, Any] = {"address": None, "resource": "", **options}
    return RayLauncher([Place(place) for place in places], runtime="tests.ext.ray.echo:EchoRuntime", **settings)


@asynccontextmanager
async def driving(launcher: RayLauncher) -> AsyncIterator[Driver]:
    """Open a launcher for a driver."""
    try:
        yield Driver(launcher, await launcher.open(DRIVER))
    finally:
        await launcher.close()


async def until_up(events: AsyncIterator[Event], node: str) -> list[EventKind]:
    """Return the kinds of the events of a node, up to its start."""
    kinds = []
    async for event in events:
        if event.path == node:
            kinds.append(event.kind)
            if event.kind is EventKind.NODE_UP:
                break
    return kinds


async def until_lost(events: AsyncIterator[Event], node: str) -> object:
    """Wait for the loss of a node, and return its cause."""
    async for event in events:
        if (event.path, event.kind) == (node, EventKind.NODE_LOST):
            return event.detail
    raise AssertionError("the events have ended")


def processes(word: str) -> list[int]:
    """Return the other processes that have a word in their command line or environment, zombies excluded."""
    fitting = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            texts = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and word.encode() in texts:
            fitting.append(int(folder.name))
    return fitting
