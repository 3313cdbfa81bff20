"""The program that `test_killed.py` kills: a swarm of three levels, which asks a provider over HTTP."""

import asyncio
import sys
from typing import Any

import structlog

from miniagents import InteractionContext, JobStuckError, MiniAgents, Retry, miniagent
from miniagents.ext.llms import OpenAIAgent
from miniagents.journal import SqliteJournal


async def measure(place: str) -> str:
    """Measure a place."""
    return f"the measure of {place}"


@miniagent
async def dialog(ctx: InteractionContext, name: str, url: str) -> None:
    """Ask questions that depend on the answers before, some of which two dialogs ask alike."""
    model = OpenAIAgent.fork(model="m", base_url=url, api_key="key")
    heard = [name]
    for _ in range(3):
        heard.append(str(await model.inquire(" ".join(heard)[-200:])))
    heard.append(str(await model.inquire("what both ask")))
    ctx.reply(" ".join(heard))


@miniagent
async def streamed(ctx: InteractionContext, url: str) -> None:
    """Let one model work on what another one still streams."""
    model = OpenAIAgent.fork(model="m", base_url=url, api_key="key")
    ctx.reply(await model.inquire(model.inquire("a stream", label="first"), label="second"))


@miniagent
async def with_tools(ctx: InteractionContext, url: str) -> None:
    model = OpenAIAgent.fork(model="tools", base_url=url, api_key="key", tools=[measure])
    ctx.reply(str((await model.inquire("measure"))[-1]))


@miniagent
async def structured(ctx: InteractionContext, url: str) -> None:
    model = OpenAIAgent.fork(model="json", base_url=url, api_key="key", output=dict[str, int])
    ctx.reply(str(await model.inquire("an object")))


@miniagent
async def early_leaver(ctx: InteractionContext) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(f"left after {await promise}")
        return


@miniagent
async def echo(ctx: InteractionContext, url: str) -> None:
    model = OpenAIAgent.fork(model="m", base_url=url, api_key="key")
    async for promise in ctx.message_promises:
        ctx.reply(await model.inquire(await promise))


@miniagent
async def duplex(ctx: InteractionContext, url: str) -> None:
    call = echo.initiate_call(url=url)
    replies = aiter(call.reply_sequence(finish_call=False))
    said = "hello"
    for _ in range(3):
        call.send_message(said)
        said = str(await (await anext(replies)))[-60:]
    call.finish()
    ctx.reply(said)


@miniagent
async def swarm(ctx: InteractionContext, url: str, size: int) -> None:
    calls: list[Any] = [dialog.inquire(name=str(number), url=url) for number in range(size)]
    calls += [streamed.inquire(url=url), with_tools.inquire(url=url), structured.inquire(url=url)]
    calls += [duplex.inquire(url=url), early_leaver.inquire(dialog.inquire(name="long", url=url))]
    ctx.reply(" | ".join([str(await call) for call in calls]))


async def main(path: str, url: str, size: int) -> None:
    async with MiniAgents(journal=SqliteJournal(path), durable_agents=True) as mini:
        try:
            print(await mini.run_job("swarm", swarm, url=url, size=size))
        except JobStuckError:  # three kills before anything was on disk: that is bad luck here
            print(await mini.run_job("swarm", swarm, url=url, size=size, retry=Retry.FAILED))


if __name__ == "__main__":
    # The output is compared, and whether a repair is logged depends on when the process was killed.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
