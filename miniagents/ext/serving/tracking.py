"""Tracking: calls of agents in routes of one's own are part of draining, too."""

from contextvars import ContextVar
from typing import Any, TypeVar

from miniagents.errors import InvalidOptionError, ServiceStoppingError
from miniagents.ext.serving.http.concurrency import Gate
from miniagents.promising import Promise
from miniagents.promising.promise import settled

P = TypeVar("P", bound=Promise[Any])

_taken_by: ContextVar[object] = ContextVar("miniagents.taken_by", default=None)
"""Which service has taken a call of the request at work already: that request may go on making calls."""


class Tracking:
    """The promises of calls that a service waits for when it stops, and that it has not made for a client itself.

    Args:
        gate: Says whether any more may come in.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._promises: dict[Promise[Any], None] = {}

    def track(self, promise: P) -> P:
        """See `AgentApp.track`."""
        if not isinstance(promise, Promise):
            raise InvalidOptionError(f"track() takes a promise, as agent.inquire(...) gives one, not {promise!r}")
        gate = self._gate
        if gate.is_cut_off or (gate.is_draining and _taken_by.get() is not self):
            error = ServiceStoppingError("the service is stopping and takes no more calls: ask again, elsewhere")
            promise.mark_seen()  # whoever made the call is told here
            promise.cut_off(error)
            raise error
        _taken_by.set(self)
        self._promises[promise] = None
        promise.add_done_callback(self._settled)
        return promise

    def _settled(self, promise: Promise[Any]) -> None:
        self._promises.pop(promise, None)

    def __len__(self) -> int:
        return len(self._promises)

    async def wait_idle(self) -> None:
        """Wait until all have settled."""
        while self._promises:
            await settled(next(iter(self._promises)))

    def stop_all(self, error: ServiceStoppingError) -> None:
        """Ask for the end of all; whoever awaits them gets the error now."""
        for promise in tuple(self._promises):
            promise.mark_seen()  # whoever made the call may have gone
            promise.cut_off(error)
