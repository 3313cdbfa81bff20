"""Groups: actors under one name, which come and go."""

from miniagents.actors.messaging.ref import ActorRef
from miniagents.errors import MailboxFullError
from miniagents.messages import Message
from miniagents.supervision.checking import check_kind


class Group:
    """Actors under one name. Who ends leaves it.

    Args:
        name: Its name.

    Example:
        >>> class Searcher(Actor):
        ...     async def receive(self, message, ctx):
        ...         print(message)
        >>> async with ActorSystem() as system:
        ...     searchers = system.group("searchers")
        ...     for _ in range(2):
        ...         searchers.join(system.spawn(Searcher))
        ...     print(searchers.broadcast(TextMessage("look for tea")))
        2
        look for tea
        look for tea
    """

    __slots__ = ("_members", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: dict[ActorRef, None] = {}

    @property
    def members(self) -> tuple[ActorRef, ...]:
        """The members, in the order in which they joined."""
        return tuple(self._members)

    def join(self, ref: ActorRef) -> None:
        """Become a member; joining again is harmless, and so is joining when one has ended."""
        check_kind(f"group {self.name!r}: join(ref=)", ref, ActorRef)
        if ref.is_alive:
            self._members[ref] = None

    def leave(self, ref: ActorRef) -> None:
        """Be a member no more."""
        check_kind(f"group {self.name!r}: leave(ref=)", ref, ActorRef)
        self._members.pop(ref, None)

    def broadcast(self, message: Message) -> int:
        """Tell all members.

        Returns:
            How many took it; a full mailbox does not keep it from the others.
        """
        took = 0
        for ref in self.members:
            try:
                ref.tell(message)
            except MailboxFullError:
                continue
            took += 1
        return took

    def __repr__(self) -> str:
        return f"<Group {self.name!r} of {len(self._members)}>"
