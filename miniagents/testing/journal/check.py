"""`check_journal`: the rules of a journal, one after the other."""

from collections.abc import Callable

from miniagents.journal import Journal
from miniagents.testing.journal import jobs, mail, rows, states, timers, waits, writing


async def check_journal(open_journal: Callable[[], Journal]) -> None:
    """Check that a journal keeps the contract of `miniagents.journal.Journal` and of all operations and queries.

    Args:
        open_journal: Returns a journal of the same store at each call. The store must be empty at first. The check
            opens and closes the journals; no two of them are open at the same time.

    Raises:
        AssertionError: The journal breaks a rule; the text names the rule.

    Example:
        >>> from miniagents.journal import MemoryJournal
        >>> journal = MemoryJournal()
        >>> asyncio.run(check_journal(lambda: journal))
    """
    for check in (*mail.CHECKS, *timers.CHECKS, *states.CHECKS, *rows.CHECKS, *jobs.CHECKS, *waits.CHECKS):
        journal = open_journal()
        journal.open()
        try:
            await check(journal)
        finally:
            await journal.close()
    for check_opening in (*writing.CHECKS, *states.OPENING_CHECKS):
        await check_opening(open_journal)
