"""Reading one dead letter of a journal."""

from miniagents.journal.journal import Journal
from miniagents.journal.mail import Letters, StoredLetter


async def letter_of(journal: Journal, number: int) -> StoredLetter | None:
    """Return the dead letter of a number; None if there is none.

    Args:
        journal: The journal, which is open.
        number: The number.

    Raises:
        JournalError: The journal cannot be read.
    """
    letters = await journal.read(Letters(None, number - 1, 1))
    return letters[0] if letters and letters[0].envelope.number == number else None
