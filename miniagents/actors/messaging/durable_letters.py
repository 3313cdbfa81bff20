"""Dead letters that a journal keeps, as a program sees them."""

from typing import Any, Protocol

import msgspec


class DurableLetter(msgspec.Struct, frozen=True):
    """A dead letter of a durable actor, which the journal keeps until it is sent again or dropped.

    Attributes:
        number: The number of the letter in the journal.
        receiver: The path of the actor.
        message: The message; None if its bytes cannot be decoded in this process.
        kind: The name of the message's type.
        body: The encoded message.
        reason: "poisonous", "unhandled", "deadly" (the process died with it in hand, three times in a row) or
            "undecodable".
        error: What went wrong, as text.
        message_id: The sender's id of the message, or None.
        attempts: How many attempts have crashed the actor, with the last one.
        accepted_at: When the message was accepted, in seconds since the epoch.
        buried_at: When it became a dead letter, in seconds since the epoch.

    Example:
        >>> from miniagents.journal import MemoryJournal
        >>> class Strict(Actor):
        ...     async def receive(self, message, ctx):
        ...         raise ValueError("no coin")
        >>> options = SpawnOptions(durable=True, poison_after=1)
        >>> async with ActorSystem(journal=MemoryJournal()) as system:
        ...     strict = system.spawn(Strict, name="strict", options=options)
        ...     answers = await asyncio.gather(strict.ask(TextMessage("a button")), return_exceptions=True)
        ...     (letter,) = await system.dead_letters.durable.list()
        ...     print(letter.message, letter.reason, letter.error, sep=", ")
        a button, poisonous, ValueError: no coin
    """

    number: int
    receiver: str
    message: Any
    kind: str
    body: bytes
    reason: str
    error: str
    message_id: str | None
    attempts: int
    accepted_at: float
    buried_at: float


class DurableLetters(Protocol):
    """The dead letters in the journal of a system.

    Example:
        >>> from miniagents.journal import MemoryJournal
        >>> async with ActorSystem(journal=MemoryJournal()) as system:
        ...     print(await system.dead_letters.durable.list())
        []
    """

    async def list(self, receiver: str | None = None, *, after: int = 0, limit: int = 100) -> list[DurableLetter]:
        """Return dead letters in the order of their numbers.

        Args:
            receiver: The path of an actor; None for all.
            after: Only letters with a larger number.
            limit: The number of letters at most, 1 or more.
        """

    async def show(self, number: int) -> DurableLetter | None:
        """Return one dead letter, or None if there is none of that number."""

    async def resend(self, number: int) -> bool:
        """Move a dead letter back into its mailbox, behind all others. If its actor does not run, the message waits
        until the path is spawned again.

        Returns:
            False if there is no dead letter of that number.
        """

    async def drop(self, number: int) -> bool:
        """Throw a dead letter away. Its message id is refused until the journal forgets it, `keep_ids_for` later.

        Returns:
            False if there is no dead letter of that number.
        """
