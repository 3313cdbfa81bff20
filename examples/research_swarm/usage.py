"""The tokens and the time that the model has used, and its answers in a journal."""

import time

from miniagents import InteractionContext, MiniAgent, miniagent
from miniagents.ext.llms import ReplyMessage
from miniagents.journal import Journal, Records, RowsOfJob


class Usage:
    """The use of the model so far.

    Attributes:
        tokens: The tokens written.
        seconds: The seconds during which at least one call was under way.
    """

    journal_key = "usage"
    """It changes nothing of an answer."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._open = 0
        self._since = 0.0

    def __enter__(self) -> None:
        if not self._open:
            self._since = time.monotonic()
        self._open += 1

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        if not self._open:
            self.seconds += time.monotonic() - self._since

    @property
    def rate(self) -> float:
        """The tokens per second."""
        seconds = self.seconds + (time.monotonic() - self._since if self._open else 0.0)
        return self.tokens / seconds if seconds else 0.0


@miniagent
async def metered(ctx: InteractionContext, model: MiniAgent, usage: Usage) -> None:
    """A model whose tokens are counted."""
    replies = model.inquire(ctx.message_promises)
    ctx.reply(replies)
    with usage:
        for message in await replies:
            if isinstance(message, ReplyMessage):
                usage.tokens += message.usage.output_tokens


async def recorded_answers(journal: Journal, job: str) -> int:
    """Return how many answers of models a journal has of a job.

    Args:
        journal: The journal, which is open.
        job: The name of the job, which has less than 1,000 calls.
    """
    rows = await journal.read(RowsOfJob(job, 0, 1000))
    records = [record for row in rows for record in await journal.read(Records(row.id))]
    return sum(record.kind == "model" and record.value is not None for record in records)
