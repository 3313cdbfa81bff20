"""The mailboxes of a `MemoryJournal`."""

import msgspec

from miniagents.journal.lives import mailbox_subject
from miniagents.journal.mail import (
    Accept,
    Acceptance,
    Bury,
    CountAttempt,
    Drop,
    Handle,
    Letters,
    Mailboxes,
    Resend,
    Standing,
    StandingOf,
    StoredEnvelope,
    StoredLetter,
    Unacknowledged,
)
from miniagents.journal.memory.lives import MemoryLives


class _KnownId(msgspec.Struct):
    acceptance: Acceptance
    content_key: bytes
    at: float


class MemoryMail:
    """Envelopes, message ids and dead letters."""

    def __init__(self, lives: MemoryLives) -> None:
        self.lives = lives
        self.waiting: dict[int, StoredEnvelope] = {}
        self.letters: dict[int, StoredLetter] = {}
        self.ids: dict[tuple[str, str], _KnownId] = {}

    def accept(self, operation: Accept) -> Acceptance:
        """Do `Accept`."""
        if operation.message_id is not None:
            key = (operation.receiver, operation.message_id)
            known = self.ids.get(key)
            if known is not None and known.content_key != operation.content_key:
                return Acceptance(Standing.CONFLICT, known.acceptance.number)
            if known is not None:
                return known.acceptance
            self.ids[key] = _KnownId(
                Acceptance(Standing.WAITING, operation.number), operation.content_key, operation.at
            )
        self.waiting[operation.number] = StoredEnvelope(
            number=operation.number,
            receiver=operation.receiver,
            body=operation.body,
            kind=operation.kind,
            message_id=operation.message_id,
            meta=operation.meta,
            attempts=0,
            at=operation.at,
        )
        return Acceptance(Standing.NEW, operation.number)

    def count_attempt(self, operation: CountAttempt) -> None:
        """Do `CountAttempt`."""
        envelope = self.waiting.get(operation.number)
        if envelope is not None:
            self.waiting[envelope.number] = msgspec.structs.replace(envelope, attempts=envelope.attempts + 1)

    def handle(self, operation: Handle) -> None:
        """Do `Handle`."""
        envelope = self._taken(operation)
        if envelope is not None:
            self._remember(envelope, Standing.HANDLED, operation.at, operation.outcome)

    def bury(self, operation: Bury) -> None:
        """Do `Bury`."""
        envelope = self._taken(operation)
        if envelope is not None:
            if operation.attempts is not None:
                envelope = msgspec.structs.replace(envelope, attempts=operation.attempts)
            self.letters[envelope.number] = StoredLetter(envelope, operation.reason, operation.error, operation.at)
            self._remember(envelope, Standing.DEAD, operation.at)

    def resend(self, operation: Resend) -> bool:
        """Do `Resend`."""
        letter = self.letters.pop(operation.letter, None)
        if letter is None:
            return False
        envelope = msgspec.structs.replace(letter.envelope, number=operation.number, attempts=0)
        self.waiting[envelope.number] = envelope
        self._remember(envelope, Standing.WAITING, letter.at)
        return True

    def drop(self, operation: Drop) -> bool:
        """Do `Drop`."""
        letter = self.letters.pop(operation.letter, None)
        if letter is None:
            return False
        self._remember(letter.envelope, Standing.DROPPED, operation.at)
        return True

    def unacknowledged(self, query: Unacknowledged) -> tuple[StoredEnvelope, ...]:
        """Answer `Unacknowledged`."""
        numbers = sorted(n for n, envelope in self.waiting.items() if envelope.receiver == query.receiver)
        return tuple([self.waiting[n] for n in numbers if n > query.after][: query.limit])

    def mailboxes(self, _: Mailboxes) -> tuple[tuple[str, int], ...]:
        """Answer `Mailboxes`."""
        receivers = [envelope.receiver for envelope in self.waiting.values()]
        return tuple((receiver, receivers.count(receiver)) for receiver in sorted(set(receivers)))

    def standing_of(self, query: StandingOf) -> Acceptance | None:
        """Answer `StandingOf`."""
        known = self.ids.get((query.receiver, query.message_id))
        return known.acceptance if known is not None else None

    def letters_of(self, query: Letters) -> tuple[StoredLetter, ...]:
        """Answer `Letters`."""
        letters = [
            letter
            for number, letter in sorted(self.letters.items())
            if number > query.after and query.receiver in (None, letter.envelope.receiver)
        ]
        return tuple(letters[: query.limit])

    def forget_ids(self, before: float) -> int:
        """Forget the ids of messages that were handled, or are dead and dropped, before a time."""
        old = [
            key
            for key, known in self.ids.items()
            if known.at < before and known.acceptance.standing in (Standing.HANDLED, Standing.DROPPED)
        ]
        for key in old:
            del self.ids[key]
        return len(old)

    def _taken(self, operation: Handle | Bury) -> StoredEnvelope | None:
        envelope = self.waiting.pop(operation.number, None)
        if envelope is not None:
            self.lives.progress(mailbox_subject(envelope.receiver))
        return envelope

    def _remember(self, envelope: StoredEnvelope, standing: Standing, at: float, outcome: bytes = b"") -> None:
        if envelope.message_id is not None:
            known = self.ids[envelope.receiver, envelope.message_id]
            known.acceptance = Acceptance(standing, envelope.number, outcome)
            known.at = at
