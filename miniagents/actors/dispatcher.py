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
import threading
import time
import types
from asyncio.tasks import _enter_task, _leave_task
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from miniagents.promising.context import current_scope

if TYPE_CHECKING:
    from miniagents.actors.cell import Cell

_log = structlog.get_logger("miniagents")

_ANYIO = "anyio._backends._asyncio"
_modules = sys.modules

MIGRATE: Any = object()
"""Yielded by a turn that must go on in another task."""

TURN_OVER: Any = object()
"""Yielded when a turn is over."""

QUANTUM = 64
"""Messages that one actor handles before the next actor has its turn."""

TURN_SECONDS = 0.001
"""How long a worker runs ready actors before it lets the event loop turn."""

_TURNS_PER_LOOK = 4
"""Turns between two looks at the clock; after one whose handler suspended there always is one."""

_WARM = 2048
"""Actors at rest that keep what a busy one needs (a queue, a context) at most: the last ones that were busy."""

_IDLE_WORKERS = 32
"""Workers that wait for work at most; one more ends."""

_BLOCKED_SECONDS = 0.1
"""In debug mode, a step of a handler that blocks the loop for longer is logged."""


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
        tainted: Whether anybody has cancelled it since it began to serve this actor.
        handed: Of a helper: resolves to what the handler waits for whose turn it is to go on with.
        lane: Of a helper: what steps that turn.
    """

    __slots__ = ("cell", "handed", "lane", "tainted")  # read for every message, where the default of a class is slow

    def __init__(
        self, coro: Coroutine[Any, Any, None], *, loop: asyncio.AbstractEventLoop, context: Context | None = None
    ) -> None:
        super().__init__(coro, loop=loop, context=context)
        self.cell: Cell | None = None
        self.tainted = False
        self.handed: asyncio.Future[Any] | None = None
        self.lane: Lane | None = None

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

    def interrupt(self, reason: str | None = None) -> None:
        """Cancel the handler that runs now, in the name of the runtime."""
        self.tainted = True
        super().cancel(reason)

    def is_fit(self) -> bool:
        """Whether it can serve another actor: never cancelled, and no anyio scope is open in it."""
        if self.tainted:
            return False
        # anyio keeps the open scopes of a task in a table of its own; there is no public way to ask for them.
        if _ANYIO not in _modules:
            return True
        state = _modules[_ANYIO]._task_states.get(self)
        return state is None or state.cancel_scope is None


class Lane:
    """What steps the turns of one worker: one coroutine for all of them, since making one for each, and catching its
    StopIteration, would cost as much as a short turn (benchmark `ring`).

    Attributes:
        cell: Whose turn it is.
        send: Steps it: `send(None)` gives what the handler waits for, `TURN_OVER` or `MIGRATE`.
        throw: Raises an exception where the handler waits.
    """

    __slots__ = ("cell", "send", "throw")

    def __init__(self) -> None:
        self.cell: Any = None
        turns = self._turns()
        self.send = turns.send
        self.throw = turns.throw

    @types.coroutine
    def _turns(self) -> Generator[Any, Any, None]:
        while True:
            yield from self.cell.turn()
            yield TURN_OVER


class Dispatcher:
    """The ready queue and the workers of one system.

    Args:
        loop: The event loop of the system.
        debug: Log handlers that block the loop.

    Attributes:
        ready: Who has something to do.
        awake: Whether some worker is certain to look at the ready queue before the loop sleeps.
        turn_until: When the turn that runs is to be over, on `time.monotonic()`; it has `TURN_SECONDS` at least.
        now: The time of the worker's last look at the clock, on `loop.time()`; no older than one turn of the loop
            while `awake`.
    """

    __slots__ = (
        "_closed",
        "_debug",
        "_help_until",
        "_helper",
        "_idle",
        "_loop",
        "_thread",
        "_warm",
        "_workers",
        "awake",
        "now",
        "ready",
        "turn_until",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, *, debug: bool = False) -> None:
        self.ready: deque[Any] = deque()
        self.awake = False
        self.now = loop.time()
        self.turn_until = 0.0
        self._loop = loop
        self._debug = debug
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[WorkerTask] = set()
        self._warm: OrderedDict[Any, None] = OrderedDict()
        self._closed = False
        self._thread = threading.get_ident()
        self._helper: WorkerTask | None = None
        self._help_until: float | None = None

    def time(self) -> float:
        """The time now, on `loop.time()`. While `awake`, `now` is as good and costs nothing."""
        self.now = now = self._loop.time()
        return now

    def schedule(self, cell: Any) -> None:
        """Let a worker run a turn of `cell` soon. The caller sees to it that it is scheduled once."""
        self.ready.append(cell)
        if not self.awake:
            self._wake()

    def keep_warm(self, cell: Any) -> None:
        """Remember who has been busy, and let whoever was so longest ago cool down."""
        cell.warm = True
        self._warm[cell] = None
        if len(self._warm) > _WARM:
            coolest, _ = self._warm.popitem(last=False)
            coolest.warm = False
            coolest.cool_down()

    def forget(self, cell: Any) -> None:
        """It has ended."""
        cell.warm = False
        self._warm.pop(cell, None)

    def _wake(self) -> None:
        self.awake = True
        self.now = self._loop.time()
        while self._idle:
            parked = self._idle.pop()
            if not parked.done():
                parked.set_result(None)
                return
        self._start_worker()

    # Direct hand-over

    def help_out(self) -> None:
        """Run turns of who is ready, here and now, for a task that is about to wait for an answer.

        The actors cannot tell: their code sees the task of a worker as the current one, and where it suspends that
        worker goes on with it. The asker is spared two turns of the loop. The loop turns all the same, since after
        `TURN_SECONDS` there is no help before it has (benchmark `ask`: three times as many).

        """
        loop = self._loop
        helper = self._helper
        if helper is None:
            self._start_helper()
            return
        until = self._help_until
        now = time.monotonic()
        if until is None:
            self._help_until = now + TURN_SECONDS
            loop.call_soon(self._loop_turned)
        elif now > until:
            return
        asker = asyncio.current_task(loop)
        if helper.lane is None or asker is None or self._thread != threading.get_ident() or self._debug:
            return
        self.turn_until = now + 2 * TURN_SECONDS
        ready, lane = self.ready, helper.lane
        waiting: Any = TURN_OVER
        looks = _TURNS_PER_LOOK
        # asyncio's own way for task implementations, see "Extending" in its documentation.
        _leave_task(loop, asker)
        _enter_task(loop, helper)
        try:
            while ready:
                cell = lane.cell = helper.cell = ready.popleft()
                cell.task = helper
                waiting = (cell.context or cell.turn_context()).run(lane.send, None)
                if waiting is not TURN_OVER or helper.tainted or (_ANYIO in _modules and not helper.is_fit()):
                    break
                looks = 0 if cell.scheduled else looks - 1
                if looks <= 0:
                    looks = _TURNS_PER_LOOK
                    if time.monotonic() > now + TURN_SECONDS:
                        break
        finally:
            _leave_task(loop, helper)
            _enter_task(loop, asker)
        if waiting is not TURN_OVER:
            self._helper = None
            if waiting is MIGRATE:
                helper.lane = None
                self._start_worker(lane)
            elif not lane.cell.since:
                lane.cell.since = loop.time()
        else:
            lane.cell = helper.cell = None
            if helper.is_fit():
                return
            self._helper = helper.lane = None
        if helper.handed is not None and not helper.handed.done():
            helper.handed.set_result(waiting)

    def _start_helper(self) -> None:
        if self._closed or self._debug:
            return
        helper = self._helper = WorkerTask(self._help(), loop=self._loop, context=Context())
        self._workers.add(helper)
        helper.add_done_callback(self._workers.discard)

    async def _help(self) -> None:
        """Wait until there is a turn to go on with."""
        me: Any = asyncio.current_task()
        me.handed = self._loop.create_future()
        me.lane = Lane()  # from now on it can help
        waiting, error = None, None
        try:
            waiting = await me.handed
        except asyncio.CancelledError as cancelled:
            error = cancelled  # of the handler that it is to go on with
        if self._helper is me:
            self._helper = None
        if me.lane is not None and me.lane.cell is not None:
            await self._serve(me, me.lane, waiting, error)

    def _loop_turned(self) -> None:
        self._help_until = None

    # Workers

    def _start_worker(self, lane: Lane | None = None) -> None:
        # The worker's own context is empty: each turn enters the context of its actor.
        task = WorkerTask(self._main(lane), loop=self._loop, context=Context())
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    def run_in_own_task(self, cell: Any, main: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        """Run `main()` to its end in a task that belongs to `cell` alone."""
        task = WorkerTask(main(), loop=self._loop, context=context)
        task.cell = cell
        cell.task = task
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _main(self, lane: Lane | None) -> None:
        me: Any = asyncio.current_task()
        try:
            await self._serve(me, lane)
        except asyncio.CancelledError:
            # Somebody's stray cancellation hit a worker between two turns: another one takes its place.
            self.awake = False
            if self.ready:
                self._wake()

    @types.coroutine
    def _serve(
        self, me: Any, lane: Lane | None, waiting: Any = TURN_OVER, error: BaseException | None = None
    ) -> Generator[Any, Any, None]:
        """Run turns. The turns are stepped by hand, so that one `Context.run` covers many messages and a handler that
        suspends is seen at once.

        Args:
            me: The task.
            lane: With a turn that has begun already, if any.
            waiting: What the handler of that turn waits for.
            error: What is to be raised in it instead.
        """
        ready = self.ready
        loop = self._loop
        clock = time.monotonic
        modules = _modules
        cell: Any = None
        if lane is None:
            lane = Lane()
        else:
            cell = lane.cell  # its turn goes on here
        send, throw = lane.send, lane.throw
        lingers = False
        while True:
            self.now = loop.time()
            pause_at = clock() + TURN_SECONDS
            self.turn_until = pause_at + TURN_SECONDS
            looks = _TURNS_PER_LOOK
            while cell is not None or ready:
                if cell is None:
                    lane.cell = cell = ready.popleft()
                me.cell = cell
                cell.task = me
                run = (cell.context or cell.turn_context()).run
                while True:
                    if waiting is not TURN_OVER and error is None:
                        pass  # a helper has stepped it
                    elif self._debug:
                        waiting = self._step_watched(cell, run, send, throw, error)
                    elif error is None:
                        waiting = run(send, None)
                    else:
                        waiting = run(throw, error)
                    if waiting is TURN_OVER:
                        break
                    if waiting is MIGRATE:
                        self._start_worker(lane)
                        return
                    # The handler suspends. Whoever is ready must not wait for it.
                    looks = 0
                    if not cell.since:
                        cell.since = loop.time()
                    self.awake = False
                    if ready:
                        self._wake()
                        if len(ready) > 1:
                            self._wake()  # where one suspends others may: each wakes two, so that many start soon
                    try:
                        error = None
                        yield waiting
                    except BaseException as raised:
                        error = raised
                    waiting = TURN_OVER
                    self.awake = True
                    self.now = loop.time()
                    pause_at = clock() + TURN_SECONDS
                    self.turn_until = pause_at + TURN_SECONDS
                looks = 0 if cell.scheduled else looks - 1  # who has more to do may have taken long
                me.cell = lane.cell = cell = run = error = None  # a worker at rest keeps no actor alive
                lingers = True
                if me.tainted or (_ANYIO in modules and not me.is_fit()):
                    self.awake = False
                    if ready:
                        self._wake()
                    return
                if looks <= 0:
                    looks = _TURNS_PER_LOOK
                    if clock() > pause_at:
                        break
            else:
                if lingers:
                    # Who was served may answer with the next message before the loop sleeps: one turn of the loop is
                    # cheaper than a future and a wake-up (benchmark `ask`).
                    lingers = False
                    yield
                    continue
                self.awake = False
                if self._closed or len(self._idle) >= _IDLE_WORKERS:
                    return
                parked = loop.create_future()
                self._idle.append(parked)
                try:
                    yield from parked
                except asyncio.CancelledError:
                    if not parked.done():
                        self._idle.remove(parked)
                    raise
                continue
            yield  # let the loop turn, and go on

    def _step_watched(self, cell: Any, run: Any, send: Any, throw: Any, error: BaseException | None) -> Any:
        """One step of a turn, in debug mode: whoever blocks the loop is logged."""
        began = time.monotonic()
        try:
            return run(send, None) if error is None else run(throw, error)
        finally:
            if time.monotonic() - began > _BLOCKED_SECONDS:
                _log.warning(
                    "a handler blocked the event loop", actor=cell.path, seconds=round(time.monotonic() - began, 3)
                )

    async def aclose(self) -> None:
        """End the workers; whoever still runs is cancelled."""
        self._closed = True
        if self._helper is not None and self._helper.handed is not None and not self._helper.handed.done():
            self._helper.handed.set_result(None)
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
