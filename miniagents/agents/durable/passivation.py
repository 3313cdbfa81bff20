"""`Passivation`: jobs that only wait, whose code was thrown away until their answer or their time comes."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from miniagents.agents.durable.interaction import DurableInteraction
from miniagents.agents.durable.job_run import JobRun
from miniagents.agents.host import AgentHost
from miniagents.errors import ActorStoppedError, PromiseCancelledError


class PassivatedError(ActorStoppedError, PromiseCancelledError):
    """The call was thrown away while its job only waits; it runs again, by replay, when the job goes on.

    As an end of its agent it ends no work, and as a cancel it is no failure that somebody has to hear of.
    """


class Passivation:
    """The passive jobs of a system.

    Such a job has its promise in memory, its name, and when it is due. All else is in the journal. Its calls were
    cancelled, as the end of the system cancels them: nothing is recorded of that.

    Args:
        system: The system.
        jobs: The jobs of the system, by their names. A passive one is there, too.
        reopen: Runs a job again.
        cancelled: Called with a job whose promise was cancelled while it was passive.
    """

    def __init__(
        self,
        system: AgentHost,
        jobs: dict[str, JobRun],
        reopen: Callable[[JobRun], Coroutine[Any, Any, None]],
        cancelled: Callable[[JobRun], Coroutine[Any, Any, Any]],
    ) -> None:
        self._system = system
        self._jobs = jobs
        self._reopen = reopen
        self._cancelled = cancelled
        self._on_settled = self._settled
        self._passive: dict[str, JobRun] = {}
        self._ending: dict[str, bool] = {}
        self._none_left: asyncio.Future[None] | None = None

    def passivate(self, run: JobRun, calls: Sequence[DurableInteraction], due_at: float | None) -> bool:
        """Throw the calls of a job away.

        Args:
            run: The job.
            calls: All its calls, the root first. They do nothing but wait.
            due_at: The time of day at which the first of their waits ends; None for none.

        Returns:
            False if a call has what the journal does not have, so that they stay.
        """
        root = run.call
        if root is None or calls[0] is not root or not all(call.can_be_thrown_away for call in calls):
            return False
        for call in calls:
            call.was_passivated = True
        run.thrown_away = tuple(call.row for call in calls if not call.interrupted)
        run.call = None
        root.leave_promise()
        self._passive[run.name] = run
        if due_at is not None:
            run.timer = self._system.wall_clock.call_at(due_at, partial(self.wake, run.name))
        self._ending[run.name] = False
        run.on_settled = self._on_settled
        run.promise.add_done_callback(run.settled)
        error = PassivatedError(f"{root.path}: job {run.name!r} only waits, and was passivated", path=root.path)
        self._system.start_soon(self._end(run, root, error))
        return True

    async def _end(self, run: JobRun, root: DurableInteraction, error: PassivatedError) -> None:
        """Wait until the code of a job that was thrown away has ended, since it must not run twice at the same time."""
        try:
            await root.cancel(error)
        finally:
            is_due = self._ending.pop(run.name)
        if is_due:
            self.wake(run.name)

    def wake(self, name: str) -> None:
        """Run a job again, if it is passive: its answer or its time has come."""
        run = self._passive.get(name)
        if run is None:
            return
        if name in self._ending:
            self._ending[name] = True
            return
        self._forget(run)
        run.context.run(self._system.start_soon, self._reopen(run), on_cancelled=run.promise.end_stream)

    def stop(self) -> None:
        """End the promises of the passive jobs, since the system ends. The jobs have not ended."""
        for run in tuple(self._passive.values()):
            self._forget(run)
            del self._jobs[run.name]
            reason = "the system ends"
            run.promise.end_stream(PromiseCancelledError(f"job {run.name!r}: was cancelled: {reason}", reason=reason))

    @property
    def has_any(self) -> bool:
        """True if there are passive jobs."""
        return bool(self._passive)

    async def until_none_is_left(self) -> None:
        """Wait until no job is passive."""
        while self._passive:
            self._none_left = self._system.loop.create_future()
            await self._none_left

    def _settled(self, run: JobRun) -> None:
        """Cancel the job whose promise was cancelled, unless a service that stops has cut the promise off: that is no
        end of the job."""
        self._forget(run)
        del self._jobs[run.name]
        error = run.promise.settled_error
        reason = error.reason if isinstance(error, PromiseCancelledError) else error
        if not isinstance(reason, ActorStoppedError):
            self._system.start_soon(self._cancelled(run))

    def _forget(self, run: JobRun) -> None:
        del self._passive[run.name]
        run.on_settled = None
        run.promise.remove_done_callback(run.settled)
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        if not self._passive and self._none_left is not None and not self._none_left.done():
            self._none_left.set_result(None)
