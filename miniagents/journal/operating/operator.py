"""`Operator`: what an operator can look at and do in a journal that is open in this process."""

import asyncio
import collections
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from miniagents.control.protocol import CommandError, failed, mistake, path_text
from miniagents.journal.changes import JobChanges
from miniagents.journal.encoding import encoded, kind_of, kinds_of
from miniagents.journal.jobs import ChangeJob, DeleteJob, Forget, Job, JobOf, Jobs, JobState
from miniagents.journal.journal import Journal
from miniagents.journal.letters import letter_of
from miniagents.journal.lives import Pardon, job_subject
from miniagents.journal.mail import Drop, Letters, Resend, StoredLetter
from miniagents.journal.operating.answers import answer_of
from miniagents.journal.operating.views import CallView, JobDetails, JobView, LetterView, StatsView, WaitView
from miniagents.journal.operations import Operation
from miniagents.journal.paging import rows_of
from miniagents.journal.pending_wait import answered_id, check_name_or_id, target_of
from miniagents.journal.retention import Count
from miniagents.journal.rows import FinishRow, RestartRow, Row, RowOf, RowState
from miniagents.journal.sqlite import SqliteJournal
from miniagents.journal.waits import Deliver, GivenAnswer, Wait, WaitId, Waits
from miniagents.messages import Message, TextMessage

MOST = 1000
"""The number of things in an answer, at most."""

_SLICE = 100

T = TypeVar("T")
V = TypeVar("V")

_OVER = (JobState.FINISHED, JobState.CANCELLED)
_UNFINISHED = tuple(state for state in JobState if state not in _OVER)

ChangesOf: TypeAlias = Callable[[Journal, str], Awaitable[JobChanges]]


class Operator:
    """Does with a journal what an operator asks for, by the operations of the store alone.

    This is right for a file that no system has open. `SystemOperator` asks the system that has it.

    Args:
        journal: The journal, which is open.
        changes_of: Compares the agents that a job has run with the code of this process; None for a process that has
            no agents.
    """

    def __init__(self, journal: SqliteJournal, changes_of: ChangesOf | None = None) -> None:
        self._journal = journal
        self._changes_of = changes_of

    # Jobs

    async def jobs(self, states: tuple[JobState, ...] = ()) -> list[JobView]:
        """Return the jobs in the order of their first start, the last 1,000 at most.

        Args:
            states: Only jobs in one of these states; () for all.
        """
        return await _views(JobView.of, (await self._journal.read(Jobs(states)))[-MOST:])

    async def job(self, name: str, *, with_all_calls: bool = False) -> JobDetails:
        """Return a job with what is recorded of it.

        Args:
            name: The name of the job.
            with_all_calls: Whether the calls that have finished or were cancelled are listed, too.

        Raises:
            CommandError: There is no such job.
        """
        job = await self._job(name)
        rows = await rows_of(self._journal, name)
        states = collections.Counter(row.state.value for row in rows)
        listed = [row for row in rows if with_all_calls or row.state in (RowState.FAILED, RowState.RUNNING)]
        calls = await _views(CallView.of, listed[:MOST])
        return JobDetails(JobView.of(job), dict(states), tuple(calls), tuple(await self.waits(name)))

    async def cancel(self, name: str, by: str) -> JobView:
        """Cancel a job for good: it is not resumed.

        Args:
            name: The name of the job.
            by: Who cancels it.

        Raises:
            CommandError: There is no such job, or it has ended.
        """
        job = await self._job(name)
        if job.state in _OVER:
            raise failed(f"job {name!r} is {job.state.value} already, and cannot be cancelled")
        detail = encoded(TextMessage(f"cancelled by {by}" if by else "cancelled"), self._journal.max_message_bytes)
        await self._cancel(ChangeJob(name, JobState.CANCELLED, detail))
        return JobView.of(await self._job(name))

    async def delete(self, name: str) -> JobView:
        """Remove a job and everything of it that nobody else needs.

        Returns:
            The job as it was.

        Raises:
            CommandError: There is no such job, or it runs.
        """
        job = await self._job(name)
        await self._check_at_rest(job)
        await self._journal.write(DeleteJob(name))
        return JobView.of(job)

    async def changes(self, name: str | None = None) -> list[JobChanges]:
        """Compare the agents that jobs have run with the code of this process.

        Args:
            name: The job; None for all that are not over.

        Raises:
            CommandError: There is no such job, or the process has no agents.
        """
        if self._changes_of is None:
            raise mistake("the process has no agents, and so nothing to compare")
        if name is not None:
            return [await self._changes_of(self._journal, (await self._job(name)).name)]
        jobs = await self._journal.read(Jobs(_UNFINISHED))
        return [await self._changes_of(self._journal, job.name) for job in jobs[-MOST:]]

    async def forget(self, name: str, row: int) -> int:
        """Throw away recorded answers of a job, so that they are asked for again when it is run again. Answers that
        people gave to its waits are kept.

        Args:
            name: The name of the job.
            row: The interaction whose answers are thrown away, with all below it; 0 for all of the job. Those above it
                run again, since they had its answer.

        Returns:
            How many interactions were forgotten.

        Raises:
            CommandError: There is no such job or interaction, or the job runs.
        """
        job = await self._job(name)
        await self._check_at_rest(job)
        again: list[Operation[Any]] = [Pardon(job_subject(name))]
        again += [RestartRow(above.id, above.started) for above in await self._above(name, row)]
        if job.state is not JobState.CANCELLED:  # which holds until somebody runs it with `retry=`
            again.append(ChangeJob(name, JobState.RUNNING))
        return await self._journal.write(Forget(name, row), *again)

    # Waits

    async def waits(self, job: str | None = None) -> list[WaitView]:
        """Return the waits that are open, the oldest 1,000 at most.

        Args:
            job: Only those of this job; None for all.
        """
        return await _views(WaitView.of, (await self._open_waits(job))[:MOST])

    async def deliver(self, job: str, name_or_id: str, text: str | None, data: Any, kind: str, by: str) -> str | None:
        """Answer a wait.

        Args:
            job: The name of the job.
            name_or_id: The name of the wait, or its id.
            text: The answer, or None if it is data.
            data: The answer as JSON has it.
            kind: The type of the message; "" for that of the wait, or for a plain one.
            by: Who answers.

        Returns:
            The id of the wait that has the answer; None for an answer that is kept for a wait to come.

        Raises:
            CommandError: It is no answer.
            AnswerRefusedError: It was refused; the text says why.
        """
        check_name_or_id(name_or_id)
        if not kind:
            kind = await self._kind_of_wait(job, target_of(job, name_or_id))
        return await self._deliver(job, name_or_id, answer_of(text, data, kind), by)

    # Dead letters

    async def letters(self, receiver: str | None = None, after: int = 0) -> list[LetterView]:
        """Return the dead letters in the order of their numbers, 1,000 at most.

        Args:
            receiver: Only those for this actor; None for all.
            after: Only those with a larger number.
        """
        return await _views(LetterView.of, await self._journal.read(Letters(receiver, after, MOST)))

    async def letter(self, number: int) -> LetterView:
        """Return a dead letter with its message.

        Raises:
            CommandError: There is none of this number.
        """
        return LetterView.of(await self._letter(number), with_message=True)

    async def resend(self, number: int) -> LetterView:
        """Move a dead letter back into its mailbox. Its actor gets it when it runs.

        Raises:
            CommandError: There is none of this number.
        """
        letter = await self._letter(number)
        if not await self._resend(number):
            raise _no_letter(number)
        return LetterView.of(letter)

    async def drop(self, number: int) -> LetterView:
        """Throw a dead letter away.

        Raises:
            CommandError: There is none of this number.
        """
        letter = await self._letter(number)
        if not await self._drop(number):
            raise _no_letter(number)
        return LetterView.of(letter)

    # The file

    async def stats(self) -> StatsView:
        """Return how much the journal holds."""
        counts = await self._journal.read(Count())
        return StatsView(path_text(self._journal.path), self._journal.size(), counts)

    async def vacuum(self) -> tuple[int, int]:
        """Give unused room back to the disk. Return the sizes before and after, in bytes."""
        before = self._journal.size()
        await self._journal.vacuum()
        return before, self._journal.size()

    async def export(self, path: Path) -> None:
        """Copy the journal into a new file, as it is at one moment."""
        await self._journal.export(path)

    async def check(self) -> list[str]:
        """Return what is wrong with the file, as SQLite finds it; [] for a file that is whole."""
        return await self._journal.check()

    # What a running system does in its own way

    async def _cancel(self, change: ChangeJob) -> None:
        rows = [row for row in await rows_of(self._journal, change.name) if row.state is RowState.RUNNING]
        ends = [FinishRow(row.id, RowState.CANCELLED, self._journal.next_id()) for row in rows]
        await self._journal.write(change, *ends)

    async def _open_waits(self, job: str | None) -> Sequence[Wait]:
        return await self._journal.read(Waits(job))

    async def _deliver(self, job: str, name_or_id: str, message: Message, by: str) -> str | None:
        answer = GivenAnswer(encoded(message, self._journal.max_message_bytes), kind_of(message), by)
        delivered = await self._journal.write(Deliver(job, target_of(job, name_or_id), answer, kinds_of(message)))
        return answered_id(delivered, job, name_or_id, kind_of(message))

    async def _resend(self, number: int) -> bool:
        return await self._journal.write(Resend(number, self._journal.next_id()))

    async def _drop(self, number: int) -> bool:
        return await self._journal.write(Drop(number))

    async def _check_at_rest(self, job: Job) -> None:
        """Refuse what needs a job that does not run now. In a file that nobody has open none does."""

    # Helpers

    async def _job(self, name: str) -> Job:
        job = await self._journal.read(JobOf(name))
        if job is None:
            names = [each.name for each in await self._journal.read(Jobs())]
            there = f"; the last ones are {', '.join(names[-5:])}" if names else "; the journal has none"
            raise mistake(f"there is no job {name!r}{there}")
        return job

    async def _above(self, name: str, number: int) -> list[Row]:
        """Return the rows above a row of a job.

        Raises:
            CommandError: The job has no such row.
        """
        if not number:
            return []
        row = await self._journal.read(RowOf(number))
        if row is None or row.job != name:
            raise mistake(f"job {name!r} has no call {number}")
        above: list[Row] = []
        while row is not None and row.parent:
            row = await self._journal.read(RowOf(row.parent))
            if row is not None:
                above.append(row)
        return above

    async def _letter(self, number: int) -> StoredLetter:
        letter = await letter_of(self._journal, number)
        if letter is None:
            raise _no_letter(number)
        return letter

    async def _kind_of_wait(self, job: str, target: str | WaitId) -> str:
        """Return the type that a wait is for, if there is one wait: an operator need not write it down."""
        kinds = {wait.kind for wait in await self._open_waits(job) if target in (wait.id, wait.id.name)}
        return kinds.pop() if len(kinds) == 1 else ""


async def _views(view: Callable[[T], V], things: Sequence[T]) -> list[V]:
    """Return the views of things, and let the loop go on every hundred of them."""
    views: list[V] = []
    for start in range(0, len(things), _SLICE):
        views += map(view, things[start : start + _SLICE])
        await asyncio.sleep(0)
    return views


def _no_letter(number: int) -> CommandError:
    return mistake(f"there is no dead letter {number}")
