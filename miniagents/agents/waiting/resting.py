"""`Resting`: which jobs do nothing but wait, so that the death of the process is not theirs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.journal import Begin, Rest, job_subject

_SETTLING = 0.1
"""Seconds from the end of a call until the calls above it have gone on, and may have made others."""


class Resting:
    """The calls that wait for the clock or for an answer, and the jobs of which all calls do.

    A job that only waits rests in the journal, and makes room for other jobs that are to be resumed. When one of its
    waits ends, it is at work again, until that call has ended or waits, too.

    Args:
        system: The system.
    """

    def __init__(self, system: AgentHost) -> None:
        self._system = system
        self._waits: dict[Interaction, int] = {}
        self._jobs: set[str] = set()
        self._watched: set[Interaction] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by job

    @contextmanager
    def of(self, interaction: Interaction) -> Iterator[None]:
        """Count a call as one that waits, inside of `with`."""
        job = interaction.job
        self._waits[interaction] = self._waits.get(interaction, 0) + 1
        if job:
            self._look(job)
        try:
            yield
        finally:
            count = self._waits.pop(interaction) - 1
            if count:
                self._waits[interaction] = count
            if job in self._jobs:
                self._jobs.remove(job)
                if self._system.is_running:
                    self._system.durability.write(Begin(job_subject(job)))
                    self._watch(job, interaction)

    def _look(self, job: str) -> None:
        """Let a job rest if all calls of it wait, or have calls below that do."""
        self._end_timer(job)
        durability = self._system.durability
        run: Any = durability.jobs.get(job) if durability is not None else None
        if run is None or job in self._jobs or (run.busy is not None and self._is_busy(run.busy)):
            return
        # From the last one: calls that were made one after the other begin to wait in this order, too.
        run.busy = next((call for call in reversed((run.call, *run.call.all_below())) if self._is_busy(call)), None)
        if run.busy is not None:
            self._watch(job, run.busy)
        else:
            self._jobs.add(job)
            durability.write(Rest(job_subject(job)))
            run.rests()

    def _is_busy(self, call: Interaction) -> bool:
        """Return True if a call does something, and neither waits nor has calls below."""
        return not call.done() and call not in self._waits and not call.below

    def _watch(self, job: str, call: Interaction) -> None:
        """Look at a job again when a call of it has ended, since then it may only wait."""
        if call not in self._watched and not call.replies.done():
            self._watched.add(call)
            call.replies.add_done_callback(partial(self._has_ended, job, call))

    def _has_ended(self, job: str, call: Interaction, _: object) -> None:
        self._watched.discard(call)
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
