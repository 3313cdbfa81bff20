"""The numbers that stand for enum members in the tables."""

import enum
from typing import Generic, TypeVar

from miniagents.journal.jobs import JobState
from miniagents.journal.mail import Standing
from miniagents.journal.rows import RowState
from miniagents.journal.waits import WaitState

E = TypeVar("E", bound=enum.Enum)


class Codes(Generic[E]):
    """Numbers for the members of an enum, which never change.

    Args:
        *members: The members: the first one has number 0. New ones come last.
    """

    def __init__(self, *members: E) -> None:
        self.member = members
        self.of = {member: number for number, member in enumerate(members)}


STANDINGS = Codes(Standing.WAITING, Standing.HANDLED, Standing.DEAD, Standing.DROPPED)
ROW_STATES = Codes(RowState.RUNNING, RowState.FINISHED, RowState.FAILED, RowState.CANCELLED)
JOB_STATES = Codes(JobState.RUNNING, JobState.FINISHED, JobState.FAILED, JobState.CANCELLED, JobState.STUCK)
WAIT_STATES = Codes(WaitState.WAITING, WaitState.ANSWERED, WaitState.CONSUMED, WaitState.EXPIRED, WaitState.CLOSED)
