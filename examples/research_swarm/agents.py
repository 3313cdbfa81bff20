"""The agents: a planner, searchers, readers and a writer."""

from collections.abc import AsyncIterator
from typing import Any

from examples.research_swarm.chaos import Chaos
from examples.research_swarm.documents import Passage
from examples.research_swarm.index import Index, words_of
from miniagents import (
    Actor,
    ActorContext,
    AgentRef,
    AssistantMessage,
    InteractionContext,
    Message,
    MessagePromise,
    miniagent,
)


class Search(Message):
    """Asks a searcher for the best passages."""

    query: str
    k: int


class Hits(Message):
    """Numbers of passages with their scores, best first."""

    found: tuple[tuple[int, float], ...]


class Finding(Message):
    """What a reader found in one passage: the line that says most about the question."""

    passage: int
    file: str
    line: int
    quote: str
    score: float

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.quote}"


_FIRST_WORDS = 4


@miniagent
async def planner(ctx: InteractionContext, model: AgentRef) -> None:
    """Turns a question into search queries: the question itself, and what the model makes of it."""
    question = str(await ctx.message_promises)
    ctx.reply(question)
    prompt = f"List the keywords of this question, separated by commas, and nothing else.\nQuestion: {question}"
    # A small model writes much that is no keyword: what shares no word with the question leads astray.
    suggested = set(words_of(str(await model.inquire(prompt).answer())))
    shared = [word for word in dict.fromkeys(words_of(question)) if word in suggested]
    if len(shared) > 1:
        ctx.reply(" ".join(shared))


class Searcher(Actor):
    """Searches the index."""

    def __init__(self, index: Index, chaos: Chaos) -> None:
        self._index = index
        self._chaos = chaos

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        assert isinstance(message, Search)
        attempt = self._chaos.attempt(f"search {message.query}")
        attempt.at("start")
        found = self._index.search(message.query, message.k)
        attempt.at("middle")
        hits = Hits(found=tuple(found))
        attempt.at("end")
        return hits


@miniagent
class Reader:
    """Reads one passage at a time and finds the line that says most about the question."""

    def __init__(self, passages: list[Passage], chaos: Chaos) -> None:
        self._passages = passages
        self._chaos = chaos

    async def __call__(self, ctx: InteractionContext, passage: int, weights: Any) -> None:
        question = str(await ctx.message_promises)
        attempt = self._chaos.attempt(f"read {passage}")
        attempt.at("start")
        lines = self._passages[passage].lines
        asked = dict.fromkeys(words_of(question))
        best, best_score = lines[0], 0.0
        for line in lines:
            words = words_of(line.text)
            # A long line is not better for being long, and a fragment says nothing.
            score = sum(weights.get(word, 1.0) for word in asked if word in words) / (6 + len(words)) ** 0.5
            if len(words) >= 3 and score > best_score:
                best, best_score = line, score
        attempt.at("middle")
        finding = Finding(
            passage=passage, file=self._passages[passage].file, line=best.number, quote=best.text, score=best_score
        )
        attempt.at("end")
        ctx.reply(finding)


@miniagent
async def writer(ctx: InteractionContext, model: AgentRef) -> None:
    """Streams the answer: one statement for each finding, phrased by the model, and what it rests on."""
    findings = [finding for finding in await ctx.message_promises if isinstance(finding, Finding)]
    # All phrases are begun at once; the reply keeps their order.
    phrases = [
        model.inquire(
            f"Say this in one short sentence, in the same words, with nothing added:\n{finding.quote}"
        ).answer()
        for finding in findings
    ]
    for number, (finding, phrase) in enumerate(zip(findings, phrases, strict=True), 1):
        async for message in phrase:
            ctx.reply(AssistantMessage.promise(message_token_streamer=_statement(message, finding, number)))


def _statement(phrase: MessagePromise, finding: Finding, number: int) -> Any:
    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        said, shown = "", 0
        trusted = False
        async for token in phrase:
            said += str(token).replace("\n", " ")
            # A small model does not know when to end: one sentence is enough.
            end = _sentence_end(said)
            said = said[:end]
            # It often speaks of itself instead: nothing is shown before its first words are those of the source.
            trusted = trusted or (len(words_of(said)) >= _FIRST_WORDS and is_supported(said, finding.quote))
            if trusted:
                yield said[shown:]
                shown = len(said)
            elif len(words_of(said)) > 2 * _FIRST_WORDS:
                break
            if end is not None:
                break
        yield f" [{number}]\n      “{finding.quote}”" if trusted else f"“{finding.quote}” [{number}]"

    return tokens


def _sentence_end(text: str) -> int | None:
    for at, character in enumerate(text):
        if character in ".!?" and at > 20 and text[at + 1 : at + 2] == " ":
            return at + 1
    return None


def is_supported(statement: str, quote: str) -> bool:
    """Whether what the model says is made of the words of its source: half of them at least."""
    said = set(words_of(statement))
    return bool(said) and len(said & set(words_of(quote))) * 2 >= len(said)
