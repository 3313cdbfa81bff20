"""Open calls: messages go in one by one, and replies come out meanwhile."""

import pytest

from miniagents import (
    InteractionContext,
    MiniAgents,
    miniagent,
)
from miniagents.errors import (
    AppenderClosedError,
)
from tests.agents.agents import echo, words


async def test_full_duplex_and_what_a_finished_call_refuses() -> None:
    async with MiniAgents():
        call = echo.initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        call.send_message("one").send_message("two")
        assert str(await (await anext(replies))) == "echo: one"
        assert not call.is_finished
        call.finish()
        assert call.is_finished
        with pytest.raises(AppenderClosedError):
            call.send_message("three")
        assert str(await (await anext(replies))) == "echo: two"
        with pytest.raises(StopAsyncIteration):
            await anext(replies)


async def test_a_call_that_is_left_open_is_finished_when_its_agent_or_the_system_ends() -> None:
    @miniagent
    async def forgets(ctx: InteractionContext) -> None:
        ctx.reply(echo.initiate_call().send_message("x").reply_sequence(finish_call=False))

    async with MiniAgents():
        assert await words(forgets.inquire()) == ["echo: x"]
        left = echo.initiate_call().send_message("y").reply_sequence(finish_call=False)
    assert await words(left) == ["echo: y"]
