"""The tree of calls: which call made which, what each has started, and how cancelling goes down."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Self

from miniagents.actors import ActorRef
from miniagents.actors.messaging.envelope import Envelope, new_correlation_id
from miniagents.actors.waiting.deadlock import Node
from miniagents.actors.waiting.search import Held
from miniagents.agents.accounts import InteractionAccount
from miniagents.agents.host import AgentHost, OpenCall, ServingCell
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.errors import PromiseCancelledError
from miniagents.log import log as _log
from miniagents.promising.abandoning import DEFAULT_GRACE
from miniagents.promising.scope import OnCancelled
from miniagents.promising.stacks import stack_of
from miniagents.promising.work import Cancellable, Endings, Work, end_all, end_task, wait_for_all

NOTHING: Any = ()
"""In the place of a dict that most calls never need. Whoever puts something in makes the dict first."""


class CallNode(Node):
    """A call in the tree of calls.

    A call is a scope, which owns the calls, asks and background tasks that its code starts, and a node of the wait-for
    graph, which the deadlock detection follows. This class has these two roles; how the call gets through a mailbox and
    runs is for its subclass `Interaction`, whose constructor fills the slots of both.

    Attributes:
        id: The number of the call, unique in its system.
        system: The system that the call runs in.
        cell: The cell that serves the call.
        parent: The call that made this one, or the nearest one above that still runs; None from outside.
        parent_id: The number of the call that made this one, also when that is over; None from outside.
        label: The label that tells equal calls apart, or None.
        account: What the call has used, with all calls below it; None if no observer follows it to its end.
        own_timeout: Whether the deadline is that of this call, and not inherited.
        started_at: When the call was made, on `loop.time()`.
        sender: The reference of the actor that called, or None from outside.
        trace: The trace context that goes with all that the call sends.
        cancelled: Why the call was cancelled; None if it was not.
        told_to_end_at: When its code was cancelled, on `loop.time()`; None if it has not been.
        abandoned: Whether the code runs although the caller waits no more: the deadline has passed, or the call was
            cancelled and has not ended within its grace. Its result is thrown away.
        is_running: Whether the code runs now.
        task: The task that runs the code, or None.
        waits: What the call waits for outside of its code, or None.
        asks: The asks that the code has sent.
        open_calls: The `AgentCall`s that the code has begun and not finished.
        replies: The promise of the replies.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_below",
        "_coro",
        "_correlation_id",
        "_deadline",
        "_done",
        "_left_below",
        "_run_timer",
        "abandoned",
        "account",
        "asks",
        "cancelled",
        "cell",
        "envelope",
        "id",
        "is_running",
        "open_calls",
        "own_timeout",
        "parent",
        "parent_id",
        "replies",
        "sender",
        "started_at",
        "system",
        "task",
        "told_to_end_at",
        "trace",
        "waits",
    )

    keeps_asks = True
    is_interaction = True
    ends_with_its_agent = False
    """True if the end of the system leaves the call to the end of its agent."""

    id: int
    system: AgentHost
    cell: ServingCell[Any]
    parent: Self | None
    parent_id: int | None
    label: str | None
    account: InteractionAccount | None
    own_timeout: bool
    started_at: float
    sender: ActorRef | None
    trace: object
    cancelled: object
    told_to_end_at: float | None
    abandoned: bool
    is_running: bool
    task: asyncio.Task[Any] | None
    waits: Held | None
    asks: Work | None
    open_calls: dict[OpenCall, None]
    replies: ReplyPromise[Any]
    envelope: Envelope | None
    _below: dict[Any, None]
    _left_below: tuple[Any, ...]
    _background: dict[asyncio.Task[Any], None]
    _coro: Coroutine[Any, Any, Any] | None
    _correlation_id: int
    _deadline: float | None
    _done: bool
    _run_timer: asyncio.TimerHandle | None

    # What a program sees

    @property
    def path(self) -> str:
        """The path of the agent."""
        return self.cell.path

    @property
    def age(self) -> float:
        """Seconds since the call was made."""
        return self.system.time() - self.started_at

    @property
    def below(self) -> tuple[Self, ...]:
        """The calls that this one has made and that are under way; after its end, those that its replies still come
        from."""
        return (*self._below, *self._left_below)

    @property
    def stack(self) -> str:
        """The stack of the code, as text; "" while the call waits in the mailbox."""
        return stack_of(self._coro)

    def done(self) -> bool:
        """Return True if the call has ended."""
        return self._done

    def __repr__(self) -> str:
        return f"<Interaction {self.id} of {self.path}>"

    # As a scope

    @property
    def log_fields(self) -> dict[str, Any]:
        """The fields by which the lines of a log tell this call from others: the path of the agent, the number of the
        call, that of the call that made it, if an agent did, and its label, if it has one."""
        fields: dict[str, Any] = {"actor": self.path, "interaction": self.id}
        if self.parent_id is not None:
            fields["parent"] = self.parent_id
        if self.label is not None:
            fields["label"] = self.label
        return fields

    @property
    def ref(self) -> ActorRef:
        """The agent, which is the sender of what its code tells."""
        return self.cell.ref

    @property
    def deadline(self) -> float | None:  # type: ignore[override]
        """The time on `loop.time()` at which the call must be over, or None."""
        return self._deadline

    @property
    def correlation_id(self) -> int:
        """One number for everything that one message from outside sets off; given out when first asked for."""
        if not self._correlation_id:
            self._correlation_id = new_correlation_id()
        return self._correlation_id

    def envelope_for(self, message: object) -> Envelope:
        """Return the envelope of a message that the code sends."""
        return Envelope(message, self.ref, None, None, self.correlation_id, self.trace, self.system.dispatcher.time())

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Run a coroutine in the background. Cancelling the call ends it; after a normal end the system keeps it."""
        task = self.system.start_soon(coro, name=name, on_cancelled=on_cancelled)
        self.own_task(task)
        return task

    def own_task(self, task: "asyncio.Task[Any]") -> None:
        """Cancel a task with this call."""
        if self._background is NOTHING:
            self._background = {}
        self._background[task] = None
        task.add_done_callback(self._background.pop)

    def started_ask(self, ask: Cancellable) -> None:
        """Cancel an ask that the code has sent with this call."""
        if self.asks is None:
            self.asks = Work()
        self.asks.add(ask)

    def opened(self, call: OpenCall) -> None:
        """Finish an `AgentCall` that the code has begun when the code ends, at the latest."""
        if self.open_calls is NOTHING:
            self.open_calls = {}
        self.open_calls[call] = None

    def closed(self, call: OpenCall) -> None:
        """Forget an `AgentCall` that is finished."""
        if self.open_calls:
            self.open_calls.pop(call, None)

    # As a node of the wait-for graph

    @property
    def is_awaited(self) -> bool:  # type: ignore[override]
        """True if anybody waits for the replies, or may do so without being seen here: an ask that became this call,
        or the calls that wait behind it for a serial agent."""
        replies, envelope = self.replies, self.envelope
        if self.cell.is_serial or replies.may_be_awaited:
            return True
        return envelope is not None and envelope.message is not self

    @property
    def has_timeout(self) -> bool:  # type: ignore[override]
        """True if a timeout of this call ends what it has started; an inherited deadline does not count."""
        return self.own_timeout and not self.replies.done()

    def node_behind(self, promise: object) -> Any:
        """Return the node that must get further before the replies can come: this call, or, while it waits in the
        mailbox of a serial agent, that agent; else None."""
        if self.is_running:
            return self
        waits = self.envelope is not None and not self.envelope.taken
        return self.cell if waits and self.cell.is_serial else None

    # Calls below

    def all_below(self) -> list[Self]:
        """Return the calls under way that this one has made, and those that they have made in turn."""
        calls = [self]
        for call in calls:  # it grows meanwhile
            calls += call.below
        return calls[1:]

    def add_below(self, call: "CallNode") -> None:
        """Take in a call that this one has made."""
        if self._below is NOTHING:
            self._below = {}
        self._below[call] = None

    def remove_below(self, call: "CallNode") -> None:
        """Forget a call that has ended."""
        if self._below:
            self._below.pop(call, None)

    def leave(self, *, flows: bool) -> None:
        """Hand what outlives this call to the nearest call above that has not ended.

        Args:
            flows: Replies are still to come from the background tasks: the call above cancels these tasks, too.
        """
        parent = self.parent
        while parent is not None and parent.done():
            parent = parent.parent
        if flows and parent is not None:
            for task in self._background:
                parent.own_task(task)
        for call in self._below:
            call.parent = parent
            if parent is not None:
                parent.add_below(call)
        if self._below and not self.replies.done():
            self._left_below = tuple(self._below)  # its replies may still come from these
        self._below = NOTHING

    # Cancelling

    def finish(self, error: BaseException | None) -> None:
        """End the call, with an error or without."""
        raise NotImplementedError

    def interrupt(self, reason: str) -> None:
        """Cancel the code, unless this is called by that code."""
        raise NotImplementedError

    def begin_cancel(self, reason: object) -> Endings:
        """Cancel the call and everything below it, without waiting. It starts nothing more.

        Returns:
            What still runs, each task with its owner.
        """
        return self.replies.add_endings(end_all(self, reason=reason))

    async def cancel(self, reason: object = "cancelled", *, grace: float = DEFAULT_GRACE) -> tuple[Self, ...]:
        """Stop the call and everything below it, before this returns.

        Args:
            reason: What those who wait for the replies are told.
            grace: Seconds to wait for code that swallows its cancellation.

        Returns:
            The calls that still run after `grace`, or have background tasks that do. They are `abandoned`, and their
            results are thrown away.
        """
        endings = self.begin_cancel(reason)
        await wait_for_all(endings, grace)
        me = asyncio.current_task()
        owners = {owner: None for task, owner in endings.items() if task is not me and not task.done()}
        calls = tuple(owner for owner in owners if getattr(owner, "is_interaction", False))
        for owner in owners:
            if owner in calls:
                owner.runs_on()
            else:
                path = getattr(owner, "path", None)
                _log.warning("call.asks_run_on", actor=path, interaction=self.id)
        return calls

    def cut_off(self, error: BaseException) -> None:
        """Cancel the call and everything below it. Its caller gets the error now, whatever the code does."""
        self.begin_cancel(error)
        self.replies.reject(error)

    def cancel_below(self, reason: object) -> None:
        """Cancel everything that the code has started, but not the code."""
        end_all(*self._below, *(self.asks or ()), reason=reason)
        self.cancel_background(reason, {})

    def cancel_background(self, reason: object, endings: Endings) -> None:
        """Cancel the background tasks, and put those that still run into `endings`."""
        for task in tuple(self._background):
            end_task(task, reason, endings, self)

    def is_over(self) -> bool:
        """Return True if nothing of the call runs or flows: see `Cancellable`."""
        return self._done and not self.replies.is_flowing

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Cancel the call without what is below it: see `Cancellable`."""
        if reason is None:
            reason = "cancelled"
        if self._done:
            below: tuple[Any, ...] = self._left_below
            self._left_below = ()
            if self.replies.is_flowing:
                below = (*below, *(self.asks or ()))
                self.replies.reject(self.as_error(reason))  # before its stream says that it was cancelled
                self.replies.mark_seen()  # whoever reads the stream is told by it
                self.cancel_background(reason, endings)
            return below
        below = (*self._below, *(self.asks or ()))
        if self.cancelled is not None:
            endings.update(dict.fromkeys(self.tasks(), self))
            return below
        self.cancelled = reason
        self.cancel_background(reason, endings)
        if self.is_running and self.task is not None:
            endings[self.task] = self
            self.interrupt(str(reason))
            self.told_to_end_at = self.system.time()
            if self._run_timer is not None:
                self._run_timer.cancel()
            self._run_timer = self.system.loop.call_later(DEFAULT_GRACE, self.runs_on)
        else:
            envelope = self.envelope
            if envelope is not None and not envelope.taken:
                self.cell.ask_cancelled(envelope)
            self.finish(self.as_error(reason))
        return below

    def as_error(self, reason: object) -> BaseException:
        """Return the error that a caller gets for the reason of a cancellation."""
        if isinstance(reason, BaseException):
            return reason
        return PromiseCancelledError(f"{self.path}: was cancelled: {reason}", reason=reason)

    def runs_on(self) -> None:
        """Give the caller the error, since the grace is over and the code swallows its cancellation."""
        if self._run_timer is not None:
            self._run_timer.cancel()
        self.abandoned = True
        stack = self.stack or "\n".join(stack_of(task.get_coro()) for task in self._background)
        _log.warning("call.runs_on", actor=self.path, interaction=self.id, stack=stack)
        self.replies.reject(self.as_error(self.cancelled))

    def tasks(self) -> "tuple[asyncio.Task[Any], ...]":
        """Return the tasks that run for the call."""
        return tuple(self._background) if self.task is None else (self.task, *self._background)

    async def wait_stopped(self) -> None:
        """Wait until nothing of the call, or of what is below it now, runs any more."""
        calls, seen = [self], {self}
        for call in calls:  # it grows meanwhile
            below = [other for other in call.below if other not in seen]
            calls += below
            seen.update(below)
        await wait_for_all(task for call in calls for task in call.tasks())
