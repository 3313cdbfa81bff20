"""The program that `swarm.py` kills: a swarm of about 200 agents in three levels, which asks a provider over HTTP.

`python -m tests.soak.swarm_program JOURNAL URL TEAMS` runs the job, and prints its result and the state of a durable
actor that the agents have written to.
"""

import logging
import signal
import sys
from typing import Any

import msgspec
import structlog

from miniagents import (
    Actor,
    ActorContext,
    Backoff,
    InteractionContext,
    Message,
    MiniAgent,
    MiniAgents,
    RetryPolicy,
    SpawnOptions,
    gather,
    miniagent,
)
from miniagents.ext.llms import OpenAIAgent, RateLimit
from miniagents.journal import SqliteJournal

DIALOGS = 14
QUESTIONS = 3
NARRATED = 3
TURNS = 5
TALKS = 3

LIMIT = RateLimit(concurrent=6)
"""Else the provider would answer most of the swarm within the first life."""

PATIENT = RetryPolicy(attempts=20, backoff=Backoff(0.01, 0.05))


class Entry(Message, tag="tests.soak.Entry"):
    """What a dialog tells the ledger."""

    who: str


class Entries(msgspec.Struct):
    """How often each name came."""

    counts: dict[str, int] = msgspec.field(default_factory=dict)


class Told(Message, tag="tests.soak.Told"):
    """The state of the ledger."""

    counts: tuple[tuple[str, int], ...]


class Ledger(Actor):
    """A durable actor that counts who has told it something."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def snapshot(self) -> Entries:
        return Entries(dict(self.counts))

    def restore(self, state: Entries) -> None:
        self.counts = dict(state.counts)

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if isinstance(message, Entry):
            self.counts[message.who] = self.counts.get(message.who, 0) + 1
        return Told(counts=tuple(self.counts.items()))


def model(url: str, name: str = "plain", **options: Any) -> MiniAgent:
    """Return the agent of a model of the provider."""
    return OpenAIAgent.fork(model=name, base_url=url, api_key="key", rate_limit=LIMIT, retry=PATIENT, **options)


async def measure(place: str) -> str:
    """Measure a place."""
    return f"the measure of {place}"


@miniagent
async def dialog(ctx: InteractionContext, name: str, url: str) -> None:
    """Ask questions that depend on the answers before, and one that all dialogs ask alike."""
    heard = [str(message) for message in await ctx.message_promises]
    asked = model(url)
    for _ in range(QUESTIONS):
        heard.append(str(await asked.inquire(f"{name}: {' '.join(heard)[-200:]}")))
    heard.append(str(await asked.inquire("what all ask")))
    ledger = MiniAgents.get_current().lookup("/ledger")
    assert ledger is not None
    await ledger.send(Entry(who=name), message_id=name)
    ctx.reply(" ".join(heard))


@miniagent
async def relay(ctx: InteractionContext, url: str) -> None:
    """Let one model work on what another one still streams."""
    first = model(url).inquire("a stream", label="first")
    ctx.reply(first)
    ctx.reply(model(url).inquire(first, label="second"))


@miniagent
async def measurer(ctx: InteractionContext, url: str) -> None:
    """Let a model call a tool in all turns but the last one."""
    ctx.reply(str((await model(url, "tools", tools=[measure]).inquire("measure"))[-1]))


@miniagent
async def extractor(ctx: InteractionContext, url: str) -> None:
    """Want an object of a model that gives one only when it is asked again."""
    ctx.reply(str(await model(url, "json", output=dict[str, int]).inquire("an object")))


@miniagent
async def picky(ctx: InteractionContext, url: str) -> None:
    answer = str(await model(url, "picky").inquire("please"))
    if answer.startswith("refused"):
        raise ValueError(answer)
    ctx.reply(answer)


@miniagent
async def persistent(ctx: InteractionContext, url: str) -> None:
    """Call an agent that fails at random until it does not."""
    while True:
        try:
            ctx.reply(str(await picky.inquire(url=url)))
        except ValueError:
            continue
        return


@miniagent
async def narrator(ctx: InteractionContext, url: str) -> None:
    for number in range(NARRATED):
        ctx.reply(await model(url).inquire(f"chapter {number}"))


@miniagent
async def early_leaver(ctx: InteractionContext) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(f"left after {await promise}")
        return


@miniagent
async def echo(ctx: InteractionContext, url: str) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(await model(url).inquire(await promise))


@miniagent
async def duplex(ctx: InteractionContext, url: str) -> None:
    """Talk to an agent, each message depending on its reply to the one before."""
    call = echo.initiate_call(url=url)
    replies = aiter(call.reply_sequence(finish_call=False))
    heard = ["hello"]
    for _ in range(TALKS):
        call.send_message(heard[-1])
        heard.append(str(await (await anext(replies))))
    call.finish()
    ctx.reply(" ".join(heard))


@miniagent
async def team(ctx: InteractionContext, name: str, url: str) -> None:
    """Fan out to all kinds of workers, and let a last dialog read what came of it."""
    calls: list[Any] = [dialog.inquire(name=f"{name}.{number}", url=url) for number in range(DIALOGS)]
    for kind in (relay, measurer, extractor, persistent):
        calls += [kind.inquire(name, url=url, label=label) for label in ("a", "b")]
    calls += [early_leaver.inquire(narrator.inquire(url=url)), duplex.inquire(url=url)]
    results = [message for replies in await gather(*calls) for message in replies]
    ctx.reply(results)
    ctx.reply(dialog.inquire(results[:3], name=f"{name}.last", url=url))


@miniagent
async def swarm(ctx: InteractionContext, url: str, teams: int) -> None:
    ctx.reply([team.inquire(name=f"team {number}", url=url) for number in range(teams)])


ANSWERS = (DIALOGS + 1) * (QUESTIONS + 1) + 2 * (2 + TURNS + 2 + 1) + NARRATED + TALKS
"""What one team asks for: dialogs, relays, turns with tools, objects with a repair each, answers that are not refused,
the chapters of the narrator, and the echoes."""

AGENTS = (DIALOGS + 1) + 2 * (1 + 1 + 1 + 2) + 2 + 2
"""The calls of agents for one team, without models and without calls that were refused."""


async def main(url: str, teams: int) -> None:
    mini = MiniAgents.get_current()
    ledger = mini.spawn(Ledger, name="ledger", options=SpawnOptions(durable=True))
    result = " ".join([str(message) for message in await mini.run_job("swarm", swarm, url=url, teams=teams)])
    told = await ledger.ask(Entry(who="reader"), message_id="reader")
    counts = {who: count for who, count in told.counts if who != "reader"}
    print(msgspec.json.encode({"result": result, "ledger": counts}).decode())


if __name__ == "__main__":
    errors_alone = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=errors_alone, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background may have it ignored
    journal = SqliteJournal(sys.argv[1])
    MiniAgents(journal=journal, durable_agents=True).run(main(sys.argv[2], int(sys.argv[3])))
