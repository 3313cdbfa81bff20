"""A research swarm of scripted models that crash now and then: what the moving picture shows.

`python -m website.picture.swarm` works until its standard input ends. It prints two links to its observer, one for each
browser that records it.
"""

import asyncio
import random
import sys
from dataclasses import dataclass

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    AgentPoolRef,
    Backoff,
    ChildSpec,
    InteractionContext,
    Message,
    MiniAgent,
    MiniAgents,
    OneForOne,
    Request,
    RetryPolicy,
    Routing,
    SpawnOptions,
    Supervisor,
    SupervisorRef,
    gather,
    miniagent,
)
from miniagents.ext.observer import WebObserver
from miniagents.testing import Reply, Script, ScriptedModel

QUESTIONS = (
    "Which bridges were closed last winter?",
    "How much did the tram lines cost?",
    "Who asked for a second tunnel?",
    "Which schools got new roofs?",
    "What was promised about the harbour?",
)
ANSWER = (
    "Three bridges were closed between January and March: the north bridge for its cables, the mill bridge for ice, "
    "and the old bridge for a survey. The council paid for all three repairs in April, and the mill bridge opened "
    "first. The survey of the old bridge names two beams that must be replaced within five years."
)

PASSAGES = 24


def _model(text: str, delay: float) -> MiniAgent:
    return ScriptedModel.fork(script=Script(Reply(text, delay=delay)))


_planning = _model("bridges closed winter", 0.12)
_reading = _model("It says when the work was paid for, and by whom.", 0.06)
_writing = _model(ANSWER, 0.07)

_chance = random.Random(7)
_RESTARTS = OneForOne(max_restarts=None, backoff=Backoff(0.4, 0.8))
# A message that crashed an actor is handled again by the fresh instance.
_AGAIN = SpawnOptions(retry=RetryPolicy(on=(ConnectionError, ValueError), attempts=10))


class Found(Message):
    """The numbers of the passages that match."""

    passages: tuple[int, ...]


class Search(Request[Found]):
    """A request for passages."""

    query: str


class Searcher(Actor):
    """Searches an index that does not always answer."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        """Answer with the numbers of passages, or crash."""
        if not isinstance(message, Search):
            return ctx.unhandled(message)
        await _work(0.4)
        if _chance.random() < 0.05:
            raise ConnectionError("the index did not answer")
        return Found(passages=tuple(_chance.sample(range(PASSAGES), 3)))


class Passage(Actor):
    """Keeps a passage of a document."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        """Handle a message, in some time."""
        await _work(0.3)


@dataclass
class Swarm:
    """The actors and agents that a researcher needs."""

    searchers: SupervisorRef
    readers: AgentPoolRef
    passages: list[ActorRef]


@miniagent
class Reader:
    """Reads a passage, and says what it has to do with the question."""

    async def __call__(self, ctx: InteractionContext, number: int) -> None:
        """Reply with the words of a model, or crash."""
        await _work(0.5)
        if _chance.random() < 0.04:
            raise ValueError(f"passage {number} is not in this document")
        ctx.reply(_reading.inquire(ctx.message_promises))


@miniagent
async def planner(ctx: InteractionContext) -> None:
    """Makes a query of a question."""
    ctx.reply(_planning.inquire(ctx.message_promises))


@miniagent
async def researcher(ctx: InteractionContext, swarm: Swarm) -> None:
    """Answers a question."""
    question = str(await ctx.message_promises)
    query = str(await planner.inquire(question))
    asks = [swarm.searchers.ask(Search(query=f"{query} {part}"), timeout=30) for part in range(3)]
    numbers = sorted({number for found in await gather(*asks) for number in found.passages})[:6]
    for number in numbers:
        swarm.passages[number].tell(Search(query=query))
    await gather(*[swarm.readers.inquire(question, number=number) for number in numbers])
    ctx.reply(_writing.inquire(question))


async def _work(seconds: float) -> None:
    await asyncio.sleep(_chance.uniform(0.5, 1.5) * seconds)


async def main(system: MiniAgents, observer: WebObserver) -> None:
    """Ask one question after the other until the standard input ends."""
    searchers = await system.pool(
        Searcher, size=4, routing=Routing.LEAST_LOADED, name="searchers", strategy=_RESTARTS, options=_AGAIN
    )
    readers = await system.pool(
        Reader, size=6, routing=Routing.LEAST_LOADED, name="readers", strategy=_RESTARTS, options=_AGAIN
    )
    passages = [ChildSpec(str(number), Passage) for number in range(PASSAGES)]
    await system.supervise(Supervisor("passages", children=passages))
    refs = [system.lookup(f"/passages/{number}") for number in range(PASSAGES)]
    swarm = Swarm(searchers, readers, [ref for ref in refs if ref is not None])
    print(observer.new_link(), observer.new_link(), flush=True)

    async def ask() -> None:
        while True:
            researcher.fork(non_freezable_kwargs={"swarm": swarm}).inquire(_chance.choice(QUESTIONS))
            await _work(1.2)

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(sys.stdin.read)
    asking.cancel()


if __name__ == "__main__":
    page = WebObserver()
    research = MiniAgents(name="research", observers=[page])
    research.run(main(research, page))
