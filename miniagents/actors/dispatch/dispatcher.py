"""The dispatcher: a small set of reusable tasks that run all actors of a system.

An actor with something to do is put into the ready queue, and a worker (a task) runs it: many messages in one turn, up
to a quantum, then the next. A worker whose handler suspends stays with that handler and hands the ready queue to
another. So an idle actor owns no task, and a handler sees a real `asyncio.current_task()`.
"""

import asyncio
import sys
import time
import types
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from sys import getrefcount
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

from miniagents.actors.dispatch.handoff import Handoff
from miniagents.actors.dispatch.scheduling import Scheduling, scheduling_of
from miniagents.actors.dispatch.workers import MIGRATE, TURN_OVER, Trampoline, WorkerTask, stack_of_worker
from miniagents.log import log as _log
from miniagents.promising.abandoning import INSIST_EVERY, abandon, log_abandoned
from miniagents.promising.failures import log_failure

if TYPE_CHECKING:
    from miniagents.actors.ports import Coolable, Runnable


QUANTUM = 64
"""Messages that one actor handles before the next actor has its turn."""

TURN_SECONDS = 0.001
"""The least time for which a worker runs ready actors before it lets the event loop turn, in seconds."""

MOST_SECONDS = 0.05
"""The same at the most: as long as the loop's other callbacks took in its last turn, up to this. Beside a busy server a
worker with a millisecond a turn would get a small share of the loop, and a thousand calls that come at once would begin
in forty turns of it."""

_TURNS_PER_LOOK = 4
"""Turns between two looks at the clock; after one whose handler suspended there always is one."""

_WARM = 2048
"""Actors at rest that keep what a busy one needs (a queue, a context) at most: the last ones that were busy."""

_IDLE_WORKERS = 32
"""Workers that wait for work at most; one more ends."""

_BLOCKED_SECONDS = 0.1
"""In debug mode, a step of a handler that blocks the loop for longer is logged."""


class Dispatcher:
    """The ready queue and the workers of one system.

    Args:
        loop: The event loop of the system.
        scheduling: Who has the next turn, and for how long; that of the loop by default.
        debug: Log handlers that block the loop.

    Attributes:
        ready: Who has something to do.
        awake: Whether some worker is certain to look at the ready queue before the loop sleeps.
        clock: What turns are measured with.
        turn_until: When the turn that runs is to be over, on `clock()`; it has `TURN_SECONDS` at least.
        helped: Whether turns were run by who waits for an answer (`Handoff`) since the worker last looked.
        now: The time of the worker's last look at the clock, on `loop.time()`; no older than one turn of the loop
            while `awake`.
    """

    __slots__ = (
        "_closed",
        "_cpu_clock",
        "_held",
        "_idle",
        "_loop",
        "_warm",
        "_workers",
        "awake",
        "clock",
        "debug",
        "helped",
        "helpers",
        "now",
        "ready",
        "turn_until",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, scheduling: Scheduling | None = None, *, debug: bool = False
    ) -> None:
        scheduling = scheduling or scheduling_of(loop)
        self.ready = scheduling.ready_queue(self)
        self.clock = scheduling.clock
        self._cpu_clock = scheduling.cpu_clock
        self.awake = False
        self.now = loop.time()
        self.turn_until = 0.0
        self.helped = False
        self._loop = loop
        self.debug = debug
        self._idle: list[asyncio.Future[None]] = []
        self._workers: dict[WorkerTask, None] = {}
        self._warm: OrderedDict[Coolable, None] = OrderedDict()
        self._closed = False
        self._held = sys.maxsize
        self.helpers = Handoff(self, loop)

    def time(self) -> float:
        """The time now, on `loop.time()`. While `awake`, `now` is as good and costs nothing."""
        self.now = now = self._loop.time()
        return now

    def schedule(self, cell: "Runnable") -> None:
        """Let a worker run a turn of `cell` soon. The caller sees to it that it is scheduled once."""
        self.ready.append(cell)
        if not self.awake:
            self.wake()

    def keep_warm(self, cell: "Coolable") -> None:
        """Remember an actor that was busy, and let the one cool down that was busy longest ago."""
        cell.warm = True
        self._warm[cell] = None
        if len(self._warm) > _WARM:
            coolest, _ = self._warm.popitem(last=False)
            coolest.warm = False
            coolest.cool_down()

    def forget(self, cell: "Coolable") -> None:
        """Forget an actor that has ended."""
        cell.warm = False
        self._warm.pop(cell, None)

    def wake(self) -> None:
        """Let a worker look into the ready queue: one that is parked, or a new one."""
        self.awake = True
        self.now = self._loop.time()
        while self._idle:
            parked = self._idle.pop()
            if not parked.done():
                parked.set_result(None)
                return
        self.go_on()

    # Workers

    def go_on(self, lane: Trampoline | None = None) -> None:
        """Start a worker, which goes on with the turn of `lane`, if one is given."""
        # The worker's own context is empty: each turn enters the context of its actor.
        task = WorkerTask(self._main(lane), loop=self._loop, context=Context())
        task.lane = lane
        self.own(task)

    def own(self, task: WorkerTask) -> None:
        """Own a worker: it ends with this dispatcher at the latest."""
        self._workers[task] = None
        # Nor is whoever makes it kept by the context that it runs in.
        task.add_done_callback(self._worker_ended, context=Context())

    def _worker_ended(self, task: WorkerTask) -> None:
        self._workers.pop(task, None)
        if not task.cancelled():
            if (error := task.exception()) is not None:
                self._worker_failed(task, error)
            return
        # It was cancelled before its first step, and so has not seen to anything itself.
        if task.lane is not None and task.lane.cell is not None:
            self.go_on(task.lane)
        elif not self._closed:
            self.replace_worker()

    def _worker_failed(self, worker: WorkerTask, error: BaseException) -> None:
        """Turns never raise, so that this is a fault of the runtime: it ends whom that worker served, and no other."""
        cell = worker.cell
        log_failure("runtime.worker_failed", error, actor=getattr(cell, "path", None))
        if cell is not None:
            cell.break_down(error)
        self.replace_worker()

    def run_in_own_task(
        self, cell: "Runnable", main: Callable[[], Coroutine[Any, Any, None]], context: Context
    ) -> None:
        """Run `main()` to its end in a task that belongs to `cell` alone."""
        task = WorkerTask(main(), loop=self._loop, context=context)
        task.held = sys.maxsize  # whoever keeps it keeps this actor's own
        task.cell = cell
        cell.task = task
        self.own(task)

    async def _main(self, lane: Trampoline | None) -> None:
        me = asyncio.current_task()
        assert isinstance(me, WorkerTask)  # this is the main coroutine of one
        try:
            await self.serve(me, lane)
        except asyncio.CancelledError:
            self.replace_worker()

    def replace_worker(self) -> None:
        """Somebody's stray cancellation hit a worker between two turns: another one takes its place."""
        self.awake = False
        if self.ready:
            self.wake()

    @types.coroutine
    def serve(
        self, me: WorkerTask, lane: Trampoline | None, waiting: object = TURN_OVER, error: BaseException | None = None
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
        clock, cpu_clock = self.clock, self._cpu_clock
        cell: Any = None
        if lane is None:
            lane = Trampoline()
            self._held = min(self._held, getrefcount(me))  # nobody has seen it yet, as a rule
        else:
            cell = lane.cell  # its turn goes on here
        me.lane = lane
        send, throw = lane.send, lane.throw
        if me.held >= 0:
            me.held = self._held + me.registered + 2  # in a turn, the actor has one more, and so has its turn
        lingers = False
        paused_at: float | None = None  # when it last let the loop turn, with more to do
        while True:
            self.now = loop.time()
            began = clock()
            # By CPU time: who has to share the processor with other programs must not take that for the others' share.
            share = cpu_clock() - paused_at if paused_at is not None and not self.helped else 0.0
            self.helped = False
            pause_at = began + min(max(share, TURN_SECONDS), MOST_SECONDS)
            self.turn_until = began + TURN_SECONDS
            looks = _TURNS_PER_LOOK
            while cell is not None or ready:
                if cell is None:
                    lane.cell = cell = ready.popleft()
                me.cell = cell
                cell.task = me
                context = cell.context
                run = (context if context is not None else cell.turn_context()).run
                while True:
                    if waiting is not TURN_OVER and error is None:
                        pass  # a helper has stepped it
                    elif self.debug:
                        waiting = self._step_watched(cell, run, send, throw, error)
                    elif error is None:
                        waiting = run(send, None)
                    else:
                        waiting = run(throw, error)
                    if waiting is TURN_OVER:
                        break
                    if waiting is MIGRATE:
                        me.lane = None  # it is not to be gone on with again, should this task end as cancelled
                        self.go_on(lane)
                        error = None  # else it and this frame would be a cycle
                        return
                    # The handler suspends. Whoever is ready must not wait for it.
                    looks = 0
                    if not cell.since:
                        cell.since = loop.time()
                    self.awake = False
                    if ready:
                        self.wake()
                        if len(ready) > 1:
                            self.wake()  # where one suspends others may: each wakes two, so that many start soon
                    try:
                        error = None
                        yield waiting
                    except GeneratorExit:
                        raise  # the loop has ended without it
                    except BaseException as raised:
                        error = raised
                    waiting = TURN_OVER
                    self.awake = True
                    self.now = loop.time()
                    began = clock()
                    pause_at = began + TURN_SECONDS
                    self.turn_until = began + TURN_SECONDS
                looks = 0 if cell.scheduled else looks - 1  # who has more to do may have taken long
                me.cell = lane.cell = cell = context = run = error = None  # a worker at rest keeps no actor alive
                lingers = True
                if getrefcount(me) + getweakrefcount(me) > me.held - 2 and (
                    getrefcount(me) > me.held - me.registered - 2 or me.is_watched()
                ):
                    self.awake = False
                    if ready:
                        self.wake()
                    return
                if looks <= 0:
                    looks = _TURNS_PER_LOOK
                    looked = clock()
                    if looked > pause_at:
                        break
                    self.turn_until = looked + TURN_SECONDS
            else:
                if lingers:
                    # Who was served may answer with the next message before the loop sleeps: one turn of the loop is
                    # cheaper than a future and a wake-up (benchmark `ask`).
                    lingers = False
                    paused_at = None
                    yield
                    continue
                self.awake = False
                paused_at = None
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
            paused_at = cpu_clock()
            yield  # let the loop turn, and go on

    def _step_watched(
        self,
        cell: "Runnable",
        run: Callable[..., object],
        send: Callable[[None], object],
        throw: Callable[[BaseException], object],
        error: BaseException | None,
    ) -> object:
        """One step of a turn, in debug mode: whoever blocks the loop is logged."""
        began = time.monotonic()
        try:
            return run(send, None) if error is None else run(throw, error)
        finally:
            if time.monotonic() - began > _BLOCKED_SECONDS:
                _log.warning("loop.blocked", actor=cell.path, seconds=round(time.monotonic() - began, 3))

    def serving(self) -> "list[Runnable]":
        """Return the runnables that the workers serve now."""
        return [worker.cell for worker in self._workers if worker.cell is not None]

    def abandon(self, worker: Any) -> None:
        """Go on without a worker whose handler swallows its cancellation."""
        self._workers.pop(worker, None)
        abandon(worker)

    async def aclose(self, gives_up: Callable[[float], bool]) -> None:
        """End the workers; whoever still runs is cancelled.

        Args:
            gives_up: Whether one that was cancelled at a time, and still runs, is to be abandoned.
        """
        self._closed = True
        self.helpers.close()
        for parked in self._idle:
            if not parked.done():
                parked.set_result(None)
        self._idle.clear()
        while workers := [w for w in self._workers if w is not asyncio.current_task()]:
            for worker in workers:
                if worker.cell is not None:
                    worker.interrupt()
            await asyncio.wait(workers, timeout=INSIST_EVERY)
            for worker in workers:
                if not worker.done() and gives_up(worker.interrupted_at):
                    log_abandoned(stack_of_worker(worker), actor=getattr(worker.cell, "path", None))
                    self.abandon(worker)
