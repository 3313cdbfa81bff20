"""The tasks that run actors, and what they step.

A worker never carries anything from one handler to the next. One that was cancelled, for whatever reason, ends after
the handler and another takes its place: a cancellation that arrives when the handler has just returned stays pending in
the task, and before Python 3.13 not even `uncancel` takes it back. So does one that somebody keeps a reference to, in a
variable, a timeout that was left open, a scope: a `cancel()` that comes later is meant for the handler whose task that
was, and finds a task that has ended. Whether anybody keeps one can be counted, in CPython, and costs next to nothing.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

from miniagents.promising.cpython import is_known_to_anyio
from miniagents.promising.stacks import stack_of

if TYPE_CHECKING:
    from miniagents.actors.ports import Runnable

MIGRATE = object()
"""Yielded by a turn that must go on in another task."""

TURN_OVER = object()
"""Yielded when a turn is over."""


class WorkerTask(asyncio.Task[None]):
    """A task that serves one actor after the other and knows whether it is still fit for the next.

    Attributes:
        cell: The actor that it serves now.
        held: How many references to it there are inside of a turn, strong and weak, as long as nobody but the runtime
            has one, so that one look tells whether the worker may have to go; -1 once somebody has cancelled it.
        interrupted_at: When the runtime first cancelled the handler, on `loop.time()`; 0.0 if it has not.
        registered: How many of these are weak, at any time: that of asyncio's own register.
        handed: Of a helper: resolves when there is a turn to go on with.
        lane: What steps its turns; of a helper, what steps that one.
        waiting: Of a helper: what the handler of that turn waits for.
    """

    # They are read for every message, where the default of a class is slow.
    __slots__ = ("cell", "handed", "held", "interrupted_at", "lane", "registered", "waiting")

    def __init__(
        self, coro: Coroutine[Any, Any, None], *, loop: asyncio.AbstractEventLoop, context: Context | None = None
    ) -> None:
        super().__init__(coro, loop=loop, context=context)
        self.cell: Runnable | None = None
        self.held = 0
        self.interrupted_at = 0.0
        self.registered = getweakrefcount(self)
        self.handed: asyncio.Future[Any] | None = None
        self.lane: Trampoline | None = None
        self.waiting: object = None

    def cancel(self, msg: object = None) -> bool:
        """Cancel the handler that runs now."""
        self.held = -1
        return super().cancel(msg)

    def interrupt(self, reason: str | None = None) -> None:
        """Cancel the handler that runs now, in the name of the runtime."""
        self.held = -1
        self.interrupted_at = self.interrupted_at or self.get_loop().time()
        super().cancel(reason)

    def is_watched(self) -> bool:
        """Return True if there is a weak reference to it outside the registers of asyncio and anyio."""
        known = self.registered
        if getweakrefcount(self) > known:
            known += is_known_to_anyio(self)
        return getweakrefcount(self) > known


class Trampoline:
    """The stepper of the turns of one worker: one coroutine for all of them. A coroutine for each turn, and catching
    its StopIteration, would cost as much as a short turn (benchmark `ring`).

    Attributes:
        cell: Whose turn it is.
        turns: The coroutine.
        send: Steps it: `send(None)` gives what the handler waits for, `TURN_OVER` or `MIGRATE`.
        throw: Raises an exception where the handler waits.
    """

    __slots__ = ("cell", "send", "throw", "turns")

    def __init__(self) -> None:
        self.cell: Any = None
        turns = self.turns = self._turns()
        self.send = turns.send
        self.throw = turns.throw

    @types.coroutine
    def _turns(self) -> Generator[Any, Any, None]:
        while True:
            yield from self.cell.turn()
            yield TURN_OVER


@types.coroutine
def migrate() -> Generator[Any, Any, None]:
    """Go on with this turn in a fresh task."""
    yield MIGRATE


def stack_of_worker(worker: WorkerTask) -> str:
    """Return the stack of the handler that a worker serves, as text."""
    return stack_of(worker.lane.turns if worker.lane is not None else worker.get_coro())
