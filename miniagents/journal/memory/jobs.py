"""The jobs of a `MemoryJournal`, and what ends with them."""

import msgspec

from miniagents.journal.jobs import ChangeJob, DeleteJob, Forget, Job, JobOf, Jobs, JobState, StartJob
from miniagents.journal.lives import Begin, job_subject
from miniagents.journal.memory.lives import MemoryLives
from miniagents.journal.memory.rows import MemoryRows
from miniagents.journal.memory.waits import MemoryWaits
from miniagents.journal.rows import RowState

_ENDED = (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)


class MemoryJobs:
    """Jobs by their names, with their rows and waits."""

    def __init__(self, lives: MemoryLives) -> None:
        self.jobs: dict[str, Job] = {}
        self.lives = lives
        self.rows = MemoryRows(self._progress)
        self.waits = MemoryWaits(self._takes_answers, self._progress)

    def start(self, operation: StartJob) -> Job | None:
        """Do `StartJob`."""
        if operation.name in self.jobs:
            return self.jobs[operation.name]
        self.jobs[operation.name] = Job(
            name=operation.name,
            agent=operation.agent,
            input_key=operation.input_key,
            input=operation.input,
            state=JobState.RUNNING,
            detail=b"",
            started_at=operation.at,
            changed_at=operation.at,
        )
        self.lives.begin(Begin(job_subject(operation.name)))
        return None

    def change(self, operation: ChangeJob) -> bool:
        """Do `ChangeJob`."""
        job = self.jobs.get(operation.name)
        if job is None:
            return False
        self.jobs[job.name] = msgspec.structs.replace(
            job, state=operation.state, detail=operation.detail, changed_at=operation.at
        )
        if operation.state in _ENDED:
            self.waits.close_of_job(job.name)
        return True

    def forget(self, operation: Forget) -> int:
        """Do `Forget`."""
        rows = [row.id for row in self.rows.rows.values() if row.job == operation.job]
        if operation.row:
            rows = self.rows.below(operation.row) if operation.row in rows else []
        for row in sorted(rows):
            self.rows.forget(row)
            self.waits.forget(operation.job, row, operation.keep_answers)
        return len(rows)

    def delete(self, operation: DeleteJob) -> bool:
        """Do `DeleteJob`."""
        self.forget(Forget(operation.name, keep_answers=False))
        self.waits.forget_early(operation.name)
        self.lives.lives.pop(job_subject(operation.name), None)
        return self.jobs.pop(operation.name, None) is not None

    def expire_jobs(self, before: float) -> int:
        """Remove the jobs that have ended before a time, and return how many."""
        old = [job.name for job in self.jobs.values() if job.state in _ENDED and job.changed_at < before]
        for name in old:
            self.delete(DeleteJob(name))
        return len(old)

    def expire_roots(self, before: float) -> int:
        """Remove the roots without a job that have ended before a time, and return how many."""
        old = [
            row.id
            for row in self.rows.rows.values()
            if not row.job and not row.parent and row.at < before and not self._is_running(row.id)
        ]
        for root in old:
            for row in self.rows.below(root):
                self.rows.forget(row)
                self.waits.forget("", row, keep_answers=False)
        return len(old)

    def job_of(self, query: JobOf) -> Job | None:
        """Answer `JobOf`."""
        return self.jobs.get(query.name)

    def jobs_in(self, query: Jobs) -> tuple[Job, ...]:
        """Answer `Jobs`."""
        return tuple(job for job in self.jobs.values() if not query.states or job.state in query.states)

    def _takes_answers(self, name: str) -> bool | None:
        if not name:
            return True
        job = self.jobs.get(name)
        return job.state not in _ENDED if job is not None else None

    def _is_running(self, root: int) -> bool:
        return any(self.rows.rows[row].state is RowState.RUNNING for row in self.rows.below(root))

    def _progress(self, job: str) -> None:
        self.lives.progress(job_subject(job))
