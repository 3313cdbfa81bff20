"""Interactions: one call of an agent at work."""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import EventKind
from miniagents.actors.deadlock import Node, Waits
from miniagents.actors.envelope import Envelope, new_correlation_id
from miniagents.errors import ActorStoppedError, AskTimeoutError, HandlerTimeoutError, PromiseCancelledError
from miniagents.messages import MessageSequence, MessageSequencePromise
from miniagents.promising.context import current_scope

if TYPE_CHECKING:
    from miniagents.actors import ActorRef
    from miniagents.miniagents.agent import MiniAgent
    from miniagents.miniagents.call import AgentCall
    from miniagents.miniagents.context import InteractionContext
    from miniagents.miniagents.system import MiniAgents

_log = structlog.get_logger("miniagents")

_LONGEST_TRACE = 64
DEFAULT_GRACE = 5.0


class ReplyPromise(MessageSequencePromise):
    """The promise of an agent's replies: cancelling it cancels the interaction, and all below it."""

    __slots__ = ("_interaction",)

    def __init__(self, interaction: "Interaction", errors_as_messages: bool) -> None:
        super().__init__(errors_as_messages=errors_as_messages, start=interaction.submit)
        self._interaction: Interaction | None = interaction
        self._producer = interaction

    def fail(self, error: BaseException) -> None:
        """Waiting for it would have closed a ring: it ends with that error."""
        if self._interaction is not None:
            self._interaction.begin_cancel(error)

    def _cancel_work(self, reason: object) -> Awaitable[None] | None:
        interaction = self._interaction
        if interaction is None:
            return None
        stopped = interaction.wait_stopped()  # first, as long as it knows what is below
        interaction.begin_cancel(reason if reason is not None else "cancelled")
        return stopped

    def _settled(self) -> None:
        super()._settled()
        interaction, self._interaction = self._interaction, None
        if interaction is not None:
            interaction._left = ()


class Interaction(Node):
    """One call of an agent: it waits in the agent's mailbox, runs, and replies.

    Attributes:
        id: Its number, unique in its system.
        agent: Who is called.
        parent: The interaction that called, or the nearest one above it that still runs; None from outside.
        tokens: Tokens used so far, as far as models reported them.
        cost: What they cost, in the currency of the price list.
        error: What it failed with.
        abandoned: Whether it was cancelled and runs all the same.
        label: What tells equal calls apart.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_below",
        "_context",
        "_deadline",
        "_done",
        "_expired",
        "_hang",
        "_left",
        "_sequence",
        "_submitted",
        "_timer",
        "abandoned",
        "agent",
        "agent_trace",
        "arguments",
        "asks",
        "cancelled",
        "cell",
        "correlation_id",
        "cost",
        "ctx",
        "envelope",
        "error",
        "id",
        "is_running",
        "label",
        "message_promises",
        "open_calls",
        "own_timeout",
        "parent",
        "replies",
        "sender",
        "started_at",
        "system",
        "task",
        "tokens",
        "trace",
        "waits",
    )

    keeps_asks = True
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
        self.system = system
        self.cell = cell
        self.agent = agent
        self.arguments = arguments
        self.message_promises = message_promises
        self.parent = parent
        self.id = system.next_interaction_id()
        self.sender = sender
        self.correlation_id = correlation_id or new_correlation_id()
        self.trace = trace
        self.label = label
        self.agent_trace: tuple[MiniAgent, ...] = (agent, *(parent.agent_trace if parent is not None else ()))[
            :_LONGEST_TRACE
        ]
        own = system.time() + timeout if timeout is not None else None
        self._deadline = min((d for d in (deadline, own) if d is not None), default=None)
        self.own_timeout = own is not None and own == self._deadline
        self.envelope: Envelope | None = None
        self.task: asyncio.Task[Any] | None = None
        self.waits: Waits | None = None
        self.started_at = system.time()
        self.is_running = False
        self.cancelled: object = None
        self.abandoned = False
        self.tokens = 0
        self.cost = 0.0
        self.ctx: InteractionContext | None = None
        self.open_calls: set[AgentCall] = set()
        self.asks: set[Any] = set()
        self._below: set[Interaction] = set()
        self._left: tuple[Interaction, ...] = ()
        self._background: set[asyncio.Task[Any]] = set()
        self._context = context
        self._done = False
        self._expired = False
        self.error: BaseException | None = None
        self._submitted = False
        self._timer: asyncio.TimerHandle | None = None
        self._hang: asyncio.TimerHandle | None = None
        self.replies = ReplyPromise(self, errors_as_messages)
        self._sequence = MessageSequence(promise=self.replies)
        self._sequence.message_appender.open()

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
        if self.task is None or self.task.done():
            return ""
        # `Task.get_stack` sees the outermost coroutine of a suspended task alone.
        lines = []
        coro: Any = self.task.get_coro()
        while (frame := getattr(coro, "cr_frame", None)) is not None:
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}")
            coro = coro.cr_await
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Interaction {self.id} of {self.path}>"

    # As a scope

    @property
    def ref(self) -> Any:
        """The sender of what its code tells: the agent."""
        return self.cell.ref

    @property
    def deadline(self) -> float | None:
        """When it is to be over, on `loop.time()`, or None."""
        return self._deadline

    def start_soon(self, coro: Coroutine[Any, Any, Any], *, name: str | None = None) -> "asyncio.Task[Any]":
        """Background work: a cancelled interaction ends it, one that ends normally leaves it to the system."""
        task = self.system.start_soon(coro, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def started_ask(self, ask: Any) -> None:
        """Its code asked an actor: a cancelled interaction cancels what it has asked."""
        self.asks.add(ask)
        ask._add_done_callback(self.asks.discard)

    # As a producer of promises, for deadlock detection

    def node_behind(self, promise: Any) -> Any:
        """Who must get further: itself, or, while it waits in the mailbox, the agent if that is serial."""
        if self.is_running:
            return self
        return self.cell if self.cell.is_serial else None

    @property
    def has_replied(self) -> bool:
        """Whether anything has reached its caller."""
        return bool(self.replies._pieces)

    # As the ask of an envelope

    def done(self) -> bool:
        """Whether it has ended, so that its envelope is skipped."""
        return self._done

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

    def _add_done_callback(self, _: Any) -> None:
        """Nobody owes an interaction anything: its replies are its own."""

    # Life

    def submit(self) -> None:
        """Put it into the agent's mailbox, once."""
        if self._submitted or self._done:
            return
        self._submitted = True
        system = self.system
        if self.cell.is_activated and not self.cell.takes_calls:
            self.cell = system.activated(self.agent)  # it was passivated, or ended, in between
        system.interaction_started(self)
        if self.parent is not None:
            self.parent._below.add(self)
        now = system.time()
        if self._deadline is not None:
            if self._deadline <= now:
                system.loop.call_soon(self.expire)
                if not self.own_timeout:
                    return  # after an inherited deadline nothing is sent any more
            else:
                self._timer = system.loop.call_at(self._deadline, self.expire)
        envelope = Envelope(self, self.sender, self, self._deadline, self.correlation_id, self.trace, now)  # type: ignore[arg-type]
        self.envelope = envelope
        if self.cell.is_full():
            system.start_soon(self._submit_when_there_is_room(envelope))
        else:
            self.cell.post(envelope)

    async def _submit_when_there_is_room(self, envelope: Envelope) -> None:
        await self.cell.room()
        if not self._done:
            self.cell.post(envelope)

    def begin_taken(self, envelope: Envelope) -> None:
        """A plain message to the agent became this interaction: it has been in the mailbox already."""
        self._submitted = True
        self.envelope = envelope
        self.system.interaction_started(self)

    def start(self, call: Any, *, settles: bool) -> "asyncio.Task[BaseException | None]":
        """Run it in a task of its own, with its caller's context variables.

        Args:
            call: The agent's code: an async function of the context.
            settles: Whether an error of the code ends it; otherwise its actor says what becomes of it.

        Returns:
            The task; its result is the error that the code raised, or None.
        """
        self.is_running = True
        task = self.task = self.system.loop.create_task(self._run(call, settles), context=self._context.copy())
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: "asyncio.Task[BaseException | None]") -> None:
        """A task that is cancelled before its first step never comes to `_run`."""
        if task.cancelled() and not self._done:
            self.is_running = False
            self.finish(self.explain(asyncio.CancelledError()))

    async def _run(self, call: Any, settles: bool) -> BaseException | None:
        from miniagents.miniagents.context import InteractionContext

        current_scope.set(self)
        ctx = self.ctx = InteractionContext(self)
        error: BaseException | None = None
        try:
            try:
                await call(ctx)
            finally:
                for open_call in tuple(self.open_calls):
                    open_call.finish()
            await ctx._wait_for_the_rest()
        except BaseException as raised:  # whatever it is, it belongs to whoever awaits the replies
            error = self.explain(raised)
        if error is not None:
            self.mark(error)
        self.is_running = False
        if settles and error is not None and not isinstance(error, PromiseCancelledError):
            self.system.events.publish(EventKind.CRASH, self.path, error=error)
        if settles or error is None or self.cancelled is not None:
            self.finish(error)
        return error

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
            self.system.events.publish(EventKind.HANG, self.path)
            self.begin_cancel(
                HandlerTimeoutError(
                    f"{self.path}: ran for longer than its handler_timeout of {seconds} s", path=self.path
                )
            )

    def expire(self) -> None:
        """Its deadline has passed."""
        if self._done or self._expired:
            return
        self._expired = True
        seconds = round(max((self._deadline or self.started_at) - self.started_at, 0.0), 3)
        error = AskTimeoutError(f"{self.path}: no answer within {seconds} s", path=self.path)
        envelope, cell = self.envelope, self.cell
        if self.is_running and cell.is_serial:
            self.replies._reject(error)  # its handler goes on, and what it replies is thrown away
            return
        if not self.is_running and envelope is not None and not envelope.taken:
            cell.ask_expired(envelope)
        self.begin_cancel(error)

    def finish(self, error: BaseException | None) -> None:
        """It has ended: close the replies, and leave what still runs below to those above."""
        if self._done:
            return
        self._done = True
        self.error = error
        self.is_running = False
        for timer in (self._timer, self._hang):
            if timer is not None:
                timer.cancel()
        for call in tuple(self.open_calls):
            call.finish()
        appender = self._sequence.message_appender
        if error is not None and appender.is_open:
            if self.cancelled is not None:
                self.replies._push_error(error)
            else:
                appender.append(error)
        appender.close()
        if self.cancelled is not None:
            self._sequence.cancel(self.cancelled)
            self.replies._reject(error if error is not None else PromiseCancelledError(str(self.cancelled)))
        parent = self.parent
        while parent is not None and parent._done:
            parent = parent.parent
        for child in self._below:
            child.parent = parent
            if parent is not None:
                parent._below.add(child)
        if self.parent is not None:
            self.parent._below.discard(self)
        if not self.replies.done():
            self._left = tuple(self._below)  # its replies may still come from these
        self._below = set()
        self.system.interaction_ended(self)
        self.cell.interaction_ended(self)

    # Cancelling

    def begin_cancel(self, reason: object) -> None:
        """Ask for its end, and that of everything below it. It starts nothing more."""
        if self._done:
            left, self._left = self._left, ()
            for child in left:
                child.begin_cancel(reason)
            return
        if self.cancelled is not None:
            return
        self.cancelled = reason
        self.cancel_below(reason)
        if self.is_running and self.task is not None:
            if self.task is not asyncio.current_task():
                self.task.cancel(str(reason))
        else:
            envelope = self.envelope
            if envelope is not None and not envelope.taken:
                self.cell.ask_cancelled(envelope)
            self.finish(
                reason
                if isinstance(reason, BaseException)
                else PromiseCancelledError(f"{self.path}: was cancelled: {reason}", reason=reason)
            )

    def cancel_below(self, reason: object) -> None:
        """Ask for the end of everything that it has started."""
        for child in tuple(self._below):
            child.begin_cancel(reason)
        for ask in tuple(self.asks):
            ask.cancel(reason)
        me = asyncio.current_task()
        for task in tuple(self._background):
            if task is not me:
                task.cancel()

    def _everything_below(self) -> "list[Interaction]":
        found, stack = [], [self]
        while stack:
            one = stack.pop()
            found.append(one)
            stack += (*one._below, *one._left)
        return found

    def wait_stopped(self) -> Awaitable[None]:
        """An awaitable of the moment when nothing of it, or of what is below it now, runs any more."""
        return self._wait_stopped(self._everything_below())

    @staticmethod
    async def _wait_stopped(everything: "list[Interaction]") -> None:
        me = asyncio.current_task()
        tasks = {task for one in everything for task in (one.task, *one._background)}
        running = {task for task in tasks if task is not None and task is not me and not task.done()}
        if running:
            await asyncio.wait(running)

    async def cancel(self, reason: object = "cancelled", *, grace: float = DEFAULT_GRACE) -> "tuple[Interaction, ...]":
        """Stop it and everything below it, before this returns.

        Args:
            reason: What its awaiters are told.
            grace: Seconds to wait for code that swallows its cancellation.

        Returns:
            What still runs after `grace`: it is `abandoned`, and its result is thrown away.
        """
        everything = self._everything_below()
        backgrounds = {t for i in everything for t in i._background}
        self.begin_cancel(reason)
        me = asyncio.current_task()
        tasks = {i.task for i in everything if i.task is not None} | backgrounds
        running = {t for t in tasks if t is not me and not t.done()}
        if running:
            _, running = await asyncio.wait(running, timeout=grace)
        abandoned = tuple(i for i in everything if i.task in running)
        for one in abandoned:
            one.abandoned = True
            _log.warning("a cancelled interaction runs on", actor=one.path, interaction=one.id, stack=one.stack)
            one.replies._reject(PromiseCancelledError(f"{one.path}: was cancelled: {reason}", reason=reason))
        return abandoned
