"""What the clients ask: a service whose agents answer each request out of itself alone.

`miniagents serve tests.clients.service:app` runs it. Its models are scripted; all between them and the clients is real.
"""

import asyncio
import time
from collections import defaultdict
from typing import Any

from miniagents import InteractionContext, TextMessage, TextToken, miniagent
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.ext.llms.parts import ReasoningToken
from miniagents.ext.serving import Served, agent_app
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.ext.serving.agents import breaking, talker

PIECES = ("one ", "two ", "three")


def answered(exchange: Exchange) -> Reply | str:
    """What the model says.

    It asks a tool `population` about two cities at once, then says what came back. Where the client wants data, it
    gives data: as text, or as the arguments of the tool that the client offers for that.
    """
    body = exchange.body
    results = _results(body["messages"])
    if results:
        return " and ".join(results)
    tools = {tool["name"]: tool for tool in (one.get("function", one) for one in body.get("tools", ()))}
    if "population" in tools:
        return Reply(calls=(Call("population", {"city": "Paris"}), Call("population", {"city": "Rome"})))
    if tools:
        return Reply(calls=(Call(next(iter(tools)), PARIS),))
    if "response_format" in body or "output_config" in body:
        return '{"city": "Paris", "population": 2100000}'
    return Reply(PIECES)


PARIS = {"city": "Paris", "population": 2_100_000}


def _results(messages: list[Any]) -> list[str]:
    """What tools answered since the assistant last spoke."""
    found: list[str] = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            found = []
        elif message["role"] == "tool":
            found.append(content)
        elif isinstance(content, list):
            found += [_text(block["content"]) for block in content if block["type"] == "tool_result"]
    return found


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


provider = FakeProvider(answered).start()


@miniagent
async def historian(ctx: InteractionContext) -> None:
    """Says who said what."""
    said = [await message async for message in ctx.message_promises]
    ctx.reply(" | ".join(f"{message.role}: {message}" for message in said))  # type: ignore[attr-defined]


cancelled: dict[str, asyncio.Future[float]] = defaultdict(lambda: asyncio.get_running_loop().create_future())
"""When the calls of `held` were cancelled, by their texts."""


@miniagent
async def held(ctx: InteractionContext) -> None:
    """Says one word, and nothing more until it is cancelled."""
    name = str(await ctx.message_promises)

    async def words(_: dict[str, Any]) -> Any:
        yield TextToken(PIECES[0])
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[name].set_result(time.time())

    ctx.reply(TextMessage.promise(message_token_streamer=words))


@miniagent
async def witness(ctx: InteractionContext) -> None:
    """Answers once the call of `held` with this text was cancelled, and says when that was."""
    at = await asyncio.shield(cancelled[str(await ctx.message_promises)])
    ctx.reply("cancelled")
    ctx.reply(repr(at))


released: dict[str, asyncio.Event] = defaultdict(asyncio.Event)


@miniagent
async def paced(ctx: InteractionContext) -> None:
    """Says three words, and ends when it is released."""
    name = str(await ctx.message_promises)

    async def words(_: dict[str, Any]) -> Any:
        for piece in PIECES:
            yield TextToken(piece)
        await released[name].wait()

    ctx.reply(TextMessage.promise(message_token_streamer=words))


@miniagent
async def release(ctx: InteractionContext) -> None:
    """Lets the call of `paced` with this text end."""
    released[str(await ctx.message_promises)].set()


@miniagent
async def thinker(ctx: InteractionContext) -> None:
    """Thinks, and answers."""

    async def tokens(_: dict[str, Any]) -> Any:
        yield ReasoningToken("Let me see.")
        yield TextToken("Four.")

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


async def population(city: str) -> str:
    """Say how many people live in a city."""
    return {"Paris": "2100000", "Rome": "2800000"}[city]


agents: list[Any] = [
    historian,
    held,
    witness,
    paced,
    release,
    talker,
    thinker,
    breaking,
    OpenAIAgent.fork(alias="desk", model="fake-1", tools=[population], **provider.openai),
    Served(
        OpenAIAgent.fork(alias="clerk", model="fake-1", **provider.openai),
        arguments=("tools", "tool_choice", "parallel_tool_calls", "response_format"),
    ),
    Served(
        AnthropicAgent.fork(alias="claude", model="fake-1", **provider.anthropic),
        arguments=("tools", "tool_choice", "output_config"),
    ),
]

app = agent_app(agents, front_ends=("ag-ui", "ai-sdk"), expose="tools")
