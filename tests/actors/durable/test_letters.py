"""Dead letters in the journal: list, show, send again, throw away."""

import asyncio
from typing import Any

import msgspec
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    JournalError,
    Message,
    RetryPolicy,
    SpawnOptions,
    UnhandledMessageError,
)
from miniagents.journal import Accept, MemoryJournal
from tests.actors.actors import Add, Crash, Read, Total, turns
from tests.actors.durable.counting import DURABLE, Account, counter, letters_in, mail_in


class Seen(msgspec.Struct):
    number: int = 0


async def test_dead_letters_are_listed_shown_and_dropped(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        for text in "abc":
            await ref.send(Crash(text), message_id=text)
        await asyncio.sleep(5)  # until the second restart
        letters = system.dead_letters.durable

        first, second, third = await letters.list()
        assert (first.message, first.message_id, first.reason) == (Crash("a"), "a", "poisonous")
        assert first.error == "ValueError: a"
        assert first.receiver == "/counter"
        assert await letters.list("/counter", after=first.number, limit=1) == [second]
        assert await letters.list("/other") == []
        assert await letters.show(third.number) == third
        assert await letters.show(third.number + 1) is None
        assert await letters.show(first.number - 1) is None

        assert await letters.drop(second.number)
        assert not await letters.drop(second.number)
        assert await letters.list() == [first, third]


async def test_a_message_that_no_case_took_is_a_dead_letter_of_the_journal_with_the_state_beside_it() -> None:
    class Narrow(Actor):
        def __init__(self) -> None:
            self.seen = 0

        def snapshot(self) -> Seen:
            return Seen(self.seen)

        def restore(self, state: Seen) -> None:
            self.seen = state.number

        async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
            self.seen += 1
            return Total(value=self.seen) if isinstance(message, Read) else ctx.unhandled(message)

    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Narrow, name="narrow", options=DURABLE)
        await ref.send(Add(1))
        with pytest.raises(UnhandledMessageError):
            await ref.ask(Add(2))  # its asker knows

    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Narrow, name="narrow", options=DURABLE)
        assert await ref.ask(Read()) == Total(value=3)
        (letter,) = await system.dead_letters.durable.list()
        assert (letter.message, letter.reason, letter.error) == (Add(1), "unhandled", "no case took the Add")
    assert await mail_in(journal, "/narrow") == []


async def test_a_message_that_the_next_attempt_takes_is_no_dead_letter() -> None:
    attempts = []

    class Unsure(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
            attempts.append(ctx.self.path)
            if len(attempts) == 1:
                ctx.unhandled(message)
                raise ValueError("and crashes")
            return Total(value=1)

    retrying = SpawnOptions(durable=True, retry=RetryPolicy(attempts=2))
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = system.spawn(Unsure, name="unsure", options=retrying)
        await ref.send(Add(1))
        assert await ref.ask(Read()) == Total(value=1)
        assert (len(attempts), await system.dead_letters.durable.list()) == (3, [])


async def test_a_dead_letter_is_sent_again_to_an_actor_that_lives(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Account, name="account", options=DURABLE)
        await ref.send(Crash())
        await turns(50)
        (letter,) = await system.dead_letters.durable.list()

        assert await system.dead_letters.durable.resend(letter.number)
        assert not await system.dead_letters.durable.resend(letter.number)
        await turns(50)

        (again,) = await system.dead_letters.durable.list()
        assert again.message == Crash()
        assert again.number > letter.number
        assert await ref.ask(Read()) == Total(value=0)
    assert await mail_in(journal, "/account") == []


async def test_a_dead_letter_is_sent_again_to_an_actor_that_is_spawned_later(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        await counter(system).send(Crash())
        await turns(50)
    async with ActorSystem(journal=journal) as system:
        (letter,) = await system.dead_letters.durable.list()
        assert await system.dead_letters.durable.resend(letter.number)
        assert await mail_in(journal) == [Crash()]
        counter(system)
        await turns(50)
        assert len(await system.dead_letters.durable.list()) == 1


async def test_a_dead_letter_that_is_sent_again_while_its_actor_starts_is_handled_once(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        await counter(system).send(Crash())
        await turns(50)
        (letter,) = await system.dead_letters.durable.list()
        for pause in range(8):
            await system.lookup("/counter").stop()  # type: ignore[union-attr]
            resending = asyncio.create_task(system.dead_letters.durable.resend(letter.number))
            await turns(pause)
            counter(system)
            assert await resending
            await asyncio.sleep(5)  # until a second crash would have come
            (letter,) = await system.dead_letters.durable.list()
    assert [entry["event"] for entry in log].count("actor.crashed") == 1 + 8


async def test_bytes_that_are_no_message_here_are_a_dead_letter_with_their_bytes_and_the_name_of_their_type() -> None:
    journal = MemoryJournal()
    journal.open()
    await journal.write(Accept(journal.next_id(), "/counter", b"of another program", "other:Message"))
    async with ActorSystem(journal=journal) as system:
        assert await counter(system).ask(Add(1)) is None
        (letter,) = await system.dead_letters.durable.list()
        assert (letter.reason, letter.kind, letter.body) == ("undecodable", "other:Message", b"of another program")
        assert letter.message is None
        assert await system.dead_letters.durable.resend(letter.number)
    async with ActorSystem(journal=journal) as system:
        assert await counter(system).ask(Read()) == Total(value=0)
    assert len(await letters_in(journal)) == 1


async def test_a_system_without_a_journal_has_no_durable_dead_letters() -> None:
    async with ActorSystem() as system:
        with pytest.raises(JournalError, match="journal="):
            _ = system.dead_letters.durable
