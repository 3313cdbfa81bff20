"""`Resting`: which jobs do nothing but wait, so that the death of the process is not theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.journal import Begin, Rest, job_subject


class Resting:
    """The calls that wait for the clock or for an answer, and the jobs of which all calls do.

    A job that only waits rests in the journal, and makes room for other jobs that are to be resumed. When one of its
    waits ends, it is at work again.

    Args:
        system: The system.
    """

    def __init__(self, system: AgentHost) -> None:
        self._system = system
        self._waits: dict[Interaction, int] = {}
        self._jobs: set[str] = set()

    @contextmanager
    def of(self, interaction: Interaction) -> Iterator[None]:
        """Count a call as one that waits, inside of `with`."""
        self._waits[interaction] = self._waits.get(interaction, 0) + 1
        if interaction.job:
            self._look(interaction)
        try:
            yield
        finally:
            count = self._waits.pop(interaction) - 1
            if count:
                self._waits[interaction] = count
            if interaction.job in self._jobs:
                self._jobs.remove(interaction.job)
                if self._system.is_running:
                    self._system.durability.write(Begin(job_subject(interaction.job)))

    def is_at_rest(self, job: str) -> bool:
        """Return True if a job runs in this process, and all its calls wait."""
        return job in self._jobs

    def _look(self, interaction: Interaction) -> None:
        """Let the job rest if all calls of it wait, or have calls below that do."""
        durability, job = self._system.durability, interaction.job
        run: Any = durability.jobs.get(job) if durability is not None else None
        if run is None or job in self._jobs:
            return
        root = interaction
        while root.parent is not None:
            root = root.parent
        if all(call in self._waits or call.below for call in (root, *root.all_below())):
            self._jobs.add(job)
            durability.write(Rest(job_subject(job)))
            run.rests()
