"""The tasks that run actors, and what they step.

A worker never carries anything from one actor to the next: one that was cancelled, for whatever reason, ends after the
turn and another takes its place (a cancellation that arrives when the handler has just returned stays pending in the
task, and before Python 3.13 not even `uncancel` takes it back); and a cancellation that comes out of a scope which an
earlier actor left open is recognised by its context and refused.
"""

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from miniagents.promising.abandoning import stack_of
from miniagents.promising.context import current_scope

if TYPE_CHECKING:
    from miniagents.actors.cell import Cell

_log = structlog.get_logger("miniagents")

ANYIO = "anyio._backends._asyncio"
modules = sys.modules

MIGRATE: Any = object()
"""Yielded by a turn that must go on in another task."""

TURN_OVER: Any = object()
"""Yielded when a turn is over."""


class Runnable(Protocol):
    """What a worker runs."""

    task: "WorkerTask | None"
    path: str
    context: Context | None
    since: float
    scheduled: bool

    def turn(self) -> Coroutine[Any, Any, Any]:
        """One turn of it; never raises."""

    def turn_context(self) -> Context:
        """The context that its code runs in."""


class WorkerTask(asyncio.Task[None]):
    """A task that serves one actor after the other and knows whether it is still fit for the next.

    Attributes:
        cell: The actor that it serves now.
        interrupted_at: When the runtime first cancelled the handler, on `loop.time()`; 0.0 if it has not.
        tainted: Whether anybody has cancelled it since it began to serve this actor.
        handed: Of a helper: resolves when there is a turn to go on with.
        lane: What steps its turns; of a helper, what steps that one.
        waiting: Of a helper: what the handler of that turn waits for.
    """

    # They are read for every message, where the default of a class is slow.
    __slots__ = ("cell", "handed", "interrupted_at", "lane", "tainted", "waiting")

    def __init__(
        self, coro: Coroutine[Any, Any, None], *, loop: asyncio.AbstractEventLoop, context: Context | None = None
    ) -> None:
        super().__init__(coro, loop=loop, context=context)
        self.cell: Cell | None = None
        self.tainted = False
        self.interrupted_at = 0.0
        self.handed: asyncio.Future[Any] | None = None
        self.lane: Lane | None = None
        self.waiting: Any = None

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the handler that runs now.

        A cancellation that comes by itself from the context of another actor, say by a timeout that it left open, is
        refused. One that code of another actor asks for, say by the scope of a handler that it was given, is not.
        """
        owner: Any = current_scope.get()
        owner = getattr(owner, "node", None)
        if (
            owner is not None
            and owner is not self.cell
            and asyncio.current_task(self.get_loop()) is None
            # A call that still runs has never been here: it has one task from beginning to end.
            and (not getattr(owner, "is_interaction", False) or owner.task is None or owner.task is self)
        ):
            _log.warning(
                "a cancellation out of a scope that another actor left open was refused",
                actor=getattr(owner, "path", None),
                served=self.cell.path if self.cell is not None else None,
            )
            return False
        self.tainted = True
        return super().cancel(msg)

    def interrupt(self, reason: str | None = None) -> None:
        """Cancel the handler that runs now, in the name of the runtime."""
        self.tainted = True
        self.interrupted_at = self.interrupted_at or self.get_loop().time()
        super().cancel(reason)

    def is_fit(self) -> bool:
        """Whether it can serve another actor: never cancelled, and no anyio scope is open in it."""
        if self.tainted:
            return False
        # anyio keeps the open scopes of a task in a table of its own; there is no public way to ask for them.
        if ANYIO not in modules:
            return True
        state = modules[ANYIO]._task_states.get(self)
        return state is None or state.cancel_scope is None


class Lane:
    """What steps the turns of one worker: one coroutine for all of them, since making one for each, and catching its
    StopIteration, would cost as much as a short turn (benchmark `ring`).

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
    """Where the handler is that a worker serves, as text."""
    return stack_of(worker.lane.turns if worker.lane is not None else worker.get_coro())
