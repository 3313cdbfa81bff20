"""References to actors."""

from collections import deque
from collections.abc import Awaitable
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, overload

from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.envelope import Envelope, new_correlation_id, not_sendable
from miniagents.actors.messaging.identity import whereabouts
from miniagents.actors.messaging.of_task import OfTask
from miniagents.errors import AskTimeoutError, WrongThreadError
from miniagents.messages import Message, Request
from miniagents.promising import Promise
from miniagents.promising.cpython import current_tasks
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import Scope, get_scope, get_work
from miniagents.supervision import StopReason
from miniagents.supervision.checking import check_seconds

if TYPE_CHECKING:
    from miniagents.actors.ports import Cell

T = TypeVar("T")


class ActorRef:
    """The name of one actor. A ref outlives the actor's restarts, is hashable, and can travel in messages.

    Two refs are equal, and have one hash, when they name the same actor: same system, node, path and uid. A ref of an
    actor that has ended stays dead, also when another actor takes its name. A ref that was encoded and decoded is equal
    to the original: alive where its system runs, elsewhere not.

    Example:
        >>> class Echo(Actor):
        ...     async def receive(self, message, ctx):
        ...         return message
        >>> async with ActorSystem() as system:
        ...     echo = system.spawn(Echo, name="echo")
        ...     print(echo.path, await echo.ask(TextMessage("hello")))
        ...     print(await echo.stop())
        /echo hello
        StopReason.SHUTDOWN
    """

    __slots__ = ("__weakref__", "_cell")

    __miniagents_immutable__ = True

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell

    @property
    def path(self) -> str:
        """The path of the actor in the tree, `/research/searcher-3`."""
        return self._cell.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._cell.name

    @property
    def uid(self) -> int:
        """A number that no other actor of its system has had."""
        return self._cell.uid

    @property
    def node(self) -> str:
        """The node that the actor lives on; "" for the only one."""
        node: str = self._cell.identity.node
        return node

    @property
    def epoch(self) -> int:
        """The life of that node: a node that is started again has another one, and so have the actors on it. A restart
        of the actor changes nothing."""
        epoch: int = self._cell.identity.epoch
        return epoch

    @property
    def is_alive(self) -> bool:
        """True until `terminated()` resolves: the actor can still get messages."""
        return self._cell.is_alive

    def tell(self, message: Message) -> None:
        """Put a message into the actor's mailbox and go on.

        Raises:
            MailboxFullError: The mailbox is full and its overflow is BACKPRESSURE or REJECT.
            NotSendableError: `message` is no `Message`.
            WrongThreadError: Called from another thread than the system's.
        """
        cell = self._cell
        kind: Any = message.__class__
        try:
            kind.__message_fields__  # noqa: B018 - isinstance() takes thrice as long (benchmark `tell`)
        except AttributeError:
            raise not_sendable(cell.path, message) from None
        system = cell.system
        if get_ident() != system.thread_id:
            raise _wrong_thread(cell.path, "tell")
        scope: Any = get_scope()
        queue = cell.queue
        # What `post` does for an open mailbox without a bound, written out (benchmark `tell`).
        if scope is not None and scope.is_node:
            envelope = scope.envelope_for(message)
            if queue.__class__ is not deque or cell.stopping is not None:
                cell.post(envelope)
                return
            queue.append(envelope)
        else:
            dispatcher, outer_trace = system.dispatcher, system.observers.outer_trace
            if queue.__class__ is not deque or cell.stopping is not None:
                trace = None if outer_trace is None else outer_trace()
                cell.post(Envelope(message, trace=trace, at=dispatcher.time()))
                return
            now = dispatcher.now if dispatcher.awake else dispatcher.time()
            if outer_trace is not None:
                queue.append(Envelope(message, trace=outer_trace(), at=now))
            else:
                if now != cell.last_stamp:
                    cell.put_stamp(now)
                queue.append(message)
        if not cell.scheduled:
            cell.wake()

    async def send(self, message: Message, *, message_id: str | None = None) -> None:
        """Like `tell`, but wait while the mailbox is full (overflow BACKPRESSURE), and, if the actor is durable, until
        the message is on disk.

        If it is cancelled while it waits for room, nothing was sent. If it is cancelled later, the message is sent all
        the same.

        Args:
            message: The message.
            message_id: For a durable actor, the sender's own id of the message. The message is handled once, however
                often it is sent under this id. None for a message that counts anew each time.

        Raises:
            MailboxFullError: The mailbox is full and its overflow is REJECT.
            MessageIdConflictError: The actor knows the message id of another message.
            MessageDeadError: The message of this id lies in the dead letters of the journal, or was dropped from there.
            InvalidOptionError: `message_id` is given, and the actor is not durable.
            JournalError: The journal cannot write; nothing was sent.
        """
        cell = self._cell
        kind: Any = message.__class__
        try:
            kind.__message_fields__  # noqa: B018 - as in `tell`
        except AttributeError:
            raise not_sendable(cell.path, message) from None
        system = cell.system
        if get_ident() != system.thread_id:
            raise _wrong_thread(cell.path, "send")
        scope: Any = get_scope()
        node = scope if scope is not None and scope.is_node else None
        if node is None:
            outer_trace = system.observers.outer_trace
            trace = None if outer_trace is None else outer_trace()
            envelope = Envelope(message, trace=trace, at=system.dispatcher.time())
        else:
            envelope = node.envelope_for(message)
        if message_id is not None:
            cell.check_message_id(message_id)
        member = cell.route(message)
        await member.room()
        if message_id is not None:
            accepted = member.post_once(envelope, message_id)
        else:
            mailbox = member.post(envelope)
            accepted = mailbox.until_written(envelope) if mailbox is not None else None
        if accepted is not None:
            await accepted

    @overload
    def ask(
        self, message: Request[T], *, timeout: float | None = None, message_id: str | None = None
    ) -> Promise[T]: ...

    @overload
    def ask(self, message: Message, *, timeout: float | None = None, message_id: str | None = None) -> Promise[Any]: ...

    def ask(self, message: Message, *, timeout: float | None = None, message_id: str | None = None) -> Promise[Any]:
        """Put a message into the actor's mailbox and promise the answer.

        Args:
            timeout: Seconds until the promise ends with `AskTimeoutError`, 0 or more (0: at the next turn of the
                loop); None for the deadline of the message in hand, if there is one.
            message_id: For a durable actor, the sender's own id of the message. An id that was handled before is
                answered from the journal; one that waits is joined. The message is handled also if the promise is
                cancelled or runs into its timeout.

        Returns:
            The promise of what the handler returns or replies. It ends with the handler's exception,
            `AskTimeoutError`, `ActorStoppedError`, `DeadlockError`, `MailboxFullError` or `DroppedError` otherwise.

        Raises:
            InvalidOptionError: `timeout` is no number of seconds, 0 or more; or `message_id` is given, and the actor is
                not durable.
            NotSendableError: `message` is no `Message`.
            WrongThreadError: Called from another thread than the system's.
        """
        cell = self._cell
        kind: Any = message.__class__
        try:
            kind.__message_fields__  # noqa: B018 - see `tell`
        except AttributeError:
            raise not_sendable(cell.path, message) from None
        system = cell.system
        if get_ident() != system.thread_id:
            raise _wrong_thread(cell.path, "ask")
        if timeout is not message_id:  # type: ignore[comparison-overlap]  # one is given: one test (benchmark `ask`)
            if timeout is not None:
                check_seconds(f"{cell.path}: ask(timeout=)", timeout)
            if message_id is not None:
                cell.check_message_id(message_id)
        scope: Any = get_scope()
        dispatcher = system.dispatcher
        now = dispatcher.now if dispatcher.awake else dispatcher.time()
        work: Any = get_work()
        ask: Ask[Any]
        if scope is None or not scope.is_node:  # from outside of the actors
            outer_trace = system.observers.outer_trace
            deadline = None if work is None or scope is None else _deadline_of(work, scope)
            trace = None if outer_trace is None else outer_trace()
            ask = Ask(cell, message, None, None, deadline, 0, trace, now)
            if work is not None:
                work.owns(ask)
        elif work is None and not scope.keeps_asks and scope.current.__class__ is Ask:
            # A handler asks on behalf of an ask. What the node would say, written out (benchmark `fan_out`).
            work = scope.current
            deadline = work.deadline
            if not work.correlation_id:
                work.correlation_id = new_correlation_id()
            ask = Ask(cell, message, scope, scope.ref, deadline, work.correlation_id, work.trace, now)
            before = work.started_work
            if (
                (
                    before is None
                    or (before.__class__ is Ask and (before.settled_value is not NO_VALUE or before.settled_error))
                )
                and (work.settled_value is NO_VALUE and work.settled_error is None)
                and current_tasks.get(system.loop) is scope.task
            ):
                work.started_work = ask  # what `owns` does in the usual case
            else:
                scope.owns(ask)
        else:
            deadline = scope.deadline if work is None else _deadline_of(work, scope)
            ask = Ask(cell, message, scope, scope.ref, deadline, scope.correlation_id, scope.trace, now)
            if scope.keeps_asks:
                scope.started_ask(ask)
            elif work is None:
                scope.owns(ask)
            if work is not None:
                work.owns(ask)
        if (timeout is not None or deadline is not None) and not ask.limit(timeout, system.loop):
            return ask
        queue = cell.queue
        if queue.__class__ is not deque or cell.stopping is not None:
            if message_id is None:
                cell.post(ask)
            else:
                cell.post_once(ask, message_id)
        else:
            queue.append(ask)
            if not cell.scheduled:
                cell.wake()
        return ask

    def stop(self, *, drain: bool = False) -> Awaitable[StopReason | BaseException]:
        """Ask the actor to end: children first, then `on_stop`, within its `shutdown` seconds, then by cancellation.

        Args:
            drain: Whether the actor handles the messages that wait before it ends; otherwise they become dead letters.

        Returns:
            An awaitable of the end. Stopping again is harmless.
        """
        return self._cell.stop(reason=StopReason.SHUTDOWN, drain=drain)

    def kill(self) -> Awaitable[StopReason | BaseException]:
        """End the actor without a grace for the message in hand; `on_stop` still runs, for one second at most."""
        return self._cell.stop(reason=StopReason.KILLED, drain=False)

    def restart(self) -> Promise[None]:
        """Have the actor start again at once, as a fresh instance behind the same mailbox and reference.

        The restart type of a supervisor's child is not asked, and the restart counts in no window. Its siblings stay.
        The message in hand is cut off: its ask ends with `ActorStoppedError`, while a durable actor keeps the message
        for the fresh instance. `on_stop` has one second. What waits in the mailbox is handled by the fresh instance. A
        supervisor starts its children again.

        Returns:
            The promise of the start. It ends with the error of the start, or with `ActorStoppedError` if the actor has
            ended, or ends before it has started again.

        Example:
            >>> class Counter(Actor):
            ...     count = 0
            ...     async def receive(self, message, ctx):
            ...         self.count += 1
            ...         return TextMessage(str(self.count))
            >>> async with ActorSystem() as system:
            ...     counter = system.spawn(Counter)
            ...     before = [str(await counter.ask(TextMessage("count"))) for _ in range(2)]
            ...     await counter.restart()
            ...     print(before, await counter.ask(TextMessage("count")))
            ['1', '2'] 1
        """
        return self._cell.start_again()

    def started(self) -> Promise[None]:
        """Return the promise of the start: None, or the error of `__init__` or `on_start`."""
        return self._cell.started()

    def terminated(self) -> Promise[StopReason | BaseException]:
        """Return the promise of the end: a `StopReason`, or the exception that the actor crashed with."""
        return self._cell.terminated()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ActorRef):
            return NotImplemented
        cell, others = self._cell, other._cell
        return cell.uid == others.uid and cell.identity == others.identity

    def __hash__(self) -> int:
        cell = self._cell
        return hash((cell.system_hash, cell.uid))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}#{self.uid}{whereabouts(self._cell.identity)}>"


def _deadline_of(work: Any, scope: Scope) -> float | None:
    """The deadline of an ask that is made for a promise, or by a task of an actor, by code of a scope."""
    if work.__class__ is OfTask:
        if work.of is None:
            return None  # a task beside the handlers: the message in hand is none of its business
        work = work.of
    if work.__class__ is Ask:
        expired = isinstance(work.settled_error, AskTimeoutError)
        return work.deadline if expired or not work.done() else None
    if work.done() and not getattr(scope, "keeps_asks", False):
        return None  # the same, of a task that outlives what it was started for
    return scope.deadline


def _wrong_thread(path: str, what: str) -> WrongThreadError:
    return WrongThreadError(
        f"{path}: {what} was called from another thread than the system's loop; use system.from_thread.{what}"
    )
