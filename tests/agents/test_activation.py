"""The actors of agents: made by the first use, shared by equal agents, ended after a rest."""

import asyncio
import gc
import weakref
from typing import Any

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


@pytest.mark.parametrize("kind", [Counter, echo])
async def test_a_fork_that_is_called_again_rests_for_its_whole_time_anew(kind: Any) -> None:
    async with MiniAgents() as system:
        fork = kind.fork()
        await fork.inquire("x")
        await asyncio.sleep(59)
        await fork.inquire("x")
        await asyncio.sleep(59)
        (still_there,) = system.tree("/agents").children
        await asyncio.sleep(2)

        assert still_there.path == f"/agents/{fork.alias}"
        assert system.tree("/agents").children == ()


@pytest.mark.parametrize("kind", [Counter, echo])
async def test_a_fork_that_is_called_often_has_one_timer(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *args, **kwargs)

    async with MiniAgents():
        fork = kind.fork()
        await fork.inquire("x")
        monkeypatch.setattr(loop, "call_at", counted)
        for _ in range(10):
            await fork.inquire("x")
        assert timers == []


@pytest.mark.parametrize("kind", [Counter, echo])
async def test_a_fork_that_was_stopped_is_not_kept_by_its_timer(kind: Any) -> None:
    async with MiniAgents() as system:
        fork = kind.fork()
        await fork.inquire("x")
        await asyncio.sleep(1)  # it rests
        ref = system.lookup(f"/agents/{fork.alias}")
        assert ref is not None
        cell = weakref.ref(ref._cell)
        await ref.stop()
        del ref
        await asyncio.sleep(0)
        gc.collect()
        assert cell() is None


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
