"""`JobChanges`: what changed code would mean for a job."""

import msgspec


class JobChanges(msgspec.Struct, frozen=True):
    """What a job would meet if it were run now, with `Change.RUN`.

    Attributes:
        job: The name of the job.
        changed: The names of the agents that it has run and that have other code now.
        not_loaded: The names of the agents that it has run and that no loaded module has: they cannot be compared.
        answers: How many recorded answers would not be used: those of changed agents, and all below them.
        waits: The ids of the open waits that would vanish. An answer that one of them has is offered to the wait of the
            same name in the new code.

    Example:
        >>> from miniagents.journal import MemoryJournal
        >>> @miniagent
        ... async def writer(ctx):
        ...     ctx.reply("a poem")
        >>> async with MiniAgents(journal=MemoryJournal()) as mini:
        ...     poem = await mini.run_job("poem-1", writer, "the sea")
        ...     print((await mini.changes_of_job("poem-1")).changed)
        ()
    """

    job: str
    changed: tuple[str, ...] = ()
    not_loaded: tuple[str, ...] = ()
    answers: int = 0
    waits: tuple[str, ...] = ()
