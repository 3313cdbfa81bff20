"""The swarm: the supervision tree, and the path of a question through it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from examples.research_swarm.agents import Finding, Reader, Search, Searcher, planner, writer
from examples.research_swarm.chaos import Chaos, ChaosError
from examples.research_swarm.documents import Library
from examples.research_swarm.index import Index, words_of
from examples.research_swarm.usage import Usage, metered
from miniagents import (
    ActorInfo,
    MiniAgent,
    MiniAgents,
    OneForOne,
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
        question: The question.
        system: The system of the actors.
        library: The documents, with at least one passage.
        model: The model that phrases the answer.
        chaos: Decides which searchers and readers crash.
        say: Called with each line of progress.
    """

    def __init__(
        self,
        question: str,
        system: MiniAgents,
        library: Library,
        model: MiniAgent,
        chaos: Chaos,
        say: Callable[[str], None],
    ) -> None:
        self.usage = Usage()
        self.figures = Figures()
        self._question = question
        self._system = system
        self._library = library
        self._model = model
        self._chaos = chaos
        self._say = say
        self._began = time.monotonic()

    async def start(self) -> None:
        """Start all actors, in order. The planner begins with the question at once, while a thread indexes the
        documents: the model takes longest to start."""
        system = self._system
        strategy = OneForOne(max_restarts=None)
        counted = metered.fork(model=self._model, non_freezable_kwargs={"usage": self.usage})
        self._phrases = system.spawn(counted, name="model")
        self._queries = system.spawn(planner, name="planner", model=self._phrases).inquire(self._question)
        index, self._weights = await asyncio.to_thread(_indexed, self._library)
        self._searchers = await system.pool(
            Searcher,
            size=SEARCHERS,
            routing=Routing.LEAST_LOADED,
            name="searchers",
            options=_AGAIN,
            kwargs={"index": index, "chaos": self._chaos},
        )
        reader = Reader.fork(
            options=_AGAIN, non_freezable_kwargs={"passages": self._library.passages, "chaos": self._chaos}
        )
        self._readers = await system.pool(reader, size=READERS, name="readers", strategy=strategy)
        self._writer = system.spawn(writer, name="writer", model=self._phrases)

    async def answer(self) -> AsyncIterator[AsyncIterator[str]]:
        """Return the statements of the answer, each as a stream of pieces of text."""
        queries = list(dict.fromkeys([str(message) for message in await self._queries]))
        self.figures.queries = len(queries)
        self._say(f"planner: {len(queries)} queries: {'; '.join(queries)}")
        scores: Counter[int] = Counter()
        asks = [self._searchers.ask(Search(query=query, k=HITS)) for query in queries]
        for hits in await gather(*asks):
            for number, score in hits.passages:
                scores[number] += score
        best = [number for number, _ in sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:HITS]]
        self._say(f"searchers: {len(scores)} passages found, the best {len(best)} are read")
        findings = await self._read(best)
        self.figures.passages_read = len(best)
        self.figures.sources = findings
        self._say(f"readers: {len(findings)} lines to cite")
        if findings:
            async for statement in self._writer.inquire(findings):
                yield (str(token) async for token in statement)

    async def _read(self, numbers: list[int]) -> list[Finding]:
        """Let the readers read in parallel, and return the most relevant lines, best first."""
        weights = {word: self._weights[word] for word in words_of(self._question) if word in self._weights}
        calls = [self._readers.inquire(self._question, passage=number, weights=weights) for number in numbers]
        findings = [message for replies in await gather(*calls) for message in replies if isinstance(message, Finding)]
        findings.sort(key=lambda finding: (-finding.score, finding.passage))
        different = {finding.quote: finding for finding in reversed(findings) if finding.score > 0}
        return sorted(different.values(), key=lambda finding: (-finding.score, finding.passage))[:STATEMENTS]

    def finish(self) -> Figures:
        """Return the figures; call this after the answer."""
        figures = self.figures
        figures.crashes = self._chaos.crashes
        figures.restarts = _restarts(self._system.tree())
        figures.tokens = self.usage.tokens
        figures.rate = self.usage.rate
        figures.seconds = time.monotonic() - self._began
        return figures


def _indexed(library: Library) -> tuple[Index, dict[str, float]]:
    """Return the index, and the weight of each word: a word in few passages has a high weight."""
    counts = Counter(word for passage in library.passages for word in set(words_of(passage.text)))
    weights = {word: math.log(1 + len(library.passages) / count) for word, count in counts.items()}
    return Index(library.passages), weights


def _restarts(info: ActorInfo) -> int:
    return info.restarts + sum(_restarts(child) for child in info.children)
