"""Cancelling goes through the tools of a model, and ends its waits."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorRef,
    Backoff,
    MiniAgents,
    RetryPolicy,
)
from miniagents.ext.llms import RateLimit
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.actors.asking import Asks, Work, Works, asks_actor


async def tool_that_asks(ref: ActorRef) -> str:
    await ref.ask(Work())
    return "never"


@pytest.mark.parametrize("tool", ["function", "agent"])
@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_goes_through_the_tools_of_a_model(tool: str, top: str) -> None:
    log: list[str] = []
    script = Script(Reply(calls=(Call("tool", {} if tool == "function" else {"message": "Hi"}),)), "done")
    async with MiniAgents() as system:
        works = system.spawn(Works, log=log)

        async def function() -> str:
            """Ask an actor."""
            return await tool_that_asks(works)

        function.__name__ = "tool"
        target: Any = function if tool == "function" else asks_actor.fork(alias="tool", to=works)
        model = ScriptedModel.fork(script=script, tools=[target])
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(5)
        assert log == ["works"]

        await promise.aclose("enough")

        assert log == ["works", "cancelled", "cleaned up"]
        assert system.interactions() == ()


@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_ends_a_wait_for_a_rate_limit(top: str) -> None:
    limit = RateLimit(concurrent=1)
    script = Script(Reply("slow", delay=1000), "never")
    async with MiniAgents() as system:
        model = ScriptedModel.fork(script=script, rate_limit=limit)
        first = model.inquire("first")
        await asyncio.sleep(1)
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(1)
        assert limit.waiting == 1
        began = system.time()

        await promise.aclose("enough")

        assert limit.waiting == 0
        assert system.time() == began
        await first.aclose()
    assert len(script.requests) == 1


@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_ends_a_pause_between_two_attempts(top: str) -> None:
    script = Script(Reply.failure(500), "never")
    async with MiniAgents() as system:
        model = ScriptedModel.fork(script=script, retry=RetryPolicy(backoff=Backoff(60, 60)))
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(1)
        assert len(script.requests) == 1
        began = system.time()

        await promise.aclose("enough")

        assert system.interactions() == ()
        assert system.time() == began
        await asyncio.sleep(1000)
    assert len(script.requests) == 1
