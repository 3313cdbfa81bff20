"""Ports of the cells: what cells need of the system and of supervisors, as types. See `miniagents.actors.ports`."""

from collections.abc import Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from miniagents.actors import ports

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from miniagents.actors.cells.graces import Graces
    from miniagents.actors.dispatch.dispatcher import Dispatcher
    from miniagents.actors.dispatch.scheduling import Scheduling
    from miniagents.actors.messaging.dead_letters import DeadLetters
    from miniagents.actors.messaging.entries import Enveloped
    from miniagents.actors.messaging.options import SpawnOptions
    from miniagents.actors.messaging.outcome import Outcome
    from miniagents.actors.messaging.ref import ActorRef
    from miniagents.actors.observing.changes import Changes
    from miniagents.actors.waiting.deadlock import Watches
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
    def random(self) -> "Callable[[], float]": ...
    @property
    def scheduling(self) -> "Scheduling": ...
    @property
    def uids(self) -> Iterator[int]: ...
    @property
    def unseen(self) -> "UnseenFailures": ...
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


class ChildSupervisor(Protocol):
    """A supervisor of a cell, or of the children of one."""

    def adopt(self, cell: Any) -> None: ...
    def answers(self, cell: Any, reason: "StopReason | BaseException") -> bool: ...
    def child_down(self, cell: Any, reason: "StopReason | BaseException") -> None: ...
    def child_ended(self, cell: Any, reason: "StopReason | BaseException") -> None: ...
    def stop_all(self) -> Coroutine[Any, Any, None]: ...


class Inbox(Protocol):
    """The part of a journal that keeps the mailbox of one durable actor.

    It settles every future that it gives out, also when the journal closes. It cancels none.
    """

    def commit(self, entry: "Enveloped") -> "asyncio.Future[bool]":
        """Begin to write an entry, for which the mailbox has room.

        Returns:
            A future of the moment when the entry is on disk. If it fails, nothing is on disk. It is True for a new
            entry; False for one that is known already, by its message id: that one is not posted and has no outcome,
            and the inbox ends its ask, if it has one.

        Raises:
            Exception: The entry cannot be written, whatever happens: it is too large, for example. The sender gets it.
        """

    def handled(self, entry: "Enveloped", outcome: "Outcome", answer: object) -> "asyncio.Future[None] | None":
        """Write down what became of an entry that was committed; called once for each.

        Args:
            entry: The object that was committed. Its `crashes` are the attempts that crashed the actor.
            outcome: What became of it. For `Outcome.CUT_OFF` nothing is to be written.
            answer: With `Outcome.HANDLED` what the handler returned, or None if it has answered or will answer in
                another way; with `Outcome.CRASHED` the error; None otherwise.

        Returns:
            A future of the moment when that is on disk, which the answer of a handler waits for; None to let it go at
            once.
        """


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
