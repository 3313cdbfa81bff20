"""Tracking: calls of agents in routes of the application are part of draining."""

from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from miniagents.errors import InvalidOptionError, ServiceStoppingError
from miniagents.ext.serving.http.concurrency import Gate
from miniagents.ext.serving.http.disconnect import while_connected
from miniagents.ext.serving.http.problems import GONE
from miniagents.promising import Promise
from miniagents.promising.promise import settled

P = TypeVar("P", bound=Promise[Any])
T = TypeVar("T")

_taken_by: ContextVar[object] = ContextVar("miniagents.taken_by", default=None)
"""The service that has tracked a call of the current request. That request may make more calls while the service
stops."""


class Tracking:
    """The promises of calls in routes of the application, for which a service waits when it stops.

    Args:
        gate: Knows whether new requests are refused.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._promises: dict[Promise[Any], None] = {}

    def track(self, promise: P) -> P:
        """Track a call; see `AgentApp.track`."""
        if not isinstance(promise, Promise):
            raise InvalidOptionError(f"track() takes a promise, as agent.inquire(...) returns it, not {promise!r}")
        gate = self._gate
        if gate.is_cut_off or (gate.is_draining and _taken_by.get() is not self):
            error = ServiceStoppingError("the service is stopping and accepts no more calls: call another instance")
            promise.mark_seen()  # the caller gets the error here
            promise.cut_off(error)
            raise error
        _taken_by.set(self)
        self._promises[promise] = None
        promise.add_done_callback(self._settled)
        return promise

    async def answer(self, request: HTTPConnection, promise: Promise[T]) -> T:
        """Track a call and await it while the client is there; see `AgentApp.answer`."""
        left = partial(self.track(promise).cancel, "the client went away")
        stopped = partial(promise.cancel, "the request was cancelled")
        try:
            return await while_connected(request, promise, on_disconnect=left, on_cancel=stopped)
        except ClientDisconnect:
            raise HTTPException(GONE, "The client has gone.") from None
        finally:
            del promise, left, stopped  # else the call, its error and this frame would be a cycle

    def _settled(self, promise: Promise[Any]) -> None:
        self._promises.pop(promise, None)

    def __len__(self) -> int:
        return len(self._promises)

    async def wait_idle(self) -> None:
        """Wait until all promises have settled."""
        while self._promises:
            await settled(next(iter(self._promises)))

    def stop_all(self, error: ServiceStoppingError) -> None:
        """Cut off all calls: everyone who awaits them gets the error now."""
        for promise in tuple(self._promises):
            promise.mark_seen()  # perhaps nobody awaits the promise any more
            promise.cut_off(error)
