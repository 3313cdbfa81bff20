"""`NodeHost`: the Ray actor that hosts a node. Ray starts it and carries the calls; all else is the node runtime's."""

import asyncio
import importlib
import os
import sys
import threading
import time
from typing import Any

import msgspec

from miniagents.cluster.transport import NodeId
from miniagents.ext.ray.library import load_ray
from miniagents.ext.ray.transport import Hosts, HostTransport

ORPHAN_CHECK = 0.5
"""Seconds between two looks whether the raylet that has started this process is still there."""


class Boarding(msgspec.Struct, frozen=True):
    """What a host is told when its node starts. It holds names only, never a value of the environment.

    Attributes:
        name: The name of the node.
        epoch: Its epoch.
        driver: The name of the driver.
        driver_epoch: The epoch of the driver.
        namespace: Ray's namespace, in which the hosts find each other.
        modules: The modules that define messages, actors and agents.
        requires: The environment variables that the node must have.
        runtime: The class of the node runtime, "module:name".
        settings: What it is made with.
    """

    name: str
    epoch: int
    driver: str
    driver_epoch: int
    namespace: str
    modules: tuple[str, ...]
    requires: tuple[str, ...]
    runtime: str
    settings: bytes


class Boarded(msgspec.Struct, frozen=True):
    """What a host answers.

    Attributes:
        pid: Its process.
        raylet: Ray's id of the machine that it is on.
        lacks: The required variables that are not there.
        error: What the import of a module failed with, or "".
    """

    pid: int
    raylet: str
    lacks: tuple[str, ...] = ()
    error: str = ""


class NodeHost:
    """The Ray actor. Its methods are called by other processes, with values that are plain: str, int and bytes."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._runtime: Any = None
        self._run: asyncio.Task[None] | None = None

    async def open(self, boarding: bytes) -> bytes:
        """Start the node. Nothing runs afterwards if variables or modules are missing.

        Args:
            boarding: A `Boarding`, as msgpack.

        Returns:
            A `Boarded`, as msgpack.
        """
        told = msgspec.msgpack.decode(boarding, type=Boarding)
        raylet = load_ray().get_runtime_context().get_node_id()
        lacks = tuple(name for name in told.requires if not os.environ.get(name))
        module, _, runtime = told.runtime.partition(":")
        error = _import_all((*told.modules, module))
        if not lacks and not error:
            _exit_with_parent()
            here = NodeId(told.name, told.epoch)
            hosts = Hosts(here, lambda node: load_ray().get_actor(str(node), namespace=told.namespace))
            self._transport = HostTransport(NodeId(told.driver, told.driver_epoch), hosts)
            self._runtime = getattr(sys.modules[module], runtime)(told.settings, self._transport)
            self._run = asyncio.create_task(self._runtime.run())
        return msgspec.msgpack.encode(Boarded(os.getpid(), raylet, lacks, error))

    async def ended(self) -> None:
        """Return when the node has ended by itself. The call fails when the process is lost."""
        assert self._run is not None
        await self._run

    async def receive(self, name: str, epoch: int, *pieces: bytes) -> None:
        """Take a frame of another node."""
        self._transport.receive(NodeId(name, epoch), pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def pull(self) -> tuple[int, bool, bytes]:
        """Return the next piece of a frame for the driver, once there is one."""
        number, is_last, data = await self._transport.pull()
        return number, is_last, data


def _import_all(modules: tuple[str, ...]) -> str:
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            return f"importing {name} failed: {type(error).__name__}: {error}"
    return ""


def _exit_with_parent() -> None:
    """End this process soon after the raylet that has started it. Ray takes up to a minute for that, and meanwhile the
    node would run beside its replacement."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_CHECK)
        os._exit(1)

    threading.Thread(target=watch, name="miniagents-orphan-check", daemon=True).start()
