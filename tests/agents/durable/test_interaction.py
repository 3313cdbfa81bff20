"""Calls that are answered from a journal, or run and recorded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import AgentArgumentError, MiniAgents, RetryPolicy, TextMessage, miniagent
from miniagents.journal import MemoryJournal, RowState
from tests.agents.durable.lives import replies, rows

calls: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@miniagent(durable=True)
async def upper(ctx: Any) -> None:
    text = str(await ctx.message_promises)
    calls[text] += 1
    ctx.reply(text.upper())


@miniagent(durable=True)
async def both(ctx: Any) -> None:
    one, two = upper.inquire("one"), upper.inquire("two")
    ctx.reply(f"{await one} {await two} {await upper.inquire('three')}")


async def test_a_finished_job_is_answered_without_running_anything() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", both)) == "ONE TWO THREE"
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", both)) == "ONE TWO THREE"

    assert calls == {"one": 1, "two": 1, "three": 1}


@miniagent(durable=True)
async def slow(ctx: Any) -> None:
    await asyncio.sleep(1)
    ctx.reply(["slow", upper.inquire("words")])


async def replies_with_a_call(ctx: Any) -> None:
    ctx.reply(["first", slow.inquire(), "last"])


async def replies_beside(ctx: Any) -> None:
    ctx.reply_out_of_order(slow.inquire())
    ctx.reply("last")


async def replies_and_fails(ctx: Any) -> None:
    ctx.reply(slow.inquire())
    raise ValueError("after all replies")


@pytest.mark.parametrize("code", [replies_with_a_call, replies_beside, replies_and_fails])
@pytest.mark.parametrize("errors_as_messages", [False, True])
async def test_replies_that_come_after_the_code_has_ended_are_recorded_in_their_order(
    code: Any, errors_as_messages: bool
) -> None:
    """What a call replies with may be the replies of another call, which come later."""
    root, journal = miniagent(durable=True)(code), MemoryJournal()

    async def pieces(sequence: Any) -> list[str]:
        seen = []
        try:
            async for promise in sequence:
                seen.append(str(await promise))
        except ValueError as error:
            seen.append(repr(error))
        return seen

    lives = []
    for _ in range(2):
        async with MiniAgents(journal=journal) as mini:
            lives.append(await pieces(mini.run_job("j", root, errors_as_messages=errors_as_messages)))

    assert "WORDS" in lives[0]
    assert lives[1] == lives[0]
    assert calls == {"words": 1}
    replied = {row.agent.rpartition("#")[2]: len(replies(journal, row.id)) for row in rows(journal).values()}
    assert replied == {
        code.__name__: len([text for text in lives[0] if "after all" not in text]),
        "slow": 2,
        "upper": 1,
    }


@miniagent(durable=True)
async def shouts(ctx: Any) -> None:
    """Ask for each message as it comes, and want all of them."""
    async for promise in ctx.message_promises:
        ctx.reply(await upper.inquire(await promise))


async def test_the_end_of_the_system_in_the_middle_of_an_input_keeps_what_was_made_of_its_beginning() -> None:
    goes_on = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "one"
        yield "two"
        await goes_on.wait()
        yield "three"

    @miniagent(durable=True, version="1")
    async def sends(ctx: Any) -> None:
        ctx.reply([str(message) for message in await shouts.inquire(pieces())])

    journal = MemoryJournal()
    with pytest.raises(InterruptedError):
        async with MiniAgents(journal=journal) as mini:
            mini.run_job("j", sends)
            await asyncio.sleep(1)
            raise InterruptedError
    assert calls == {"one": 1, "two": 1}
    goes_on.set()
    async with MiniAgents(journal=journal) as mini:
        assert [str(message) for message in await mini.run_job("j", sends)] == ["ONE", "TWO", "THREE"]

    assert calls == {"one": 1, "two": 1, "three": 1}


@miniagent
async def plain(ctx: Any) -> None:
    """An agent that is not durable, between two that are."""
    calls["plain"] += 1
    ctx.reply(await upper.inquire(ctx.message_promises))


fails = {"now": True}


@miniagent(durable=True)
async def through_plain(ctx: Any) -> None:
    ctx.reply(await plain.inquire("below"))
    if fails["now"]:
        raise ValueError("later")


async def test_what_is_called_through_an_agent_that_is_not_durable_is_recorded_all_the_same() -> None:
    fails["now"] = True
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("j", through_plain)
    fails["now"] = False
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", through_plain)) == "BELOW"

    assert calls == {"plain": 2, "below": 1}


async def test_a_call_from_outside_without_a_job_is_recorded_and_never_answered_from_the_journal() -> None:
    journal = MemoryJournal()
    for _ in range(2):
        async with MiniAgents(journal=journal):
            assert str(await both.inquire()) == "ONE TWO THREE"

    assert calls == {"one": 2, "two": 2, "three": 2}
    assert {row.state for row in rows(journal).values()} == {RowState.FINISHED}
    assert len(rows(journal)) == 8


async def test_a_call_that_a_retry_policy_tries_again_has_one_row_and_keeps_what_it_had_asked() -> None:
    @miniagent(durable=True, retry=RetryPolicy(attempts=3))
    async def stumbles(ctx: Any) -> None:
        calls["stumbles"] += 1
        answer = await upper.inquire("asked")
        if calls["stumbles"] < 3:
            raise ValueError("again")
        ctx.reply(answer)

    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", stumbles)) == "ASKED"

    assert calls == {"stumbles": 3, "asked": 1}
    assert [row.attempts for row in rows(journal).values()] == [3, 1]


async def test_an_error_that_arrives_as_a_message_is_replayed_as_one() -> None:
    @miniagent(durable=True)
    async def fails_once(ctx: Any) -> None:
        calls["fails_once"] += 1
        if calls["fails_once"] == 1:
            raise ValueError("first")
        ctx.reply("second")

    @miniagent(durable=True, version="1")
    async def tries(ctx: Any) -> None:
        ctx.reply([str(await fails_once.inquire()) for _ in range(2)])
        if fails["now"]:
            raise ValueError("later")

    fails["now"] = True
    journal = MemoryJournal()
    async with MiniAgents(journal=journal, errors_as_messages=True) as mini:
        first = [str(message) for message in await mini.run_job("j", tries)]
    fails["now"] = False
    async with MiniAgents(journal=journal, errors_as_messages=True) as mini:
        second = [str(message) for message in await mini.run_job("j", tries)]

    assert first == ["ValueError: first", "second", "ValueError: later"]
    assert second == first[:2]
    assert calls == {"fails_once": 2}


async def test_a_durable_agent_with_a_live_argument_that_has_no_key_is_refused() -> None:
    @miniagent(durable=True)
    async def takes_client(ctx: Any, client: Any) -> None: ...

    agent = takes_client.fork(non_freezable_kwargs={"client": object()})
    async with MiniAgents(journal=MemoryJournal()) as mini:
        with pytest.raises(AgentArgumentError, match="journal_key"):
            await agent.inquire()
        with pytest.raises(AgentArgumentError, match="journal_key"):
            await mini.run_job("j", agent)


async def test_tokens_of_a_replayed_reply_are_those_that_had_streamed() -> None:
    @miniagent(durable=True)
    async def streams(ctx: Any) -> None:
        async def tokens(_: Any) -> AsyncIterator[str]:
            for token in ("one", " two", " three"):
                yield token

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    journal, heard = MemoryJournal(), []
    for _ in range(2):
        async with MiniAgents(journal=journal) as mini:
            async for promise in mini.run_job("j", streams):
                heard.append([str(token) async for token in promise])

    assert heard == [["one", " two", " three"]] * 2
