"""The dead letters in a journal: list, show, send again, throw away."""

from collections.abc import Mapping
from typing import Protocol

from miniagents.actors.messaging.durable_letters import DurableLetter
from miniagents.errors import DecodeError
from miniagents.journal.journal import Journal
from miniagents.journal.letters import letter_of
from miniagents.journal.mail import Drop, Letters, Resend, StoredEnvelope, StoredLetter, Unacknowledged
from miniagents.messages import Message, decode


class TakesResent(Protocol):
    """What a dead letter that was sent again is handed to: the mailbox of its receiver, or the home of one that lives
    on another node."""

    def take_resent(self, mail: StoredEnvelope, message: Message) -> None:
        """Deliver a message that waits in the journal."""


class JournalLetters:
    """The dead letters in the journal of a system; see `miniagents.actors.messaging.durable_letters.DurableLetters`.

    Args:
        journal: The journal.
        inboxes: The mailboxes of the actors that live, by path.
    """

    def __init__(self, journal: Journal, inboxes: Mapping[str, TakesResent]) -> None:
        self._journal = journal
        self._inboxes = inboxes

    async def list(self, receiver: str | None = None, *, after: int = 0, limit: int = 100) -> list[DurableLetter]:
        """Return dead letters; see `DurableLetters.list`."""
        return [_letter(stored) for stored in await self._journal.read(Letters(receiver, after, limit))]

    async def show(self, number: int) -> DurableLetter | None:
        """Return one dead letter; see `DurableLetters.show`."""
        stored = await letter_of(self._journal, number)
        return _letter(stored) if stored is not None else None

    async def resend(self, number: int) -> bool:
        """Have a dead letter handled again; see `DurableLetters.resend`."""
        stored = await letter_of(self._journal, number)
        if stored is None:
            return False
        path = stored.envelope.receiver
        new = self._journal.next_id()
        resent = self._journal.write(Resend(number, new))  # without a pause: an actor that starts now has read it
        if not await resent:
            return False
        inbox = self._inboxes.get(path)
        if inbox is not None:
            waiting = await self._journal.read(Unacknowledged(path, new - 1, 1))
            if not waiting or waiting[0].number != new:
                return True  # an actor that has started meanwhile has handled it
            mail = waiting[0]
            try:
                message = decode(mail.body)
            except DecodeError:
                return True  # the next start buries it again
            inbox.take_resent(mail, message)
        return True

    async def drop(self, number: int) -> bool:
        """Throw a dead letter away; see `DurableLetters.drop`."""
        return await self._journal.write(Drop(number))


def _letter(stored: StoredLetter) -> DurableLetter:
    envelope = stored.envelope
    try:
        message = decode(envelope.body)
    except DecodeError:
        message = None
    return DurableLetter(
        number=envelope.number,
        receiver=envelope.receiver,
        message=message,
        kind=envelope.kind,
        body=envelope.body,
        reason=stored.reason,
        error=stored.error,
        message_id=envelope.message_id,
        attempts=envelope.attempts,
        accepted_at=envelope.at,
        buried_at=stored.at,
    )
