"""A supervisor at work: it carries out the decisions of `miniagents.supervision`.

The code follows OTP's `supervisor` function by function. A supervisor runs one job at a time (`JobQueue`). A restart
that fails goes back into the queue, so that a stop can come in between, and counts as one more restart.

The module is longer than most: starts, exits, restarts and ends of children change the same state, and have to be read
together with `supervisor.erl`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.cell_state import IgnoreStart
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.observing.events import EventKind
from miniagents.actors.supervisors.child import Child, Status
from miniagents.actors.supervisors.job_queue import Job, JobQueue
from miniagents.actors.supervisors.start_under_way import StartUnderWay
from miniagents.actors.waiting.search import Held
from miniagents.errors import ActorStoppedError, NodeLostError, StartError
from miniagents.log import log as _log
from miniagents.promising import Promise
from miniagents.promising.promise import settled
from miniagents.supervision import (
    AutoShutdown,
    ChildSpec,
    RestartWindow,
    Shutdown,
    SimpleOneForOne,
    StopReason,
    Strategy,
    answers,
    shuts_down,
)
from miniagents.supervision.lifecycle import Wish
from miniagents.supervision.strategy import restart_group


class RunningSupervisor:
    """Supervises the children of one cell.

    Args:
        host: The cell whose children are supervised.
        strategy: Which children are restarted together, and how often.
        auto_shutdown: Whether the end of significant children ends the supervisor.
        on_shutdown: Called when the supervisor ends itself: with the crash that was one too many, or with None for
            `auto_shutdown`.

    Attributes:
        children: The children by their ids, in the order of their starts.
        template: The specification of the children of a `SimpleOneForOne`.
        jobs: The job queue.
        starting: The start that is under way.
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
        self.host = host
        self._strategy = strategy
        self._auto_shutdown = auto_shutdown
        self._on_shutdown = on_shutdown
        self._of: dict[LivingCell, Child] = {}
        self._window = RestartWindow(strategy.max_restarts, strategy.within)
        self.jobs = JobQueue(host)
        self.starting = StartUnderWay(host)
        self._ending: Child | None = None
        self._numbers = 0
        self._losses: set[NodeLostError] = set()  # the losses of nodes after which children wait to be started again

    @property
    def is_simple(self) -> bool:
        """True if all children are made of one specification."""
        return isinstance(self._strategy, SimpleOneForOne)

    def next_number(self) -> str:
        """Return the id of a new child of a `SimpleOneForOne`."""
        self._numbers += 1
        return str(self._numbers)

    def child_of(self, cell: LivingCell | None) -> Child | None:
        """Return the child that has this cell, or None."""
        return self._of.get(cell) if cell is not None else None

    # Jobs

    def submit(self, job: Job) -> None:
        """Run a job after all that were submitted before it."""
        self.jobs.submit(job)

    def verdicts(self) -> Promise[None] | None:
        """Return a promise that resolves when the exits so far are judged; None if they are, or if a start is under
        way, which may hang."""
        return None if self.jobs.is_idle or self.starting.child is not None else self.jobs.when_idle()

    async def _wait(self, promise: Promise[Any]) -> None:
        """Wait for a child, seen by the detection of cycles, but never its victim."""
        host = self.host
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
        return self.start_error(child, error)

    def start_error(self, child: Child, error: BaseException) -> StartError:
        start_error = StartError(
            f"{self.host.path}: child {child.id!r} did not start: {type(error).__name__}: {error}",
            child_id=child.id,
            path=self.host.path,
        )
        start_error.__cause__ = error
        return start_error

    async def _start_in_order(
        self, children: list[Child], reason: StopReason | BaseException | None
    ) -> tuple[Child, BaseException] | None:
        for child in children:
            if self.jobs.is_closed:
                break  # the end of one that is significant has ended the supervisor
            error = await self.start(child, reason)
            if error is not None:
                return child, error
        return None

    async def start(self, child: Child, reason: StopReason | BaseException | None) -> BaseException | None:
        """Start a child, or a fresh instance behind the mailbox that it has kept.

        The table of the child's life ends this wait: whatever becomes of a start is reported.

        Returns:
            Why it did not start. One that raises `IgnoreStart` is no failure: it stays UNDEFINED. Neither is one that
            was stopped meanwhile and whose restart type does not answer that.
        """
        started: Promise[BaseException | None] = Promise()
        if isinstance(child.down, NodeLostError):
            child.withdraw_exit()  # its node was lost, and here comes the start that this would have led to

        def report(error: BaseException | None) -> None:
            # At once: whatever ends the child from now on is an ordinary exit.
            self.starting.end()
            child.awaits_group = False
            child.status = Status.RUNNING if error is None else Status.UNDEFINED
            started.resolve(error)

        existing = child.cell
        is_new = existing is None or not existing.is_alive
        if existing is not None and not is_new:
            cell = existing
        else:
            try:
                cell = self._new_cell(child)
            except Exception as unmade:  # an agent that does not take these arguments
                child.cell = None
                child.status = Status.UNDEFINED
                return unmade
        self.starting.child = child
        self.jobs.tell_idle_waiters()
        started.producer = cell
        if is_new:
            cell.on_started = report
            cell.begin()
        else:
            cell.resume(reason if reason is not None else StopReason.SHUTDOWN, report)
        life = self.host.life
        if self.host.is_supervisor and (life.wish >= Wish.STOP or life.brutal):
            # It starts those that are still to come, as OTP's does, but waits for none of them for ever.
            self.hurry() if life.brutal and life.wish >= Wish.STOP else self.limit_start()
        await self._wait(started)
        error: BaseException | None = started.settled_value
        if error is None:
            return None
        if cell.is_alive:
            return error  # a restart that failed: it stays, with its mailbox, for the next one
        self._of.pop(cell, None)
        child.cell = None
        if isinstance(error, IgnoreStart):
            if child.is_temporary:
                self.remove(child)
            return None
        if is_new or child.is_lost_by(error):
            return error  # one whose node is lost is started again on another one
        await self._account_for(child)  # those that are to be started after it are its group's, and come next
        return None

    def _new_cell(self, child: Child) -> LivingCell:
        spec, host = child.spec, self.host
        if spec is None:
            actor, options, kwargs = child.made_of  # its node was lost, or it would not be made again
            name = child.id
        else:
            actor, options, kwargs = spec.child, spec.options, child.kwargs
            name = child.id if not self.is_simple else host.child_name(None, spec.id)
        cell: LivingCell = host.system.new_cell(host, actor, name, options, kwargs)
        self.take(cell, child)
        return cell

    def take(self, cell: LivingCell, child: Child) -> None:
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
        child.made_of = getattr(cell, "made_of", child.made_of)
        child.handled = 0
        self._of[cell] = child
        self.host.add_child(cell)

    def adopt(self, cell: LivingCell) -> None:
        """An actor spawned a child through its context."""
        child = Child(cell.name, None, {})
        child.status = Status.RUNNING
        self.children[child.id] = child
        self.take(cell, child)

    # Ends

    def answers(self, cell: LivingCell, reason: StopReason | BaseException) -> bool:
        """Return True if a child is restarted after such an end."""
        child = self._of.get(cell)
        if child is None or self.jobs.is_closed:
            return False
        if child.spec is None:
            return isinstance(reason, BaseException)
        return answers(child.spec.restart, reason)

    def child_down(self, cell: LivingCell, reason: StopReason | BaseException) -> None:
        """Restart a child that has exited, as soon as the jobs before it are done."""
        child = self._of[cell]
        if cell.is_displaced and child.is_lost_by(reason):
            self._lose(child, reason)
        else:
            self._submit_restart(child, reason)

    def child_ended(self, cell: LivingCell, reason: StopReason | BaseException) -> None:
        """Account for a child that has ended for good."""
        child = self._of.pop(cell, None)
        if child is None or child is self._ending or child is self.starting.child or self.jobs.is_closed:
            return
        child.withdraw_exit()
        if child.is_lost_by(reason) and (child.spec is None or answers(child.spec.restart, reason)):
            self._lose(child, reason)
            return

        async def job() -> None:
            if child.cell is cell:
                await self._gone(child)

        self.jobs.submit(job)

    async def _gone(self, child: Child) -> None:
        """A child has ended for good, by itself."""
        await self._account_for(child)
        await self.go_on_without(child)

    async def _account_for(self, child: Child) -> None:
        self._forget(child)
        spec = child.spec
        others = (
            c.spec is not None and c.spec.significant
            for c in self.children.values()
            if c is not child and c.status is not Status.UNDEFINED
        )
        if spec is not None and not self.jobs.is_closed and shuts_down(self._auto_shutdown, spec.significant, others):
            await self._on_shutdown(None)

    async def go_on_without(self, child: Child) -> None:
        """A child is gone whose restart had failed and was to be tried again: its siblings do not wait for it any more.

        OTP leaves them undefined until the next restart of the group. Here a restart may be due for half a minute.
        """
        child.awaits_group = False
        due = {c.id for other in self.children.values() if other.down is not None for c in self._group(other)}
        waiting = [c for c in self.children.values() if c.awaits_group and c.id not in due]
        if waiting and not self.jobs.is_closed:
            await self._start_group(waiting, None)

    def _forget(self, child: Child) -> None:
        """OTP's `del_child`: a temporary child goes with its specification, of others the specification stays."""
        child.withdraw_exit()
        child.status = Status.UNDEFINED
        cell, child.cell = child.cell, None
        if cell is not None:
            self._of.pop(cell, None)
        if child.is_temporary or child.spec is None or self.is_simple:
            self.remove(child)

    def remove(self, child: Child) -> None:
        self.children.pop(child.id, None)

    # Restarts

    def _submit_restart(self, child: Child, reason: StopReason | BaseException) -> None:
        token = child.down = object()
        self.jobs.submit(partial(self._restart, child, reason, token))

    def start_again(self, cell: LivingCell) -> Promise[None]:
        """End a child at once and start it again, alone, whatever its restart type says. That counts in no window.

        Returns:
            The promise of its start, which the job queue ends: see `ActorRef.restart`.
        """

        async def job() -> None:
            child = self._of.get(cell)
            if child is None or not cell.is_alive:
                raise cell.stopped_error()
            child.withdraw_exit()
            await cell.suspend(StopReason.RESTARTED)
            if not cell.is_alive:
                raise cell.stopped_error()
            error = await self.start(child, StopReason.RESTARTED)
            if error is not None:
                self._try_again(child, error)
                raise error
            if not cell.is_alive:
                raise cell.stopped_error()
            await self.go_on_without(child)

        return self.jobs.call(job)

    async def _restart(self, child: Child, reason: StopReason | BaseException, token: object) -> None:
        """Restart a child, at once or after its pause, unless its exit has become void in between."""
        if child.down is not token:
            return
        host = self.host
        child.withdraw_exit()
        if self.jobs.is_closed:
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
        pause = child.down = object()

        async def later() -> None:
            if child.down is pause and not self.jobs.is_closed:
                child.withdraw_exit()
                await self._restart_group(child, reason)

        child.backoff = host.system.loop.call_later(delay, self.jobs.submit, later)

    async def _restart_group(self, child: Child, reason: StopReason | BaseException) -> None:
        """Stop those that the strategy restarts with the child, and start all of them, in order."""
        group = self._group(child)
        child.awaits_group = True
        child.status = Status.UNDEFINED
        if len(group) == 1:
            error = await self.start(child, reason)
            if error is not None:
                self._try_again(child, error)
            return
        for sibling in reversed(group):
            if sibling is not child:
                await self._suspend(sibling)
        await self._start_group([c for c in group if c.id in self.children], reason)

    async def _start_group(self, group: list[Child], reason: StopReason | BaseException | None) -> None:
        failed = await self._start_in_order(group, reason)
        if failed is not None:
            self._try_again(*failed)

    def _try_again(self, child: Child, error: BaseException) -> None:
        """Have a restart that failed tried again, as one more restart; where a node was lost meanwhile, with all that
        were lost with it."""
        if self.jobs.is_closed:
            return
        if (child.cell is None or child.cell.is_displaced) and child.is_lost_by(error):
            self._lose(child, error)
        else:
            child.status = Status.RESTARTING
            _log.warning("supervisor.restart_failed", actor=f"{self.host.path}/{child.id}", error=repr(error))
            self._submit_restart(child, error)

    def _group(self, child: Child) -> list[Child]:
        return restart_group(self._strategy, list(self.children.values()), child)

    async def _suspend(self, child: Child) -> None:
        """End a child that is about to be restarted with a sibling: it keeps ref and mailbox."""
        if child.is_temporary:
            await self.end(child)
            self.remove(child)
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
        strategy, host = self._strategy, self.host
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
        host.system.events.publish(EventKind.ESCALATION, host.path, error=cause, logged=True, actor=host)
        cell = child.cell
        self._forget(child)
        if cell is not None and cell.is_alive:
            cell.terminate(reason)
        await self._on_shutdown(cause)

    # Lost nodes

    def _lose(self, child: Child, error: NodeLostError) -> None:
        """A child has ended with its node, or is down if it is durable. All that were lost in one event are answered in
        one restart."""
        if child.cell is not None and not child.cell.is_alive:
            child.cell = None
        child.status = Status.RESTARTING
        child.down = error
        if error not in self._losses:
            self._losses.add(error)
            _, options, _ = child.made_of
            job = partial(self._replace_lost, error)
            self.host.system.placing.when_ready(options, partial(self.jobs.submit, job))

    async def _replace_lost(self, error: NodeLostError) -> None:
        """Start the children again that were lost in one event, unless they were stopped in between. The event counts
        once in the restart window; a node that has announced that it leaves does not count."""
        self._losses.discard(error)
        lost = [child for child in self.children.values() if child.down is error]
        if self.jobs.is_closed or not lost:
            return
        if error.cause != "drained" and not self._window.record(self.host.system.time()):
            await self._give_up(lost[0], error)
            return
        group = self._group(lost[0])  # the groups of those that were started after it are parts of this one
        if len(group) == 1:
            for child in lost:  # each alone, as soon as there is a place for it
                _, options, _ = child.made_of
                self.host.system.placing.when_ready(options, partial(self._start_soon, child, error, len(lost)))
            return
        for sibling in reversed(group):
            if sibling.down is error:
                sibling.withdraw_exit()
                sibling.awaits_group = True
            else:
                await self._suspend(sibling)
        await self._start_group([child for child in group if child.id in self.children], error)

    def _start_soon(self, child: Child, error: NodeLostError, lost: int) -> None:
        """Start a child again after a pause at random, so that not all of so many start at once."""
        if child.down is error and not self.jobs.is_closed:
            job = partial(self._start_lost, child, error)
            pause = self.host.system.placing.pause(lost)
            child.backoff = self.host.system.loop.call_later(pause, self.jobs.submit, job)

    async def _start_lost(self, child: Child, error: NodeLostError) -> None:
        if child.down is error and not self.jobs.is_closed:
            child.withdraw_exit()
            failed = await self.start(child, error)
            if failed is not None:
                self._try_again(child, failed)

    # Stopping

    async def stop_all(self) -> None:
        """Stop all children and take no more jobs. Called from outside the supervisor's own task."""
        if self.jobs.is_closed:
            return
        done = self.host.system.loop.create_future()

        async def job() -> None:
            await self.stop_children()
            if not done.done():
                done.set_result(None)

        self.submit_stop(job)
        await done

    def submit_stop(self, job: Job) -> None:
        """Like `submit`, and a start that hangs is cut off when its time to shut down is over."""
        self.jobs.submit(job)
        self.limit_start()

    def limit_start(self) -> None:
        """Cut the start that is under way off when the shutdown time of its child is over."""
        self.starting.limit()

    def hurry(self) -> None:
        """End the child that is in its start, and those that are ending, without a grace."""
        self.starting.cut_off()
        ending = tuple(self._of.values()) if self.jobs.is_closed and self.is_simple else (self._ending,)
        for child in ending:
            if child is not None and child.cell is not None:
                child.cell.terminate(StopReason.KILLED)

    def close(self) -> None:
        """Answer nothing any more: it was replaced before it had begun."""
        self.jobs.close()

    async def stop_children(self) -> None:
        """Stop all children, in reverse order; those of `SimpleOneForOne` all at once. In the supervisor's own task."""
        self.jobs.close()
        children = [c for c in reversed(self.children.values()) if c.cell is not None]
        if self.is_simple:
            ends = [self._ask_to_end(child) for child in children]
            for end in ends:
                await self._wait(end)
        else:
            for child in children:
                await self.end(child)
        for child in self.children.values():  # also one that has nothing but a restart that is due
            child.withdraw_exit()
            child.status = Status.UNDEFINED
            child.cell = None
        self._of.clear()

    async def end(self, child: Child) -> None:
        """End a child for good."""
        child.withdraw_exit()
        cell = child.cell
        if cell is not None and cell.is_alive:
            self._ending = child
            try:
                await self._wait(self._ask_to_end(child))
            finally:
                self._ending = None
        if cell is not None:
            self._of.pop(cell, None)
        child.cell = None
        child.status = Status.UNDEFINED

    def _ask_to_end(self, child: Child) -> Promise[Any]:
        cell, host = child.cell, self.host
        assert cell is not None  # the callers have checked it
        brutal = child.spec is not None and child.spec.shutdown is Shutdown.KILL
        brutal = brutal or (host.is_supervisor and host.life.brutal and host.life.wish >= Wish.STOP)
        return cell.terminate(StopReason.KILLED if brutal else StopReason.SHUTDOWN)
