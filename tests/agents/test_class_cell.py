"""Class agents: one instance, one call at a time."""

import asyncio

import pytest

from miniagents import (
    AgentRef,
    InteractionContext,
    MiniAgents,
    miniagent,
)
from miniagents.errors import (
    DeadlockError,
)
from tests.agents.agents import Counter, words


async def test_a_class_agent_serves_one_call_at_a_time_with_one_instance() -> None:
    async with MiniAgents():
        calls = [Counter.inquire(seconds=1.0) for _ in range(3)]  # type: ignore[attr-defined]
        assert [await words(call) for call in calls] == [["1"], ["2"], ["3"]]
        assert asyncio.get_running_loop().time() >= 1003


async def test_a_crash_of_a_class_agent_replaces_the_instance_behind_the_same_mailbox() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, name="c", start=5)
        assert isinstance(ref, AgentRef)
        crashed, after = ref.inquire(crash=True), ref.inquire()
        with pytest.raises(RuntimeError, match="crash"):
            await crashed
        assert await words(after) == ["6"]
        assert system.tree("/c").restarts == 1


async def test_errors_that_are_answers_do_not_replace_the_instance() -> None:
    @miniagent(errors=(ValueError,))
    class Careful:
        def __init__(self) -> None:
            self.n = 0

        async def __call__(self, ctx: InteractionContext, bad: bool = False) -> None:
            self.n += 1
            if bad:
                raise ValueError("no")
            ctx.reply(str(self.n))

    async with MiniAgents():
        await Careful.inquire()  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="no"):
            await Careful.inquire(bad=True)  # type: ignore[attr-defined]
        assert await words(Careful.inquire()) == ["3"]  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there are eager tasks since Python 3.12")
async def test_a_class_agent_that_waits_for_itself_is_told_so_also_where_tasks_are_eager() -> None:
    @miniagent
    class Narcissus:
        async def __call__(self, ctx: InteractionContext) -> None:
            ctx.reply(await ctx.this_agent.inquire())

    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
    async with MiniAgents():
        with pytest.raises(DeadlockError):
            async with asyncio.timeout(10):
                await Narcissus.inquire()  # type: ignore[attr-defined]
