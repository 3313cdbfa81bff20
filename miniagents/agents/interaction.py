"""Interactions: one call of an agent at work."""

import asyncio
from collections.abc import Awaitable, Collection, Coroutine, Generator, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import EventKind
from miniagents.actors.dispatch.workers import WorkerTask
from miniagents.actors.messaging.envelope import Envelope, new_correlation_id
from miniagents.actors.waiting.deadlock import Node, look_again
from miniagents.actors.waiting.search import Held
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    DeadlineExceededError,
    HandlerTimeoutError,
    PromiseCancelledError,
)
from miniagents.messages import (
    Message,
    MessagePromise,
    Messages,
    MessageSequence,
    MessageSequencePromise,
    Sendable,
    TextMessage,
)
from miniagents.promising import Promise
from miniagents.promising.abandoning import DEFAULT_GRACE, log_abandoned
from miniagents.promising.failures import log_failure
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import OnCancelled, PromisingContext, current_scope, current_work, get_work
from miniagents.promising.stacks import stack_of
from miniagents.promising.tracebacks import traceback_text
from miniagents.promising.work import Cancellable, Endings, Work, end_all, end_task, wait_for_all

if TYPE_CHECKING:
    from miniagents.actors import ActorRef
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.call import AgentCall
    from miniagents.agents.system import MiniAgents

_log = structlog.get_logger("miniagents")

_LONGEST_TRACE = 64
_ENDS = (PromiseCancelledError, ActorStoppedError, DeadlineExceededError)
_NONE: Collection[Any] = ()


def _some(those: Collection[Any]) -> dict[Any, None]:
    """What can be added to, and keeps its order: most interactions never need one."""
    return those if isinstance(those, dict) else {}


def _is_end(error: BaseException) -> bool:
    """Whether an error is how work ends that is not wanted any more; a group of such errors is one, too."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_end(part) for part in error.exceptions)
    return isinstance(error, _ENDS)


class ReplyPromise(MessageSequencePromise):
    """The promise of an agent's replies: cancelling it cancels the interaction, and all below it."""

    __slots__ = ("_interaction",)

    def __init__(self, interaction: "Interaction", errors_as_messages: bool) -> None:
        super().__init__(errors_as_messages=errors_as_messages)
        self._interaction: Interaction | None = interaction
        self.producer = interaction

    def __await__(self) -> Generator[Any, Any, Messages]:
        interaction = self._interaction
        if interaction is not None and self.settled_value is NO_VALUE and self.settled_error is None:
            if not interaction._submitted:
                interaction.submit()  # a lazy call begins
            interaction.system.dispatcher.helpers.run_ready()
        return super().__await__()

    def run_ready(self) -> bool:
        interaction = self._interaction
        return interaction is not None and interaction.system.dispatcher.helpers.run_ready()

    def start(self) -> None:
        if self._interaction is not None:
            self._interaction.submit()
        super().start()

    def _watch(self, error: BaseException) -> None:
        if self._interaction is None or not self._interaction.ends_with_its_caller(error):
            super()._watch(error)

    def _context(self) -> PromisingContext | None:
        interaction = self._interaction
        return interaction.system if interaction is not None else super()._context()

    def event_loop(self) -> asyncio.AbstractEventLoop:
        interaction = self._interaction
        return interaction.system.loop if interaction is not None else super().event_loop()

    @property
    def own_timeout(self) -> bool:
        """Whether the call has a deadline of its own, and not one that it inherited."""
        return self._interaction is not None and self._interaction.own_timeout

    def is_reply_to(self, messages: MessageSequencePromise) -> bool:
        """Whether these are the messages of its call."""
        return self._interaction is not None and self._interaction.message_promises is messages

    def speaker(self, at: int | None) -> "Interaction | None":
        interaction = self._interaction
        if at is None or interaction is None or interaction._closed:
            return None  # the replies have not ended before its code has
        return interaction if interaction.is_running else None

    def held_by(self, at: int | None) -> "tuple[bool, Collection[Any]] | None":
        interaction, flat = self._interaction, self.flattener
        if interaction is None:
            return super().held_by(at)
        if interaction.is_running and not interaction._closed:
            if at is None:
                return True, (interaction,)  # the replies have not ended before its code has
            return False, (interaction, *(flat.tasks if flat is not None else ()))
        if interaction.is_running:
            held = super().held_by(at)
            return None if held is None else (False, (interaction, *held[1]))  # it may cancel what it left flowing
        if not interaction._done:
            node = interaction.node_behind(self)
            return None if node is None else (True, (node,))
        return super().held_by(at)

    @property
    def is_flowing(self) -> bool:
        """Whether there is more to come of it, or of a message in it."""
        return not self.done() and (
            not self.finished or any(isinstance(piece, Promise) and not piece.done() for piece in self.pieces)
        )

    def end_ring(self, error: BaseException) -> None:
        """Waiting for it would have closed a ring: it ends with that error."""
        if self._interaction is not None:
            self._interaction.begin_cancel(error)

    def cut_off(self, error: BaseException) -> None:
        if self._interaction is not None:
            self._interaction.cut_off(error)
        super().cut_off(error)

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        interaction = self._interaction
        if interaction is None:
            return super().cancel_alone(reason, endings)
        started = self._all_started()
        below = interaction.cancel_alone(reason, endings)
        super().cancel_alone(reason, endings)
        return (*below, *started)

    def _settled(self) -> None:
        super()._settled()
        interaction, self._interaction = self._interaction, None
        if interaction is not None:
            interaction._left = ()
            if interaction._done and interaction._timer is not None:
                interaction._timer.cancel()  # they flowed on after its end, and have come


class Interaction(Node):
    """One call of an agent: it waits in the agent's mailbox, runs, and replies.

    Attributes:
        id: Its number, unique in its system.
        agent: Who is called.
        parent: The interaction that called, or the nearest one above it that still runs; None from outside.
        tokens: Tokens used so far, as far as models reported them.
        told_to_end_at: When its code was cancelled, on `loop.time()`; None if it has not been.
        cost: What they cost, in the currency of the price list.
        error: What it failed with.
        has_expired: Whether its deadline has passed before its replies had come.
        abandoned: Whether it runs although its caller waits no more: its deadline has passed, or it was cancelled and
            has not ended within its grace. What comes of it is thrown away.
        label: What tells equal calls apart.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_below",
        "_closed",
        "_coro",
        "_correlation_id",
        "_deadline",
        "_done",
        "_hang",
        "_left",
        "_sequence",
        "_submitted",
        "_timer",
        "_to_wait_for",
        "_was_awaited",
        "abandoned",
        "agent",
        "agent_trace",
        "arguments",
        "asks",
        "cancelled",
        "cell",
        "context",
        "cost",
        "ctx",
        "envelope",
        "error",
        "has_expired",
        "id",
        "is_running",
        "label",
        "message_promises",
        "open_calls",
        "own_timeout",
        "parent",
        "replies",
        "sender",
        "since",
        "started_at",
        "system",
        "task",
        "tokens",
        "told_to_end_at",
        "trace",
        "waits",
    )

    keeps_asks = True
    is_interaction = True
    scheduled = False
    system: "MiniAgents"

    def __init__(
        self,
        *,
        system: "MiniAgents",
        cell: Any,
        agent: "MiniAgent",
        arguments: Any,
        message_promises: MessageSequencePromise,
        context: Context,
        parent: "Interaction | None" = None,
        sender: "ActorRef | None" = None,
        correlation_id: int = 0,
        trace: object = None,
        deadline: float | None = None,
        timeout: float | None = None,
        errors_as_messages: bool = False,
        label: str | None = None,
    ) -> None:
        now = system.time()
        self.system = system
        self.cell = cell
        self.agent = agent
        self.arguments = arguments
        self.message_promises = message_promises
        self.parent = parent
        self.id = next(system.interaction_ids)
        self.sender = sender
        self._correlation_id = correlation_id
        self.trace = trace
        self.label = label
        self.agent_trace: tuple[MiniAgent, ...] = (
            agent.as_trace if parent is None else (agent, *parent.agent_trace)[:_LONGEST_TRACE]
        )
        self.own_timeout = timeout is not None and (deadline is None or now + timeout <= deadline)
        self._deadline = now + timeout if self.own_timeout and timeout is not None else deadline
        self.envelope: Envelope | None = None
        self.task: asyncio.Task[Any] | None = None
        self.waits: Held | None = None
        self.started_at = now
        self.since = 0.0
        self._coro: Any = None
        self.is_running = False
        self.cancelled: object = None
        self.told_to_end_at: float | None = None
        self.abandoned = False
        self.tokens = 0
        self.cost = 0.0
        self.ctx: Any = None
        self.open_calls: Collection[AgentCall] = _NONE
        self.asks: Work | None = None
        self._below: Collection[Interaction] = _NONE
        self._left: tuple[Interaction, ...] = ()
        self._background: Collection[asyncio.Task[Any]] = _NONE
        self._to_wait_for: list[Awaitable[Any]] | None = None
        self.context: Context | None = context
        self._done = False
        self.has_expired = False
        self.error: BaseException | None = None
        self._submitted = False
        self._timer: asyncio.TimerHandle | None = None
        self._hang: asyncio.TimerHandle | None = None
        self.replies = ReplyPromise(self, errors_as_messages)
        self._sequence: MessageSequence | None = None
        self._closed = False
        self._was_awaited = False

    # What can be seen

    @property
    def path(self) -> str:
        """The path of the agent."""
        return str(self.cell.path)

    @property
    def age(self) -> float:
        """Seconds since it was called."""
        return self.system.time() - self.started_at

    @property
    def below(self) -> "tuple[Interaction, ...]":
        """The calls that it has made and that are under way; after its end those that its replies still come from."""
        return (*self._below, *self._left)

    @property
    def stack(self) -> str:
        """Where its code is now, as text; "" while it waits in the mailbox."""
        return stack_of(self._coro)

    def __repr__(self) -> str:
        return f"<Interaction {self.id} of {self.path}>"

    # As a scope

    @property
    def ref(self) -> Any:
        """The sender of what its code tells: the agent."""
        return self.cell.ref

    @property
    def deadline(self) -> float | None:  # type: ignore[override]
        """When it is to be over, on `loop.time()`, or None."""
        return self._deadline

    @property
    def correlation_id(self) -> int:
        """One number for everything that one message from outside sets off; given out when first asked for."""
        if not self._correlation_id:
            self._correlation_id = new_correlation_id()
        return self._correlation_id

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Background work: a cancelled interaction ends it, one that ends normally leaves it to the system."""
        task = self.system.start_soon(coro, name=name, on_cancelled=on_cancelled)
        self._owns(task)
        return task

    def _owns(self, task: "asyncio.Task[Any]") -> None:
        background = self._background = _some(self._background)
        background[task] = None
        task.add_done_callback(background.pop)

    def started_ask(self, ask: Any) -> None:
        """Its code asked an actor: a cancelled interaction cancels what it has asked."""
        if self.asks is None:
            self.asks = Work()
        self.asks.add(ask)

    def opened(self, call: "AgentCall") -> None:
        """Its code began a call, which is finished with it at the latest."""
        calls = self.open_calls = _some(self.open_calls)
        calls[call] = None

    def closed(self, call: "AgentCall") -> None:
        """A call is finished."""
        if self.open_calls:
            _some(self.open_calls).pop(call, None)

    def envelope_for(self, message: Any) -> Envelope:
        """The envelope of a message that its code sends."""
        return Envelope(message, self.ref, None, None, self.correlation_id, self.trace, self.system.dispatcher.time())

    # As a producer of promises, for deadlock detection

    @property
    def is_awaited(self) -> bool:  # type: ignore[override]
        """Whether anybody waits for its replies, or may do so without being seen here: an ask that became this call,
        or those that wait behind it for a serial agent."""
        replies, envelope = self.replies, self.envelope
        if replies.piece_waiters or replies.waiters or replies.callbacks or self.cell.is_serial:
            return True
        return envelope is not None and envelope.message is not self

    def all_below(self) -> "list[Interaction]":
        """The calls that it has made, and that those have made in turn, as far as they are under way."""
        those = [self]
        for one in those:  # it grows meanwhile
            those += one.below
        return those[1:]

    @property
    def has_timeout(self) -> bool:  # type: ignore[override]
        """Whether its own timeout ends what it has started: a deadline that it inherited does not count."""
        return self.own_timeout and not self.replies.done()

    def node_behind(self, promise: Any) -> Any:
        """Who must get further: itself, or, while it waits in the mailbox, the agent if that is serial."""
        if self.is_running:
            return self
        waits = self.envelope is not None and not self.envelope.taken
        return self.cell if waits and self.cell.is_serial else None

    @property
    def has_replied(self) -> bool:
        """Whether anything has reached its caller."""
        return bool(self.replies.pieces)

    # As the ask of an envelope

    def done(self) -> bool:
        """Whether it has ended, so that its envelope is skipped."""
        return self._done

    @property
    def waiters(self) -> bool:
        """Whether anybody waits for its replies, or did when it ended."""
        return self._was_awaited or self.replies.is_waited_for()

    def answer(self, _: Any) -> None:
        """Its handler returned."""
        self.finish(None)

    def fail(self, error: BaseException) -> None:
        """End it with an error, if it has not ended."""
        self.finish(error)

    def stopped(self, reason: object, cause: BaseException | None = None) -> None:
        """End it because the agent ended."""
        if not self._done:
            error = ActorStoppedError(
                f"{self.path}: stopped ({reason!r}) before it answered", path=self.path, reason=reason
            )
            error.__cause__ = cause if cause is not None else (reason if isinstance(reason, BaseException) else None)
            self.finish(error)

    def add_done_callback(self, _: Any) -> None:
        """Nobody owes an interaction anything: its replies are its own."""

    # Life

    def submit(self) -> None:
        """Put it into the agent's mailbox, once."""
        if self._submitted or self._done:
            return
        self._submitted = True
        system = self.system
        if system.lazy_promises:
            system.lazy_promises.pop(self.replies, None)
        if self.cell.is_activated and self.cell.stopping is not None and not self.cell.takes_calls:
            self.cell = system.activated(self.agent)  # it was passivated, or ended, in between
        elif self.cell.is_supervisor:
            self.cell.assign(self)  # a pool chooses the member
        system.interaction_started(self)
        parent = self.parent
        if parent is not None:
            below = parent._below = _some(parent._below)
            below[self] = None
        if self._deadline is not None:
            if self._deadline <= system.time():
                system.loop.call_soon(self.expire)
                if not self.own_timeout:
                    return  # after an inherited deadline nothing is sent any more
            else:
                self._timer = system.loop.call_at(self._deadline, self.expire)
        self.cell.take_call(self)

    def in_envelope(self) -> Envelope:
        """The envelope that it waits in."""
        self.envelope = envelope = Envelope(
            self,
            self.sender,
            self,  # type: ignore[arg-type]  # it is settled like an ask
            self._deadline,
            self._correlation_id,
            self.trace,
            self.system.time(),
        )
        return envelope

    def begin_taken(self, envelope: Envelope) -> None:
        """A plain message to the agent became this interaction: it has been in the mailbox already."""
        self._submitted = True
        self.envelope = envelope
        self.system.interaction_started(self)

    def run_soon(self) -> None:
        """Run it on a worker as soon as the loop turns, with its caller's context variables."""
        self.is_running = True
        self.system.dispatcher.schedule(self)

    def turn(self) -> Coroutine[Any, Any, Any]:
        """What the worker runs: the agent's code, to its end; never raises."""
        self._coro = coro = self._run(self.cell.call, settles=True)
        return coro

    def turn_context(self) -> Context:
        """The context that its code runs in."""
        return self.context if self.context is not None else Context()  # None: cancelled, and nothing is to run

    def start(self, call: Any, *, settles: bool) -> "asyncio.Task[BaseException | None]":
        """Run it in a task of its own, with its caller's context variables.

        Args:
            call: The agent's code: an async function of the context.
            settles: Whether an error of the code ends it; otherwise its actor says what becomes of it.

        Returns:
            The task; its result is the error that the code raised, or None.
        """
        self.is_running = True
        context = self.context
        assert context is not None  # it has not ended yet
        if not settles:
            context = context.copy()  # it may be tried again
        self._coro = self._run(call, settles=settles)
        task = self.task = self.system.loop.create_task(self._coro, context=context)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: "asyncio.Task[BaseException | None]") -> None:
        """A task that is cancelled before its first step never comes to `_run`."""
        if self.task is task:
            self.task = None
        if task.cancelled() and not self._done:
            self.is_running = False
            self.finish(self.explain(asyncio.CancelledError()))

    async def _run(self, call: Any, *, settles: bool) -> BaseException | None:
        if self._done:
            self.task = self._coro = None
            return None  # it was cancelled before a worker came to it
        current_scope.set(self)
        if get_work() is not None:
            current_work.set(None)  # that of its caller; what this code starts is the interaction's own
        if self.task is None:
            self.task = asyncio.current_task()  # an eager task begins before whoever makes it gets it
        error: BaseException | None = None
        try:
            try:
                await call(self)
            finally:
                if self.open_calls:
                    self._finish_open_calls()
            if self._to_wait_for:
                await self.wait_for_the_rest()
        except BaseException as raised:  # whatever it is, it belongs to whoever awaits the replies
            trace = raised.__traceback__
            if trace is not None and trace.tb_next is not None:
                raised.__traceback__ = trace.tb_next  # without this frame, which would make a cycle
            trace = None
            error = self.explain(raised)
        try:
            if error is not None:
                self.mark(error)
            self.is_running = False
            if settles and error is not None and not isinstance(error, PromiseCancelledError):
                self.system.events.publish(EventKind.CRASH, self.path, error=error, detail=self.id)
            if settles or error is None or self.cancelled is not None:
                self.finish(error)
        except Exception as fault:  # of the runtime itself: the worker must not die of it
            stack = traceback_text(fault)
            _log.error("runtime.call_end_failed", actor=self.path, interaction=self.id, stack=stack)
        self.task = self._coro = None
        return error

    def _finish_open_calls(self) -> None:
        for open_call in tuple(self.open_calls):
            open_call.finish()

    def reply(self, messages: Sendable, *, out_of_order: bool) -> None:
        """Send something to the caller."""
        sequence = self._sequence
        if sequence is None:
            if (
                (messages.__class__ is str or isinstance(messages, Message))
                and not self._closed
                and not self.system.persists_messages
            ):
                # The usual case: nothing to flatten, nobody to wait for (benchmark `agent_call`).
                message = messages if isinstance(messages, Message) else TextMessage(str(messages))
                self.replies.push_piece(MessagePromise.of(message))
                return
            sequence = self._sequence = MessageSequence(promise=self.replies)
            sequence.open()
            if self._closed:
                sequence.close()
        sequence.send(messages, out_of_order=out_of_order)

    def close_replies(self) -> None:
        """Reply nothing more."""
        self._closed = True
        if self._sequence is not None:
            self._sequence.close()
        else:
            self.replies.end_stream()

    def make_sure_to_wait(self, awaitable: Awaitable[Any]) -> None:
        """Do not end before this has."""
        if self._to_wait_for is None:
            self._to_wait_for = []
        self._to_wait_for.append(awaitable)

    async def wait_for_the_rest(self) -> None:
        """Wait for all that was given to `make_sure_to_wait`."""
        while self._to_wait_for:
            awaitable = self._to_wait_for.pop(0)
            try:
                await awaitable
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            except (Exception, KeyboardInterrupt, SystemExit) as error:
                if isinstance(awaitable, (Promise, asyncio.Future)):
                    log_failure("call.side_task_failed", error, actor=self.path)

    def explain(self, error: BaseException) -> BaseException:
        """What an error of its code means to its caller: a cancellation is the reason for it."""
        if self.cancelled is not None and isinstance(error, asyncio.CancelledError):
            if isinstance(self.cancelled, BaseException):
                return self.cancelled
            return PromiseCancelledError(f"{self.path}: was cancelled: {self.cancelled}", reason=self.cancelled)
        if isinstance(error, asyncio.CancelledError):
            # Raw, it would make every awaiter believe that it was cancelled itself.
            crash = RuntimeError(f"{self.path}: its code raised CancelledError")
            crash.__cause__ = error
            return crash
        return error

    def ends_with_its_caller(self, error: BaseException) -> bool:
        """Whether an error is nothing but the end of the call that made this one, whose own promise tells of it."""
        if isinstance(error, AskTimeoutError) and not self.own_timeout:
            return True  # it has inherited the deadline
        parent = self.parent
        if parent is None or parent.cancelled is None:
            return False
        return error is parent.cancelled or _is_end(error)

    def mark(self, error: BaseException) -> None:
        """Let the error tell which agents it came through."""
        if not hasattr(error, "agent_trace"):
            names = tuple(agent.alias for agent in self.agent_trace)
            try:
                error.agent_trace = names  # type: ignore[attr-defined]
            except AttributeError:
                return
            error.add_note(f"agent trace: {' <- '.join(names)}")

    def watch_for_hang(self, seconds: float) -> None:
        """Cancel it when it runs for longer than its `handler_timeout`."""
        self._hang = self.system.loop.call_later(seconds, self._hangs, seconds)

    def _hangs(self, seconds: float) -> None:
        if not self._done:
            self.system.events.publish(EventKind.HANG, self.path, detail=self.id)
            self.begin_cancel(
                HandlerTimeoutError(
                    f"{self.path}: ran for longer than its handler_timeout of {seconds} s", path=self.path
                )
            )

    def expire(self) -> None:
        """Its deadline has passed."""
        if self.has_expired or (self._done and not self.replies.is_flowing):
            return
        self.has_expired = True
        seconds = round(max((self._deadline or self.started_at) - self.started_at, 0.0), 3)
        error = AskTimeoutError(f"{self.path}: no answer within {seconds} s", path=self.path)
        envelope, cell = self.envelope, self.cell
        if self.is_running:
            self.abandoned = True  # its clean-up takes as long as it takes; the caller waits no longer
        if self.is_running and cell.is_serial:
            self.replies.reject(error)  # its handler goes on, and what it replies is thrown away
            self._cancel_background(error, {})  # calls and asks have inherited the deadline, streams have not
            return
        if not self.is_running and envelope is not None and not envelope.taken:
            cell.ask_expired(envelope)
            envelope.taken = True  # it is no longer counted as waiting
        self.cut_off(error)

    def finish(self, error: BaseException | None) -> None:
        """It has ended: close the replies, and leave what still runs below to those above."""
        if self._done:
            return
        if error is None and self.cancelled is not None:
            error = self.explain(asyncio.CancelledError())  # its code has swallowed it: what it replied is thrown away
        self._done = True
        self._was_awaited = error is not None and self.replies.is_waited_for()
        self.error = error
        self.is_running = False
        if self._hang is not None:
            self._hang.cancel()
        if self.open_calls:
            self._finish_open_calls()
        if error is not None and self._is_lost(error):
            log_failure("call.failed_unheard", error, actor=self.path, interaction=self.id)
        if error is not None and not self._closed:
            if self.cancelled is not None or self._sequence is None:
                self.replies.push_error(error)
            else:
                self._sequence.append(error)
        self.close_replies()
        if self.cancelled is not None and error is not None:
            if self._sequence is not None:
                self._sequence.cancel(self.cancelled)
            self.replies.reject(error)
        if (self._background or self._timer is not None) and self.replies.is_flowing:
            self._leave_background()
        elif self._timer is not None:
            self._timer.cancel()
        if self._below:
            self._leave_below()
        parent = self.parent
        if parent is not None and parent._below:
            _some(parent._below).pop(self, None)
        self.context = self.envelope = self.ctx = None  # they lead back to here
        if self.system.watches:
            self.system.watches.stirred(self)
        if self._sequence is not None and (self.replies.waiters or self.replies.piece_waiters):
            look_again(self.system, self.replies)  # whoever waits for them waits for others from now on
        self.system.interaction_ended(self)
        self.cell.interaction_ended(self)

    def _is_lost(self, error: BaseException) -> bool:
        """Whether its caller does not hear of an error: it has closed its replies, or the caller has been told already
        how it ended."""
        if self.cell.is_serial and self.cancelled is None and not isinstance(error, self.agent.options.errors):
            return False  # it is a crash, which is logged as one
        told = self.replies.done() and (self.cancelled is not None or self.has_expired)
        return (self._closed or told) and error is not self.replies.settled_error and not _is_end(error)

    def _leave_background(self) -> None:
        """What it replied still flows: whoever ends one of those above, or itself, ends that, too."""
        parent = self.parent
        while parent is not None and parent._done:
            parent = parent.parent
        if parent is not None:
            for task in self._background:
                parent._owns(task)

    def _leave_below(self) -> None:
        """What still runs below goes on below those above."""
        parent = self.parent
        while parent is not None and parent._done:
            parent = parent.parent
        for child in self._below:
            child.parent = parent
        if parent is not None:
            parent._below = _some(parent._below) | dict.fromkeys(self._below)
        if not self.replies.done():
            self._left = tuple(self._below)  # its replies may still come from these
        self._below = _NONE

    # Cancelling

    def begin_cancel(self, reason: object) -> Endings:
        """Ask for its end, and that of everything below it. It starts nothing more.

        Returns:
            What still runs, and whose it is.
        """
        earlier = getattr(self.replies, "endings", None)
        endings = end_all(self, reason=reason)
        self.replies.endings = endings = {**earlier, **endings} if earlier else endings
        return endings

    def is_over(self) -> bool:
        """Whether nothing of it runs or flows: see `Cancellable`."""
        return self._done and not self.replies.is_flowing

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Ask for its own end: see `Cancellable`."""
        if reason is None:
            reason = "cancelled"
        if self._done:
            below: tuple[Any, ...] = self._left
            self._left = ()
            if self.replies.is_flowing:
                below = (*below, *(self.asks or ()))
                self.replies.reject(self._as_error(reason))  # before its stream says that it was cancelled
                self.replies.mark_seen()  # whoever reads the stream is told by it
                self._cancel_background(reason, endings)
            return below
        below = (*self._below, *(self.asks or ()))
        if self.cancelled is not None:
            endings.update(dict.fromkeys(self._tasks(), self))
            return below
        self.cancelled = reason
        self._cancel_background(reason, endings)
        if self.is_running and self.task is not None:
            endings[self.task] = self
            self.interrupt(str(reason))
            self.told_to_end_at = self.system.time()
            if self._hang is not None:
                self._hang.cancel()
            self._hang = self.system.loop.call_later(DEFAULT_GRACE, self._runs_on)
        else:
            envelope = self.envelope
            if envelope is not None and not envelope.taken:
                self.cell.ask_cancelled(envelope)
            self.finish(self._as_error(reason))
        return below

    def cut_off(self, error: BaseException) -> None:
        """Cancel it and everything below it, and let its caller have the error now, whatever its code does."""
        self.begin_cancel(error)
        self.replies.reject(error)

    def _as_error(self, reason: object) -> BaseException:
        if isinstance(reason, BaseException):
            return reason
        return PromiseCancelledError(f"{self.path}: was cancelled: {reason}", reason=reason)

    def _runs_on(self) -> None:
        """Its grace is over, and its code swallows the cancellation: nobody waits for it any more."""
        if self._hang is not None:
            self._hang.cancel()
        self.abandoned = True
        stack = self.stack or "\n".join(stack_of(task.get_coro()) for task in self._background)
        _log.warning("call.runs_on", actor=self.path, interaction=self.id, stack=stack)
        self.replies.reject(self._as_error(self.cancelled))

    @property
    def is_unwanted(self) -> bool:
        """Whether its deadline has passed and its code goes on, as that of a class agent does."""
        return self.abandoned and self.cancelled is None

    def end_unwanted(self) -> None:
        """The system ends, and has waited for that code for long enough."""
        self.begin_cancel("the system ends")

    def break_down(self, error: BaseException) -> None:
        """The runtime failed in its turn."""
        self.finish(error)

    def abandon(self) -> None:
        """The system ends, and its code swallows its cancellation: it ends without it."""
        task = self.task
        log_abandoned(self.stack, actor=self.path, interaction=self.id)
        self.abandoned = True
        self.system.dispatcher.abandon(task)
        self.finish(self._as_error(self.cancelled))
        if self.cell.is_serial:
            self.cell.end_unserved()

    def interrupt(self, reason: str) -> None:
        """Cancel its code, unless it is that code which asks for it."""
        task = self.task
        if task is None or task is asyncio.current_task():
            return
        if isinstance(task, WorkerTask):
            task.interrupt(reason)
        else:
            task.cancel(reason)

    def cancel_below(self, reason: object) -> None:
        """Ask for the end of everything that it has started."""
        end_all(*self._below, *(self.asks or ()), reason=reason)
        self._cancel_background(reason, {})

    def _cancel_background(self, reason: object, endings: Endings) -> None:
        for task in tuple(self._background):
            end_task(task, reason, endings, self)

    async def wait_stopped(self) -> None:
        """Wait until nothing of it, or of what is below it now, runs any more."""
        everything, seen = [self], {self}
        for one in everything:  # it grows meanwhile
            more = [child for child in (*one._below, *one._left) if child not in seen]
            everything += more
            seen.update(more)
        await wait_for_all(task for one in everything for task in one._tasks())

    def _tasks(self) -> "tuple[asyncio.Task[Any], ...]":
        """What runs for it."""
        return tuple(self._background) if self.task is None else (self.task, *self._background)

    async def cancel(self, reason: object = "cancelled", *, grace: float = DEFAULT_GRACE) -> "tuple[Interaction, ...]":
        """Stop it and everything below it, before this returns.

        Args:
            reason: What its awaiters are told.
            grace: Seconds to wait for code that swallows its cancellation.

        Returns:
            What still runs after `grace`, or has background work that does: it is `abandoned`, and its result is
            thrown away.
        """
        endings = self.begin_cancel(reason)
        await wait_for_all(endings, grace)
        me = asyncio.current_task()
        left = {owner: None for one, owner in endings.items() if one is not me and not one.done()}
        abandoned = tuple(owner for owner in left if isinstance(owner, Interaction))
        for owner in left:
            if isinstance(owner, Interaction):
                owner._runs_on()
            else:
                path = getattr(owner, "path", None)
                _log.warning("call.asks_run_on", actor=path, interaction=self.id)
        return abandoned
