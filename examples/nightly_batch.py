"""A batch of 200 documents that goes on where it was, also after `kill -9`: kill it in the middle, and run it again.

    JOURNAL=batch.db python -m examples.nightly_batch
    JOURNAL=batch.db python -m examples.nightly_batch "the night after"     # another batch

The model is a script, so that the example runs without a key; set MODEL for a real one. At the end it says how often
the model was asked in this run: what was answered before is in the journal, and is not paid for again.
"""

import os
import sys
from collections import Counter
from typing import Any

from examples.models import model_of
from miniagents import DataMessage, InteractionContext, MiniAgent, MiniAgents, Observer, as_completed, miniagent
from miniagents.ext.llms.provider import ModelRequest
from miniagents.journal import SqliteJournal
from miniagents.testing import Reply, Script, ScriptedModel

TOPICS = ("invoice", "complaint", "question", "praise")
DOCUMENTS = {f"letter-{n}.txt": f"This is {'an empty page' if n == 113 else TOPICS[n % 4]}." for n in range(200)}


def read(request: ModelRequest) -> Reply:
    """Do what a model would do."""
    text = str(request.messages[-1])
    if "empty" in text:
        return Reply.failure(400, error="there is nothing to read")
    return Reply(next(topic for topic in TOPICS if topic in text), delay=0.05)


def model() -> MiniAgent:
    """Return the model of MODEL, or the scripted one."""
    return model_of() if os.environ.get("MODEL") else ScriptedModel.fork(script=Script(read))


classifier = model().fork(alias="classifier", system=f"Answer with one word: {', '.join(TOPICS)}.")


@miniagent(durable=True, max_concurrency=10)
async def classify(ctx: InteractionContext) -> None:
    """Says what a document is about; ten documents at a time."""
    ctx.reply(await classifier.inquire(ctx.message_promises))


@miniagent(durable=True)
async def batch(ctx: InteractionContext) -> None:
    """Classifies all documents. One that fails does not keep the others from ending."""
    calls = {classify.inquire(text, label=name): name for name, text in DOCUMENTS.items()}
    counts = Counter[str]()
    async for replies in as_completed(*calls):
        try:
            counts[str(await replies)] += 1
        except Exception as error:
            counts["failed"] += 1
            ctx.reply(f"{calls[replies]}: {error}")
        if counts.total() % 20 == 0:
            print(f"{counts.total()} of {len(calls)}", flush=True)
    ctx.reply(dict(counts))


class Requests(Observer):
    """Counts the requests to models."""

    count = 0

    def model_called(self, interaction: Any, provider: Any, request: Any) -> None:
        """Count one more."""
        self.count += 1


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "night"
    requests = Requests()
    journal = SqliteJournal(os.environ.get("JOURNAL", "batch.db"))
    mini = MiniAgents(journal=journal, durable_agents=True, observers=[requests])

    async def run() -> None:
        *failed, counts = await mini.run_job(name, batch)
        for line in failed:
            print(line)
        print(f"the model was asked {requests.count} times in this run")
        assert isinstance(counts, DataMessage)
        print(", ".join(f"{count} {topic}" for topic, count in sorted(counts.data.items())))

    mini.run(run())


if __name__ == "__main__":
    main()
