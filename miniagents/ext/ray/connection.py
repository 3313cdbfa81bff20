"""The connection of this process to a Ray cluster, made and ended as a good guest does: what it changes in the process,
it restores."""

import faulthandler
import importlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from miniagents.ext.ray.library import load_ray


class RayConnection:
    """The connection of this process to one Ray cluster.

    Ray has one connection in a process, and takes its settings from the environment. The handlers of signals and the
    environment are afterwards as they were.

    Args:
        environment: Variables that Ray reads: where the token of the cluster is, for example.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._changed: dict[str, str | None] = {}
        self._is_ours = False
        self._ray: Any = None

    def open(self, address: str, namespace: str) -> Any:
        """Connect. A connection that the program itself has made to this address is used and not ended.

        Args:
            address: The address of the head, "host:port", or "auto" for the one of this machine.
            namespace: The namespace of the names of actors.

        Returns:
            The module `ray`, connected.

        Raises:
            ConnectionError: There is no such cluster, it refuses the token, or the process is connected to another one.
        """
        ray = self._ray = load_ray()
        if ray.is_initialized():
            connected = ray.get_runtime_context().gcs_address
            if address not in (connected, "auto"):
                raise ConnectionError(
                    f"this process is connected to the Ray cluster at {connected} already, and Ray allows one: "
                    f"call ray.shutdown() before the system starts, or use RayCluster(address={connected!r})"
                )
            return ray
        before = dict(os.environ)
        os.environ.update(self._environment)
        _read_environment()
        try:
            with _handlers_kept(), _loopback_allowed(address):
                ray.init(
                    address=address,
                    namespace=namespace,
                    log_to_driver=False,
                    configure_logging=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:
            self._changed = _changes(before)
            self._restore()
            raise ConnectionError(f"no Ray cluster at {address!r}: {error}") from error
        self._changed = _changes(before)
        self._is_ours = True
        _stop_printing()
        return ray

    def close(self) -> None:
        """Disconnect, if the connection is ours. It is harmless to do that twice."""
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()
            self._restore()

    def _restore(self) -> None:
        for name, value in self._changed.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_environment()


def _changes(before: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that have changed, Ray's own among them, and what they were; None for new ones."""
    now = dict(os.environ)
    return {name: before.get(name) for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Restore the handlers of signals that Ray sets."""
    is_main = threading.current_thread() is threading.main_thread()  # elsewhere Ray sets none, and nobody may
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    had_faulthandler = faulthandler.is_enabled()
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
        if not had_faulthandler:
            faulthandler.disable()


@contextmanager
def _loopback_allowed(address: str) -> Iterator[None]:
    """Have Ray take an address of this machine as it is, instead of the one that this machine has in the network."""
    constants: Any = importlib.import_module("ray._private.ray_constants")
    resolves = constants.ENABLE_RAY_CLUSTER
    if address.startswith("127."):
        constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = resolves


def _read_environment() -> None:
    """Have Ray read the variables again: it keeps mode and token of the first cluster of a process."""
    raylet: Any = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")  # before the token is dropped: threads of Ray that are about to end may look for one
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _stop_printing() -> None:
    """End the thread that prints each lost process to the terminal of the driver; they are events of the system."""
    worker: Any = importlib.import_module("ray._private.worker").global_worker
    worker.threads_stopped.set()
    worker.gcs_error_subscriber.close()
