"""What the cells of function and class agents have in common: the end, and plain asks."""

import pytest

from miniagents import (
    InteractionContext,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    ActorStoppedError,
)
from tests.actors.actors import Read, turns
from tests.agents.agents import Counter, echo, sleeper


async def test_a_plain_ask_of_an_agent_gets_its_replies_as_one_answer() -> None:
    async with MiniAgents() as system:
        assert str(await system.spawn(echo).ask(TextMessage("x"))) == "echo: x"
        assert str(await system.spawn(Counter).ask(TextMessage("x"))) == "1"
        assert await system.spawn(miniagent(alias="none")(fnone)).ask(Read()) is None


async def fnone(ctx: InteractionContext) -> None:
    """Replies nothing."""


async def test_stopping_an_agent_gives_what_runs_its_grace_and_then_cancels_it() -> None:
    log: list[str] = []
    async with MiniAgents() as system:
        ref = system.spawn(sleeper.fork(non_freezable_kwargs={"log": log}), name="s")
        promise = ref.inquire()
        await turns()
        began = system.time()
        await ref.stop()
        assert system.time() - began == pytest.approx(5.0)
        assert log == ["cancelled"]
        with pytest.raises(ActorStoppedError):
            await promise
