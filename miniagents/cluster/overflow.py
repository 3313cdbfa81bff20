"""The messages for which a link has no room: the overflow policy of the mailbox that they are for decides, as it does
in the mailbox itself."""

from collections import deque
from typing import TYPE_CHECKING

from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason, DeadLetters
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.cluster.channel import Channel, Queued
from miniagents.errors import DroppedError, MailboxFullError

if TYPE_CHECKING:
    from miniagents.actors.messaging.entries import Enveloped


class LinkOverflow:
    """The answer of one link to messages for which it has no room.

    Args:
        node: The name of the other node.
        channel: The way to it.
        letters: The dead letters of the system here.
    """

    def __init__(self, node: str, channel: Channel, letters: DeadLetters) -> None:
        self._node = node
        self._channel = channel
        self._letters = letters
        self._waiting: dict[int, deque[tuple[Queued, ...]]] = {}  # by uid, for mailboxes that drop the oldest

    def makes_room(self, cell: RemoteCell, entry: "Enveloped") -> bool:
        """Do what the policy says.

        Returns:
            True if the link has room now, False if the message was dropped.

        Raises:
            MailboxFullError: The sender is to know that there is no room.
        """
        overflow = cell.overflow
        if overflow is Overflow.DROP_OLDEST:
            self._drop_oldest(cell)
            if not self._channel.is_full:
                return True
        if overflow in (Overflow.DROP_OLDEST, Overflow.DROP_NEWEST):  # what fills the link may be for other actors
            self._drop(cell, entry, "it was dropped")
            return False
        if overflow is Overflow.REJECT:
            self._letters.add(DeadLetterReason.REJECTED, entry, cell.ref)
        raise MailboxFullError(
            f"{cell.path}: the link to node {self._node!r} is full; await send()",
            path=cell.path,
            message=entry.message,
        )

    def queued(self, cell: RemoteCell, entry: "Enveloped", queued: tuple[Queued, ...]) -> None:
        """Note a message that waits in the link, for a mailbox that drops the oldest."""
        waiting = self._waiting.setdefault(cell.uid, deque())
        while waiting and waiting[0][0].entry is None:
            waiting.popleft()  # it has left
        if queued:  # by a channel that is closed nothing is queued
            queued[0].entry = entry
            waiting.append(queued)

    def forget(self, uid: int) -> None:
        """Forget an actor that has ended."""
        self._waiting.pop(uid, None)

    def _drop_oldest(self, cell: RemoteCell) -> None:
        waiting = self._waiting.get(cell.uid)
        while waiting and self._channel.is_full:
            queued = waiting.popleft()
            oldest = queued[0].entry
            if oldest is not None and self._channel.withdraw(queued):
                self._drop(cell, oldest, "it was dropped for a newer one")

    def _drop(self, cell: RemoteCell, entry: "Enveloped", what: str) -> None:
        self._letters.add(DeadLetterReason.DROPPED, entry, cell.ref)
        if isinstance(entry, Ask):
            entry.fail(
                DroppedError(
                    f"{cell.path}: the link to node {self._node!r} is full; {what}",
                    path=cell.path,
                    message=entry.message,
                )
            )
