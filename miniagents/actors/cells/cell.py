"""The cell: one actor as the system sees it, whatever runs inside.

It has an identity, a mailbox, a parent and children, watchers, and an end. What a message does, and how the actor is
started and restarted, is for the kinds of cells: `ActorCell`, `SupervisorCell`, and the agents' own. The module is
longer than most, since it declares all that other rooms use of a cell, with its documentation.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.cell_state import State
from miniagents.actors.cells.receiving_cell import ReceivingCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.backlog import oldest_at
from miniagents.actors.messaging.entries import ENVELOPES, Enveloped, has_envelope
from miniagents.actors.messaging.envelope import Envelope, new_correlation_id
from miniagents.actors.messaging.identity import Identity
from miniagents.actors.messaging.options import Props
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.messaging.terminated import Terminated
from miniagents.actors.observing.children import Children
from miniagents.actors.waiting.helper_tasks import OfHelper
from miniagents.actors.waiting.search import Held
from miniagents.actors.waiting.termination import StopRequest
from miniagents.messages import error_text
from miniagents.promising import Promise
from miniagents.promising.promise import settled
from miniagents.promising.scope import OnCancelled
from miniagents.supervision import ChildSpec, StopReason
from miniagents.supervision.checking import check_name
from miniagents.supervision.lifecycle import BORN, OVER, Phase

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import ChildSupervisor, System, Watchable

DEFAULT_SHUTDOWN = 5.0
"""Seconds that an actor without a `ChildSpec` has to end."""

_TAKES_NO_CHILDREN = (Phase.CLEARING, Phase.ENDING, Phase.CLEANUP, Phase.OVER)


class Cell(ReceivingCell):
    """One actor as the system sees it.

    Args:
        system: Its system.
        parent: The cell that it is a child of.
        name: Its name, unique among the children of its parent.
        props: How it is made.
    """

    __slots__ = (
        "__weakref__",
        "_path",
        "_ref",
        "_started",
        "_terminated",
        "children",
        "handled",
        "last_error",
        "life",
        "name",
        "numbers",
        "own_supervisor",
        "parent",
        "props",
        "reason",
        "restarts",
        "shutdown",
        "since",
        "spec",
        "start_error",
        "stopping",
        "supervisor",
        "system",
        "task",
        "uid",
        "waits",
        "watchers",
        "watching",
    )

    is_serial = True
    """True if the actor does one thing at a time: then a wait for the actor is a wait for what it waits for, too."""
    is_supervisor = False
    kind = "actor"
    """The kind of actor, as the tree shows it."""
    spent_tokens = 0
    spent_cost: float | None = 0.0
    """What models have used for the actor. The cells of agents have slots for these, since only they use models."""
    keeps_asks = False
    """True if the asks of its code are cancelled with it, as those of an interaction are."""

    def __init__(self, system: "System", parent: "Cell | None", name: str, props: Props) -> None:
        super().__init__()
        self.system = system
        self.parent = parent
        self.name = name
        self.props = props
        self.uid = next(system.uids)
        self.life = BORN
        self.since = 0.0
        self.task: Any = None
        self.waits: Held | None = None
        self.children: Children[Cell] | None = None
        self.numbers: dict[str, int] | None = None
        self.supervisor: ChildSupervisor | None = None
        self.own_supervisor: ChildSupervisor | None = None
        self.spec: ChildSpec | None = None
        self.shutdown: float | None = DEFAULT_SHUTDOWN
        self.watchers: dict[Cell, None] | None = None
        self.watching: dict[Watchable, None] | None = None
        self.stopping: StopRequest | None = None
        self.reason: StopReason | BaseException | None = None
        self.start_error: BaseException | None = None
        self.last_error: str | None = None
        self.restarts = 0
        self.handled = 0
        self._path: str | None = None
        self._ref: ActorRef | None = None
        self._started: Promise[None] | None = None
        self._terminated: Promise[Any] | None = None

    # Identity

    @property
    def path(self) -> str:
        """The path in the tree."""
        if self._path is None:
            above = self.parent.path if self.parent is not None and self.parent.parent is not None else ""
            self._path = f"{above}/{self.name}"
        return self._path

    @property
    def identity(self) -> Identity:
        """The identity, by which it differs from all other actors."""
        system = self.system
        return Identity(system.id, system.node_name, system.node_epoch, self.path, self.uid)

    @property
    def type_name(self) -> str:
        """The name of the actor's class or function; "" for a cell of the runtime itself."""
        return ""

    @property
    def node_name(self) -> str:
        """The name of the node that it lives on; "" for the only one."""
        return self.system.node_name

    @property
    def node_epoch(self) -> int:
        """The life of that node: it grows when the node is started again."""
        return self.system.node_epoch

    @property
    def system_hash(self) -> int:
        """The part of the hash of its reference that stands for the system."""
        return self.system.id_hash

    @property
    def ref(self) -> ActorRef:
        """The reference to it: always the same object as long as it lives, and an equal one afterwards."""
        ref = self._ref
        if ref is None:
            ref = self.new_ref()
            if self.life is not OVER:
                self._ref = ref
        return ref

    def new_ref(self) -> ActorRef:
        """Make the reference."""
        return ActorRef(self)

    def be_known_as(self, ref: ActorRef) -> None:
        """Have its references be those of its home, which is on another node."""
        self._ref = ref

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}#{self.uid} {self.state.value}>"

    # As a scope: what a handler's messages, asks and background work belong to

    @property
    def deadline(self) -> float | None:  # type: ignore[override]
        """The deadline of the message in hand."""
        current = self.current
        return current.deadline if current.__class__ in ENVELOPES else None

    @property
    def correlation_id(self) -> int:
        """The correlation id of the current message; made when it is first read."""
        current = self.current
        if current is None:
            return new_correlation_id()
        envelope = current if current.__class__ in ENVELOPES else self.envelope
        assert envelope is not None  # there is a message
        if not envelope.correlation_id:
            envelope.correlation_id = new_correlation_id()
        return envelope.correlation_id

    @property
    def trace(self) -> object:
        """The trace context of the message in hand."""
        current = self.current
        return current.trace if current.__class__ in ENVELOPES else None

    @property
    def envelope(self) -> Enveloped | None:
        """The envelope of the message in hand, an `Envelope` or an `Ask`; None if there is no message."""
        current = self.current
        if current is None or current.__class__ in ENVELOPES:
            return current  # type: ignore[no-any-return]
        envelope = self.current = Envelope(current, at=self.head_enqueued_at, taken=True)
        return envelope

    def envelope_for(self, message: object) -> Envelope:
        """The envelope of a message that its code sends."""
        dispatcher = self.system.dispatcher
        now = dispatcher.now if dispatcher.awake else dispatcher.time()
        current = self.current
        kind = current.__class__
        if (kind is Envelope or kind is Ask) and current.correlation_id:
            return Envelope(message, self._ref or self.ref, None, None, current.correlation_id, current.trace, now)
        return Envelope(message, self.ref, None, None, self.correlation_id, self.trace, now)

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Background work of a handler: it belongs to the system, so that promises outlive the message in hand."""
        return self.system.start_soon(coro, name=name, on_cancelled=on_cancelled)

    def owns(self, work: Any) -> None:
        """Note that the code of the actor has started `work`, which is cancelled with the message in hand."""
        in_hand = self.envelope
        if in_hand is not None:
            if isinstance(in_hand, Ask) and in_hand.done():
                in_hand = self.current = in_hand.envelope  # it was answered, and its handler goes on
            task = asyncio.current_task()
            if task is not None and task is not self.task:
                work = OfHelper(task, work)
            in_hand.owns(work)

    def all_started(self, works: Iterable[Any]) -> list[Any]:
        """Return the part of `works` that the handler of the current message has started."""
        handler = self.task
        owned = [work for work in works if work.__class__ is not OfHelper or work.is_of(handler)]
        return [work.what if work.__class__ is OfHelper else work for work in owned]

    # As a producer of promises, for deadlock detection

    @property
    def has_timeout(self) -> bool:  # type: ignore[override]
        """True if the current ask has a timeout of its own, which ends what its handler has started."""
        return self.current.__class__ is Ask and self.current.own_timeout

    def node_behind(self, promise: Promise[Any] | None) -> "Cell | None":
        """Return the cell that must go on before `promise` can settle."""
        return self

    # What it takes

    @property
    def is_alive(self) -> bool:
        """True until the actor has ended."""
        return self.life is not OVER

    @property
    def state(self) -> State:
        """The state, as the tree shows it."""
        life = self.life
        if life.phase is Phase.UP or life.phase is Phase.DOOMED:
            return State.RUNNING if self.is_busy else State.IDLE
        if life.phase in (Phase.ENDING, Phase.CLEANUP):
            return State.STOPPING if life.wish else State.RESTARTING
        if life is OVER:
            return State.STOPPED
        return State.RESTARTING if life.again else State.STARTING

    @property
    def is_busy(self) -> bool:
        """True if an actor that is up has something to do."""
        return self.scheduled

    @property
    def oldest_at(self) -> float | None:
        """The time at which the message came that waits longest; None if none waits."""
        return oldest_at(self.queue, self.head_enqueued_at)

    def failed(self, error: BaseException) -> None:
        """Remember a failure. As text: the exception itself would keep its frames, and all that is in them."""
        self.last_error = error_text(error)
        above = self.parent
        while above is not None:
            if above.children is not None:
                above.children.failures += 1
            above = above.parent
        changes = self.system.changes
        if changes.wanted:
            changes.note(self)

    def route(self, message: object) -> "Cell":
        """Return the cell that gets a message which is sent to this one."""
        return self

    # Children

    def child_name(self, name: str | None, base: str) -> str:
        """A name for a new child: the one that was asked for, or one made of `base` and a number.

        Raises:
            ValueError: The name is taken, empty, has a slash, or is no string.
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
        check_name(f"{self.path or '/'}: an actor's name", name)
        if children is not None and name in children:
            raise ValueError(f"{self.path or '/'}: the name {name!r} is taken, by {children[name].path}")
        return name

    def add_child(self, child: "Cell") -> None:
        """Take a new child in."""
        children = self.children
        if children is None:
            children = self.children = Children()
        children[child.name] = child
        children.listed = None
        children.actors += 1
        above = self.parent
        while above is not None:  # written out wherever something is counted (benchmark `spawn`)
            if above.children is not None:
                above.children.actors += 1
            above = above.parent

    def refuses_children(self) -> bool:
        """Return True if the actor is stopping, so that no child may start under it."""
        return self.stopping is not None or self.life.phase in _TAKES_NO_CHILDREN

    async def end_children(self, reason: StopReason = StopReason.SHUTDOWN) -> None:
        """End its children, one after the other, the youngest first, and those that come meanwhile."""
        while self.children:
            # A copy: to look for the last entry of a dict again and again while it shrinks is quadratic.
            for child in tuple(reversed(self.children.values())):
                await settled(child.terminate(reason))

    # Watching

    def watch(self, target: "Watchable") -> None:
        """Have `Terminated` delivered here when `target` ends, once; at once if it has ended already."""
        if target.life is OVER:
            self.tell_terminated(target)
            return
        if self.watching is None:
            self.watching = {}
        self.watching[target] = None
        target.add_watcher(self)

    def unwatch(self, target: "Watchable") -> None:
        """Stop watching `target`. A `Terminated` that waits in the mailbox is thrown away."""
        if self.watching is not None and target in self.watching:
            del self.watching[target]
            target.remove_watcher(self)
        for entry in tuple(self.queue or ()):
            is_told = has_envelope(entry) and entry.ask is None
            if is_told and isinstance(entry.message, Terminated) and entry.message.ref == target.ref:
                self.withdraw(entry)

    def add_watcher(self, watcher: "Cell") -> None:
        """Tell `watcher` of the end."""
        if self.watchers is None:
            self.watchers = {}
        self.watchers[watcher] = None

    def remove_watcher(self, watcher: "Cell") -> None:
        """Do not tell `watcher` of the end."""
        if self.watchers is not None:
            self.watchers.pop(watcher, None)

    def tell_terminated(self, target: "Watchable") -> None:
        """The watch is over with its one `Terminated`: who watches again gets another one."""
        if self.watching is not None:
            self.watching.pop(target, None)
        message = Terminated(target.ref, target.reason)
        self.post_system(Envelope(message, target.ref, None, None, 0, None, self.system.time()))

    # The end

    def stop(self, *, reason: StopReason, drain: bool, own: bool = False) -> Promise[Any]:
        """Ask for an exit; the restart type of a supervisor's child judges it."""
        raise NotImplementedError

    def terminate(self, reason: StopReason | BaseException = StopReason.SHUTDOWN) -> Promise[Any]:
        """Ask for the end in the name of the supervisor or parent: for good, whatever the restart type says."""
        raise NotImplementedError

    def start_again(self) -> Promise[None]:
        """End the instance at once and start another one behind the same mailbox; see `ActorRef.restart`."""
        raise NotImplementedError

    def crash(self, error: BaseException) -> None:
        """Crash with `error`, now: the supervision of its children is used up."""
        raise NotImplementedError

    def crash_under_way(self) -> "asyncio.Future[None] | None":
        """A future of the moment when a crash whose `on_stop` still runs has become an exit; None if there is none."""
        return None

    def leave_watched(self) -> None:
        """Watch nobody any more."""
        watching, self.watching = self.watching, None
        for target in watching or ():
            target.remove_watcher(self)

    def leave_parent(self) -> None:
        """Be no child any more."""
        parent = self.parent
        if parent is not None and parent.children is not None and parent.children.get(self.name) is self:
            del parent.children[self.name]
            parent.children.listed = None
            above: Cell | None = parent
            while above is not None:
                if above.children is not None:
                    above.children.actors -= 1
                above = above.parent

    def tell_watchers(self) -> None:
        """Deliver `Terminated` to all that watch it."""
        watchers, self.watchers = self.watchers, None
        for watcher in watchers or ():
            watcher.tell_terminated(self)

    def started(self) -> Promise[None]:
        """The promise of its start."""
        if self._started is None:
            self._started = Promise()
            if self.life is OVER and self.start_error is not None:
                self._started.reject(self.start_error)
            elif self.life is OVER or self.life.again:
                self._started.resolve(None)
            else:
                self._started.producer = self if self.is_serial else None
        return self._started

    def terminated(self) -> Promise[Any]:
        """The promise of its end."""
        if self._terminated is None:
            self._terminated = Promise()
            if self.life is OVER:
                self._terminated.resolve(self.reason)
            else:
                self._terminated.producer = self if self.is_serial else None
        return self._terminated
