"""Calls with a message id: they wait on disk, and are served once."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorStoppedError,
    AskTimeoutError,
    ErrorMessage,
    InteractionContext,
    InvalidOptionError,
    MessageIdConflictError,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.journal import MemoryJournal
from tests.actors.actors import turns
from tests.actors.durable.counting import mail_in

served = list[str]()


class Clerk:
    """Repeats each message, and says how many it was."""

    async def __call__(self, ctx: InteractionContext, mark: str = "") -> None:
        messages = await ctx.message_promises
        served.append(str(messages))
        if str(messages) == "crash":
            raise ValueError("crash")
        if str(messages) == "wait":
            await asyncio.sleep(3600)
        for message in messages:
            ctx.reply(f"{message}{mark}")
        ctx.reply(f"{len(messages)} in all")


clerk: Any = miniagent(durable=True, alias="clerk")(Clerk)


@pytest.fixture(autouse=True)
def _nothing_served() -> None:
    served.clear()


async def test_a_call_under_a_message_id_is_served_once_also_in_the_next_process() -> None:
    journal = MemoryJournal()
    for _ in range(2):
        async with MiniAgents(journal=journal) as system:
            ref = system.spawn(clerk, name="clerk")
            for _ in range(2):
                replies = await ref.inquire(["a", "b"], mark="!", message_id="order-7")
                assert [str(reply) for reply in replies] == ["a!", "b!", "2 in all"]
            with pytest.raises(MessageIdConflictError):
                await ref.inquire(["a", "b"], mark="?", message_id="order-7")
    assert served == ["a\n\nb"]


async def test_a_call_under_a_message_id_waits_on_disk_until_it_is_served() -> None:
    class ProgramFails(Exception):
        pass

    journal = MemoryJournal()
    with pytest.raises(ProgramFails):
        async with MiniAgents(journal=journal) as system:
            ref = system.spawn(clerk, name="clerk")
            await ref.send(TextMessage("wait"))
            replies = ref.inquire("kept", message_id="an id")
            await turns(20)
            assert served == ["wait"]
            raise ProgramFails
    replies.mark_seen()
    assert [type(message).__name__ for message in await mail_in(journal, "/clerk")] == ["TextMessage", "RecordedCall"]
    async with MiniAgents(journal=journal) as system:
        ref = system.spawn(clerk, name="clerk")
        assert str((await ref.inquire("kept", message_id="an id"))[0]) == "kept"
    assert served.count("kept") == 1


async def test_a_call_without_messages_and_one_with_an_error() -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        ref = system.spawn(clerk, name="clerk")
        assert str(await ref.inquire(message_id="empty")) == "0 in all"
        with pytest.raises(ValueError, match="crash"):
            await ref.inquire("crash", message_id="crash")
        (reply,) = await ref.inquire("crash", message_id="crash", errors_as_messages=True)
        assert isinstance(reply, ErrorMessage)
        assert "dead letter" in str(reply)


async def test_a_call_whose_caller_waits_no_longer_is_served_all_the_same() -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        ref = system.spawn(clerk, name="clerk")
        with pytest.raises(AskTimeoutError):
            await ref.inquire("late", message_id="an id", timeout=0)
        assert str((await ref.inquire("late", message_id="an id"))[0]) == "late"
    assert served == ["late"]


@pytest.mark.parametrize("later", [0, 1, 20], ids=["before it began", "as it began", "while it was served"])
async def test_a_call_under_a_message_id_that_the_end_of_the_system_cuts_off_fails(later: int) -> None:
    with pytest.raises(KeyError):
        async with MiniAgents(journal=MemoryJournal()) as system:
            replies = system.spawn(clerk, name="clerk").inquire("wait", message_id="an id")
            await turns(later)
            raise KeyError

    with pytest.raises(ActorStoppedError, match="/clerk: "):
        await replies


async def test_a_message_id_is_refused_for_an_agent_without_a_durable_mailbox() -> None:
    @miniagent(durable=True)
    async def function(ctx: InteractionContext) -> None: ...

    in_memory: Any = miniagent(alias="in memory")(Clerk)
    async with MiniAgents(journal=MemoryJournal()) as system:
        for ref in (system.spawn(in_memory, name="memory"), system.spawn(function, name="function")):
            with pytest.raises(InvalidOptionError, match=rf"{ref.path}: message_id= is for durable"):
                ref.inquire(TextMessage("a"), message_id="an id")
