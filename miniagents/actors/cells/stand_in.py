"""`StandIn`: the part of a cell that a reference needs where the actor itself does not live."""

from typing import TYPE_CHECKING, Any, Self

from miniagents.actors.messaging.identity import Identity, hash_of
from miniagents.actors.messaging.ref import ActorRef
from miniagents.errors import InvalidOptionError

if TYPE_CHECKING:
    import asyncio

    from miniagents.actors.cells.cell import Cell


class StandIn:
    """In the place of the cell of an actor that does not live here. It has an identity, and no mailbox.

    Args:
        identity: The actor's.
        kind: The class of the reference to it.
    """

    __slots__ = ("__weakref__", "identity", "ref", "system_hash")

    is_serial = False
    is_supervisor = False
    current: object = None
    restarts = 0
    """Those of the actor are known where it lives."""
    queue: Any = None
    parent: "Cell | None" = None

    def __init__(self, identity: Identity, kind: type[ActorRef]) -> None:
        self.identity = identity
        self.system_hash = hash_of(identity.system)
        self.ref = kind(self)  # type: ignore[arg-type]  # it does what a reference needs of a cell

    @property
    def path(self) -> str:
        """Where it is in the tree."""
        return self.identity.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def uid(self) -> int:
        """Its number."""
        return self.identity.uid

    def route(self, message: object) -> Self:
        """Itself."""
        return self

    def check_message_id(self, message_id: object) -> None:
        """Refuse a message id: the mailbox that would remember it is elsewhere.

        Raises:
            InvalidOptionError: Always.
        """
        raise InvalidOptionError(f"{self.path}: message_id= is for durable actors of this node; it lives elsewhere")

    def post_once(self, entry: Any, message_id: str) -> "asyncio.Future[Any] | None":
        """Refused by `check_message_id` before."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Return False: there is no mailbox here."""
        return False

    def running_supervisor(self) -> None:
        """Return None: there are no children here."""
