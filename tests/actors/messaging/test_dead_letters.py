"""Dead letters: messages that reached nobody."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorSystem,
    DeadLetterReason,
    Overflow,
    TextMessage,
)
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    MailboxFullError,
)
from tests.actors.actors import Add, Counter, Hold, Read, busy, turns


async def test_a_message_to_the_dead_is_a_dead_letter_and_an_ask_fails() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="gone")
        await ref.stop()
        ref.tell(Add(1))
        with pytest.raises(ActorStoppedError, match="/gone"):
            await ref.ask(Read())
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 2}


async def test_a_dead_letter_is_sent_again_and_is_dead_again_if_still_dead() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = busy(system, gate, Overflow.DROP_NEWEST, log)
        ref.tell(Hold())
        await turns()
        for n in (1, 2, 3):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        gate.set()
        await turns()
        system.dead_letters.resend(letter)
        await ref.ask(Read())
        assert "3" in log
        assert len(system.dead_letters) == 0
        await ref.stop()
        system.dead_letters.resend(letter)
        assert len(system.dead_letters) == 1


async def test_a_dead_letter_that_nobody_accepts_stays_where_it_is() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        await ref.stop()
        for n in range(2):
            ref.tell(TextMessage(str(n)))
        first, second = system.dead_letters
        system.dead_letters.resend(first)
        assert tuple(system.dead_letters) == (first, second)
        assert system.dead_letters.total == 2


@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT])
async def test_a_dead_letter_that_a_full_mailbox_refuses_is_there_once(overflow: Overflow) -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = busy(system, gate, overflow, log)
        ref.tell(Hold())
        await turns()
        expired = ref.ask(TextMessage("late"), timeout=0.0)
        with pytest.raises(AskTimeoutError):
            await expired
        for n in (1, 2):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        with pytest.raises(MailboxFullError):
            system.dead_letters.resend(letter)
        assert [one.message for one in system.dead_letters] == [TextMessage("late")]
        gate.set()
        await turns()
        (letter,) = system.dead_letters
        system.dead_letters.resend(letter)
        assert len(system.dead_letters) == 0
        await turns()
        assert log[-1] == "late"


async def test_the_last_dead_letters_are_kept_and_all_are_counted() -> None:
    async with ActorSystem(dead_letters_kept=3) as system:
        ref = system.spawn(Counter)
        await ref.stop()
        for n in range(10):
            ref.tell(Add(n))
        assert [letter.message for letter in system.dead_letters] == [Add(7), Add(8), Add(9)]
        assert system.dead_letters.total == 10


async def test_a_dead_letter_is_found_dropped_and_sent_again_by_its_id() -> None:
    async with ActorSystem() as system:
        gone = system.spawn(Counter)
        await gone.stop()
        for n in range(2):
            gone.tell(Add(n))
        letters = system.dead_letters
        first, second = letters
        assert first.id != second.id
        assert letters.get(first.id) is first
        assert not letters.resend(first.id), "the receiver is dead"
        assert letters.get(first.id) is first
        assert letters.drop(first.id)
        assert not letters.drop(first.id)
        assert letters.get(first.id) is None
        with pytest.raises(LookupError, match=f"dead letter {first.id} "):
            letters.resend(first.id)
        assert tuple(letters) == (second,)
        assert letters.total == 2, "what was dropped has been counted"


async def test_a_dead_letter_leaves_by_its_id_when_its_receiver_has_accepted_it() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = busy(system, gate, Overflow.DROP_NEWEST, log)
        ref.tell(Hold())
        await turns()
        for n in (1, 2, 3):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        assert not system.dead_letters.resend(letter.id), "the mailbox is still full, and drops it again"
        (again,) = system.dead_letters
        assert (again.id, again.message) != (letter.id, None)
        assert again.message == letter.message
        gate.set()
        await turns()
        assert system.dead_letters.resend(again.id)
        assert len(system.dead_letters) == 0


async def test_a_system_that_keeps_no_dead_letters_counts_them() -> None:
    async with ActorSystem(dead_letters_kept=0) as system:
        gone = system.spawn(Counter)
        await gone.stop()
        gone.tell(Add(1))
        assert (len(system.dead_letters), system.dead_letters.total) == (0, 1)
