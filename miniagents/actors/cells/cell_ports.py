"""Ports of the cells: what cells need of the system and of supervisors, as types. See `miniagents.actors.ports`."""

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from miniagents.actors import ports

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from miniagents.actors.cells.graces import Graces
    from miniagents.actors.dispatch.dispatcher import Dispatcher
    from miniagents.actors.dispatch.scheduling import Scheduling
    from miniagents.actors.messaging.dead_letters import DeadLetters
    from miniagents.actors.messaging.durable_letters import DurableLetters
    from miniagents.actors.messaging.entries import Enveloped
    from miniagents.actors.messaging.options import SpawnOptions
    from miniagents.actors.messaging.outcome import Outcome
    from miniagents.actors.messaging.ref import ActorRef
    from miniagents.actors.observing.changes import Changes
    from miniagents.actors.waiting.deadlock import Watches
    from miniagents.actors.wall_clock import WallClock
    from miniagents.promising import Promise
    from miniagents.promising.failures import UnseenFailures
    from miniagents.promising.scope import OnCancelled
    from miniagents.supervision import StopReason
    from miniagents.supervision.lifecycle import Life


class System(ports.System, Protocol):
    """The system, as cells see it."""

    @property
    def changes(self) -> "Changes": ...
    @property
    def dead_letters(self) -> "DeadLetters": ...
    @property
    def dispatcher(self) -> "Dispatcher": ...
    @property
    def graces(self) -> "Graces": ...
    @property
    def node_epoch(self) -> int: ...
    @property
    def node_name(self) -> str: ...
    @property
    def placing(self) -> "Placing": ...
    @property
    def random(self) -> "Callable[[], float]": ...
    @property
    def scheduling(self) -> "Scheduling": ...
    @property
    def starting_again(self) -> "dict[Any, Promise[None]]": ...
    @property
    def uids(self) -> Iterator[int]: ...
    @property
    def unseen(self) -> "UnseenFailures": ...
    @property
    def wall_clock(self) -> "WallClock": ...
    @property
    def watches(self) -> "Watches": ...
    def actor_ended(self, cell: Any) -> None: ...
    def fail(self, error: BaseException) -> None: ...
    def gives_up(self, told_at: float) -> bool: ...
    def new_cell(
        self,
        parent: Any,
        actor: object,
        name: str,
        options: "SpawnOptions | None",
        kwargs: Mapping[str, Any],
    ) -> Any: ...
    def spawn_under(
        self,
        parent: Any,
        actor: object,
        name: str | None,
        options: "SpawnOptions | None",
        kwargs: Mapping[str, Any],
    ) -> "ActorRef": ...
    def start_failed(self, cell: Any, error: BaseException) -> None: ...
    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: "OnCancelled | None" = None
    ) -> "asyncio.Task[Any]": ...


class Placing(Protocol):
    """The part of a cluster that places actors on nodes."""

    def new_cell(
        self, parent: Any, actor: object, name: str, options: "SpawnOptions", kwargs: Mapping[str, Any]
    ) -> Any:
        """Make the cell of an actor on the node that its options choose."""

    def child_here(self, uid: int) -> Any:
        """Return the cell of a child of this node that lives on another one, or None."""

    def pause(self, lost: int) -> float:
        """Return the seconds before one of so many actors that were lost together is placed again, at random."""

    def when_ready(self, options: "SpawnOptions", callback: "Callable[[], None]") -> None:
        """Call a function once an actor with these options may be placed again."""


class ChildSupervisor(Protocol):
    """A supervisor of a cell, or of the children of one."""

    def adopt(self, cell: Any) -> None: ...
    def answers(self, cell: Any, reason: "StopReason | BaseException") -> bool: ...
    def child_down(self, cell: Any, reason: "StopReason | BaseException") -> None: ...
    def child_ended(self, cell: Any, reason: "StopReason | BaseException") -> None: ...
    def start_again(self, cell: Any) -> "Promise[None]": ...
    def stop_all(self) -> Coroutine[Any, Any, None]: ...


class Inbox(Protocol):
    """The part of a journal that keeps the mailbox of one durable actor.

    It says of every entry that it commits how the write has ended, also when the journal closes, and settles every
    future that it gives out. It cancels none.
    """

    async def recover(self) -> "Sequence[Enveloped]":
        """Read what the journal has kept for the actor, before its start; called again if it has failed.

        Returns:
            The entries that wait, in their order. They count as committed.
        """

    def restore(self, instance: Any) -> None:
        """Give a fresh instance the state that was saved last, if it can take one."""

    def schedule(self, delay: float, message: Any, name: str | None, *, repeats: bool) -> Any:
        """Make a timer that outlives the process, or return the one that is the same.

        Args:
            delay: Seconds, until it is due, and between its ticks.
            message: The message.
            name: Its name, once for each actor; None for one made of message and rule. Another rule under the same name
                replaces the old one.
            repeats: Whether it comes again and again.
        """

    def schedule_cron(self, rule: str, message: Any, zone: str, name: str | None, max_late: float | None) -> Any:
        """The same for a cron rule; see `ActorContext.schedule_cron`."""

    def commit(self, entry: "Enveloped") -> None:
        """Begin to write an entry, for which the mailbox has room.

        In a later turn of the loop, and once for each entry, the inbox calls one of these methods of the mailbox:

        - `written` with this entry, and others that are on disk with it.
        - `not_written`: nothing of the entry is on disk, and the error says why.
        - `known_already`: it is known by its message id. It is not posted and has no outcome, and the inbox ends its
          ask, if it has one.

        Raises:
            Exception: The entry cannot be written, whatever happens: it is too large, for example. The sender gets it.
        """

    def handled(self, entry: "Enveloped", outcome: "Outcome", answer: object) -> "asyncio.Future[None] | None":
        """Write down what became of an entry that was committed; called once for each.

        Args:
            entry: The object that was committed. Its `crashes` are the attempts that crashed the actor.
            outcome: What became of it. For `Outcome.CUT_OFF` nothing is to be written.
            answer: With `Outcome.HANDLED` what the handler returned, or the ask of the entry if the handler has
                answered in another way, or somebody will; with `Outcome.CRASHED` the error; None otherwise.

        Returns:
            A future of the moment when that is on disk, which the answer of a handler waits for; None to let it go at
            once.
        """

    def save(self) -> None:
        """Take a snapshot of the instance, for the acknowledgement of the message that it has just handled.

        Raises:
            Exception: The instance cannot say its state. That is a crash of the message.
        """

    def saved(self) -> tuple[Any, ...]:
        """Return the operation that saves the snapshot which was taken last, unless that was handed out before."""

    def forget(self, entry: "Enveloped") -> None:
        """Forget an entry that was to be committed, and was not posted."""

    def put_back(self, entry: "Enveloped") -> None:
        """Write down that an entry will be tried again, if it has crashed the actor since the last time."""

    def identify(self, entry: "Enveloped", message_id: str, accepted: "asyncio.Future[None] | None") -> None:
        """Note the message id of an entry that is about to be committed.

        Args:
            entry: The entry.
            message_id: The sender's id of the message.
            accepted: Resolved once the message is on disk, or was before; it fails if it is refused.
        """

    def unhandled(self, entry: "Enveloped") -> None:
        """Note that no case took an entry, to which nobody waits for an answer; `handled` makes a dead letter of it."""

    def message_id_of(self, entry: object) -> str | None:
        """Return the sender's id of a message that waits or is in hand, or None."""

    def close(self) -> None:
        """The actor has ended. What is on disk waits for the next actor of that path."""


class DurableMail(Protocol):
    """The durable mailboxes of a system that has a journal."""

    @property
    def letters(self) -> "DurableLetters":
        """The dead letters in the journal."""

    def new_cell(self, system: "System", parent: Any, name: str, props: Any) -> Any:
        """Make the cell of a durable actor."""

    def inbox_of(self, cell: Any, kind: type) -> Inbox:
        """Make the inbox of a durable cell that has just been made."""

    def lives_elsewhere(self, path: str, home: Any) -> None:
        """Note that the durable actor of a path lives on another node, with its home here."""

    def forget(self, path: str, inbox: Any) -> None:
        """Forget the home of a durable actor that has ended."""


class Watchable(Protocol):
    """A cell whose end another actor can watch: one that is here, or a `RemoteCell`."""

    @property
    def life(self) -> "Life": ...
    @property
    def reason(self) -> "StopReason | BaseException | None": ...
    @property
    def ref(self) -> "ActorRef": ...
    def add_watcher(self, watcher: Any) -> None: ...
    def remove_watcher(self, watcher: Any) -> None: ...
