"""The actors of agents: made by the first use, shared by equal agents, ended after a rest."""

import asyncio

import pytest

from miniagents import (
    MiniAgents,
)
from miniagents.errors import (
    ActorStoppedError,
)
from tests.agents.agents import Counter, echo, fails, words


async def test_a_fork_is_passivated_when_idle_and_comes_back_fresh() -> None:
    async with MiniAgents() as system:
        fork = Counter.fork(start=10)  # type: ignore[attr-defined]
        assert await words(fork.inquire()) == ["11"]
        assert await words(fork.inquire()) == ["12"]
        await asyncio.sleep(61)
        assert system.tree("/agents").children == ()
        assert await words(fork.inquire()) == ["11"]


async def test_many_different_forks_leave_nothing_behind() -> None:
    async with MiniAgents() as system:
        for n in range(1000):
            await fails.fork(text=str(n)).inquire(errors_as_messages=True)
        await asyncio.sleep(61)
        assert system.tree("/agents").children == ()
        assert system._activations == {}
        assert system.interactions() == ()


async def test_a_stopped_named_agent_refuses_calls_and_an_activated_one_starts_anew() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(echo, name="e")
        await ref.stop()
        with pytest.raises(ActorStoppedError):
            await ref.inquire("x")
        await echo.inquire("x")
        activated = system.lookup("/agents/echo")
        assert activated is not None
        await activated.stop()
        assert await words(echo.inquire("y")) == ["echo: y"]
