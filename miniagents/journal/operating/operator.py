"""`Operator`: what an operator can look at and do in a journal that is open in this process."""

import collections
from pathlib import Path
from typing import Any

from miniagents.control.protocol import CommandError, failed, mistake
from miniagents.journal.encoding import encoded, kind_of
from miniagents.journal.jobs import ChangeJob, DeleteJob, Forget, Job, JobOf, Jobs, JobState
from miniagents.journal.mail import Drop, Letters, Resend, StoredLetter
from miniagents.journal.operating.answers import answer_of, kinds_of
from miniagents.journal.operating.views import JobDetails, JobView, LetterView, StatsView, WaitView
from miniagents.journal.retention import Count
from miniagents.journal.rows import RowsOfJob
from miniagents.journal.sqlite import SqliteJournal
from miniagents.journal.waits import Deliver, Delivered, Delivery, GivenAnswer, Wait, WaitId, Waits
from miniagents.messages import Message, TextMessage

MOST = 1000
"""The number of things in an answer, at most."""

_COUNTED = 10_000
"""The number of rows of a job that are counted, at most."""

_PAGE = 1000

_CAN_BE_CANCELLED = (JobState.RUNNING, JobState.STUCK)


class Operator:
    """Does with a journal what an operator asks for, by the operations of the store alone.

    This is right for a file that no system has open. `SystemOperator` asks the system that has it.

    Args:
        journal: The journal, which is open.
    """

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    # Jobs

    async def jobs(self, states: tuple[JobState, ...] = ()) -> list[JobView]:
        """Return the jobs in the order of their first start, the last 1,000 at most.

        Args:
            states: Only jobs in one of these states; () for all.
        """
        return [JobView.of(job) for job in (await self._journal.read(Jobs(states)))[-MOST:]]

    async def job(self, name: str) -> JobDetails:
        """Return a job with what is recorded of it.

        Raises:
            CommandError: There is no such job.
        """
        job = await self._job(name)
        rows: collections.Counter[str] = collections.Counter()
        after = 0
        while rows.total() < _COUNTED and (page := await self._journal.read(RowsOfJob(name, after, _PAGE))):
            rows.update(row.state.value for row in page)
            after = page[-1].id
        return JobDetails(JobView.of(job), dict(rows), tuple(await self.waits(name)))

    async def cancel(self, name: str, by: str) -> JobView:
        """Cancel a job for good: it is not resumed.

        Args:
            name: The name of the job.
            by: Who cancels it.

        Raises:
            CommandError: There is no such job, or it has ended.
        """
        job = await self._job(name)
        if job.state not in _CAN_BE_CANCELLED:
            raise failed(f"job {name!r} is {job.state.value} already, and cannot be cancelled")
        await self._cancel(name, by)
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

    async def forget(self, name: str, row: int) -> int:
        """Throw away recorded answers of a job, so that they are asked for again when it is run again. Answers that
        people gave to its waits are kept.

        Args:
            name: The name of the job.
            row: The interaction whose answers are thrown away, with all below it; 0 for all of the job.

        Returns:
            How many interactions were forgotten.

        Raises:
            CommandError: There is no such job or interaction, or the job runs.
        """
        job = await self._job(name)
        await self._check_at_rest(job)
        forgotten = await self._journal.write(Forget(name, row), ChangeJob(name, JobState.RUNNING))
        if row and not forgotten:
            raise mistake(f"job {name!r} has no interaction {row}")
        return forgotten

    # Waits

    async def waits(self, job: str | None = None) -> list[WaitView]:
        """Return the waits that are open, the oldest 1,000 at most.

        Args:
            job: Only those of this job; None for all.
        """
        return [WaitView.of(wait) for wait in (await self._journal.read(Waits(job)))[:MOST]]

    async def deliver(
        self, job: str, target: str | WaitId, text: str | None, data: Any, kind: str, by: str
    ) -> tuple[str, list[WaitView]]:
        """Answer a wait.

        Args:
            job: The name of the job.
            target: The name of the wait, or its id.
            text: The answer, or None if it is data.
            data: The answer as JSON has it.
            kind: The type of the message; "" for that of the wait, or for a plain one.
            by: Who answers.

        Returns:
            "delivered" or "kept", and the wait that has the answer.

        Raises:
            CommandError: The answer was refused; the text says why.
        """
        name = target.name if isinstance(target, WaitId) else target
        if not kind:
            kind = await self._kind_of_wait(job, target)
        message = answer_of(text, data, kind)
        delivered = await self._deliver(job, target, message, by)
        if delivered.delivery not in (Delivery.DELIVERED, Delivery.KEPT):
            raise _refusal(job, name, kind_of(message), delivered)
        return delivered.delivery.value, [WaitView.of(wait) for wait in delivered.waits]

    # Dead letters

    async def letters(self, receiver: str | None = None, after: int = 0) -> list[LetterView]:
        """Return the dead letters in the order of their numbers, 1,000 at most.

        Args:
            receiver: Only those for this actor; None for all.
            after: Only those with a larger number.
        """
        return [LetterView.of(letter) for letter in await self._journal.read(Letters(receiver, after, MOST))]

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
        if not await self._journal.write(Drop(number)):
            raise _no_letter(number)
        return LetterView.of(letter)

    # The file

    async def stats(self) -> StatsView:
        """Return how much the journal holds."""
        counts = await self._journal.read(Count())
        return StatsView(str(self._journal.path), self._journal.size(), counts)

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

    async def _cancel(self, name: str, by: str) -> None:
        detail = encoded(TextMessage(f"cancelled by {by}"), self._journal.max_message_bytes)
        await self._journal.write(ChangeJob(name, JobState.CANCELLED, detail))

    async def _deliver(self, job: str, target: str | WaitId, message: Message, by: str) -> Delivered:
        answer = GivenAnswer(encoded(message, self._journal.max_message_bytes), kind_of(message), by)
        return await self._journal.write(Deliver(job, target, answer, kinds_of(message)))

    async def _resend(self, number: int) -> bool:
        return await self._journal.write(Resend(number, self._journal.next_id()))

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

    async def _letter(self, number: int) -> StoredLetter:
        letters = await self._journal.read(Letters(None, number - 1, 1))
        if not letters or letters[0].envelope.number != number:
            raise _no_letter(number)
        return letters[0]

    async def _kind_of_wait(self, job: str, target: str | WaitId) -> str:
        """Return the type that a wait is for, if there is one wait: an operator need not write it down."""
        waits = await self._journal.read(Waits(job))
        kinds = {wait.kind for wait in waits if target in (wait.id, wait.id.name)}
        return kinds.pop() if len(kinds) == 1 else ""


def _no_letter(number: int) -> CommandError:
    return mistake(f"there is no dead letter {number}")


def _refusal(job: str, name: str, kind: str, delivered: Delivered) -> CommandError:
    """Return the error for an answer that was refused."""
    waits = delivered.waits
    match delivered.delivery:
        case Delivery.TAKEN:
            return failed(f"{name!r} of job {job!r} is answered already, by {_by(waits)}")
        case Delivery.AMBIGUOUS:
            ids = ", ".join(f"{wait.id.row}.{wait.id.number} ({wait.agent or 'no agent'})" for wait in waits[:10])
            return mistake(f"{len(waits)} waits of job {job!r} have the name {name!r}; say which by --id: {ids}")
        case Delivery.WRONG_KIND:
            return mistake(f"{name!r} of job {job!r} takes {waits[0].kind}, and the answer is {kind}")
        case Delivery.ENDED:
            what = f"its wait is {waits[0].state.value}" if waits else "the job has ended"
            return failed(f"{name!r} of job {job!r} takes no answer any more: {what}")
        case _:
            return mistake(f"there is no job {job!r}, or no wait {name!r} with this id")


def _by(waits: tuple[Wait, ...]) -> str:
    answers = [wait.answer for wait in waits if wait.answer is not None]
    return answers[0].by or "somebody without a name" if answers else "somebody"
