"""The options of `run_job`: what is tried again, and what changed code means."""

import enum
from dataclasses import dataclass
from typing import ClassVar


class Change(enum.Enum):
    """What `run_job` does with recorded answers of agents whose code has changed.

    Example:
        >>> from miniagents.journal import MemoryJournal
        >>> @miniagent(version="1", alias="writer")
        ... async def old(ctx):
        ...     ctx.reply("a poem")
        >>> @miniagent(version="2", alias="writer")
        ... async def new(ctx):
        ...     ctx.reply("a better poem")
        >>> async with MiniAgents(journal=MemoryJournal()) as mini:
        ...     print(await mini.run_job("poem", old))
        a poem
    """

    RUN = "run"
    """The changed agents run again, and so do the calls that they make."""
    FAIL = "fail"
    """The job is refused with a `JobConflictError` that names the agents."""
    ADOPT = "adopt"
    """The changed agents run again. The calls that they make are answered from the journal where their own code,
    arguments and input are the same."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Which recorded answers of a job `run_job` throws away before the job runs again.

    A failed job that is run again asks only for what has failed. But if it has failed because of what a model said, it
    would fail on the recorded answer for ever. Retry it then.

    Attributes:
        what: "failed", "all" or "from".
        where: With "from": the number of a row, or the path or name of an agent.

    Example:
        >>> Retry.from_("/agents/writer")
        Retry(what='from', where='/agents/writer')
    """

    what: str
    where: str | int = ""

    FAILED: ClassVar["Retry"]
    """The answers of the calls that have failed, and of all below them. A finished call that has handled a failure
    below it keeps its answer, unless it is the root of the job."""
    ALL: ClassVar["Retry"]
    """All answers of the job."""

    @classmethod
    def from_(cls, where: str | int) -> "Retry":
        """Throw away the answers of some calls, and of all below them.

        Args:
            where: The number of a row, or the path or name of an agent, whose calls are meant. Of a path only the last
                part counts, as the alias of the agent: agents of one alias are meant together, and the number that
                tells their paths apart is left out.
        """
        return cls("from", where)


Retry.FAILED = Retry("failed")
Retry.ALL = Retry("all")
