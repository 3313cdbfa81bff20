"""Scheduling: who decides what no guarantee decides, so that a simulation can decide otherwise.

Which ready actor has the next turn, how long a turn lasts, which waiting sender is next, how far a backoff is spread:
programs must be right whatever the answers are. They come from the clock and the order of arrival, unless the event
loop brings a `scheduling` of its own, as that of `miniagents.testing.simulate` does.
"""

import asyncio
import time
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagents.actors.dispatch.dispatcher import Dispatcher


class Scheduling:
    """Decides by the clock and by the order of arrival."""

    clock = staticmethod(time.monotonic)
    """The time that turns are measured with, in seconds."""

    cpu_clock = staticmethod(time.thread_time)
    """The processor time of this thread, in seconds."""

    random = Random().random
    """A number from 0 to 1, for whatever is spread at random."""

    def ready_queue(self, dispatcher: "Dispatcher") -> "deque[Any]":
        """Return a queue of those that have something to do; `popleft()` gives the one that has the next turn."""
        return deque()

    def waiting_line(self, path: str) -> "deque[Any]":
        """Return a queue of those that wait for room in the mailbox at `path`; `popleft()` gives the next one."""
        return deque()

    def system_started(self, system: object) -> None:
        """A system has been activated in this loop."""


_BY_ARRIVAL = Scheduling()


def scheduling_of(loop: asyncio.AbstractEventLoop) -> Scheduling:
    """Return the scheduling of the systems in `loop`."""
    scheduling: Scheduling = getattr(loop, "scheduling", _BY_ARRIVAL)
    return scheduling
