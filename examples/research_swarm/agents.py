"""The agents: a planner, searchers, readers and a writer."""

from collections.abc import AsyncIterator
from typing import Any

from examples.research_swarm.chaos import Chaos, chaos_of
from examples.research_swarm.documents import library_of
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
    """A request to a searcher for the best passages."""

    query: str
    k: int


class Hits(Message):
    """The numbers of passages with their scores, best first."""

    passages: tuple[tuple[int, float], ...]


class Finding(Message):
    """The result of a reader: the most relevant line of one passage."""

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
    """Turns a question into search queries: the question itself, and the keywords that the model finds in it."""
    question = str(await ctx.message_promises)
    ctx.reply(question)
    prompt = f"List the keywords of this question, separated by commas, and nothing else.\nQuestion: {question}"
    # A small model writes much that is not a keyword. Words that are not in the question mislead the search.
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
        passages = self._index.search(message.query, message.k)
        attempt.at("middle")
        hits = Hits(passages=tuple(passages))
        attempt.at("end")
        return hits


class Reader:
    """Reads one passage at a time and finds the most relevant line."""

    def __init__(self, folder: str, chaos: float) -> None:
        # It may live on another node, where it reads the documents itself.
        self._passages = library_of(folder).passages
        self._chaos = chaos_of(chaos)

    async def __call__(self, ctx: InteractionContext, passage: int, weights: Any) -> None:
        question = str(await ctx.message_promises)
        attempt = self._chaos.attempt(f"read {passage}")
        attempt.at("start")
        lines = self._passages[passage].lines
        question_words = dict.fromkeys(words_of(question))
        best, best_score = lines[0], 0.0
        for line in lines:
            words = words_of(line.text)
            # The length of a line must not raise its score, and a fragment is never relevant.
            score = sum(weights.get(word, 1.0) for word in question_words if word in words) / (6 + len(words)) ** 0.5
            if len(words) >= 3 and score > best_score:
                best, best_score = line, score
        attempt.at("middle")
        finding = Finding(
            passage=passage, file=self._passages[passage].file, line=best.number, quote=best.text, score=best_score
        )
        attempt.at("end")
        ctx.reply(finding)


reader = miniagent(Reader)


@miniagent
async def writer(ctx: InteractionContext, model: AgentRef) -> None:
    """Streams the answer: one statement for each finding, phrased by the model, with its source."""
    findings = [finding for finding in await ctx.message_promises if isinstance(finding, Finding)]
    # The model writes all phrases in parallel; the replies keep their order.
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
        text, shown = "", 0
        trusted = False
        async for token in phrase:
            text += str(token).replace("\n", " ")
            # A small model does not stop in time; one sentence is enough.
            end = _sentence_end(text)
            text = text[:end]
            # The model often writes about itself. Nothing is shown until its first words are those of the source.
            trusted = trusted or (len(words_of(text)) >= _FIRST_WORDS and is_supported(text, finding.quote))
            if trusted:
                yield text[shown:]
                shown = len(text)
            elif len(words_of(text)) > 2 * _FIRST_WORDS:
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
    """Return whether at least half of the words of a statement are words of its source."""
    words = set(words_of(statement))
    return bool(words) and len(words & set(words_of(quote))) * 2 >= len(words)
