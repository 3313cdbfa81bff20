"""Durable class agents: their mailboxes and the states of their instances are in the journal."""

import asyncio
from typing import Any

import msgspec
import pytest

from miniagents import (
    InteractionContext,
    InvalidOptionError,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.errors import BudgetExceededError
from miniagents.journal import MemoryJournal
from tests.actors.actors import turns
from tests.actors.durable.counting import letters_in, mail_in


class ProgramFails(Exception):
    pass


class Notes(msgspec.Struct):
    lines: list[str]


class Clerk:
    """Notes what it is told, and answers with all notes."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.lines: list[str] = []

    def snapshot(self) -> Notes:
        return Notes(self.lines)

    def restore(self, state: Notes) -> None:
        self.lines = state.lines

    async def __call__(self, ctx: InteractionContext) -> None:
        text = str(await ctx.message_promises)
        if text == "crash":
            self.lines.append("half of it")
            raise ValueError("crash")
        if text == "spend":
            self.lines.append("half of it")
            raise BudgetExceededError("spent")
        if text == "wait":
            await asyncio.sleep(3600)
        self.lines.append(text)
        ctx.reply(self.title + ",".join(self.lines))


Secretary: Any = miniagent(durable=True, alias="Secretary")(Clerk)


async def test_the_state_of_a_spawned_agent_outlives_the_system_after_calls_and_after_messages() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as system:
        ref = system.spawn(Secretary, name="secretary")
        assert str(await ref.inquire("a")) == "a"
        await ref.send(TextMessage("b"))
        assert str(await ref.ask(TextMessage("c"), message_id="an id")) == "a,b,c"
        assert str(await ref.inquire("d")) == "a,b,c,d"
    async with MiniAgents(journal=journal) as system:
        ref = system.spawn(Secretary, name="secretary")
        assert str(await ref.ask(TextMessage("c"), message_id="an id")) == "a,b,c"
        assert str(await ref.inquire("e")) == "a,b,c,d,e"


async def test_a_message_to_a_class_agent_comes_back_until_it_is_handled() -> None:
    journal = MemoryJournal()
    with pytest.raises(ProgramFails):
        async with MiniAgents(journal=journal) as system:
            ref = system.spawn(Secretary, name="secretary")
            await ref.send(TextMessage("wait"))
            await ref.send(TextMessage("kept"))
            await turns()
            raise ProgramFails
    assert await mail_in(journal, "/secretary") == [TextMessage("wait"), TextMessage("kept")]
    async with MiniAgents(journal=journal) as system:
        assert str(await system.spawn(Secretary, name="secretary").inquire("new")) == "wait,kept,new"


async def test_what_a_call_that_crashed_has_changed_is_not_in_the_state(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as system:
        ref = system.spawn(Secretary, name="secretary")
        await ref.inquire("a")
        with pytest.raises(ValueError, match="crash"):
            await ref.inquire("crash")
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(TextMessage("crash"))
        assert str(await ref.inquire("b")) == "a,b"
    (letter,) = await letters_in(journal)
    assert letter.reason == "poisonous"


async def test_a_spent_budget_crashes_a_durable_agent_so_that_its_retry_and_its_state_hold() -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        ref = system.spawn(Secretary, name="secretary")
        await ref.inquire("a")
        with pytest.raises(BudgetExceededError, match="spent"):
            await ref.inquire("spend")
        assert str(await ref.inquire("b")) == "a,b"


async def test_agents_that_their_first_use_makes_have_their_own_states_in_whatever_order_they_are_used() -> None:
    journal = MemoryJournal()
    formal, casual = Secretary.fork(title="Dear "), Secretary.fork(title="Hi ")
    for number, order in enumerate(([Secretary, formal, casual], [casual, formal, Secretary]), 1):
        async with MiniAgents(journal=journal):
            answers = {agent.arguments.get("title", ""): str(await agent.inquire(f"{number}")) for agent in order}
        expected = ",".join(str(n + 1) for n in range(number))
        assert answers == {title: title + expected for title in ("", "Dear ", "Hi ")}


async def test_two_durable_agents_of_one_alias_are_refused_since_their_states_would_be_mixed() -> None:
    other: Any = miniagent(durable=True, alias="Secretary")(type("Other", (Clerk,), {}))
    async with MiniAgents(journal=MemoryJournal()):
        await Secretary.inquire("a")
        with pytest.raises(InvalidOptionError, match="/agents/Secretary: two durable agents have this name"):
            await other.inquire("b")


async def test_the_state_of_a_class_agent_is_kept_where_all_agents_are_durable() -> None:
    plain = miniagent(alias="plain")(Clerk)
    journal = MemoryJournal()
    for text, answer in (("a", "a"), ("b", "a,b")):
        async with MiniAgents(journal=journal, durable_agents=True):
            assert str(await plain.inquire(text)) == answer


async def test_a_durable_class_agent_that_is_spawned_without_a_name_is_refused() -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        with pytest.raises(InvalidOptionError, match="Secretary: a durable actor needs a name"):
            system.spawn(Secretary)


async def test_a_job_that_is_run_again_continues_with_the_state_that_its_recorded_calls_left() -> None:
    calls = list[str]()

    @miniagent(durable=True)
    async def root(ctx: InteractionContext) -> None:
        for text in ("a", "b"):
            calls.append(str(await Secretary.inquire(text)))
        ctx.reply(calls[-1])
        if len(calls) == 2:
            raise ProgramFails

    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as system:
        with pytest.raises(ProgramFails):
            await system.run_job("job", root)
    async with MiniAgents(journal=journal) as system:
        await system.run_job("job", root)
        assert str(await Secretary.inquire("c")) == "a,b,c"
    assert calls == ["a", "a,b"] * 2
