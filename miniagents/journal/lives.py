"""Deaths in the journal: how often the process died while it had the same work in hand.

A message or a job that kills the process (out of memory, a segmentation fault) would be run again for ever. So a
mailbox or a job says when its work begins, and when it rests. A process that dies says nothing: at the next `Begin`
the journal sees that the work had begun and never rested, and counts a death, unless something of it was committed
meanwhile.
"""

from miniagents.journal.operations import Operation, Query


def mailbox_subject(path: str) -> str:
    """The subject of a mailbox in `Begin`, `Rest` and `Pardon`."""
    return f"mailbox:{path}"


def job_subject(name: str) -> str:
    """The subject of a job in `Begin`, `Rest` and `Pardon`."""
    return f"job:{name}"


class Begin(Operation[int], frozen=True):
    """Say that the work of a subject begins in this process, before anything of it runs.

    The result is the number of deaths in a row. A death is counted if the subject had begun in an earlier process,
    had not rested since, and had committed nothing since. Work that was committed sets the count to 0: an envelope of
    the mailbox that was handled or buried; a finished row, a record with a value, or a wait of the job that was
    consumed.
    """

    subject: str


class Rest(Operation[None], frozen=True):
    """Say that nothing of a subject runs now: it ended in order, or only waits. A death then counts nothing."""

    subject: str


class Pardon(Operation[None], frozen=True):
    """Forget the deaths of a subject, so that it can be tried again."""

    subject: str


class Deaths(Query[int], frozen=True):
    """How many deaths in a row are counted for a subject."""

    subject: str
