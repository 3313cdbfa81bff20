"""`Resting`: the jobs that do nothing but wait. The death of the process is not theirs, and they need no memory."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.agents.waiting.stillness import Stillness
from miniagents.journal import Begin, Rest, job_subject

_SETTLING = 0.1
"""Seconds from the end of a call until the calls above it have gone on, and may have made others; also from the begin
of a wait until the calls above wait for that."""

_AGAIN = 1.0
"""Seconds between two looks at a job whose code could not be thrown away, in a system that is told to stop."""


class Resting:
    """The calls that wait for the clock or for an answer, and the jobs of which all calls do.

    A job that only waits rests in the journal, and makes room for other jobs that are to be resumed. When one of its
    waits ends, it is at work again, until that call has ended or waits, too. If it waits for long, its code is thrown
    away (`passivate_after=` of its agent). In a system that is told to stop, that happens at once.

    Args:
        system: The system.
    """

    def __init__(self, system: AgentHost) -> None:
        self._system = system
        self._waits: dict[Interaction, list[_Wait]] = {}
        self._jobs: set[str] = set()
        self._busy: set[Interaction] = set()  # whose end is waited for
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by job
        self._watched: dict[str, _Watch] = {}
        self._leaves = False

    @contextmanager
    def of(self, interaction: Interaction, due_at: float | None) -> Iterator[None]:
        """Count a call as one that waits, inside of `with`.

        Args:
            interaction: The call.
            due_at: The time of day at which the wait ends at the latest; None for none.
        """
        task, job = asyncio.current_task(), interaction.job
        wait = _Wait(due_at, None if task is interaction.task else task)
        self._waits.setdefault(interaction, []).append(wait)
        if job:
            self._look(job)
            self._watch(job)
        try:
            yield
        finally:
            waits = self._waits[interaction]
            waits.remove(wait)
            if not waits:
                del self._waits[interaction]
            self._unwatch(job)
            if job in self._jobs:
                self._jobs.remove(job)
                if self._system.is_running:
                    self._system.durability.write(Begin(job_subject(job)))
                    self._await_end(job, interaction)

    def is_at_rest(self, job: str) -> bool:
        """Return True if a job runs in this process, and all its calls wait."""
        return job in self._jobs

    def _look(self, job: str) -> None:
        """Let a job rest if all calls of it wait, or have calls below that do."""
        self._end_timer(job)
        run = self._run(job)
        if run is None or run.call is None or job in self._jobs or (run.busy is not None and self._is_busy(run.busy)):
            return
        # From the last one: calls that were made one after the other begin to wait in this order, too.
        run.busy = next((call for call in reversed((run.call, *run.call.all_below())) if self._is_busy(call)), None)
        if run.busy is not None:
            self._await_end(job, run.busy)
        else:
            self._rest(run)

    def _is_busy(self, call: Interaction) -> bool:
        """Return True if a call does something, and neither waits nor has calls below."""
        return not call.done() and call not in self._waits and not call.below

    def _await_end(self, job: str, call: Interaction) -> None:
        """Look at a job again when a call of it has ended, since then it may only wait."""
        if call not in self._busy and not call.replies.done():
            self._busy.add(call)
            call.replies.add_done_callback(partial(self._has_ended, job, call))

    def _has_ended(self, job: str, call: Interaction, _: object) -> None:
        self._busy.discard(call)
        if self._system.is_running:
            self._end_timer(job)
            self._timers[job] = self._system.loop.call_later(_SETTLING, self._look, job)

    def _end_timer(self, job: str) -> None:
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Look no more: the system ends."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for watch in self._watched.values():
            watch.end_timer()

    def _rest(self, run: Any) -> None:
        self._jobs.add(run.name)
        self._system.durability.write(Rest(job_subject(run.name)))
        run.rests()

    def _run(self, job: str) -> Any:
        durability = self._system.durability
        return durability.jobs.get(job) if durability is not None else None

    # Passivation

    def leave(self) -> None:
        """From now on throw the code of jobs away as soon as they only wait, since the system ends without them."""
        self._leaves = True
        counts = Counter(call.job for call, waits in self._waits.items() for _ in waits)
        for job, count in counts.items():
            if self._run(job) is None:
                continue  # it has no job
            watch = self._watched.get(job)
            if watch is None:
                watch = self._watched[job] = _Watch(0.0)
                watch.waits = count
            else:
                watch.end_timer()
            watch.after = 0.0
            Context().run(self._passivate, job)

    def _watch(self, job: str) -> None:
        """Note that a call of a job begins to wait."""
        loop, watch = self._system.loop, self._watched.get(job)
        if watch is None:
            run = self._run(job)
            after = run.call.agent.options.passivates_waits_after if run is not None and run.call is not None else None
            if self._leaves and run is not None:
                after = _SETTLING
            if after is None:
                return
            watch = self._watched[job] = _Watch(after)
            watch.timer = loop.call_later(after, self._passivate, job, context=Context())
        watch.waits += 1
        watch.since = loop.time()

    def _unwatch(self, job: str) -> None:
        """Note that a wait of a call of a job has ended."""
        watch = self._watched.get(job)
        if watch is not None:
            watch.waits -= 1
            if not watch.waits:
                watch.end_timer()
                del self._watched[job]

    def _passivate(self, job: str) -> None:
        """Throw the calls of a job away if they have waited for long enough, and do nothing else."""
        loop, watch, run = self._system.loop, self._watched[job], self._run(job)
        rest = watch.since + watch.after - loop.time()
        if rest <= 0 and self._leaves:
            watch.after = _AGAIN if watch.after else _SETTLING
        if rest <= 0 and run is not None and run.call is not None:
            calls = (run.call, *run.call.all_below())
            waits = [(call, wait) for call in calls for wait in self._waits.get(call, ())]
            if Stillness(calls, {wait.task or call.task for call, wait in waits}).is_complete():
                due = [wait.due_at for _, wait in waits if wait.due_at is not None]
                if self._system.durability.passivation.passivate(run, calls, min(due, default=None)):
                    if job not in self._jobs:
                        self._rest(run)
                    run.busy = None
                    self._jobs.remove(job)  # it is not at work when the waits end with the code
                    return
        watch.timer = loop.call_later(rest if rest > 0 else watch.after, self._passivate, job, context=Context())


class _Wait(NamedTuple):
    """A wait of a call.

    Attributes:
        due_at: The time of day at which it ends at the latest; None for none.
        task: The task that waits, if the code of the call has started one for it; else None.
    """

    due_at: float | None
    task: "asyncio.Task[Any] | None"


class _Watch:
    """The waits of a job whose code may be thrown away.

    Args:
        after: Seconds of waiting after which it is.

    Attributes:
        timer: The timer of the next look; None before the first one.
        waits: How many waits there are.
        since: When the last one began, on `loop.time()`.
    """

    __slots__ = ("after", "since", "timer", "waits")

    def __init__(self, after: float) -> None:
        self.after = after
        self.timer: asyncio.TimerHandle | None = None
        self.waits = 0
        self.since = 0.0

    def end_timer(self) -> None:
        """Look no more."""
        if self.timer is not None:
            self.timer.cancel()
