"""Agents as values: their arguments, their forks, and the system that they are called in."""

from typing import Any

import pytest

from miniagents import (
    InteractionContext,
    MiniAgents,
    miniagent,
)
from miniagents.errors import (
    AgentArgumentError,
    NoActiveSystemError,
)
from tests.agents.agents import Counter, echo, words


async def test_arguments_are_checked_by_name_and_frozen() -> None:
    seen: list[Any] = []

    @miniagent
    async def takes(ctx: InteractionContext, items: Any, sink: Any = None) -> None:
        seen.append(items)

    async with MiniAgents():
        with pytest.raises(AgentArgumentError, match=r"'nothing'.*items"):
            takes.inquire(items=1, nothing=2)
        with pytest.raises(AgentArgumentError, match="needs an argument 'items'"):
            takes.inquire()
        with pytest.raises(AgentArgumentError, match="non_freezable_kwargs"):
            takes.inquire(items=object())
        mine = [1, 2]
        call = takes.inquire(items=mine)
        mine.append(3)
        await call
        assert seen == [(1, 2)]
        with pytest.raises(AgentArgumentError, match="'other'"):
            takes.fork(other=1)


async def test_a_parameter_whose_name_is_taken_is_filled_from_kwargs_only() -> None:
    @miniagent
    async def unlucky(ctx: InteractionContext, timeout: str) -> None:
        ctx.reply(timeout)

    async with MiniAgents():
        assert await words(unlucky.inquire(kwargs={"timeout": "mine"})) == ["mine"]
        with pytest.raises(AgentArgumentError, match="kwargs="):
            unlucky.inquire(timeout=5)


async def test_live_objects_go_through_non_freezable_kwargs_as_they_are() -> None:
    sink: list[str] = []

    @miniagent
    async def fills(ctx: InteractionContext, sink: list[str]) -> None:
        sink.append("filled")

    async with MiniAgents():
        await fills.fork(non_freezable_kwargs={"sink": sink}).inquire()
    assert sink == ["filled"]


async def test_equal_forks_share_one_actor_and_others_do_not() -> None:
    made: list[str] = []
    async with MiniAgents() as system:
        live = {"log": made}
        for start in (1, 1, 2):
            await Counter.fork(start=start, non_freezable_kwargs=live).inquire()  # type: ignore[attr-defined]
        assert made == ["made", "made"]
        assert [child.path for child in system.tree("/agents").children] == ["/agents/Counter", "/agents/Counter-1"]
        assert Counter.fork(start=1).fork(start=2) == Counter.fork(start=2)  # type: ignore[attr-defined]
        assert Counter.fork(start=1) != Counter.fork(start=2)  # type: ignore[attr-defined]
        assert Counter.fork(alias="other").alias == "other"  # type: ignore[attr-defined]


async def test_without_a_system_the_error_says_what_to_do() -> None:
    with pytest.raises(NoActiveSystemError, match="async with MiniAgents"):
        echo.inquire("x")


async def test_with_several_systems_bind_says_which() -> None:
    first, second = MiniAgents(), MiniAgents(name="second")
    first.activate()
    second.activate()
    try:
        bound = echo.bind(first)
        assert await words(bound.inquire("x")) == ["echo: x"]
        assert first.lookup("/agents/echo") is not None
        assert second.lookup("/agents/echo") is None
    finally:
        await second.afinalize()
        await first.afinalize()


async def test_an_agent_works_in_one_system_after_the_other() -> None:
    for _ in range(2):
        async with MiniAgents():
            assert await words(echo.inquire("x")) == ["echo: x"]
