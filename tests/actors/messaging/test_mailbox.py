"""Bounded mailboxes: what counts in their capacity, and what does not."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Backoff,
    DeadLetterReason,
    Mailbox,
    Message,
    OneForOne,
    Overflow,
    RetryPolicy,
    SpawnOptions,
    StopReason,
    TextMessage,
)
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.errors import MailboxFullError
from tests.actors.actors import Counter, Crash, turns
from tests.actors.messaging.test_terminated import Unwatch, Watch, Watcher


def retrying(mailbox: Mailbox) -> SpawnOptions:
    """A crash is followed by a second, in which the message that is to be tried again is in the mailbox."""
    supervision = OneForOne(max_restarts=None, backoff=Backoff(1.0, 1.0))
    return SpawnOptions(mailbox=mailbox, retry=RetryPolicy(attempts=3), supervision=supervision)


async def crash_twice(ref: Any) -> Any:
    """The first restart is at once, the second a second later."""
    ask = ref.ask(Crash())
    await turns(50)
    assert not ask.done()
    return ask


@pytest.mark.parametrize("priority", [None, lambda message: 0.0], ids=["first in, first out", "priority"])
async def test_a_message_that_is_tried_again_counts_in_no_capacity(priority: Any) -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        mailbox = Mailbox(1, priority=priority)
        ref = system.spawn(Counter, log=log, options=retrying(mailbox))
        ask = await crash_twice(ref)
        ref.tell(TextMessage("1"))
        with pytest.raises(MailboxFullError):
            ref.tell(TextMessage("2"))
        sending = asyncio.create_task(ref.send(TextMessage("3")))
        await turns()
        assert not sending.done()
        with pytest.raises(ValueError, match="crash"):
            await ask
        await sending
    assert [entry for entry in log if isinstance(entry, str) and entry != "start"] == ["1", "3"]


@pytest.mark.parametrize("priority", [None, lambda message: 0.0], ids=["first in, first out", "priority"])
async def test_a_message_that_is_tried_again_is_not_dropped_for_a_newer_one(priority: Any) -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        mailbox = Mailbox(1, Overflow.DROP_OLDEST, priority)
        ref = system.spawn(Counter, log=log, options=retrying(mailbox))
        ask = await crash_twice(ref)
        ref.tell(TextMessage("1"))
        ref.tell(TextMessage("2"))
        assert [letter.message for letter in system.dead_letters] == [TextMessage("1")]
        with pytest.raises(ValueError, match="crash"):
            await ask
    assert log[-2:-1] == ["2"]


async def test_an_ask_that_is_cancelled_while_it_is_to_be_tried_again_takes_no_place() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=retrying(Mailbox(1)))
        ask = await crash_twice(ref)
        ask.cancel()
        ref.tell(TextMessage("1"))
        with pytest.raises(MailboxFullError):
            ref.tell(TextMessage("2"))
        assert system.tree(ref.path).mailbox_depth == 1


async def test_a_mailbox_that_the_runtime_has_overfilled_drops_until_there_is_room() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        mailbox = Mailbox(2, Overflow.DROP_OLDEST)
        watcher = system.spawn(Watcher, log=log, gate=gate, options=SpawnOptions(mailbox=mailbox))
        await watcher.ask(Watch(watched))
        watcher.tell(Unwatch(watcher))  # holds it up
        await turns()
        watcher.tell(TextMessage("1"))
        watcher.tell(TextMessage("2"))
        await watched.stop()
        assert system.tree(watcher.path).mailbox_depth == 3  # a Terminated is bound by no capacity
        for n in range(3, 6):
            watcher.tell(TextMessage(str(n)))
            assert system.tree(watcher.path).mailbox_depth == 2
        assert [letter.message for letter in system.dead_letters] == [TextMessage(str(n)) for n in range(1, 5)]
        assert system.dead_letters.counts == {DeadLetterReason.DROPPED: 4}
        gate.set()
        await turns()
    assert log == [(watched.name, StopReason.SHUTDOWN)]


@pytest.mark.parametrize("own_task", [False, True])
async def test_an_attempt_that_crashes_after_reply_later_leaves_the_answer_to_the_next_one(own_task: bool) -> None:
    reply_tos: list[ReplyTo] = []

    class Later(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            reply_tos.append(ctx.reply_later())
            if len(reply_tos) == 1:
                raise ValueError("the first attempt")

    async with ActorSystem() as system:
        options = SpawnOptions(mailbox=Mailbox(1), retry=RetryPolicy(attempts=2), own_task=own_task)
        later = system.spawn(Later, options=options)
        ask = later.ask(TextMessage("work"))
        await turns(20)
        first, second = reply_tos

        first.reply(TextMessage("of an attempt that is over"))
        assert (first.is_open, second.is_open) == (False, True)
        second.reply(TextMessage("done"))

        assert await ask == TextMessage("done")
        await later.send(TextMessage("the mailbox has room"))
