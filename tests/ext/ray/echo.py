"""A node runtime that knows no actors: it sends back what it gets, for the tests of launcher and transport."""

import asyncio
import os
import time

import msgspec

from miniagents.cluster.transport import NodeId, Transport


class EchoRuntime:
    """A node that obeys the first byte of a frame: echo it, hand it on to another node, end, or block its loop."""

    def __init__(self, settings: bytes, transport: Transport) -> None:
        self._transport = transport
        self._end = asyncio.Event()
        self._settings = settings
        self._is_held = False
        transport.receive = self._received
        self._tasks: set[asyncio.Task[None]] = set()

    lease_left = 1.0

    def leave(self) -> None:
        """Never called: no test sends a SIGTERM."""

    async def ready(self) -> None:
        """Be ready at once, unless the settings are a reason not to start."""
        if self._settings.startswith(b"refuse"):
            raise ValueError(self._settings.decode())

    async def run(self) -> None:
        """Run until told to end."""
        await self.ready()
        await self._end.wait()

    def beat(self, request: bytes) -> bytes:
        """Answer with the request and whether the loop is held; end the lease if that is the request."""
        if request == b"lapse":
            self.lease_left = 0.0
        return request + (b" held" if self._is_held else b" free")

    def _received(self, sender: NodeId, frame: bytes) -> None:
        task = asyncio.create_task(self._obey(sender, frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, sender: NodeId, frame: bytes) -> None:
        match frame[:1]:
            case b"s":
                loop = type(asyncio.get_running_loop()).__module__
                facts = {"settings": self._settings, "pid": os.getpid(), "loop": loop, "environment": dict(os.environ)}
                await self._transport.send(sender, msgspec.msgpack.encode(facts))
            case b"r":  # the name and the epoch of the node to hand it to, and the rest
                name, epoch, driver, rest = msgspec.msgpack.decode(frame[1:], type=tuple[str, int, str, bytes])
                await self._transport.send(NodeId(name, epoch), b"d" + msgspec.msgpack.encode((driver, rest)))
            case b"d":  # to the driver, with the name of the node that it came from
                driver, rest = msgspec.msgpack.decode(frame[1:], type=tuple[str, bytes])
                await self._transport.send(NodeId(driver, 1), f"{sender} ".encode() + rest)
            case b"b":
                self._is_held = True
                time.sleep(float(frame[1:]))  # noqa: ASYNC251 - the loop is to be held
                self._is_held = False
            case b"x":
                self._end.set()
            case _:
                await self._transport.send(sender, frame)
