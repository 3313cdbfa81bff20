"""`NodeHost`: the Ray actor that hosts a node. Ray starts it and carries the calls; all else is the node runtime's."""

import asyncio
import importlib
import os
import threading
import time
from typing import Any

import msgspec

from miniagents.cluster.transport import NodeId
from miniagents.ext.ray.library import load_ray
from miniagents.ext.ray.sigterm import leave_on_sigterm
from miniagents.ext.ray.transport import Hosts, HostTransport

GUARD_EVERY = 0.25
"""Seconds between two looks of the guard of a node."""

GRACE = 0.5
"""Seconds for which the loop of a node may go on after its lease has lapsed, to end in order."""


class Boarding(msgspec.Struct, frozen=True):
    """What a host is told when its node starts. It holds names only, never a value of the environment.

    Attributes:
        name: The name of the node.
        epoch: Its epoch.
        driver: The name of the driver.
        driver_epoch: The epoch of the driver.
        namespace: Ray's namespace, in which the hosts find each other.
        runtime: The class of the node runtime, `module:name`.
        settings: What it is made with.
    """

    name: str
    epoch: int
    driver: str
    driver_epoch: int
    namespace: str
    runtime: str
    settings: bytes


class Boarded(msgspec.Struct, frozen=True):
    """What a host answers.

    Attributes:
        pid: Its process.
        refusal: What keeps the node from starting, or "".
    """

    pid: int
    refusal: str = ""


class NodeHost:
    """The Ray actor. Its methods are called by other processes, with values that are plain: str, int and bytes.

    Ray runs `beat` in a thread of its own (the concurrency group of that name), all others in the loop of the node.
    """

    def __init__(self) -> None:
        self._transport: Any = None
        self._runtime: Any = None
        self._run: asyncio.Task[Any] | None = None

    async def open(self, boarding: bytes) -> bytes:
        """Start the node, and wait until it can receive frames.

        Args:
            boarding: A `Boarding`, as msgpack.

        Returns:
            A `Boarded`, as msgpack.
        """
        told = msgspec.msgpack.decode(boarding, type=Boarding)
        refusal = ""
        try:
            await self._start(told)
        except Exception as error:  # an exception would cross to the driver as a pickle
            refusal = f"{type(error).__name__}: {error}"
        return msgspec.msgpack.encode(Boarded(os.getpid(), refusal))

    async def _start(self, told: Boarding) -> None:
        hosts = Hosts(
            NodeId(told.name, told.epoch), lambda node: load_ray().get_actor(str(node), namespace=told.namespace)
        )
        self._transport = HostTransport(NodeId(told.driver, told.driver_epoch), hosts)
        module, _, name = told.runtime.partition(":")
        self._runtime = getattr(importlib.import_module(module), name)(told.settings, self._transport)
        leave_on_sigterm(self._runtime.leave)
        threading.Thread(target=guard, args=(self._runtime,), name="miniagents-guard", daemon=True).start()
        run = self._run = asyncio.create_task(self._runtime.run())
        ready = asyncio.create_task(self._runtime.ready())
        await asyncio.wait((run, ready), return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            ready.cancel()
            run.result()

    async def ended(self) -> None:
        """Return when the node has ended by itself. The call fails when the process is lost."""
        assert self._run is not None
        await asyncio.wait((self._run,))

    async def receive(self, name: str, epoch: int, *pieces: bytes) -> None:
        """Take a frame of another node."""
        self._transport.receive(NodeId(name, epoch), pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def pull(self) -> tuple[int, bool, bytes]:
        """Return the next piece of a frame for the driver, once there is one."""
        number, is_last, data = await self._transport.pull()
        return number, is_last, data

    async def beat(self, request: bytes) -> bytes:
        """Answer a heartbeat of the driver. It runs beside the loop of the node, whatever that does."""
        answer: bytes = self._runtime.beat(request)
        return answer


def guard(runtime: Any) -> None:
    """End this process when its node must not run any more, in a thread that no code of the user can hold up.

    One cause is a lease that has lapsed while the loop is held. The other is the death of the raylet that has started
    this process: Ray takes up to a minute to end it, and meanwhile the node would run beside its replacement.
    """
    parent = os.getppid()
    while os.getppid() == parent and runtime.lease_left > 0:
        time.sleep(GUARD_EVERY)
    if os.getppid() == parent:
        time.sleep(GRACE)
    os._exit(1)
