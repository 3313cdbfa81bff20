"""The swarm: the supervision tree, and the path of a question through it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from examples.research_swarm.agents import Finding, Search, Searcher, planner, reader, writer
from examples.research_swarm.chaos import ChaosError, chaos_of
from examples.research_swarm.documents import Library, library_of
from examples.research_swarm.index import Index, words_of
from examples.research_swarm.usage import Usage, metered, recorded_answers
from miniagents import (
    ActorInfo,
    ActorStoppedError,
    EventKind,
    InteractionContext,
    Message,
    MessageSequencePromise,
    MiniAgent,
    MiniAgents,
    NodeLostError,
    OneForOne,
    Placement,
    Retry,
    RetryPolicy,
    Routing,
    SpawnOptions,
    gather,
    miniagent,
)

SEARCHERS = 3
READERS = 6
HITS = 12
STATEMENTS = 4

# A message that crashed through chaos is retried until it succeeds.
_AGAIN = SpawnOptions(retry=RetryPolicy(on=(ChaosError,), attempts=1000))


class Found(Message):
    """What the swarm has found in the documents, before an answer is written.

    Attributes:
        queries: How many queries the planner has made.
        passages: How many passages were read.
        findings: The lines to cite.
    """

    queries: int
    passages: int
    findings: tuple[Finding, ...]


@dataclass
class Figures:
    """The figures of one run.

    Attributes:
        answers: The answers of the model, also those of earlier runs of the job.
        recorded: How many of these are from the journal.
    """

    answers: int = 0
    recorded: int = 0
    crashes: int = 0
    restarts: int = 0
    tokens: int = 0
    rate: float = 0.0
    seconds: float = 0.0


@miniagent
async def researcher(ctx: InteractionContext, swarm: "Swarm") -> None:
    """Answers a question: what was found, and then the statements of the answer, each as it is written."""
    question = str(await ctx.message_promises)
    found = await swarm.find(question)
    ctx.reply(found)
    if found.findings:
        ctx.reply(swarm.write(found.findings))


class Swarm:
    """Answers one question. With a job, it goes on where an earlier process was ended.

    Args:
        system: The system of the actors. If it has a cluster, the readers are spread over its nodes.
        folder: The folder of the documents, with at least one passage, on each node.
        model: The model that phrases the answer.
        chaos: The share of the attempts of searchers and readers that crash.
        say: Called with each line of progress.
        job: The name of the job; "" for none. The system of a job has a journal.

    Attributes:
        journal_key: The job goes on with the same documents only.
    """

    def __init__(
        self,
        system: MiniAgents,
        folder: str,
        model: MiniAgent,
        chaos: float,
        say: Callable[[str], None],
        job: str = "",
    ) -> None:
        library = library_of(folder)
        self.journal_key = library.journal_key
        self.usage = Usage()
        self.figures = Figures()
        self._system = system
        self._folder = folder
        self._library = library
        self._model = model
        self._chaos = chaos
        self._say = say
        self._job = job
        self._began = time.monotonic()

    async def start(self) -> None:
        """Start the model and who talks to it. The others start when they have an index to work with."""
        system = self._system
        self._counting = asyncio.create_task(self._count_crashes())
        counted = metered.fork(model=self._model, non_freezable_kwargs={"usage": self.usage})
        phrases = system.spawn(counted, name="model")
        self._planner = system.spawn(planner, name="planner", model=phrases)
        self._writer = system.spawn(writer, name="writer", model=phrases)
        if self._job:
            self.figures.recorded = await self._answers()

    async def _start_workers(self) -> None:
        """Index the documents in a thread, and start searchers and readers."""
        system, strategy = self._system, OneForOne(max_restarts=None)
        index, self._weights = await asyncio.to_thread(_indexed, self._library)
        self._searchers = await system.pool(
            Searcher,
            size=SEARCHERS,
            routing=Routing.LEAST_LOADED,
            name="searchers",
            options=_AGAIN,
            kwargs={"index": index, "chaos": chaos_of(self._chaos)},
        )
        options = _AGAIN if system.cluster is None else replace(_AGAIN, placement=Placement.SPREAD)
        reading = reader.fork(options=options, folder=self._folder, chaos=self._chaos)
        self._readers = await system.pool(reading, size=READERS, name="readers", strategy=strategy)

    async def _count_crashes(self) -> None:
        """Count the crashes on all nodes."""
        async for event in self._system.events:
            self.figures.crashes += event.kind is EventKind.CRASH

    def answer(self, question: str, *, frees: bool = False) -> MessageSequencePromise:
        """Return what was found, and the statements of the answer, which are streamed.

        Args:
            question: The question.
            frees: Whether a job that has killed its process again and again is run all the same.
        """
        agent = researcher.fork(non_freezable_kwargs={"swarm": self})
        if not self._job:
            return agent.inquire(question)
        return self._system.run_job(self._job, agent, question, retry=Retry.FAILED if frees else None)

    async def find(self, question: str) -> Found:
        """Search and read.

        Args:
            question: The question.
        """
        planned = self._planner.inquire(question)  # the model takes longest to start
        await self._start_workers()
        queries = list(dict.fromkeys([str(message) for message in await planned]))
        self._say(f"planner: {len(queries)} queries: {'; '.join(queries)}")
        scores: Counter[int] = Counter()
        asks = [self._searchers.ask(Search(query=query, k=HITS)) for query in queries]
        for hits in await gather(*asks):
            for number, score in hits.passages:
                scores[number] += score
        best = [number for number, _ in sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:HITS]]
        self._say(f"searchers: {len(scores)} passages found, the best {len(best)} are read")
        findings = await self._read(question, best)
        self._say(f"readers: {len(findings)} lines to cite")
        return Found(queries=len(queries), passages=len(best), findings=tuple(findings))

    def write(self, findings: tuple[Finding, ...]) -> MessageSequencePromise:
        """Let the writer make statements of what was found.

        Args:
            findings: The lines to cite.
        """
        return self._writer.inquire(findings)

    async def _read(self, question: str, numbers: list[int]) -> list[Finding]:
        """Let the readers read in parallel, and return the most relevant lines, best first."""
        weights = {word: self._weights[word] for word in words_of(question) if word in self._weights}
        found = await asyncio.gather(*(self._finding(question, number, weights) for number in numbers))
        findings = [finding for finding in found if finding is not None]
        findings.sort(key=lambda finding: (-finding.score, finding.passage))
        different = {finding.quote: finding for finding in reversed(findings) if finding.score > 0}
        return sorted(different.values(), key=lambda finding: (-finding.score, finding.passage))[:STATEMENTS]

    async def _finding(self, question: str, number: int, weights: dict[str, float]) -> Finding | None:
        """Let a reader read a passage; another one, if that is lost with its node."""
        while True:
            try:
                replies = await self._readers.inquire(question, passage=number, weights=weights)
            except ActorStoppedError as error:
                if not isinstance(error.__cause__, NodeLostError):
                    raise
                await asyncio.sleep(0.2)
            else:
                return next((message for message in replies if isinstance(message, Finding)), None)

    async def finish(self) -> Figures:
        """Return the figures; call this after the answer."""
        figures = self.figures
        if self._job:
            figures.answers = await self._answers()
        self._counting.cancel()
        figures.restarts = _restarts(self._system.tree())
        figures.tokens = self.usage.tokens
        figures.rate = self.usage.rate
        figures.seconds = time.monotonic() - self._began
        return figures

    async def _answers(self) -> int:
        assert self._system.journal is not None  # a system with a job has one
        return await recorded_answers(self._system.journal, self._job)


def _indexed(library: Library) -> tuple[Index, dict[str, float]]:
    """Return the index, and the weight of each word: a word in few passages has a high weight."""
    counts = Counter(word for passage in library.passages for word in set(words_of(passage.text)))
    weights = {word: math.log(1 + len(library.passages) / count) for word, count in counts.items()}
    return Index(library.passages), weights


def _restarts(info: ActorInfo) -> int:
    return info.restarts + sum(_restarts(child) for child in info.children)
