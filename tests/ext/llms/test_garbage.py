"""Calls of models and tools leave no reference cycles."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgent, MiniAgents, PromiseCancelledError, RetryPolicy, miniagent
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.garbage import garbage_of


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def failing(a: int) -> int:
    """Fails."""
    raise ValueError("no")


async def sleeping() -> str:
    """Sleeps."""
    await asyncio.sleep(1)
    return "rested"


@miniagent
async def helper(ctx: InteractionContext) -> None:
    """Helps."""
    ctx.reply("help")


def model(*replies: Reply | str, **options: Any) -> MiniAgent:
    """A model that gives these replies again and again."""
    turns = itertools.cycle(Reply(reply) if isinstance(reply, str) else reply for reply in replies)
    return ScriptedModel.fork(script=Script(lambda _: next(turns)), **options)


def tool(name: str, **arguments: object) -> Reply:
    return Reply("I look it up", calls=(Call(name, arguments),))


AGENTS: dict[str, MiniAgent] = {
    "a model": model("Hello there"),
    "a model that takes its time": model(Reply("Hello there", delay=0.1)),
    "a tool": model(tool("add", a=1, b=2), "3", tools=[add]),
    "tools at once": model(
        Reply(calls=(Call("add", {"a": 1, "b": 2}), Call("sleeping", {}))), "3", tools=[add, sleeping]
    ),
    "a tool that fails": model(tool("failing", a=1), "no", tools=[failing]),
    "a tool that is not there": model(tool("nothing"), "no", tools=[add]),
    "a tool that takes too long": model(tool("sleeping"), "no", tools=[sleeping], tool_timeout=0.5),
    "an agent as a tool": model(tool("helper", messages="one"), "helped", tools=[helper]),
    "a retry": model(Reply(status=500), "Hello", retry=RetryPolicy(attempts=2)),
}


def awaited(agent: MiniAgent) -> Callable[[], Awaitable[object]]:
    async def once() -> None:
        await agent.inquire("Hi")

    return once


def read(agent: MiniAgent) -> Callable[[], Awaitable[object]]:
    async def once() -> None:
        async for promise in agent.inquire("Hi"):
            async for _ in promise:
                pass

    return once


@pytest.mark.parametrize("reading", [awaited, read])
@pytest.mark.parametrize("name", AGENTS)
async def test_a_model_and_its_tools_leave_no_reference_cycle(
    name: str, reading: Callable[[MiniAgent], Callable[[], Awaitable[object]]]
) -> None:
    async with MiniAgents():
        assert await garbage_of(reading(AGENTS[name])) == {}


async def test_a_model_that_is_cancelled_leaves_no_reference_cycle() -> None:
    agent = ScriptedModel.fork(script=Script(Reply("Hello there", delay=10)))

    async def once() -> None:
        replies = [agent.inquire("Hi")]
        await asyncio.sleep(0.1)
        replies[0].cancel()
        with suppress(PromiseCancelledError):
            await replies.pop()

    async with MiniAgents():
        assert await garbage_of(once) == {}


@pytest.mark.real_time
@pytest.mark.parametrize("reading", [awaited, read])
@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_a_real_request_leaves_no_reference_cycle(
    api: str, reading: Callable[[MiniAgent], Callable[[], Awaitable[object]]], fake_provider: FakeProvider
) -> None:
    fake_provider.reset("Hello there")
    agent = (
        OpenAIAgent.fork(model="m", **fake_provider.openai)
        if api == "openai"
        else AnthropicAgent.fork(model="m", **fake_provider.anthropic)
    )

    async with MiniAgents():
        assert await garbage_of(reading(agent)) == {}
