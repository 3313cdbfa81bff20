"""`SharedClient`: a client of an SDK that a system shares, made ready in threads."""

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from miniagents.ext.llms.providers.clients import sdk


class SharedClient:
    """A client of an SDK that a system shares.

    The import of an SDK, the TLS context of a client and the modules of a resource take up to a second. All of it
    happens in threads, so that the event loop goes on, also while hundreds of agents make their first calls.

    Args:
        make: Imports the SDK and makes the client; it is called in a thread, once if it succeeds.
        extra: The extra of the package that installs the SDK.
        modules: More modules that the SDK imports with its first request.
    """

    def __init__(self, make: Callable[[], Any], extra: str, modules: Sequence[str] = ()) -> None:
        self._make = make
        self._extra = extra
        self._modules = modules
        self._lock = threading.Lock()
        self._client: Any = None
        self._ready: dict[str, asyncio.Future[None]] = {}

    async def ready(self, resource: str) -> Any:
        """Return the client, when it can be used without holding the loop.

        All calls that come meanwhile wait for the same thread. After a failure the next call tries again.

        Args:
            resource: The resource that is going to be used: "chat.completions".

        Raises:
            MissingDependencyError: The SDK is not installed.
            Exception: The client could not be made.
        """
        ready = self._ready.get(resource)
        if ready is None or (ready.done() and (ready.cancelled() or ready.exception() is not None)):
            ready = self._ready[resource] = asyncio.get_running_loop().run_in_executor(None, self._prepare, resource)
        if not ready.done():
            await asyncio.shield(ready)  # it ends with the thread, and a caller that is cancelled does not end it
        return self._client

    def _prepare(self, resource: str) -> None:
        with self._lock:
            if self._client is None:
                self._client = self._make()
        getattr(attrgetter(resource)(self._client), "with_streaming_response")  # noqa: B009 - it imports the resource
        for module in self._modules:
            with contextlib.suppress(Exception):  # the SDK imports it again, and says what is wrong with it
                importlib.import_module(module)
        anyio = sdk("anyio", self._extra)
        anyio.run(anyio.sleep, 0)  # the SDK's connections run on anyio, which imports its backend when it first runs

    async def close(self) -> None:
        """Close the client, if it was made."""
        if self._ready:
            await asyncio.wait(self._ready.values())
        if self._client is not None:
            await self._client.close()
