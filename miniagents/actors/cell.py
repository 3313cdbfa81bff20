"""The cell: one actor as the system sees it, whatever runs inside.

It has an identity, a mailbox, a parent and children, watchers, and an end. What a message does, and how the actor is
started and restarted, is for the kinds of cells: `ActorCell`, `SupervisorCell`, and the agents' own.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from miniagents.actors.ask import Ask
from miniagents.actors.deadletters import DeadLetterReason
from miniagents.actors.deadlock import Node, Waits, end_wait
from miniagents.actors.envelope import Envelope, new_correlation_id
from miniagents.actors.events import EventKind
from miniagents.actors.mailbox import Overflow, PriorityQueue
from miniagents.actors.options import Props
from miniagents.actors.ref import ActorRef
from miniagents.actors.terminated import Terminated
from miniagents.errors import ActorStoppedError, DeadlockError, DroppedError, MailboxFullError
from miniagents.messages import error_text
from miniagents.promising import Promise
from miniagents.promising.context import current_scope
from miniagents.promising.promise import settled
from miniagents.supervision import StopReason

if TYPE_CHECKING:
    from miniagents.actors.supervising import Keeper
    from miniagents.actors.system import ActorSystem

DEFAULT_SHUTDOWN = 5.0
"""Seconds that an actor without a `ChildSpec` has to end."""


class State(enum.Enum):
    """What an actor is doing."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


# A look-up in an Enum costs as much as three calls of a method before Python 3.12 (benchmark `crash`).
STARTING, IDLE, RUNNING, RESTARTING, STOPPING, STOPPED = State


class StopRequest:
    """That an actor is to end, and how.

    Attributes:
        reason: The reason that it ends with.
        drain: Whether it handles first what waits in its mailbox.
        judged: Whether the restart type of a `ChildSpec` has a say in it.
        own: Whether the actor asked for it itself.
        ended: The promise of the end of this instance.
    """

    __slots__ = ("drain", "ended", "judged", "own", "reason")

    def __init__(self, reason: StopReason, *, drain: bool, judged: bool, own: bool = False) -> None:
        self.reason = reason
        self.drain = drain
        self.judged = judged
        self.own = own
        self.ended: Promise[Any] = Promise()


ENDED = StopRequest(StopReason.NORMAL, drain=False, judged=False)
"""What `stopping` is once an actor has ended: its mailbox stays closed."""


class Cell(Node):
    """One actor as the system sees it.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name, unique among the children of its parent.
        props: How it is made.
    """

    __slots__ = (
        "__weakref__",
        "_correlation_id",
        "_path",
        "_ref",
        "_room",
        "_started",
        "_terminated",
        "child_keeper",
        "children",
        "current",
        "gone",
        "handled",
        "head_at",
        "keeper",
        "last_error",
        "name",
        "numbers",
        "on_started",
        "parent",
        "props",
        "queue",
        "reason",
        "restarts",
        "scheduled",
        "shutdown",
        "since",
        "spec",
        "stamp",
        "start_error",
        "state",
        "stopping",
        "system",
        "task",
        "uid",
        "waits",
        "watchers",
        "watching",
    )

    is_serial = True
    """Whether it does one thing at a time, so that who waits for it waits for what it waits for."""
    is_supervisor = False
    keeps_asks = False
    """Whether what its code asks is to be cancelled with it; an interaction's is."""

    def __init__(self, system: "ActorSystem", parent: "Cell | None", name: str, props: Props) -> None:
        self.system = system
        self.parent = parent
        self.name = name
        self.props = props
        self.uid = next(system.uids)
        self.state = STARTING
        self.queue: Any = None  # a deque of entries (see Envelope) and stamps, a bounded or a priority queue, or None
        self.scheduled = False  # a message must not wake it: a turn of it is to come
        self.stamp = self.head_at = 0.0  # the last time stamp that was put into the queue, and that was taken from it
        self.gone = 0  # how much in the queue is no message: stamps, and asks that have ended already
        self.current: Any = None  # the entry in hand
        self.since = 0.0
        self.task: Any = None
        self.waits: Waits | None = None
        self.children: dict[str, Cell] | None = None
        self.numbers: dict[str, int] | None = None
        self.keeper: Keeper | None = None
        self.child_keeper: Keeper | None = None
        self.spec: Any = None
        self.shutdown: float | None = DEFAULT_SHUTDOWN
        self.watchers: dict[Cell, None] | None = None
        self.watching: WeakKeyDictionary[Cell, None] | None = None
        self.stopping: StopRequest | None = None
        self.reason: StopReason | BaseException | None = None
        self.start_error: BaseException | None = None
        self.last_error: str | None = None
        self.restarts = 0
        self.on_started: Callable[[BaseException | None], None] | None = None
        self.handled = 0
        self._path: str | None = None
        self._ref: ActorRef | None = None
        self._room: deque[asyncio.Future[None]] | None = None
        self._started: Promise[None] | None = None
        self._terminated: Promise[Any] | None = None
        self._correlation_id = 0

    # Identity

    @property
    def path(self) -> str:
        """Where it is in the tree."""
        if self._path is None:
            above = self.parent.path if self.parent is not None and self.parent.parent is not None else ""
            self._path = f"{above}/{self.name}"
        return self._path

    @property
    def ref(self) -> ActorRef:
        """The reference to it, always the same object."""
        if self._ref is None:
            self._ref = self.new_ref()
        return self._ref

    def new_ref(self) -> ActorRef:
        """Make the reference."""
        return ActorRef(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}#{self.uid} {self.state.value}>"

    # As a scope: what a handler's messages, asks and background work belong to

    @property
    def deadline(self) -> float | None:  # type: ignore[override]
        """The deadline of the message in hand."""
        current = self.current
        kind = current.__class__
        return current.deadline if kind is Ask or kind is Envelope else None

    @property
    def correlation_id(self) -> int:
        """That of the message in hand; given out when first asked for."""
        current = self.current
        if current is None:
            return new_correlation_id()
        kind = current.__class__
        if kind is not Ask and kind is not Envelope:
            current = self.envelope
        if not current.correlation_id:
            current.correlation_id = new_correlation_id()
        return current.correlation_id  # type: ignore[no-any-return]

    @property
    def trace(self) -> object:
        """The trace context of the message in hand."""
        current = self.current
        kind = current.__class__
        return current.trace if kind is Ask or kind is Envelope else None

    @property
    def envelope(self) -> Any:
        """The envelope of the message in hand, an `Envelope` or an `Ask`; None if there is no message."""
        current = self.current
        kind = current.__class__
        if current is not None and kind is not Ask and kind is not Envelope:
            current = self.current = Envelope(current, at=self.head_at, taken=True)
        return current

    def envelope_for(self, message: Any) -> Envelope:
        """The envelope of a message that its code sends."""
        dispatcher = self.system.dispatcher
        now = dispatcher.now if dispatcher.awake else dispatcher.time()
        current = self.current
        kind = current.__class__
        if (kind is Envelope or kind is Ask) and current.correlation_id:
            return Envelope(message, self._ref or self.ref, None, None, current.correlation_id, current.trace, now)
        return Envelope(message, self.ref, None, None, self.correlation_id, self.trace, now)

    def start_soon(self, coro: Coroutine[Any, Any, Any], *, name: str | None = None) -> "asyncio.Task[Any]":
        """Background work of a handler: it belongs to the system, so that promises outlive the message in hand."""
        return self.system.start_soon(coro, name=name)

    # As a producer of promises, for deadlock detection

    def node_behind(self, promise: Any) -> Any:
        """Who must get further before `promise` can settle."""
        return self

    # The mailbox

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.state is not STOPPED

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self.queue) - self.gone if self.queue is not None else 0

    def post(self, envelope: Any) -> None:
        """Put an `Envelope` or an `Ask` into the mailbox. Check and put are one step: nothing can come in between.

        Raises:
            MailboxFullError: The mailbox is full and refuses; an ask's promise fails instead.
        """
        if self.stopping is not None and not self.takes_while_stopping():
            self.refuse(envelope)
            return
        queue = self.queue
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        capacity = self.props.capacity
        if capacity is not None and len(queue) - self.gone >= capacity and not self._overflow(envelope, queue):
            return
        queue.append(envelope)
        if not self.scheduled:
            self.wake()

    def post_system(self, envelope: Envelope) -> None:
        """Put a message of the runtime into the mailbox, whatever its capacity."""
        if self.stopping is not None and not self.takes_while_stopping():
            self.refuse(envelope)
            return
        if self.queue is None:
            self.queue = self.props.options.mailbox.new_queue()
        self.queue.append(envelope)
        if not self.scheduled:
            self.wake()

    def put_stamp(self, now: float) -> None:
        """Let the bare messages that follow in the queue be known to have come at `now`."""
        self.stamp = now
        self.gone += 1
        self.queue.append(now)

    def waiting(self) -> "list[Any]":
        """What waits, as `Envelope`s and `Ask`s."""
        found = []
        at = self.head_at
        for entry in self.queue or ():
            kind = entry.__class__
            if kind is float:
                at = entry
            elif kind is not Ask and kind is not Envelope:
                found.append(Envelope(entry, at=at))
            elif not _is_over(entry):
                found.append(entry)
        return found

    def barrier(self) -> "Ask[None] | None":
        """A promise that settles when all that waits now has been handled; None if nothing does."""
        queue = self.queue
        if self.state is STOPPED or (self.current is None and not queue):
            return None
        ask: Ask[None] = Ask(self, BARRIER, at=self.system.time())
        ask._producer = None
        if queue is None:
            queue = self.queue = self.props.options.mailbox.new_queue()
        if isinstance(queue, PriorityQueue):
            queue.append_last(ask)
        else:
            queue.append(ask)
        if not self.scheduled:
            self.wake()
        return ask

    def takes_while_stopping(self) -> bool:
        """Whether messages are taken although the end was asked for: only where a restart may follow."""
        stopping = self.stopping
        if stopping is None:
            return True
        return stopping.judged and self.state is not STOPPED and self.will_restart(stopping.reason)

    def will_restart(self, reason: StopReason | BaseException) -> bool:
        """Whether its supervisor restarts it after such an end."""
        return self.keeper is not None and self.keeper.answers(self, reason)

    def report_started(self, error: BaseException | None) -> None:
        """Tell the supervisor, if it waits for that, how the start went."""
        report, self.on_started = self.on_started, None
        if report is not None:
            report(error)

    def wake(self) -> None:
        """There is something in the mailbox."""
        raise NotImplementedError

    def refuse(self, envelope: Any) -> None:
        """A message for one that has ended."""
        if envelope.ask is not None:
            envelope.ask.stopped(self.reason if self.reason is not None else StopReason.SHUTDOWN, self.start_error)
        if not _is_runtimes(envelope):
            self.system.dead_letters.add(DeadLetterReason.STOPPED, envelope, self.ref)

    def _refuse_all(self) -> None:
        """Refuse what waits. Of a million messages most would not be kept as dead letters: those are only counted, so
        that the loop is not held up for a second."""
        queue, waiting, self.queue, self.gone = self.queue, self.depth, None, 0
        letters = self.system.dead_letters
        unkept = 0 if self.system.events.wanted else waiting - letters.most
        number = counted = 0
        at = self.head_at
        for entry in queue or ():
            kind = entry.__class__
            if kind is float:
                at = entry
                continue
            if _is_over(entry):
                continue
            number += 1
            is_bare = kind is not Ask and kind is not Envelope
            if number <= unkept and (is_bare or (entry.ask is None and not _is_runtimes(entry))):
                counted += 1
            else:
                self.refuse(Envelope(entry, at=at) if is_bare else entry)
        if counted:
            letters.counts[DeadLetterReason.STOPPED] += counted

    def _overflow(self, envelope: Any, queue: "deque[Any] | PriorityQueue") -> bool:
        """Do what the mailbox's policy says.

        Returns:
            Whether there is room now.
        """
        overflow = self.props.options.mailbox.overflow
        letters = self.system.dead_letters
        if overflow is Overflow.DROP_OLDEST:
            oldest = self._take_oldest(queue)
            if oldest is not None:
                letters.add(DeadLetterReason.DROPPED, oldest, self.ref)
                if oldest.ask is not None:
                    oldest.ask.fail(self._full(DroppedError, oldest, "it was dropped for a newer one"))
            return True
        if overflow is Overflow.DROP_NEWEST:
            letters.add(DeadLetterReason.DROPPED, envelope, self.ref)
            if envelope.ask is not None:
                envelope.ask.fail(self._full(DroppedError, envelope, "it was dropped"))
            return False
        if overflow is Overflow.REJECT:
            letters.add(DeadLetterReason.REJECTED, envelope, self.ref)
        error = self._full(MailboxFullError, envelope, "await send() or raise its capacity")
        if envelope.ask is None:
            raise error
        envelope.ask.fail(error)
        return False

    def _full(self, kind: type[MailboxFullError], envelope: Any, what: str) -> MailboxFullError:
        return kind(
            f"{self.path}: mailbox is full ({self.props.capacity} messages); {what}",
            path=self.path,
            message=envelope.message,
        )

    def _take_oldest(self, queue: "deque[Any] | PriorityQueue") -> Any:
        """Take out the message of a user that has waited longest; None if only the runtime's wait."""
        if isinstance(queue, PriorityQueue):
            waiting = [e for e in queue if not _is_runtimes(e) and not (e.ask is not None and e.ask.done())]
            oldest = min(waiting, key=lambda e: e.at, default=None)
            queue.keep(lambda e: e is not oldest)
            return oldest
        # From the front: to look at all that wait would cost more than to handle the message, just under overload.
        passed = []
        oldest = None
        while queue and oldest is None:
            e = queue.popleft()
            if e.ask is not None and e.ask.done():
                self.gone -= 1
            elif _is_runtimes(e):
                passed.append(e)
            else:
                oldest = e
        queue.extendleft(reversed(passed))
        return oldest

    @staticmethod
    def _keep(queue: "deque[Any] | PriorityQueue", wanted: Callable[[Any], bool]) -> None:
        """Throw out all others."""
        if isinstance(queue, PriorityQueue):
            queue.keep(wanted)
        else:
            kept = [entry for entry in queue if wanted(entry)]
            queue.clear()
            queue.extend(kept)

    async def room(self) -> None:
        """Wait until the mailbox has room, if its policy is to let senders wait."""
        capacity = self.props.capacity
        if capacity is None or self.props.options.mailbox.overflow is not Overflow.BACKPRESSURE:
            return
        queued_before = False
        while self.state is not STOPPED and (self.depth >= capacity or (self._room and not queued_before)):
            if self._room is None:
                self._room = deque()
            turn = self.system.loop.create_future()
            # A `tell` may have taken the place in between: then this sender is the next all the same.
            (self._room.appendleft if queued_before else self._room.append)(turn)
            queued_before = True
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.made_room()
                elif self._room is not None and turn in self._room:
                    self._room.remove(turn)
                raise

    def made_room(self) -> None:
        """A message was taken: the sender that has waited longest may put its own."""
        while self._room:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def ask_expired(self, ask: "Ask[Any]") -> None:
        """An ask ended because its deadline passed."""
        if not ask.taken:
            self.gone += 1
            self.system.dead_letters.add(DeadLetterReason.EXPIRED, ask, self.ref)
            self._compact()

    def ask_cancelled(self, ask: Any) -> Any:
        """An ask was cancelled: take it out, or interrupt its handler.

        Returns:
            An awaitable of the moment when nothing of it runs any more, or None if that is now.
        """
        if ask is self.current:
            return self.interrupt_current()
        if not ask.taken:
            self.gone += 1
            self._compact()
        return None

    def interrupt_current(self) -> Any:
        """Interrupt the handler of the message in hand, whose ask was cancelled; the instance lives."""
        return None

    def _compact(self) -> None:
        """Throw out what has ended once it is the larger part, so that it does not pile up."""
        queue = self.queue
        if queue is not None and self.gone > 32 and self.gone * 2 > len(queue):
            self._keep(queue, lambda entry: not _is_over(entry))
            self.gone = sum(entry.__class__ is float for entry in queue)
        self.made_room()

    def failed(self, error: BaseException) -> None:
        """Remember a failure. As text: the exception itself would keep its frames, and all that is in them."""
        self.last_error = error_text(error)

    # Children

    def child_name(self, name: str | None, base: str) -> str:
        """A name for a new child: the one that was asked for, or one made of `base` and a number.

        Raises:
            ValueError: The name is taken, empty, or has a slash.
        """
        children = self.children
        if name is None:
            if self.numbers is None:
                self.numbers = {}
            number = self.numbers.get(base, 0)
            while True:
                number += 1
                name = f"{base}-{number}"
                if children is None or name not in children:
                    break
            self.numbers[base] = number
            return name
        if not name or "/" in name:
            raise ValueError(f"{self.path}: an actor's name must not be empty or have a slash, but is {name!r}")
        if children is not None and name in children:
            raise ValueError(f"{self.path}: the name {name!r} is taken, by {children[name].path}")
        return name

    def add_child(self, child: "Cell") -> None:
        """Take a new child in."""
        if self.children is None:
            self.children = {}
        self.children[child.name] = child

    def refuses_children(self) -> bool:
        """Whether it is stopping, so that no child may start under it any more."""
        return self.stopping is not None or self.state in (STOPPING, STOPPED)

    async def end_children(self, reason: StopReason = StopReason.SHUTDOWN) -> None:
        """End its children, one after the other, the youngest first, and those that come meanwhile."""
        while self.children:
            # A copy: to look for the last entry of a dict again and again while it shrinks is quadratic.
            for child in tuple(reversed(self.children.values())):
                await settled(child.terminate(reason))

    # Watching

    def watch(self, target: "Cell") -> None:
        """Have `Terminated` delivered here when `target` ends, once."""
        if self.watching is None:
            self.watching = WeakKeyDictionary()  # a watcher that lives long must not keep all that have ended
        if target in self.watching:
            return
        self.watching[target] = None
        if target.state is STOPPED:
            self._tell_terminated(target)
            return
        if target.watchers is None:
            target.watchers = {}
        target.watchers[self] = None

    def unwatch(self, target: "Cell") -> None:
        """No longer; a `Terminated` that waits already is thrown away."""
        if self.watching is not None and self.watching.pop(target, False) is None and target.watchers is not None:
            target.watchers.pop(self, None)
        if self.queue is not None:
            self._keep(
                self.queue,
                lambda e: (
                    not (e.__class__ is Envelope and isinstance(e.message, Terminated) and e.message.ref == target.ref)
                ),
            )

    def _tell_terminated(self, target: "Cell") -> None:
        message = Terminated(target.ref, target.reason)
        self.post_system(Envelope(message, target.ref, None, None, 0, None, self.system.time()))

    # The end

    def stop(self, *, reason: StopReason, drain: bool, own: bool = False) -> Promise[Any]:
        """Ask for the end; a child of a `Supervisor` may be restarted afterwards.

        Returns:
            The promise of the end of this instance.
        """
        if self.state is STOPPED:
            return self.terminated()
        request = self.stopping
        if request is None:
            request = StopRequest(reason, drain=drain, judged=True, own=own)
            request.ended._producer = Ending(self)
            self.stopping = request
            self.stop_requested(escalated=False)
        elif reason is StopReason.KILLED and request.reason is not StopReason.KILLED:
            request.reason = reason
            request.drain = False
            self.stop_requested(escalated=True)
        return request.ended

    def terminate(self, reason: StopReason = StopReason.SHUTDOWN) -> Promise[Any]:
        """Ask for the end in the name of the parent: for good, whatever the restart type says."""
        if self.state is STOPPED:
            return self.terminated()
        if self.stopping is None:
            self.stopping = StopRequest(reason, drain=False, judged=False)
            self.stop_requested(escalated=False)
        else:
            self.stopping.judged = False
            self.stopping.drain = False
            if reason is StopReason.KILLED:
                self.stopping.reason = reason
            self.stop_requested(escalated=True)
        return self.terminated()

    def stop_requested(self, *, escalated: bool) -> None:
        """The end was asked for: `self.stopping` says how."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start, as soon as the loop turns."""
        raise NotImplementedError

    def crash(self, error: BaseException) -> None:
        """Crash with `error`, now: the supervision of its children is used up."""
        raise NotImplementedError

    def ended(self, reason: StopReason | BaseException) -> None:
        """It has ended for good: settle everything that hangs on it."""
        self.state = STOPPED
        self.reason = reason
        self.current = None
        self.task = None
        self._refuse_all()
        room, self._room = self._room, None
        if room is not None:
            for turn in room:
                if not turn.done():
                    turn.set_result(None)  # the sender puts its message, and it becomes a dead letter
        if self.watching is not None:
            for target in self.watching:
                if target.watchers is not None:
                    target.watchers.pop(self, None)
            self.watching = None
        parent = self.parent
        if parent is not None and parent.children is not None and parent.children.get(self.name) is self:
            if self._ref is not None:
                _ = self.path  # it stays when the parent is gone
            del parent.children[self.name]
        system = self.system
        system.actor_ended(self)
        if self._started is not None and not self._started.done():
            self._started._reject(
                self.start_error
                or ActorStoppedError(f"{self.path}: ended before it had started", path=self.path, reason=reason)
            )
        stopping, self.stopping = self.stopping, ENDED
        if stopping is not None:
            stopping.ended._resolve(reason)
        if self._terminated is not None:
            self._terminated._resolve(reason)
        watchers, self.watchers = self.watchers, None
        if watchers is not None:
            for watcher in watchers:
                watcher._tell_terminated(self)
        if system.events.wanted:
            system.events.publish(EventKind.STOP, self.path, reason=reason)
        keeper = self.keeper
        if keeper is not None:
            keeper.child_ended(self, reason)

    def started(self) -> Promise[None]:
        """The promise of its start."""
        if self._started is None:
            self._started = Promise()
            if self.state is STOPPED:
                error = self.start_error
                if error is not None:
                    self._started._reject(error)
                else:
                    self._started._resolve(None)
            elif self.state is not STARTING:
                self._started._resolve(None)
            else:
                self._started._producer = self if self.is_serial else None
        return self._started

    def terminated(self) -> Promise[Any]:
        """The promise of its end."""
        if self._terminated is None:
            self._terminated = Promise()
            if self.state is STOPPED:
                self._terminated._resolve(self.reason)
            else:
                self._terminated._producer = self if self.is_serial else None
        return self._terminated


class Ending:
    """Who settles the promise of an actor's end: nobody, as long as the actor itself, or one below it, waits for it."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def begin_wait(self, promise: Any) -> Any:
        """Somebody is about to wait for the end.

        Raises:
            DeadlockError: The actor itself is, or one below it: it would wait for its own end.
        """
        scope = current_scope.get()
        node = cell = scope.node if scope is not None else None
        if node is not None and node.task is asyncio.current_task():
            while cell is not None:
                if cell is self._cell:
                    ring = (node.node_path, self._cell.path) if node is not cell else (node.node_path,)
                    raise own_end(node, (*ring, node.node_path))
                cell = cell.parent
        return self._cell.begin_wait(promise)

    def end_wait(self, token: Any) -> None:
        """The wait is over."""
        end_wait(token)

    def node_behind(self, promise: Any) -> Any:
        """Who must get further before the end."""
        return self._cell


def own_end(node: Any, ring: tuple[str, ...]) -> DeadlockError:
    """The error of one that would wait for its own end."""
    error = DeadlockError(
        f"{node.node_path}: would wait for its own end: {' -> '.join(ring)}; ask for it without awaiting it",
        ring=ring,
    )
    node.deadlocked(error)
    return error


class Barrier:
    """A message of the runtime: whoever waits for its ask knows that everything before it was handled."""


BARRIER = Barrier()


def _is_over(entry: Any) -> bool:
    """Whether an entry of a mailbox wants an answer and has got one already."""
    kind = entry.__class__
    return (kind is Ask or kind is Envelope) and entry.ask is not None and entry.ask.done()


def _is_runtimes(envelope: Any) -> bool:
    """Whether it is no message of a user: it is bound by no capacity, and never a dead letter."""
    return envelope.message is BARRIER or isinstance(envelope.message, Terminated)
