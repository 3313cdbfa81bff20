"""Jobs: named roots of calls, which continue where they were when they are run again.

The module is longer than most: each method of a job's life begins with what the journal says of the job, and ends with
what is written of it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from miniagents.actors.observing.caller import Caller, current_caller
from miniagents.agents.agent import MiniAgent
from miniagents.agents.call_target import CallTarget
from miniagents.agents.durable.below import Below
from miniagents.agents.durable.changes import changed_agents, changes_of, lost_with, recorded_versions, unused_rows
from miniagents.agents.durable.durability import Durability
from miniagents.agents.durable.finding import agent_named, found, version_now
from miniagents.agents.durable.freeing import freed
from miniagents.agents.durable.identity import Identity, identity_of, key_of_arguments, stored
from miniagents.agents.durable.interaction import DurableInteraction, DurableReplyPromise
from miniagents.agents.durable.job_run import JobRun, bound
from miniagents.agents.durable.names import name_of
from miniagents.agents.durable.passivation import Passivation
from miniagents.agents.durable.replies import encoded_error
from miniagents.agents.host import AgentHost
from miniagents.agents.job_options import Change, Retry
from miniagents.errors import AgentArgumentError, DecodeError, JobConflictError, JobStuckError, PromiseCancelledError
from miniagents.journal import (
    Begin,
    ChangeJob,
    FinishRow,
    Job,
    JobOf,
    JobState,
    Operation,
    Pardon,
    ReleaseWaits,
    Rest,
    Row,
    RowOf,
    RowState,
    StartJob,
    Waits,
    WaitState,
    encoded,
    job_subject,
)
from miniagents.journal import Jobs as JobsIn
from miniagents.journal.changes import JobChanges
from miniagents.journal.paging import rows_of
from miniagents.log import log as _log
from miniagents.messages import (
    EMPTY,
    FrozenDict,
    Message,
    MessageSequence,
    MessageSequencePromise,
    Sendable,
    decode,
)
from miniagents.promising.scope import current_scope, current_work

MOST_DEATHS = 3
"""How often in a row the process may die in the hands of a job before the job is stuck."""

_OF_INQUIRE = frozenset({"timeout", "errors_as_messages"})
"""The arguments of `run_job` that say how to wait, and are no arguments of the agent."""

_STATES = {
    RowState.FINISHED: JobState.FINISHED,
    RowState.FAILED: JobState.FAILED,
    RowState.CANCELLED: JobState.CANCELLED,
}


class JobInput(Message, tag="miniagents:JobInput"):
    """What a job was started with, from which it can be resumed.

    Attributes:
        agent: The name of its agent.
        agent_arguments: The frozen arguments of the agent.
        arguments: Those of the call.
        messages: The messages.
        caller: The name of the caller on whose behalf it was started; None without one, and in journals of older
            versions.
        claims: What else is known of the caller.
    """

    agent: str
    agent_arguments: FrozenDict[str, Any] = EMPTY
    arguments: FrozenDict[str, Any] = EMPTY
    messages: tuple[Message, ...] = ()
    caller: str | None = None
    claims: FrozenDict[str, Any] = EMPTY


class Jobs:
    """The jobs of a system.

    Args:
        system: The system.
        durability: That of the system.
    """

    def __init__(self, system: AgentHost, durability: Durability) -> None:
        self._system = system
        self._durability = durability
        self._journal = durability.journal
        self.passivation = durability.passivation = Passivation(
            system, durability.jobs, self._reopened, lambda run: self.cancel(run.name)
        )

    def run(
        self,
        name: str,
        agent: CallTarget,
        messages: Sendable | None,
        retry: Retry | None,
        on_change: Change,
        arguments: Mapping[str, Any],
        on_rest: Callable[[], None] | None = None,
    ) -> MessageSequencePromise:
        """Start or continue a job; see `MiniAgents.run_job`.

        Args:
            on_rest: Called when the job has ended, or only waits.
        """
        system: Any = self._system
        target = bound(agent, system)
        how = {key: value for key, value in arguments.items() if key in _OF_INQUIRE}
        frozen = target.called_agent().check_call({key: arguments[key] for key in arguments if key not in how})
        as_messages = how.get("errors_as_messages")
        as_messages = system.errors_as_messages if as_messages is None else as_messages
        promise = DurableReplyPromise(None, as_messages)  # type: ignore[arg-type]  # the call comes later
        given = MessageSequence.turn_into_sequence_promise(
            messages if messages is not None else (), errors_as_messages=False
        )

        async def opens() -> None:
            current_scope.set(system)
            current_work.set(None)  # a job belongs to no call that starts it
            run = JobRun(name, agent, frozen, how, promise, adopts=on_change is Change.ADOPT)
            run.on_rest = on_rest
            try:
                running = await self._opened(run, target, tuple(await given), retry, on_change)
            except BaseException as error:
                self._did_not_open(run, error)
            else:
                if running is not run:
                    promise.owns(running.promise)
                    sequence = MessageSequence(promise=promise)
                    sequence.open()
                    sequence.append(running.promise)
                    sequence.close()

        system.start_soon(opens(), on_cancelled=promise.end_stream)
        return promise

    def _did_not_open(self, run: JobRun, error: BaseException) -> None:
        if self._durability.jobs.get(run.name) is run:
            del self._durability.jobs[run.name]
        run.rests()
        run.promise.end_stream(error)
        if not isinstance(error, Exception):
            raise error

    async def _opened(
        self,
        run: JobRun,
        target: CallTarget,
        messages: tuple[Message, ...],
        retry: Retry | None,
        on_change: Change,
    ) -> JobRun:
        """Begin a job. Return it, or the one of this name that is there already."""
        agent, caller = target.called_agent(), current_caller.get()
        about = JobInput(
            agent=name_of(agent),
            agent_arguments=stored(agent.arguments),
            arguments=stored(run.arguments),
            messages=messages,
            caller=caller.name if caller is not None else None,
            claims=FrozenDict(caller.claims) if caller is not None else EMPTY,
        )
        run.agent, run.input_key = about.agent, _key_of(agent, run.arguments, messages)
        running: JobRun | None = self._durability.jobs.get(run.name)
        if running is not None:
            if (running.agent, running.input_key) != (run.agent, run.input_key):
                raise _conflict(run.name, running.agent, about, await self._journal.read(JobOf(run.name)))
            if retry is not None:
                raise JobConflictError(
                    f"job {run.name!r} runs in this process, and retry= is for a job that does not run; "
                    f"wait for its end, or cancel it first: await mini.cancel_job({run.name!r})",
                    job=run.name,
                )
            run.rests()
            return running
        self._durability.jobs[run.name] = run
        self._start(run, target, await self._begun(run, agent, about, retry, on_change), messages)
        return run

    def _start(self, run: JobRun, target: CallTarget, above: Below, messages: tuple[Message, ...]) -> None:
        """Make the root of a job, which replies to the promise of the job."""
        replies = target.inquire(messages, start_soon=False, kwargs=run.arguments, **run.how)
        call: Any = getattr(replies, "interaction", None)
        run.call = call
        is_cancelled = run.promise.done()
        call.begin_job(above, run.promise, lambda state, error: self._ended(run, call, state, error))
        if is_cancelled:
            call.begin_cancel(run.promise.settled_error)
        call.submit()

    async def _reopened(self, run: JobRun) -> None:
        """Run a job again that was passive. Its code cannot have changed in this process, so its root is all that is
        read before it runs."""
        try:
            job, root = await asyncio.gather(self._journal.read(JobOf(run.name)), self._journal.read(RowOf(run.root)))
            if job is None or root is None:
                raise PromiseCancelledError(f"job {run.name!r} was deleted while it waited", reason="deleted")
            _check_state(job)
            above = Below(self._journal, 0, run.name, b"", is_fresh=True, adopts=run.adopts)
            above.take_in((root,))
            self._durability.write(Begin(job_subject(run.name)))
            about = _input_of(job)
            _act_for_caller(about)
            self._start(run, bound(run.target, self._system), above, about.messages)
        except BaseException as error:
            self._did_not_open(run, error)

    async def _begun(
        self, run: JobRun, agent: MiniAgent, about: JobInput, retry: Retry | None, on_change: Change
    ) -> Below:
        """Write that a job begins, and return the place above its root."""
        journal, name, subject = self._journal, run.name, job_subject(run.name)
        body = encoded(about, journal.max_message_bytes)
        job = await journal.write(StartJob(name, about.agent, run.input_key, body))
        above = Below(journal, 0, name, b"", is_fresh=True, adopts=run.adopts)
        if job is None:  # and its work has begun
            return above
        if (job.agent, job.input_key) != (run.agent, run.input_key):
            raise _conflict(name, job.agent, about, job)
        _act_for_caller(_input_of(job))
        if retry is None:
            _check_state(job)
        rows = await rows_of(journal, name)
        if retry is not None:
            operations = freed(name, rows, retry)
            await journal.write(Pardon(subject), ChangeJob(name, JobState.RUNNING), *operations)
            rows = await rows_of(journal, name)
        roots = [row for row in rows if row.parent == 0]
        await self._check_changes(run, identity_of(agent), roots, rows, on_change)
        above.take_in(roots)
        is_over = job.state is JobState.FINISHED and retry is None
        if not is_over or run.versions.get(run.agent) != identity_of(agent).version:
            begin: list[Operation[Any]] = [] if job.state is JobState.RUNNING else [ChangeJob(name, JobState.RUNNING)]
            deaths = await journal.write(Begin(subject), *begin)
            if deaths >= MOST_DEATHS:
                await journal.write(ChangeJob(name, JobState.STUCK), Rest(subject))
                raise _stuck(name, deaths)
        return above

    async def _check_changes(
        self, run: JobRun, own: Identity, roots: list[Row], rows: list[Row], on_change: Change
    ) -> None:
        """Read which versions of the agents a job has run, and say which of them have changed."""
        if roots:
            run.root = roots[-1].id
        run.versions.update(await recorded_versions(self._journal, roots))
        now = {name: own.version if name == own.name else version_now(name) for name in run.versions}
        changed = changed_agents(run.versions, now)
        if not changed:
            return
        unused = unused_rows(rows, changed, adopts=on_change is Change.ADOPT)
        waits = await self._journal.read(Waits(run.name, tuple(WaitState)))
        answers, lost = lost_with(unused, rows, waits)
        if on_change is Change.FAIL:
            and_waits = f", and the waits {', '.join(lost)} would vanish" if lost else ""
            raise JobConflictError(
                f"job {run.name!r}: the code of {', '.join(changed)} has changed, and {answers} recorded answers would "
                f"not be used{and_waits}; on_change=Change.RUN runs the changed code, Change.ADOPT keeps what lies "
                f"below it",
                job=run.name,
                agents=changed,
                waits=lost,
            )
        _log.warning(
            "job.code_changed",
            job=run.name,
            agents=list(changed),
            answers=answers,
            waits=list(lost),
            on_change=on_change.value,
        )
        with_waits = {wait.id.row for wait in waits}
        # These rows do not run again: the answers that their waits have are for the waits of the new code.
        releases = tuple(ReleaseWaits(run.name, row.id) for row in rows if row.id in unused & with_waits)
        if releases:
            await self._journal.write(*releases)

    def _ended(
        self, run: JobRun, call: DurableInteraction, state: RowState | None, error: BaseException | None
    ) -> tuple[Operation[Any], ...]:
        """Return what is to be written with the end of the root of a job."""
        if run.call is not call:
            return ()  # it was passivated
        self._durability.jobs.pop(run.name, None)
        run.rests()
        rest = Rest(job_subject(run.name))
        if state is None:
            return (rest,)
        detail = b""
        if state is RowState.FAILED and error is not None:
            detail = encoded_error(error)
            error.add_note(
                f"job {run.name!r} has failed; run again, it asks only for what has failed; "
                f"run_job(..., retry=Retry.FAILED) also throws away the answers that led there"
            )
        return (ChangeJob(run.name, _STATES[state], detail), rest)

    async def unfinished(self) -> tuple[Job, ...]:
        """Return the jobs that have not ended; see `MiniAgents.unfinished_jobs`."""
        return await self._journal.read(JobsIn((JobState.RUNNING, JobState.STUCK)))

    async def resume_all(self, max_concurrency: int) -> dict[str, MessageSequencePromise]:
        """Resume the jobs that have not ended; see `MiniAgents.resume_all`."""
        places = asyncio.Semaphore(max_concurrency)
        resumed: dict[str, MessageSequencePromise] = {}
        for job in await self._journal.read(JobsIn((JobState.RUNNING,))):
            if job.name in self._durability.jobs:
                continue
            await places.acquire()
            try:
                about = _input_of(job)
                agent = _agent_of(job, about)
                arguments = found(about.arguments)
            except (DecodeError, LookupError, AgentArgumentError) as error:
                places.release()
                _log.error("job.not_resumed", job=job.name, error=str(error))
                continue
            resumed[job.name] = self.run(
                job.name, agent, about.messages, None, Change.RUN, arguments, on_rest=_once(places.release)
            )
        return resumed

    async def changes(self, name: str) -> JobChanges:
        """Return what changed code would mean for a job; see `changes_of`."""
        return await changes_of(self._journal, name)

    async def cancel(self, name: str) -> bool:
        """Cancel a job; see `MiniAgents.cancel_job`."""
        job = await self._journal.read(JobOf(name))
        if job is None or job.state in (JobState.FINISHED, JobState.CANCELLED):
            return False
        await self._journal.write(ChangeJob(name, JobState.CANCELLED))
        run: JobRun | None = self._durability.jobs.get(name)
        if run is not None:
            reason = f"job {name!r} was cancelled"
            if run.call is not None:  # the end of the call is among its replies, as `errors_as_messages` says
                await run.call.cancel(reason)
            else:
                await run.promise.aclose(reason)
        rows = [row for row in await rows_of(self._journal, name) if row.state is RowState.RUNNING]
        ends = [FinishRow(row.id, RowState.CANCELLED, self._journal.next_id()) for row in rows]
        if ends:
            self._durability.write(*ends)
        return True


def _input_of(job: Job) -> JobInput:
    about = decode(job.input)
    assert isinstance(about, JobInput)  # `_begun` writes nothing else
    return about


def _act_for_caller(about: JobInput) -> None:
    """Let what this task starts run on behalf of the caller for whom the job was started first."""
    if about.caller is not None:
        current_caller.set(Caller(about.caller, about.claims))


def _agent_of(job: Job, about: JobInput) -> MiniAgent:
    agent = agent_named(about.agent, about.agent_arguments)
    if agent is None:
        raise LookupError(
            f"job {job.name!r}: its agent {about.agent} is in no module that is loaded; import the module first"
        )
    return agent


def _key_of(agent: MiniAgent, arguments: Mapping[str, Any], messages: tuple[Message, ...]) -> bytes:
    parts = (
        identity_of(agent).arguments,
        key_of_arguments(agent, arguments),
        *(message.content_key for message in messages),
    )
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _conflict(name: str, agent: str, about: JobInput, job: Job | None) -> JobConflictError:
    """Return the error of a name that belongs to another job."""
    if agent != about.agent:
        difference = f"its agent is {agent}, not {about.agent}"
    else:
        difference = "it has other input"
        before = decode(job.input) if job is not None else None
        if isinstance(before, JobInput):
            difference = _difference(before, about)
    return JobConflictError(f"job {name!r} is there already, and {difference}; run it under another name", job=name)


def _difference(before: JobInput, now: JobInput) -> str:
    if before.agent_arguments != now.agent_arguments:
        return f"its agent has the arguments {dict(before.agent_arguments)}, not {dict(now.agent_arguments)}"
    if before.arguments != now.arguments:
        return f"it has the arguments {dict(before.arguments)}, not {dict(now.arguments)}"
    pairs = zip(before.messages, now.messages, strict=False)
    for place, (old, new) in enumerate(pairs):
        if old.content_key != new.content_key:
            return f"its message {place} is {str(old)[:80]!r}, not {str(new)[:80]!r}"
    if len(before.messages) != len(now.messages):
        return f"it has {len(before.messages)} messages, not {len(now.messages)}"
    return "its live arguments, or their code, are others"  # of these, the journal has no more than the key


def _check_state(job: Job) -> None:
    """Raise the error of a job that runs again only when it is freed."""
    if job.state is JobState.STUCK:
        raise _stuck(job.name, MOST_DEATHS)
    if job.state is JobState.CANCELLED:
        raise PromiseCancelledError(
            f"job {job.name!r} was cancelled; run_job(..., retry=Retry.FAILED) runs it again", reason="cancelled"
        )


def _stuck(name: str, deaths: int) -> JobStuckError:
    return JobStuckError(
        f"job {name!r} is stuck: the process has died {deaths} times while it ran, and nothing of it was committed in "
        f"between; run_job(..., retry=Retry.FAILED) lets it run again",
        job=name,
        deaths=deaths,
    )


def _once(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls another one the first time only."""
    calls = [function]

    def call() -> None:
        if calls:
            calls.pop()()

    return call
