"""The resources of an instance of an actor, which end with it: timers, tasks, answers that it owes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.actors.cells.timers import Timer, Timers, check_delay
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.entries import Enveloped, has_envelope, is_of_a_user
from miniagents.actors.messaging.envelope import Envelope, not_sendable
from miniagents.actors.messaging.of_task import OfTask
from miniagents.actors.messaging.outcome import Outcome
from miniagents.actors.messaging.terminated import Terminated
from miniagents.errors import InvalidOptionError, MailboxFullError, PromiseCancelledError, UnhandledMessageError
from miniagents.log import log as _log
from miniagents.messages import Message
from miniagents.promising import Promise
from miniagents.promising.abandoning import INSIST_EVERY, abandon, log_abandoned
from miniagents.promising.failures import OwnedTask, log_failure, note_unseen
from miniagents.promising.scope import current_work, get_work
from miniagents.promising.stacks import stack_of
from miniagents.promising.tracebacks import traceback_text
from miniagents.promising.work import each_of, end_all
from miniagents.supervision import StopReason
from miniagents.supervision.checking import check_seconds

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System
    from miniagents.actors.messaging.options import Props


class ResourceCell(LivingCell):
    """A cell whose instance has timers and tasks, and may owe answers."""

    __slots__ = ("_owed", "_replied", "_tasks", "_timers")

    def __init__(self, system: "System", parent: Cell | None, name: str, props: "Props") -> None:
        super().__init__(system, parent, name, props)
        self._replied = False
        self._owed: dict[Any, None] | None = None
        self._timers: Timers | None = None
        self._tasks: dict[asyncio.Task[Any], OfTask] | None = None

    @property
    def timers(self) -> Timers:
        """The timers of the instance."""
        if self._timers is None:
            self._timers = Timers(self.create_task)
        return self._timers

    def add_timer(self, delay: float, message: Message, name: str | None, *, repeats: bool) -> Timer:
        """Start a timer: of the instance, or, of a durable actor, in its journal."""
        if self.inbox is not None:
            check_delay(self, delay, repeats=repeats)
            durable_timer: Timer = self.inbox.schedule(delay, message, name, repeats=repeats)
            return durable_timer
        if name is not None:
            raise InvalidOptionError(f"{self.path}: name= of a timer is for durable actors, whose journal keeps it")
        return self.timers.start(self, delay, message, repeats, self.ref)

    def add_cron(self, rule: str, message: Message, zone: str, name: str | None, max_late: float | None) -> Timer:
        """Start a timer with a cron rule, in the journal of a durable actor."""
        if self.inbox is None:
            raise InvalidOptionError(
                f"{self.path}: schedule_cron() is for durable actors: spawn it with name= and "
                f"options=SpawnOptions(durable=True)"
            )
        if max_late is not None:
            check_seconds(f"{self.path}: schedule_cron(max_late=)", max_late)
        durable_timer: Timer = self.inbox.schedule_cron(rule, message, zone, name, max_late)
        return durable_timer

    def _cancel_timers(self) -> None:
        timers, self._timers = self._timers, None
        if timers is not None:
            timers.cancel()

    def create_task(self, coro: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Start a task that ends with the instance."""
        context = copy_context()
        work = get_work()
        of = (work.of if isinstance(work, OfTask) else work) if work is not None else self._in_hand()
        work = OfTask(of)
        context.run(current_work.set, work)
        task = OwnedTask(coro, loop=self.system.loop, name=name, context=context)
        task.owner = self.path
        if self._tasks is None:
            self._tasks = {}
        self._tasks[task] = work
        task.add_done_callback(self._task_done)
        return task

    def cancelled_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that were cancelled and have not ended."""
        return [task for task in self._tasks or () if task.cancelling() and not task.done()]

    def _in_hand(self) -> Ask[Any] | None:
        """Return the ask that a task started now works for, whatever is in hand later; None if there is none."""
        ask = self.current
        return ask if ask.__class__ is Ask and asyncio.current_task() is self.task else None

    def _task_done(self, task: OwnedTask) -> None:
        if self._tasks is not None:
            self._tasks.pop(task, None)
        if task.failed_unseen:
            note_unseen(self.system.unseen, task)

    def pipe_to_self(self, awaitable: Awaitable[Any], wrap: Callable[[Any], Any]) -> None:
        """Tell the actor what comes of an awaitable."""
        if not isawaitable(awaitable):
            raise InvalidOptionError(f"{self.path}: pipe_to_self() takes something to await, not {awaitable!r}")
        if not callable(wrap):
            raise InvalidOptionError(f"{self.path}: pipe_to_self(wrap=) must be a function, not {wrap!r}")

        async def pipe() -> None:
            result: object
            try:
                result = await awaitable
            except asyncio.CancelledError as error:
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # this runs in a task
                    raise
                result = PromiseCancelledError(f"{self.path}: what was piped to it was cancelled", reason=error)
            except Exception as error:
                result = error
            try:
                message = wrap(result)
                if not isinstance(message, Message):
                    raise not_sendable(self.path, message)
            except Exception as error:
                _log.error("actor.pipe_wrap_failed", actor=self.path, stack=traceback_text(error))
                return
            envelope = Envelope(message, self.ref, at=self.system.time())
            await self.room()
            try:
                self.post(envelope)
            except MailboxFullError:
                pass  # the mailbox rejects it: it is a dead letter
            except Exception as error:  # of the mailbox's `priority=`
                _log.error("actor.pipe_not_delivered", actor=self.path, stack=traceback_text(error))

        piping = self.create_task(pipe())
        if isinstance(awaitable, Promise) and self._tasks is not None:
            self._tasks[piping].add(awaitable)
        if isinstance(awaitable, Coroutine):
            piping.add_done_callback(lambda _: awaitable.close())  # it is open where the task never ran

    def reply(self, answer: Message | BaseException | None) -> None:
        """Answer the message in hand now."""
        envelope = self.envelope
        if envelope is None:
            raise RuntimeError(f"{self.path}: ctx.reply() is for handlers, and no message is in hand")
        if self._replied or envelope.ask is None or envelope.ask.done():
            ReplyTo(envelope, self.ref).reply(answer) if self._replied else self._reply_to_nobody(envelope, answer)
        else:
            started = envelope.started_work
            envelope.ask.answer(answer)
            if started is not None and envelope.__class__ is Ask:
                self.current = envelope.envelope  # its handler goes on, and what that has started
                self.current.started_work = started
        self._replied = True

    def unhandled(self, message: object) -> UnhandledMessageError | None:
        """No case took the message in hand."""
        envelope = self.envelope
        if envelope is None or envelope.message is not message:  # one that was put aside, and has no asker here
            envelope = Envelope(message, at=self.system.time())
        if isinstance(message, Terminated):
            return None
        if envelope.ask is None:
            self.system.dead_letters.add(DeadLetterReason.UNHANDLED, envelope, self.ref)
            if self.inbox is not None:
                self.inbox.unhandled(envelope)
            return None
        error = UnhandledMessageError(
            f"{self.path}: has no case for a {type(message).__name__} ({message!r})", path=self.path, message=message
        )
        self.reply(error)
        return error

    def _reply_to_nobody(self, envelope: Enveloped, answer: object) -> None:
        """The message wanted no answer, or its asker has gone: an answer is then nothing that anybody misses."""
        if envelope.ask is None:
            self.answered_nobody(answer)

    def answered_nobody(self, answer: object) -> None:
        """A handler has answered a message that wanted no answer: only a failure is anything to speak of."""
        if isinstance(answer, BaseException):
            log_failure("actor.answer_failed", answer, actor=self.path)

    def _answer_when_written(self, entry: Enveloped, answer: Any) -> None:
        """The handler of a durable actor has returned: acknowledge its message, and answer once that is on disk.

        The inbox ends the wait, also when the actor or the system has ended meanwhile. If it fails to write, the asker
        gets its error: the message will be handled again.
        """
        ask, replied, self._replied = entry.ask, self._replied, False
        assert self.inbox is not None  # that of a durable mailbox
        try:
            if is_of_a_user(entry):
                self.inbox.save()
        except Exception as error:  # of the user's `snapshot`: the message counts as one that has crashed the actor
            self.acknowledge(entry, Outcome.CRASHED, error)
            if ask is not None:
                ask.fail(error)
            self.crash(error)
            return
        written = self.acknowledge(entry, Outcome.HANDLED, ask if replied else answer)
        if replied:
            return
        if ask is None:
            self.answered_nobody(answer)
        elif written is None:
            ask.answer(answer)
        else:

            def answer_now(written: "asyncio.Future[None]") -> None:
                error = written.exception()
                if error is None:
                    ask.answer(answer)
                else:
                    ask.fail(error)

            written.add_done_callback(answer_now)

    def reply_later(self) -> ReplyTo:
        """Let somebody answer the message in hand later."""
        envelope = self.envelope
        if envelope is None:
            raise RuntimeError(f"{self.path}: ctx.reply_later() is for handlers, and no message is in hand")
        self._replied = True
        ask = envelope.ask
        if ask is not None:
            if self._owed is None:
                self._owed = {}
            self._owed[ask] = None
            ask.add_done_callback(self._no_longer_owed)
        reply_to = ReplyTo(envelope, self.ref)
        if ask is not None:
            ask.owns(reply_to)
        return reply_to

    def _no_longer_owed(self, ask: Promise[Any]) -> None:
        if self._owed is not None:
            self._owed.pop(ask, None)

    def started_for(self, entry: object) -> list[Any]:
        """Return what the handler has started for a message and what ends with it if it is cut off or crashes.

        Answers that are promised for later (`ReplyTo`) are no part of that.
        """
        if not has_envelope(entry):
            return []
        return [work for work in self.all_started(each_of(entry.started_work)) if work.__class__ is not ReplyTo]

    async def _drop_belongings(self, reason: StopReason | BaseException) -> None:
        self._cancel_timers()
        await self._stop_children()
        owed, self._owed = self._owed, None
        if owed:
            for ask in tuple(owed):
                started = self.started_for(ask)
                ask.stopped(reason)
                end_all(*started, reason=self.stopped_error())
        tasks, self._tasks = self._tasks, None
        if tasks:
            told_at = self.system.time()
            for task in tasks:
                task.cancel()
            end_all(*(work for works in tasks.values() for work in works), reason=self.stopped_error())
            await asyncio.wait(tasks, timeout=INSIST_EVERY)
            while running := [task for task in tasks if not task.done()]:
                if self.system.gives_up(told_at):
                    for task in running:
                        log_abandoned(stack_of(task.get_coro()), actor=self.path, task=task.get_name())
                        abandon(task)
                    return
                _log.warning("actor.tasks_swallow_cancel", actor=self.path, tasks=len(running))
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=INSIST_EVERY)

    async def _stop_children(self) -> None:
        if self.children:
            supervisor, self.own_supervisor = self.own_supervisor, None
            if supervisor is not None:
                await supervisor.stop_all()
        kill = self.reason is StopReason.KILLED
        await self.end_children(StopReason.KILLED if kill else StopReason.SHUTDOWN)
