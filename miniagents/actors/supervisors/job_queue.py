"""The job queue of a supervisor: the mailbox of OTP's supervisor process. One job runs at a time, in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from miniagents.errors import ActorStoppedError
from miniagents.log import log as _log
from miniagents.promising import Promise
from miniagents.promising.tracebacks import traceback_text

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell


Job = Callable[[], Awaitable[None]]


class JobQueue:
    """Runs the jobs of one supervisor in a task of their own, which exists while there are jobs.

    A job that raises ends the system: a supervisor has no code of the user that may fail.

    Args:
        host: The cell whose children are supervised.

    Attributes:
        is_closed: True after `close`.
    """

    __slots__ = ("_host", "_idle_waiters", "_jobs", "_task", "is_closed")

    def __init__(self, host: "Cell") -> None:
        self._host = host
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self.is_closed = False
        self._idle_waiters: list[Promise[None]] = []

    def submit(self, job: Job) -> None:
        """Run a job after all that were submitted before it."""
        self._jobs.append(job)
        if self._task is None:
            self._begin_work()

    def call(self, function: Callable[[], Awaitable[Any]]) -> Promise[Any]:
        """Run a function as a job.

        Returns:
            The promise of its result; it ends with `ActorStoppedError` if the queue is closed before.
        """
        promise: Promise[Any] = Promise()
        promise.producer = self._host

        async def job() -> None:
            if self.is_closed:
                promise.reject(ActorStoppedError(f"{self._host.path}: the supervisor has ended", path=self._host.path))
                return
            try:
                promise.resolve(await function())
            except BaseException as error:
                promise.reject(error)
                if not isinstance(error, Exception):
                    raise

        self.submit(job)
        return promise

    def close(self) -> None:
        """Answer no more calls; the other jobs still run."""
        self.is_closed = True

    @property
    def is_idle(self) -> bool:
        """True while no job runs or waits."""
        return self._task is None

    def when_idle(self) -> Promise[None]:
        """Return a promise that resolves when no job runs or waits, or when `tell_idle_waiters` is called."""
        promise: Promise[None] = Promise()
        self._idle_waiters.append(promise)
        return promise

    def tell_idle_waiters(self) -> None:
        """Resolve the promises of `when_idle`."""
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            waiter.resolve(None)

    def _begin_work(self) -> None:
        # In an empty context: children that a job starts must not see the context variables of the caller.
        task = self._task = self._host.system.loop.create_task(self._work(), context=Context())
        task.add_done_callback(self._work_ended)

    async def _work(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                await job()
            except Exception as error:
                _log.error("runtime.supervisor_failed", actor=self._host.path, stack=traceback_text(error))
                self._host.system.fail(error)

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        # Jobs that came between the end of the work and this call saw the task, and did not start one.
        self._task = None
        if self._jobs:
            self._begin_work()
        else:
            self.tell_idle_waiters()
