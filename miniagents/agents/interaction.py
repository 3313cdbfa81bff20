"""Interactions: one call of an agent at work."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

from miniagents.actors import ActorRef, EventKind
from miniagents.actors.dispatch.workers import WorkerTask
from miniagents.actors.waiting.deadlock import look_again
from miniagents.agents.call_tree import NOTHING
from miniagents.agents.host import AgentHost, ServingCell
from miniagents.agents.replying_call import ReplyingCall
from miniagents.errors import BudgetExceededError, HandlerTimeoutError, PromiseCancelledError
from miniagents.log import log as _log
from miniagents.messages import MessageSequencePromise, error_text
from miniagents.promising.abandoning import log_abandoned
from miniagents.promising.failures import log_failure
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import current_scope, current_work, get_work
from miniagents.promising.tracebacks import traceback_text

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.records import Records


AgentCode = Callable[["Interaction"], Awaitable[object]]
"""The code of an agent, ready to be run for a call."""

_LONGEST_TRACE = 64


class Interaction(ReplyingCall):
    """One call of an agent. It waits in the agent's mailbox, runs, and replies.

    A call has four roles, each in a class of its own: `CallNode` is its place in the tree of calls, `QueuedCall` its
    way through a mailbox, `ReplyingCall` the side of its caller, and this class runs the code. They are one object,
    so that a call makes no more than that and its promise.

    A worker runs a call of a function agent; it needs `scheduled`, `turn`, `turn_context`, `context`, `interrupt`,
    `break_down` and `abandon` of it. The code of a class agent runs in a task of its own (`start`), which the turn of
    the agent's actor waits for.

    Attributes:
        agent: The agent that is called.
        arguments: The arguments of the call, frozen.
        context: The context variables that the code gets; None when the call has ended.
        ctx: What the code sees of the call, once it has begun.
        tokens: Tokens used so far, as far as models reported them.
        cost: The cost of these tokens, in the currency of the price list; None if it is not known.
        label: The label that tells equal calls apart.
        job: The name of the job that the call belongs to, "" for none.
        records: The records of a call that is in a journal; None for any other call.
        was_passivated: Whether the code was thrown away since its job only waits. That is no failure of the agent.
        interrupted: Whether an earlier process has begun the call and was killed before the call ended.
        replaying: Whether the call is run again and has come to nothing new yet; see `InteractionContext.replaying`.

    Example:
        >>> @miniagent
        ... async def waiter(ctx):
        ...     print([interaction.path for interaction in ctx.system.interactions()])
        >>> async with MiniAgents():
        ...     replies = await waiter.inquire()
        ['/agents/waiter']
    """

    __slots__ = (
        "agent",
        "arguments",
        "context",
        "cost",
        "ctx",
        "label",
        "since",
        "tokens",
    )

    scheduled = False

    job: str = ""
    records: "Records | None" = None
    replaying = False
    interrupted = False
    was_passivated = False
    is_silent = False
    """Whether observers and events are told nothing of the call, since its answer is in the journal."""

    agent: "MiniAgent"
    agent_trace: "tuple[MiniAgent, ...]"
    parent: "Interaction | None"

    def __init__(
        self,
        *,
        system: AgentHost,
        cell: "ServingCell[Interaction]",
        agent: "MiniAgent",
        arguments: Mapping[str, Any],
        message_promises: MessageSequencePromise,
        context: Context,
        parent: "Interaction | None" = None,
        sender: ActorRef | None = None,
        correlation_id: int = 0,
        trace: object = None,
        deadline: float | None = None,
        timeout: float | None = None,
        errors_as_messages: bool = False,
        label: str | None = None,
    ) -> None:
        # It fills the slots of the classes above, too, which have no constructors (benchmark `agent_call`).
        now = system.time()
        self.system = system
        self.cell = cell
        self.agent = agent
        self.arguments: Mapping[str, Any] = arguments
        self.message_promises = message_promises
        self.parent = parent
        self.parent_id = None if parent is None else parent.id
        self.account = None
        self.id = next(system.interaction_ids)
        self.sender = sender
        self._correlation_id = correlation_id
        self.trace = trace
        self.label: str | None = label
        self.agent_trace = agent.as_trace if parent is None else (agent, *parent.agent_trace)[:_LONGEST_TRACE]
        self.own_timeout = timeout is not None and (deadline is None or now + timeout <= deadline)
        self._deadline = now + timeout if self.own_timeout and timeout is not None else deadline
        self.envelope = None
        self.task = None
        self.waits = None
        self.started_at = now
        self.since: float = 0.0
        self._coro = None
        self.is_running = False
        self.cancelled = None
        self.told_to_end_at = None
        self.abandoned = False
        self.tokens: int = 0
        self.cost: float | None = 0.0
        self.ctx: Any = None
        self.open_calls = self._below = self._background = NOTHING
        self.asks = None
        self._left_below = ()
        self._to_wait_for = None
        self.context: Context | None = context
        self._done = False
        self.has_expired = False
        self.error = None
        self.is_submitted = self.is_lazy = False
        self._timer = self._run_timer = None
        self.replies = system.reply_promise_class(self, errors_as_messages)
        self._sequence = None
        self.are_replies_closed = False
        self._was_awaited = False

    def spend(self, tokens: int, cost: float | None) -> None:
        """Count what a request to a model has used.

        Args:
            tokens: The tokens, 0 or more.
            cost: Their cost; None if it is not known.
        """
        self.cell.spend(self, tokens, cost)

    @property
    def row(self) -> int:
        """The number of the call in the journal, which outlives the process; without a journal its `id`."""
        return self.id

    # The run

    def run_soon(self) -> None:
        """Run the code on a worker, as soon as the loop turns, with the context variables of the caller."""
        self.is_running = True
        self.system.dispatcher.schedule(self)

    def turn(self) -> Coroutine[Any, Any, Any]:
        """Return what a worker runs: the agent's code, to its end. It raises nothing."""
        self._coro = coro = self._run(self.cell.call, settles=True)
        return coro

    def turn_context(self) -> Context:
        """Return the context variables that the code runs with."""
        return self.context if self.context is not None else Context()  # None: cancelled, and nothing is to run

    def start(self, code: AgentCode, *, settles: bool) -> "asyncio.Task[BaseException | None]":
        """Run the code in a task of its own, with the context variables of the caller.

        Args:
            code: The agent's code.
            settles: Whether an error of the code ends the call; otherwise the agent's actor says what becomes of it.

        Returns:
            The task. Its result is the error that the code raised, or None.
        """
        self.is_running = True
        context = self.context
        assert context is not None  # the call has not ended yet
        if not settles:
            context = context.copy()  # it may be tried again
        self._coro = coro = self._run(code, settles=settles)
        task = self.task = self.system.loop.create_task(coro, context=context)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: "asyncio.Task[BaseException | None]") -> None:
        """End the call if its task was cancelled before the first step, so that `_run` did nothing."""
        if self.task is task:
            self.task = None
        if task.cancelled() and not self._done:
            self.is_running = False
            self.finish(self.explain(asyncio.CancelledError()))

    async def _run(self, code: AgentCode, *, settles: bool) -> BaseException | None:
        if self._done:
            self.task = self._coro = None
            return None  # it was cancelled before a worker came to it
        current_scope.set(self)
        if get_work() is not None:
            current_work.set(None)  # that of the caller; what this code starts is the call's own
        if self.task is None:
            self.task = asyncio.current_task()  # an eager task begins before its maker gets it
        if self.account is not None:
            # Neither a call nor a local variable: this frame is a part of each run that waits (tests/test_costs.py).
            self.account.attempts += 1
            self.account.attempt_begun_at = (
                self.system.dispatcher.now if self.system.dispatcher.awake else self.system.dispatcher.time()
            )
            if self.account.begun_at is None:
                self.account.begun_at = self.account.attempt_begun_at
        error: BaseException | None = None
        try:
            try:
                await code(self)
            finally:
                if self.open_calls:
                    self._finish_open_calls()
            if self._to_wait_for:
                await self.wait_for_the_rest()
        except BaseException as raised:  # whatever it is, it belongs to those who await the replies
            trace = raised.__traceback__
            if trace is not None and trace.tb_next is not None:
                raised.__traceback__ = trace.tb_next  # without this frame, which would make a cycle
            trace = None
            error = self.explain(raised)
        try:
            if error is not None:
                self.mark(error)
            self.is_running = False
            if settles and error is not None and not isinstance(error, (*self.answers, PromiseCancelledError)):
                self.system.events.publish(EventKind.CRASH, self.path, error=error, actor=self.cell, call=self)
            if settles or error is None or self.cancelled is not None:
                self.finish(error)
            elif self.account is not None:
                self.account.attempt_failed(self.system.dispatcher.time(), error)
        except Exception as fault:  # of the runtime itself: the worker must not die of it
            stack = traceback_text(fault)
            _log.error("runtime.call_end_failed", actor=self.path, interaction=self.id, stack=stack)
        self.task = self._coro = None
        return error

    def _finish_open_calls(self) -> None:
        for open_call in tuple(self.open_calls):
            open_call.finish()

    def interrupt(self, reason: str) -> None:
        """Cancel the code, unless this is called by that code."""
        task = self.task
        if task is None or task is asyncio.current_task():
            return
        if isinstance(task, WorkerTask):
            task.interrupt(reason)
        else:
            task.cancel(reason)

    def watch_for_hang(self, seconds: float) -> None:
        """Cancel the call if it runs for longer than its `handler_timeout`."""
        self._run_timer = self.system.loop.call_later(seconds, self._hangs, seconds)

    def stop_watch(self) -> None:
        """Let an attempt that has ended not be taken for one that hangs."""
        if self._run_timer is not None:
            self._run_timer.cancel()
            self._run_timer = None  # its context leads back to here, and so does that of the other timer

    def _hangs(self, seconds: float) -> None:
        if not self._done:
            self.system.events.publish(EventKind.HANG, self.path, actor=self.cell, call=self)
            self.begin_cancel(
                HandlerTimeoutError(
                    f"{self.path}: ran for longer than its handler_timeout of {seconds} s", path=self.path
                )
            )

    # The end

    def finish(self, error: BaseException | None) -> None:
        """End the call: close the replies, and hand what still runs below to the call above."""
        if self._done:
            return
        if error is None and self.cancelled is not None:
            error = self.as_error(self.cancelled)  # the code has swallowed it: what it replied is thrown away
        self._done = True
        self._was_awaited = error is not None and self.replies.is_waited_for()
        self.error = error
        self.is_running = False
        if self._run_timer is not None:
            self.stop_watch()
        if self.open_calls:
            self._finish_open_calls()
        if error is not None and not self._is_crash(error) and self.goes_unheard(error):
            log_failure("call.failed_unheard", error, **self.log_fields)
        if error is not None and not self.are_replies_closed:
            if self.cancelled is not None or self._sequence is None:
                self.replies.push_error(error)
            else:
                self._sequence.append(error)
        self.close_replies()
        if self.cancelled is not None and error is not None:
            if self._sequence is not None:
                self._sequence.cancel(self.cancelled)
            self.replies.reject(error)
        flows = bool(self._background or self._timer is not None) and self.replies.is_flowing
        if self._timer is not None and not flows:
            self._timer.cancel()
            self._timer = None
        if flows or self._below:
            self.leave(flows=flows)
        if self.parent is not None:
            self.parent.remove_below(self)
        self.context = self.envelope = self.ctx = None  # they lead back to here
        if self.system.watches:
            self.system.watches.stirred(self)
        replies = self.replies
        if replies.settled_value is not NO_VALUE or replies.settled_error is not None:
            self._sequence = None  # it leads back to here
        elif replies.is_waited_for():
            look_again(self.system, replies)  # those who wait for the replies wait for others from now on
        self.system.interaction_ended(self)
        account = self.account
        if account is not None:
            dispatcher = self.system.dispatcher
            account.ended_at = now = dispatcher.now if dispatcher.awake else dispatcher.time()
            if error is not None and not self.was_passivated:
                account.error = error_text(error)
                account.failed_attempts = account.failed_attempts[: account.attempts - 1]  # the last one is this end
            if self._background:
                account.wait_for(self._background)
            account.settle(now)
        self.cell.interaction_ended(self)

    def _is_crash(self, error: BaseException) -> bool:
        """Return True if an error crashes a class agent, and is logged as that."""
        return self.cell.is_serial and self.cancelled is None and not isinstance(error, self.answers)

    @property
    def answers(self) -> tuple[type[BaseException], ...]:
        """The exceptions that are answers to the caller, and no crashes: `errors=` of the agent, and a budget that is
        spent, which says nothing about the code of the agents between the model and the caller."""
        return (*self.agent.options.errors, BudgetExceededError)

    @property
    def is_unwanted(self) -> bool:
        """True if the deadline has passed and the code goes on, as that of a class agent does."""
        return self.abandoned and self.cancelled is None

    def end_unwanted(self) -> None:
        """Cancel the code, since the system ends and has waited for long enough."""
        self.begin_cancel("the system ends")

    def break_down(self, error: BaseException) -> None:
        """End the call, since the runtime failed while it ran the code."""
        self.finish(error)

    def abandon(self) -> None:
        """End the call without its code, which swallows its cancellation while the system ends."""
        task = self.task
        log_abandoned(self.stack, actor=self.path, interaction=self.id)
        self.abandoned = True
        self.system.dispatcher.abandon(task)
        self.finish(self.as_error(self.cancelled))
        if self.cell.is_serial:
            self.cell.end_unserved()
