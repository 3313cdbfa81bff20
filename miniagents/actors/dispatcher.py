"""The dispatcher: a small set of reusable tasks that run all actors of a system.

An actor with something to do is put into the ready queue, and a worker (a task) runs it: many messages in one turn, up
to a quantum, then the next. A worker whose handler suspends stays with that handler and hands the ready queue to
another. So an idle actor owns no task, and a handler sees a real `asyncio.current_task()`.

A worker never carries anything from one actor to the next: one that was cancelled, for whatever reason, ends after the
turn and another takes its place (a cancellation that arrives when the handler has just returned stays pending in the
task, and before Python 3.13 not even `uncancel` takes it back); and a cancellation that comes out of a scope which an
earlier actor left open is recognised by its context and refused.
"""

import asyncio
import sys
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from miniagents.promising.context import current_scope

if TYPE_CHECKING:
    from miniagents.actors.cell import Cell

_log = structlog.get_logger("miniagents")

MIGRATE: Any = object()
"""Yielded by a turn that must go on in another task."""

QUANTUM = 64
"""Messages that one actor handles before the next actor has its turn."""

TURN_SECONDS = 0.001
"""How long a worker runs ready actors before it lets the event loop turn."""

_IDLE_WORKERS = 32
"""Workers that wait for work at most; one more ends."""

_BLOCKED_SECONDS = 0.1
"""In debug mode, a step of a handler that blocks the loop for longer is logged."""


class Runnable(Protocol):
    """What a worker runs."""

    task: "WorkerTask | None"
    path: str

    def turn(self) -> Coroutine[Any, Any, None]:
        """One turn of it; never raises."""

    def turn_context(self) -> Context:
        """The context that its code runs in."""


class WorkerTask(asyncio.Task[None]):
    """A task that serves one actor after the other and knows whether it is still fit for the next.

    Attributes:
        cell: The actor that it serves now.
        tainted: Whether anybody has cancelled it since it began to serve this actor.
    """

    cell: "Cell | None" = None
    tainted: bool = False

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the handler that runs now.

        A cancellation from the context of another actor, say by a timeout that it left open, is refused.
        """
        owner = current_scope.get()
        owner = getattr(owner, "node", None)
        if owner is not None and owner is not self.cell:
            _log.warning(
                "a cancellation out of a scope that another actor left open was refused",
                actor=getattr(owner, "path", None),
                served=self.cell.path if self.cell is not None else None,
            )
            return False
        self.tainted = True
        return super().cancel(msg)

    def interrupt(self) -> None:
        """Cancel the handler that runs now, in the name of the runtime."""
        self.tainted = True
        super().cancel()

    def is_fit(self) -> bool:
        """Whether it can serve another actor: never cancelled, and no anyio scope is open in it."""
        if self.tainted:
            return False
        # anyio keeps the open scopes of a task in a table of its own; there is no public way to ask for them.
        backend = sys.modules.get("anyio._backends._asyncio")
        if backend is None:
            return True
        state = backend._task_states.get(self)
        return state is None or state.cancel_scope is None


class Dispatcher:
    """The ready queue and the workers of one system.

    Args:
        loop: The event loop of the system.
        debug: Log handlers that block the loop.
    """

    __slots__ = ("_awake", "_closed", "_debug", "_idle", "_loop", "_workers", "ready")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, debug: bool = False) -> None:
        self.ready: deque[Any] = deque()
        self._loop = loop
        self._debug = debug
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[WorkerTask] = set()
        # True while some worker is certain to look at the ready queue before the loop sleeps.
        self._awake = False
        self._closed = False

    def schedule(self, cell: Any) -> None:
        """Let a worker run a turn of `cell` soon. The caller sees to it that it is scheduled once."""
        self.ready.append(cell)
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        self._awake = True
        while self._idle:
            parked = self._idle.pop()
            if not parked.done():
                parked.set_result(None)
                return
        self._start_worker()

    def _start_worker(self, cell: Any = None, driver: Any = None) -> None:
        # The worker's own context is empty: each turn enters the context of its actor.
        task = WorkerTask(self._main(cell, driver), loop=self._loop, context=Context())
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    def run_in_own_task(self, cell: Any, main: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        """Run `main()` to its end in a task that belongs to `cell` alone."""
        task = WorkerTask(main(), loop=self._loop, context=context)
        task.cell = cell
        cell.task = task
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _main(self, cell: Any, driver: Any) -> None:
        await self._serve(asyncio.current_task(), cell, driver)

    @types.coroutine
    def _serve(self, me: Any, cell: Any, driver: Any) -> Generator[Any, Any, None]:
        """Run turns. The turns are stepped by hand, so that one `Context.run` covers many messages and a handler that
        suspends is seen at once."""
        ready = self.ready
        loop = self._loop
        clock = time.monotonic
        context: Any = None
        error: BaseException | None = None
        while True:
            pause_at = clock() + TURN_SECONDS
            while cell is not None or ready:
                if cell is None:
                    cell = ready.popleft()
                    driver = cell.turn()
                me.cell = cell
                cell.task = me
                context = cell.turn_context()
                error = None
                while True:
                    began = clock() if self._debug else 0.0
                    try:
                        waiting = context.run(driver.send, None) if error is None else context.run(driver.throw, error)
                    except StopIteration:
                        break
                    finally:
                        if self._debug and clock() - began > _BLOCKED_SECONDS:
                            _log.warning(
                                "a handler blocked the event loop", actor=cell.path, seconds=round(clock() - began, 3)
                            )
                    if waiting is MIGRATE:
                        self._start_worker(cell, driver)
                        return
                    # The handler suspends. Whoever is ready must not wait for it.
                    self._awake = False
                    if ready:
                        self._wake()
                    try:
                        error = None
                        yield waiting
                    except BaseException as raised:
                        error = raised
                    self._awake = True
                me.cell = cell = driver = context = error = None  # a worker at rest keeps no actor alive
                if not me.is_fit():
                    self._awake = False
                    if ready:
                        self._wake()
                    return
                if clock() > pause_at:
                    break
            else:
                self._awake = False
                if self._closed or len(self._idle) >= _IDLE_WORKERS:
                    return
                parked = loop.create_future()
                self._idle.append(parked)
                try:
                    yield from parked
                except asyncio.CancelledError:
                    # Either the system closes, or somebody's stray cancellation hit a worker at rest.
                    if not parked.done():
                        self._idle.remove(parked)
                    elif ready:
                        self._wake()
                    return
                continue
            yield  # let the loop turn, and go on

    async def aclose(self) -> None:
        """End the workers; whoever still runs is cancelled."""
        self._closed = True
        for parked in self._idle:
            if not parked.done():
                parked.set_result(None)
        self._idle.clear()
        while workers := [w for w in self._workers if w is not asyncio.current_task()]:
            for worker in workers:
                if worker.cell is not None:
                    worker.interrupt()
            await asyncio.wait(workers, timeout=1.0)


@types.coroutine
def migrate() -> Generator[Any, Any, None]:
    """Go on with this turn in a fresh task."""
    yield MIGRATE
