"""The context of a call, as the code of an agent uses it."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from miniagents import (
    InteractionContext,
    MiniAgents,
    miniagent,
)
from miniagents.errors import (
    NoActiveSystemError,
)
from tests.agents.agents import Counter, echo, words

variable: ContextVar[str] = ContextVar("agent_variable", default="unset")


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_an_interaction_has_a_copy_of_its_callers_context_variables(kind: str) -> None:
    async def reads(ctx: InteractionContext) -> None:
        ctx.reply(variable.get())
        variable.set("changed")

    class Reads:
        async def __call__(self, ctx: InteractionContext) -> None:
            await reads(ctx)

    agent = miniagent(reads if kind == "function" else Reads)
    async with MiniAgents():
        variable.set("mine")
        assert await words(agent.inquire()) == ["mine"]
        assert variable.get() == "mine"


async def test_side_tasks_are_waited_for_and_their_failure_is_logged_and_fails_nobody(log: list[Any]) -> None:
    done: list[str] = []

    async def side(fail: bool) -> None:
        await asyncio.sleep(1)
        if fail:
            raise ValueError("side")
        done.append("side")

    @miniagent
    async def busy(ctx: InteractionContext) -> None:
        ctx.make_sure_to_wait(side(False))
        ctx.make_sure_to_wait(side(True))
        ctx.reply("main")

    async with MiniAgents():
        assert await words(busy.inquire()) == ["main"]
    assert done == ["side"]
    assert sum(entry["event"] == "call.side_task_failed" for entry in log) == 1


async def test_replies_can_be_finished_early_while_the_code_goes_on() -> None:
    done: list[str] = []

    @miniagent
    async def early(ctx: InteractionContext) -> None:
        ctx.reply("answer")
        await ctx.afinish_early()
        await asyncio.sleep(10)
        done.append("later")

    async with MiniAgents() as system:
        began = system.time()
        assert await words(early.inquire()) == ["answer"]
        assert system.time() == began
    assert done == ["later"]


async def test_await_now_warns_while_a_call_of_this_agent_is_open() -> None:
    @miniagent
    async def careless(ctx: InteractionContext) -> None:
        call = echo.initiate_call()
        with pytest.warns(RuntimeWarning, match="still open"):
            await ctx.await_now()
        call.finish()

    async with MiniAgents():
        await careless.inquire()


async def test_get_current_finds_system_and_context() -> None:
    @miniagent
    async def looks(ctx: InteractionContext) -> None:
        assert InteractionContext.get_current() is ctx
        assert MiniAgents.get_current() is ctx.system
        ctx.reply(" <- ".join(agent.alias for agent in ctx.get_agent_trace()))

    async with MiniAgents() as system:
        assert MiniAgents.get_current() is system
        assert await words(looks.inquire()) == ["looks"]
        with pytest.raises(NoActiveSystemError):
            InteractionContext.get_current()


async def test_an_agent_spawns_actors_of_its_own_which_stop_with_it() -> None:
    @miniagent
    async def boss(ctx: InteractionContext) -> None:
        ctx.reply(await ctx.spawn(Counter, name="worker").inquire())

    async with MiniAgents() as system:
        ref = system.spawn(boss, name="boss")
        assert await words(ref.inquire()) == ["1"]
        assert system.lookup("/boss/worker") is not None
        await ref.stop()
        assert system.lookup("/boss/worker") is None
