"""The swarm: the supervision tree, and the path of a question through it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from examples.research_swarm.agents import Finding, Reader, Search, Searcher, planner, writer
from examples.research_swarm.chaos import ChaosError, chaos_of
from examples.research_swarm.documents import Library, library_of
from examples.research_swarm.index import Index, words_of
from examples.research_swarm.usage import Usage, metered
from miniagents import (
    ActorInfo,
    ActorStoppedError,
    EventKind,
    MiniAgent,
    MiniAgents,
    NodeLostError,
    OneForOne,
    Placement,
    RetryPolicy,
    Routing,
    SpawnOptions,
    gather,
)

SEARCHERS = 3
READERS = 6
HITS = 12
STATEMENTS = 4

# A message that crashed through chaos is retried until it succeeds.
_AGAIN = SpawnOptions(retry=RetryPolicy(on=(ChaosError,), attempts=1000))


@dataclass
class Figures:
    """The figures of one answer."""

    passages_read: int = 0
    queries: int = 0
    crashes: int = 0
    restarts: int = 0
    tokens: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    sources: list[Finding] = field(default_factory=list)


class Swarm:
    """Answers one question.

    Args:
        system: The system of the actors. If it has a cluster, the readers are spread over its nodes.
        folder: The folder of the documents, with at least one passage, on each node.
        model: The model that phrases the answer.
        chaos: The share of the attempts of searchers and readers that crash.
        say: Called with each line of progress.
    """

    def __init__(
        self, system: MiniAgents, folder: str, model: MiniAgent, chaos: float, say: Callable[[str], None]
    ) -> None:
        self.usage = Usage()
        self.figures = Figures()
        self._system = system
        self._folder = folder
        self._library = library_of(folder)
        self._model = model
        self._chaos = chaos
        self._say = say
        self._began = time.monotonic()

    async def start(self) -> None:
        """Start all actors, in order."""
        system = self._system
        index = await asyncio.to_thread(Index, self._library.passages)
        self._weights = _weights(self._library)
        strategy = OneForOne(max_restarts=None)
        self._counting = asyncio.create_task(self._count_crashes())
        counted = metered.fork(model=self._model, non_freezable_kwargs={"usage": self.usage})
        self._phrases = system.spawn(counted, name="model")
        self._planner = system.spawn(planner, name="planner", model=self._phrases)
        self._searchers = await system.pool(
            Searcher,
            size=SEARCHERS,
            routing=Routing.LEAST_LOADED,
            name="searchers",
            options=_AGAIN,
            kwargs={"index": index, "chaos": chaos_of(self._chaos)},
        )
        options = _AGAIN if system.cluster is None else replace(_AGAIN, placement=Placement.SPREAD)
        reader = Reader.fork(options=options, folder=self._folder, chaos=self._chaos)
        self._readers = await system.pool(reader, size=READERS, name="readers", strategy=strategy)
        self._writer = system.spawn(writer, name="writer", model=self._phrases)

    async def _count_crashes(self) -> None:
        """Count the crashes on all nodes."""
        async for event in self._system.events:
            self.figures.crashes += event.kind is EventKind.CRASH

    async def answer(self, question: str) -> AsyncIterator[AsyncIterator[str]]:
        """Return the statements of the answer, each as a stream of pieces of text.

        Args:
            question: The question.
        """
        queries = list(dict.fromkeys([str(message) for message in await self._planner.inquire(question)]))
        self.figures.queries = len(queries)
        self._say(f"planner: {len(queries)} queries: {'; '.join(queries)}")
        scores: Counter[int] = Counter()
        asks = [self._searchers.ask(Search(query=query, k=HITS)) for query in queries]
        for hits in await gather(*asks):
            for number, score in hits.passages:
                scores[number] += score
        best = [number for number, _ in sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:HITS]]
        self._say(f"searchers: {len(scores)} passages found, the best {len(best)} are read")
        findings = await self._read(question, best)
        self.figures.passages_read = len(best)
        self.figures.sources = findings
        self._say(f"readers: {len(findings)} lines to cite")
        if findings:
            async for statement in self._writer.inquire(findings):
                yield (str(token) async for token in statement)

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

    def finish(self) -> Figures:
        """Return the figures; call this after the answer."""
        figures = self.figures
        self._counting.cancel()
        figures.restarts = _restarts(self._system.tree())
        figures.tokens = self.usage.tokens
        figures.rate = self.usage.rate
        figures.seconds = time.monotonic() - self._began
        return figures


def _weights(library: Library) -> dict[str, float]:
    """Return the weight of each word: a word in few passages has a high weight."""
    counts = Counter(word for passage in library.passages for word in set(words_of(passage.text)))
    return {word: math.log(1 + len(library.passages) / count) for word, count in counts.items()}


def _restarts(info: ActorInfo) -> int:
    return info.restarts + sum(_restarts(child) for child in info.children)
