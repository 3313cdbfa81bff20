"""Replies and errors, as the caller of an agent gets them."""

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    ErrorMessage,
    InteractionContext,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    AskTimeoutError,
    HandlerTimeoutError,
    PromiseCancelledError,
)
from tests.actors.actors import turns
from tests.agents.agents import fails


async def test_an_error_has_the_agent_trace_and_the_replies_before_it_are_delivered() -> None:
    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(fails.inquire())

    async with MiniAgents():
        found = []
        with pytest.raises(ValueError, match="bad") as info:
            async for message in outer.inquire():
                found.append(str(await message))
        assert found == ["before"]
        assert info.value.agent_trace == ("fails", "outer")  # type: ignore[attr-defined]
        assert "agent trace: fails <- outer" in info.value.__notes__


async def test_the_last_line_of_a_traceback_names_the_call_that_failed_first_and_its_cause() -> None:
    @miniagent
    async def worker(ctx: InteractionContext, number: int) -> None:
        if number == 3:
            raise ValueError(f"no more disk\nfor {'x' * 1000}")

    @miniagent
    async def boss(ctx: InteractionContext) -> None:
        for call in [worker.inquire(number=number) for number in range(5)]:
            ctx.reply(call)

    async with MiniAgents():
        with pytest.raises(ValueError, match="no more disk") as info:
            await boss.inquire()

    assert traceback.format_exception(info.value)[-1] == (
        "/agents/worker, interaction 5, failed: ValueError: no more disk\n"
    )


async def test_a_long_text_of_an_error_is_cut_in_the_last_line() -> None:
    @miniagent
    async def wordy(ctx: InteractionContext) -> None:
        raise ValueError("x" * 1000)

    async with MiniAgents():
        with pytest.raises(ValueError, match="xxx") as info:
            await wordy.inquire()

    assert info.value.__notes__[-1] == f"/agents/wordy, interaction 1, failed: ValueError: {'x' * 288}"


async def test_errors_as_messages_is_an_option_of_call_and_system_and_the_calls_own_value_wins() -> None:
    async with MiniAgents(errors_as_messages=True):
        whole = await fails.inquire()
        assert [str(message) for message in whole] == ["before", "ValueError: bad"]
        assert isinstance(whole[1], ErrorMessage)
        with pytest.raises(ValueError, match="bad"):
            await fails.inquire(errors_as_messages=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_keyboard_interrupt_and_system_exit_go_to_the_awaiter(error: type[BaseException]) -> None:
    @miniagent
    async def leaves(ctx: InteractionContext) -> None:
        raise error

    async with MiniAgents():
        with pytest.raises(error):
            await leaves.inquire()


async def test_a_failure_that_nobody_awaits_is_logged_once(log: list[Any]) -> None:
    async with MiniAgents():
        fails.inquire()
    import gc

    gc.collect()
    assert sum("unawaited" in entry["event"] for entry in log) == 1


async def test_an_agent_trace_has_a_bounded_length() -> None:
    lengths: list[int] = []

    @miniagent
    async def deep(ctx: InteractionContext, depth: int) -> None:
        lengths.append(len(ctx.get_agent_trace()))
        if depth:
            ctx.reply(deep.inquire(depth=depth - 1))

    async with MiniAgents():
        await deep.inquire(depth=200)
    assert max(lengths) == 64


async def test_a_hundred_interactions_deep_an_error_still_finds_its_way() -> None:
    @miniagent
    async def deep(ctx: InteractionContext, depth: int) -> None:
        if not depth:
            raise LookupError("bottom")
        ctx.reply(deep.inquire(depth=depth - 1))

    async with MiniAgents():
        with pytest.raises(LookupError, match="bottom"):
            await deep.inquire(depth=100)


async def test_a_failure_that_was_seen_at_its_message_is_not_logged_as_unseen(log: list[Any]) -> None:
    @miniagent
    async def broken(ctx: InteractionContext) -> None:
        async def tokens(_: Any) -> AsyncIterator[str]:
            yield "a"
            raise ValueError("broken")

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    async with MiniAgents():
        with pytest.raises(ValueError, match="broken"):
            async for promise in broken.inquire():
                async for _ in promise:
                    pass
    gc.collect()
    assert log == []


async def test_a_failure_that_goes_on_to_somebody_who_does_not_look_is_logged(log: list[Any]) -> None:
    @miniagent
    async def broken(ctx: InteractionContext) -> None:
        raise ValueError("broken")

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        await broken.inquire()

    async with MiniAgents():
        outer.inquire()
    gc.collect()
    assert [entry["event"] for entry in log if entry["log_level"] == "error"] == ["promise.failed_unawaited"]


@pytest.mark.parametrize("how", ["cancelled", "expired", "hangs"])
async def test_what_a_call_replies_that_swallows_its_cancellation_is_thrown_away(how: str) -> None:
    @miniagent
    async def works(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
        ctx.reply("late")

    agent = works.fork(options=SpawnOptions(handler_timeout=1.0)) if how == "hangs" else works
    errors = {"cancelled": PromiseCancelledError, "expired": AskTimeoutError, "hangs": HandlerTimeoutError}
    async with MiniAgents() as system:
        replies = agent.inquire(timeout=1 if how == "expired" else None)
        await turns()
        if how == "cancelled":
            (interaction,) = system.interactions()
            await interaction.cancel("enough")

        with pytest.raises(errors[how]):
            await replies
        assert system.interactions() == ()
