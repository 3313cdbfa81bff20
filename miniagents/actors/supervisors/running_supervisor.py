"""A supervisor at work: it carries out what `miniagents.supervision` decides.

It follows OTP's `supervisor` function by function: it does one thing after the other (its inbox of jobs is the mailbox
of OTP's process), a restart that fails goes back through the inbox, so that a stop can come in between, and
counts as one more restart.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors.cells.actor import IgnoreStart
from miniagents.actors.cells.cell import Cell
from miniagents.actors.observing.events import EventKind
from miniagents.actors.waiting.search import Held
from miniagents.errors import (
    ActorStoppedError,
    AlreadyPresentError,
    AlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    SimpleOneForOneError,
    StartError,
)
from miniagents.promising import Promise
from miniagents.promising.promise import settled
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision import (
    AutoShutdown,
    ChildSpec,
    OneForAll,
    OneForOne,
    Restart,
    RestartWindow,
    RestForOne,
    Shutdown,
    SimpleOneForOne,
    StopReason,
    Strategy,
    answers,
    shuts_down,
)
from miniagents.supervision.lifecycle import Wish

if TYPE_CHECKING:
    from miniagents.actors.messaging.ref import ActorRef

_log = structlog.get_logger("miniagents")

Job = Callable[[], Awaitable[None]]


class Status(enum.Enum):
    """What a supervisor knows of a child."""

    RUNNING = "running"
    UNDEFINED = "undefined"
    """Its specification is there, and no child."""
    RESTARTING = "restarting"
    """It ended, and its restart has not succeeded yet."""


class Child:
    """One child of a supervisor.

    Attributes:
        id: The id of its specification.
        spec: Its specification; None for what an actor spawned through its context.
        kwargs: What its constructor gets.
        cell: Its cell; while a restart is due, the cell without an instance.
        status: What is known of it.
        down: The exit that waits to be answered; whoever deals with the child in between withdraws it.
        backoff: The timer of a restart that waits for its time.
        awaits_group: Whether it is to be started again with its siblings, and has not been yet.
        in_row: Restarts since it last handled a message.
        is_unwanted: Whether whoever asked for its start was cancelled.
        handled: How many messages it had handled at its last restart.
    """

    __slots__ = (
        "awaits_group",
        "backoff",
        "cell",
        "down",
        "handled",
        "id",
        "in_row",
        "is_unwanted",
        "kwargs",
        "spec",
        "status",
    )

    def __init__(self, id: str, spec: ChildSpec | None, kwargs: Mapping[str, Any]) -> None:
        self.id = id
        self.spec = spec
        self.kwargs = kwargs
        self.cell: Any = None
        self.status = Status.UNDEFINED
        self.down: object = None
        self.backoff: asyncio.TimerHandle | None = None
        self.awaits_group = False
        self.is_unwanted = False
        self.in_row = 0
        self.handled = 0

    def withdraw_exit(self) -> None:
        """Its exit is dealt with, or void."""
        self.down = None
        if self.backoff is not None:
            self.backoff.cancel()
            self.backoff = None

    @property
    def is_temporary(self) -> bool:
        """Whether its specification goes with it."""
        return self.spec is not None and self.spec.restart is Restart.TEMPORARY


class RunningSupervisor:
    """Supervises the children of one cell.

    Args:
        host: The cell whose children they are.
        strategy: Who is restarted with whom, and how often.
        auto_shutdown: Whether the end of significant children ends it.
        on_shutdown: Called when it ends itself: with the crash that was one too many, or None for `auto_shutdown`.
    """

    def __init__(
        self,
        host: Cell,
        strategy: Strategy,
        auto_shutdown: AutoShutdown,
        on_shutdown: Callable[[BaseException | None], Awaitable[None]],
    ) -> None:
        self.children: dict[str, Child] = {}
        self.template: ChildSpec | None = None
        self._host = host
        self._strategy = strategy
        self._auto_shutdown = auto_shutdown
        self._on_shutdown = on_shutdown
        self._of: dict[Cell, Child] = {}
        self._window = RestartWindow(strategy.max_restarts, strategy.within)
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._starting: Child | None = None
        self._ending: Child | None = None
        self._closed = False
        self._cut_off_at: asyncio.TimerHandle | None = None
        self._judged: list[Promise[None]] = []
        self._numbers = 0

    @property
    def is_simple(self) -> bool:
        """Whether all children are made of one specification."""
        return isinstance(self._strategy, SimpleOneForOne)

    # The inbox

    def submit(self, job: Job) -> None:
        """Do this when all before it is done."""
        self._jobs.append(job)
        if self._task is None:
            # Its own context: whose call it is must not show in the children that it starts.
            self._begin_work()

    def _begin_work(self) -> None:
        task = self._task = self._host.system.loop.create_task(self._work(), context=Context())
        task.add_done_callback(self._work_ended)

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                await job()
            except Exception as error:
                _log.error("runtime.supervisor_failed", actor=self._host.path, stack=traceback_text(error))
                self._host.system.fail(error)

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        # Between the end of the work and this call there may have come more, which saw the task.
        self._task = None
        if self._jobs:
            self._begin_work()
        else:
            self._tell_judged()

    def _tell_judged(self) -> None:
        judged, self._judged = self._judged, []
        for promise in judged:
            promise.resolve(None)

    def verdicts(self) -> Promise[None] | None:
        """A promise that settles when the exits that have come so far are judged; None if they are. A start that may
        hang is not waited for."""
        if self._task is None or self._starting is not None:
            return None
        judged: Promise[None] = Promise()
        self._judged.append(judged)
        return judged

    def call(self, function: Callable[[], Awaitable[Any]]) -> Promise[Any]:
        """Let the supervisor work out an answer, in its turn."""
        promise: Promise[Any] = Promise()
        promise.producer = self._host

        async def job() -> None:
            if self._closed:
                promise.reject(ActorStoppedError(f"{self._host.path}: the supervisor has ended", path=self._host.path))
                return
            try:
                promise.resolve(await function())
            except BaseException as error:
                promise.reject(error)
                if not isinstance(error, Exception):
                    raise

        self.submit(job)
        return promise

    async def _wait(self, promise: Promise[Any]) -> None:
        """Wait for a child, seen by the detection of rings, but never its victim."""
        host = self._host
        if host.is_supervisor:
            host.waits = Held((promise, None))
        try:
            await settled(promise)
        finally:
            if host.is_supervisor:
                host.waits = None

    # Starting

    async def start_all(self, specs: tuple[ChildSpec, ...]) -> StartError | None:
        """Start the first children, in order.

        Returns:
            None, or why one did not start; those before it are stopped again then.
        """
        if self.is_simple:
            return None  # they are started one by one, at run time
        for spec in specs:
            self.children[spec.id] = Child(spec.id, spec, spec.kwargs)
        failed = await self._start_in_order(list(self.children.values()), None)
        if failed is None:
            return None
        child, error = failed
        await self.stop_children()
        return self._start_error(child, error)

    def _start_error(self, child: Child, error: BaseException) -> StartError:
        start_error = StartError(
            f"{self._host.path}: child {child.id!r} did not start: {type(error).__name__}: {error}",
            child_id=child.id,
            path=self._host.path,
        )
        start_error.__cause__ = error
        return start_error

    async def _start_in_order(self, children: list[Child], reason: Any) -> tuple[Child, BaseException] | None:
        for child in children:
            if self._closed:
                break  # the end of one that is significant has ended the supervisor
            error = await self._start(child, reason)
            if error is not None:
                return child, error
        return None

    async def _start(self, child: Child, reason: Any) -> BaseException | None:
        """Start a child, or a fresh instance behind the mailbox that it has kept.

        The table of the child's life ends this wait: whatever becomes of a start is reported.

        Returns:
            Why it did not start. One that raises `IgnoreStart` is no failure: it stays UNDEFINED. Neither is one that
            was stopped meanwhile and whose restart type does not answer that.
        """
        started: Promise[None] = Promise()

        def report(error: BaseException | None) -> None:
            # At once, since whatever ends the child from now on is an exit as any other.
            self._starting = None
            child.awaits_group = False
            if self._cut_off_at is not None:
                self._cut_off_at.cancel()
                self._cut_off_at = None
            if error is None:
                child.status = Status.RUNNING
                started.resolve(None)
            else:
                child.status = Status.UNDEFINED
                started.reject(error)

        cell = child.cell
        is_new = cell is None or not cell.is_alive
        if is_new:
            try:
                cell = self._new_cell(child)
            except Exception as unmade:  # an agent that does not take these arguments
                child.cell = None
                child.status = Status.UNDEFINED
                return unmade
        self._starting = child
        self._tell_judged()
        if is_new:
            started.producer = cell
            cell.on_started = report
            cell.begin()
        else:
            started.producer = cell
            cell.resume(reason if reason is not None else StopReason.SHUTDOWN, report)
        life = self._host.life
        if self._host.is_supervisor and (life.wish >= Wish.STOP or life.brutal):
            # It starts those that are still to come, as OTP's does, but waits for none of them for ever.
            self.hurry() if life.brutal and life.wish >= Wish.STOP else self.urge(child)
        await self._wait(started)
        error = started.exception()
        if error is None:
            return None
        if cell.is_alive:
            return error  # a restart that failed: it stays, with its mailbox, for the next one
        self._of.pop(cell, None)
        child.cell = None
        if isinstance(error, IgnoreStart):
            if child.is_temporary:
                self._remove(child)
            return None
        if is_new:
            return error
        await self._account_for(child)  # those that are to be started after it are its group's, and come next
        return None

    def _new_cell(self, child: Child) -> Any:
        spec, host = child.spec, self._host
        assert spec is not None  # children without a specification are never started twice
        name = child.id if not self.is_simple else host.child_name(None, spec.id)
        cell: Any = host.system.new_cell(host, spec.child, name, spec.options, child.kwargs)
        self.take(cell, child)
        return cell

    def take(self, cell: Any, child: Child) -> None:
        """Make a cell the child's."""
        spec = child.spec
        if spec is not None:
            cell.spec = spec
            if isinstance(spec.shutdown, Shutdown):
                cell.shutdown = 0.0 if spec.shutdown is Shutdown.KILL else None
            else:
                cell.shutdown = spec.shutdown
        cell.supervisor = self
        child.cell = cell
        child.handled = 0
        self._of[cell] = child
        self._host.add_child(cell)

    def adopt(self, cell: Any) -> None:
        """An actor spawned a child through its context."""
        child = Child(cell.name, None, {})
        child.status = Status.RUNNING
        self.children[child.id] = child
        self.take(cell, child)

    # Ends

    def answers(self, cell: Any, reason: StopReason | BaseException) -> bool:
        """Whether a child is restarted after such an end."""
        child = self._of.get(cell)
        if child is None or self._closed:
            return False
        if child.spec is None:
            return isinstance(reason, BaseException)
        return answers(child.spec.restart, reason)

    def child_down(self, cell: Any, reason: StopReason | BaseException) -> None:
        """A child has exited, and its restart type answers that."""
        child = self._of[cell]
        token = child.down = object()

        async def job() -> None:
            if child.down is token:
                await self._restart(child, reason)

        self.submit(job)

    def child_ended(self, cell: Any, reason: StopReason | BaseException) -> None:
        """A child has ended for good."""
        child = self._of.pop(cell, None)
        if child is None or child is self._ending or child is self._starting or self._closed:
            return
        child.withdraw_exit()

        async def job() -> None:
            if child.cell is cell:
                await self._gone(child)

        self.submit(job)

    async def _gone(self, child: Child) -> None:
        """A child has ended for good, by itself."""
        await self._account_for(child)
        await self._go_on_without(child)

    async def _account_for(self, child: Child) -> None:
        self._forget(child)
        spec = child.spec
        others = (
            c.spec is not None and c.spec.significant
            for c in self.children.values()
            if c is not child and c.status is not Status.UNDEFINED
        )
        if spec is not None and not self._closed and shuts_down(self._auto_shutdown, spec.significant, others):
            await self._on_shutdown(None)

    async def _go_on_without(self, child: Child) -> None:
        """A child is gone whose restart had failed and was to be tried again: its siblings do not wait for it any more.

        OTP leaves them undefined until the next restart of the group. Here a restart may be due for half a minute.
        """
        child.awaits_group = False
        due = {c.id for other in self.children.values() if other.down is not None for c in self._group(other)}
        waiting = [c for c in self.children.values() if c.awaits_group and c.id not in due]
        if waiting and not self._closed:
            await self._start_group(waiting, None)

    def _forget(self, child: Child) -> None:
        """OTP's `del_child`: a temporary child goes with its specification, of others the specification stays."""
        child.withdraw_exit()
        child.status = Status.UNDEFINED
        cell, child.cell = child.cell, None
        self._of.pop(cell, None)
        if child.is_temporary or child.spec is None or self.is_simple:
            self._remove(child)

    def _remove(self, child: Child) -> None:
        self.children.pop(child.id, None)

    # Restarts

    async def _restart(self, child: Child, reason: StopReason | BaseException) -> None:
        host = self._host
        child.withdraw_exit()
        if self._closed:
            return
        if not self._window.record(host.system.time()):
            await self._give_up(child, reason)
            return
        backoff = self._strategy.backoff
        if backoff is None:
            await self._restart_group(child, reason)
            return
        cell = child.cell  # None where not even an earlier start behind this mailbox has succeeded
        if cell is not None and cell.handled != child.handled:
            child.in_row = 0
            child.handled = cell.handled
        delay = backoff.delay(child.in_row, host.system.random)
        child.in_row += 1
        child.status = Status.RESTARTING
        token = child.down = object()

        async def later() -> None:
            if child.down is token and not self._closed:
                await self._restart_group(child, reason)

        child.backoff = host.system.loop.call_later(delay, self.submit, later)

    async def _restart_group(self, child: Child, reason: StopReason | BaseException) -> None:
        """Stop those that the strategy restarts with the child, and start all of them, in order."""
        group = self._group(child)
        child.withdraw_exit()
        child.awaits_group = True
        child.status = Status.UNDEFINED
        for sibling in reversed(group):
            if sibling is not child:
                await self._suspend(sibling)
        await self._start_group([c for c in group if c.id in self.children], reason)

    async def _start_group(self, group: list[Child], reason: Any) -> None:
        failed = await self._start_in_order(group, reason)
        if failed is None or self._closed:
            return
        again, error = failed
        again.status = Status.RESTARTING
        token = again.down = object()
        _log.warning("supervisor.restart_failed", actor=f"{self._host.path}/{again.id}", error=repr(error))

        async def job() -> None:
            if again.down is token:
                await self._restart(again, error)

        self.submit(job)

    def _group(self, child: Child) -> list[Child]:
        children = list(self.children.values())
        if isinstance(self._strategy, OneForAll):
            return children
        if isinstance(self._strategy, RestForOne):
            return children[children.index(child) :]
        assert isinstance(self._strategy, (OneForOne, SimpleOneForOne))
        return [child]

    async def _suspend(self, child: Child) -> None:
        """End a child that is about to be restarted with a sibling: it keeps ref and mailbox."""
        if child.is_temporary:
            await self._end(child)
            self._remove(child)
            return
        child.withdraw_exit()
        cell = child.cell
        if cell is not None and cell.is_alive:
            await cell.suspend()
        else:
            child.cell = None  # it has ended by itself: that is dealt with, too
        child.awaits_group = True
        child.status = Status.UNDEFINED

    async def _give_up(self, child: Child, reason: StopReason | BaseException) -> None:
        strategy, host = self._strategy, self._host
        cause = reason if isinstance(reason, BaseException) else None
        if cause is None:
            cause = ActorStoppedError(
                f"{host.path}/{child.id}: ended with {reason!r} once too often", path=f"{host.path}/{child.id}"
            )
        _log.error(
            "supervisor.gave_up",
            actor=host.path,
            child=child.id,
            max_restarts=strategy.max_restarts,
            within=strategy.within,
            error=repr(cause),
        )
        host.system.events.publish(EventKind.ESCALATION, host.path, error=cause, logged=True)
        cell = child.cell
        self._forget(child)
        if cell is not None and cell.is_alive:
            cell.terminate(reason)
        await self._on_shutdown(cause)

    # Stopping

    async def stop_all(self) -> None:
        """Stop all children and take no more jobs. Called from outside the supervisor's own task."""
        if self._closed:
            return
        done = self._host.system.loop.create_future()

        async def job() -> None:
            await self.stop_children()
            if not done.done():
                done.set_result(None)

        self.submit_stop(job)
        await done

    def submit_stop(self, job: Job) -> None:
        """Like `submit`, and a start that hangs is cut off when its time to shut down is over."""
        self.submit(job)
        self.urge_start()

    def urge_start(self) -> None:
        """Somebody waits for what comes after the start that is under way."""
        if self._starting is not None:
            self.urge(self._starting)

    def urge(self, child: Child) -> None:
        """Somebody waits for the end of a child that is in its start."""
        cell = child.cell
        if child is self._starting and cell is not None:
            if cell.is_supervisor or cell.shutdown == 0:
                cell.cancel_start()  # a supervisor's own children have their own times
            elif cell.shutdown is not None and self._cut_off_at is None:
                self._cut_off_at = self._host.system.loop.call_later(cell.shutdown, cell.cancel_start)

    def hurry(self) -> None:
        """Let the child that is in its start, or those in their end, have no grace any more."""
        if self._starting is not None and self._starting.cell is not None:
            self._starting.cell.cancel_start()
        ending = tuple(self._of.values()) if self._closed and self.is_simple else (self._ending,)
        for child in ending:
            if child is not None and child.cell is not None:
                child.cell.terminate(StopReason.KILLED)

    def find_starting(self, which: Any) -> Child | None:
        """The child, if it is in its start."""
        child = self._starting
        if child is not None and (child.id == which or child.cell is getattr(which, "_cell", None)):
            return child
        return None

    def close(self) -> None:
        """Answer nothing any more: it was replaced before it had begun."""
        self._closed = True

    async def stop_children(self) -> None:
        """Stop all children, in reverse order; those of `SimpleOneForOne` all at once. In the supervisor's own task."""
        self._closed = True
        children = [c for c in reversed(self.children.values()) if c.cell is not None]
        if self.is_simple:
            ends = [self._ask_to_end(child) for child in children]
            for end in ends:
                await self._wait(end)
        else:
            for child in children:
                await self._end(child)
        for child in self.children.values():  # also one that has nothing but a restart that is due
            child.withdraw_exit()
            child.status = Status.UNDEFINED
            child.cell = None
        self._of.clear()

    async def _end(self, child: Child) -> None:
        """End a child for good."""
        child.withdraw_exit()
        cell = child.cell
        if cell is not None and cell.is_alive:
            self._ending = child
            try:
                await self._wait(self._ask_to_end(child))
            finally:
                self._ending = None
        self._of.pop(cell, None)
        child.cell = None
        child.status = Status.UNDEFINED

    def _ask_to_end(self, child: Child) -> Promise[Any]:
        cell: Any = child.cell
        host = self._host
        brutal = child.spec is not None and child.spec.shutdown is Shutdown.KILL
        brutal = brutal or (host.is_supervisor and host.life.brutal and host.life.wish >= Wish.STOP)
        end: Promise[Any] = cell.terminate(StopReason.KILLED if brutal else StopReason.SHUTDOWN)
        return end

    # Calls; they run in the supervisor's own task

    def new_child(self, spec: ChildSpec) -> Child:
        """What `start_child` takes: a child of a specification of its own."""
        return Child(spec.id, spec, spec.kwargs)

    def new_simple_child(self, kwargs: Mapping[str, Any]) -> Child:
        """The same of `simple_one_for_one`: one of the template, with more arguments."""
        assert self.template is not None
        self._numbers += 1
        return Child(str(self._numbers), self.template, {**self.template.kwargs, **kwargs})

    async def start_child(self, child: Child) -> "ActorRef | None":
        """OTP's `start_child`."""
        present = self.children.get(child.id)
        if present is not None:
            if present.status is Status.RUNNING:
                raise AlreadyStartedError(
                    f"{self._host.path}: child {child.id!r} runs already", child_id=child.id, ref=present.cell.ref
                )
            raise AlreadyPresentError(
                f"{self._host.path}: there is a specification {child.id!r} already; restart_child or delete_child it",
                child_id=child.id,
            )
        if child.is_unwanted:
            return None
        self.children[child.id] = child
        error = await self._start(child, None)
        if error is not None:
            self._remove(child)
            raise self._start_error(child, error)
        if child.cell is None and self.is_simple:
            self._remove(child)
        return child.cell.ref if child.cell is not None else None

    def undo_start(self, child: Child) -> None:
        """Whoever asked for `start_child` was cancelled: nothing is to be kept of the child."""
        child.is_unwanted = True

        async def job() -> None:
            if self.children.get(child.id) is child:
                await self._end(child)
                self._remove(child)

        self.submit(job)
        self.urge(child)

    async def terminate_child(self, which: Any) -> None:
        """OTP's `terminate_child`."""
        if self.is_simple:
            if isinstance(which, str):
                raise SimpleOneForOneError(
                    f"{self._host.path}: terminate_child of a SimpleOneForOne takes the child's ref", child_id=which
                )
            found = self._of.get(which._cell)
            if found is None:
                if which.is_alive:
                    raise self._not_found(which.path)
                return
            child = found
        else:
            child = self._find(which)
        await self._end(child)
        if child.is_temporary or self.is_simple:
            self._remove(child)
        await self._go_on_without(child)

    async def restart_child(self, id: str) -> "ActorRef | None":
        """OTP's `restart_child`."""
        child = self._idle_child(id, "restart_child")
        error = await self._start(child, None)
        if error is not None:
            raise self._start_error(child, error)
        return child.cell.ref if child.cell is not None else None

    async def delete_child(self, id: str) -> None:
        """OTP's `delete_child`."""
        child = self._idle_child(id, "delete_child")
        await self._end(child)  # it has a mailbox still if it was to be restarted with a sibling
        self._remove(child)

    def _idle_child(self, id: str, what: str) -> Child:
        if self.is_simple:
            raise SimpleOneForOneError(f"{self._host.path}: {what} is not for SimpleOneForOne", child_id=id)
        child = self._find(id)
        if child.status is Status.RESTARTING:
            raise ChildRestartingError(f"{self._host.path}: child {id!r} is about to be restarted", child_id=id)
        if child.status is Status.RUNNING:
            raise ChildRunningError(f"{self._host.path}: child {id!r} runs; terminate_child it first", child_id=id)
        return child

    def _find(self, which: Any) -> Child:
        child = self.children.get(which) if isinstance(which, str) else self._of.get(getattr(which, "_cell", None))  # type: ignore[arg-type]  # None is no child's
        if child is None:
            raise self._not_found(which)
        return child

    def _not_found(self, which: Any) -> ChildNotFoundError:
        return ChildNotFoundError(f"{self._host.path}: there is no child {which!r}", child_id=which)
