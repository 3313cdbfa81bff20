"""The mailbox at work: its bound, its order, its overflow, and what it counts."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    Mailbox,
    Message,
    Overflow,
    SpawnOptions,
    StopReason,
    Terminated,
    TextMessage,
)
from miniagents.errors import (
    ActorStoppedError,
    DroppedError,
    InvalidOptionError,
    MailboxFullError,
)
from tests.actors.actors import Add, Counter, Hold, Read, busy, turns


async def test_what_waits_is_counted_and_dated_exactly_beside_asks_that_were_cancelled() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        await turns()
        asks = []
        for number in range(50):
            await asyncio.sleep(1)
            ref.tell(Add(number))
            asks.append(ref.ask(Read()))
        for ask in asks:
            ask.cancel()
        (info,) = system.tree().children
        assert (info.mailbox_depth, info.oldest_age) == (50, 49.0)
        gate.set()
        total = await ref.ask(Read())
        assert total.value == sum(range(50))
        (info,) = system.tree().children
        assert (info.mailbox_depth, info.oldest_age) == (0, None)


@pytest.mark.parametrize("kept", [0, 3, 1000])
async def test_what_waits_when_an_actor_ends_is_counted_and_the_last_of_it_is_kept(kept: int) -> None:
    async with ActorSystem(dead_letters_kept=kept) as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        ref.tell(Hold())
        await turns()
        for number in range(10):
            ref.tell(Add(number))
        asked = ref.ask(Read())
        for number in range(10, 20):
            ref.tell(Add(number))
        await ref.kill()
        with pytest.raises(ActorStoppedError):
            await asked
        letters = [letter.message for letter in system.dead_letters]
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 21}
        expected = [*map(Add, range(10)), Read(), *map(Add, range(10, 20))]
        assert letters == expected[len(expected) - min(kept, 21) :]


async def test_backpressure_makes_tell_raise_and_ask_fail_and_send_wait() -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.BACKPRESSURE, log)
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("1"))
        ref.tell(TextMessage("2"))
        with pytest.raises(MailboxFullError, match="/busy"):
            ref.tell(TextMessage("3"))
        with pytest.raises(MailboxFullError):
            await ref.ask(Read())
        sending = [asyncio.ensure_future(ref.send(TextMessage(str(n)))) for n in (4, 5, 6)]
        await turns()
        assert not any(task.done() for task in sending)
        assert system.dead_letters.total == 0
        gate.set()
        await asyncio.gather(*sending)
    assert log[1:6] == ["1", "2", "4", "5", "6"]


async def test_reject_raises_and_leaves_a_dead_letter() -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.REJECT, log)
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("1"))
        ref.tell(TextMessage("2"))
        with pytest.raises(MailboxFullError):
            ref.tell(TextMessage("3"))
        with pytest.raises(MailboxFullError):
            await ref.send(TextMessage("4"))
        with pytest.raises(MailboxFullError):
            await ref.ask(Read())
        assert system.dead_letters.counts == {DeadLetterReason.REJECTED: 3}
        gate.set()


@pytest.mark.parametrize(
    ("overflow", "dropped", "kept"),
    [(Overflow.DROP_NEWEST, "3", ["1", "2"]), (Overflow.DROP_OLDEST, "1", ["2", "3"])],
)
async def test_a_dropping_mailbox_never_raises_and_the_dropped_one_is_a_dead_letter(
    overflow: Overflow, dropped: str, kept: list[str]
) -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, overflow, log)
        ref.tell(Hold())
        await turns()
        for n in (1, 2, 3):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        assert (letter.reason, str(letter.message), letter.receiver) == (DeadLetterReason.DROPPED, dropped, ref)
        gate.set()
    assert log[1:3] == kept


async def test_the_ask_of_a_dropped_message_fails_with_dropped_error() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.DROP_OLDEST, [])
        ref.tell(Hold())
        await turns()
        ask = ref.ask(Read())
        ref.tell(Add(1))
        ref.tell(Add(1))
        with pytest.raises(DroppedError):
            await ask
        gate.set()


def test_a_capacity_below_1_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="capacity"):
        Mailbox(capacity=0)


async def test_a_priority_mailbox_takes_lower_first_and_equals_in_order() -> None:
    gate = asyncio.Event()
    log: list[Any] = []

    def priority(message: Message) -> int:
        return 0 if str(message).startswith("!") else 1

    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=priority)), gate=gate, log=log)
        ref.tell(Hold())
        await turns()
        for text in ("a", "!b", "c", "!d"):
            ref.tell(TextMessage(text))
        gate.set()
    assert log[1:5] == ["!b", "!d", "a", "c"]


async def test_terminated_queues_behind_what_waits_whatever_the_priority_function_knows() -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Watcher(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(watched)

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(message)
            if isinstance(message, Hold):
                await gate.wait()

    def priority(message: Message) -> float:
        return 0 if isinstance(message, Hold) else message.amount  # type: ignore[attr-defined]  # no Terminated has it

    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        watcher = system.spawn(Watcher, options=SpawnOptions(mailbox=Mailbox(priority=priority)))
        watcher.tell(Hold())
        await turns()
        watcher.tell(Add(7))
        assert await watched.stop() is StopReason.SHUTDOWN
        await turns()
        watcher.tell(Add(8))
        watcher.tell(Add(3))
        gate.set()
    assert seen == [Hold(), Add(3), Add(7), Terminated(ref=watched, reason=StopReason.SHUTDOWN), Add(8)]


@pytest.mark.parametrize("priority", [None, lambda message: message.amount], ids=["first in, first out", "priority"])
async def test_drop_oldest_drops_no_terminated_and_nothing_else_of_the_runtime(priority: Any) -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Watcher(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(watched)
            await gate.wait()

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(message)

    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        mailbox = Mailbox(capacity=3, overflow=Overflow.DROP_OLDEST, priority=priority)
        watcher = system.spawn(Watcher, options=SpawnOptions(mailbox=mailbox))
        await turns()
        await watched.stop()
        quiet = watcher._cell.barrier()  # type: ignore[attr-defined]
        for n in range(10):
            watcher.tell(Add(n))
        gate.set()
        assert quiet is not None
        await quiet
        await turns()
    # All three that wait count, but only those of users are dropped.
    assert seen == [Terminated(ref=watched, reason=StopReason.SHUTDOWN), Add(9)]
    assert [letter.message for letter in system.dead_letters] == [Add(n) for n in range(9)]


async def test_asks_cancelled_in_a_mailbox_with_priorities_leave_the_order_of_the_others_as_it_is() -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Notes(Counter):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            seen.append(message)
            return await super().receive(message, ctx)

    def priority(message: Message) -> float:
        return 0 if isinstance(message, Hold) else message.amount  # type: ignore[attr-defined]  # no barrier has it

    async with ActorSystem() as system:
        ref = system.spawn(Notes, options=SpawnOptions(mailbox=Mailbox(priority=priority)), gate=gate)
        ref.tell(Hold())
        await turns()
        quiet = ref._cell.barrier()  # type: ignore[attr-defined]
        ref.tell(Add(2))
        ref.tell(Add(1))
        for ask in [ref.ask(Add(0)) for _ in range(100)]:
            ask.cancel()
        gate.set()
        assert quiet is not None
        await quiet
    assert seen == [Hold(), Add(1), Add(2)]


async def test_what_a_priority_function_raises_goes_to_the_sender_and_ends_the_ask() -> None:
    def fails(_: Message) -> float:
        raise LookupError("no priority")

    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=fails)))
        with pytest.raises(LookupError, match="no priority"):
            ref.tell(Add(1))
        with pytest.raises(LookupError, match="no priority"):
            await ref.ask(Read(), timeout=1)
        await asyncio.sleep(2)

        assert system.tree(ref.path).mailbox_depth == ref._cell.depth == 0  # type: ignore[attr-defined]
        assert system.dead_letters.total == 0


async def test_asks_that_are_cancelled_one_after_the_other_are_counted_exactly() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        await turns()
        asks = [ref.ask(Read()) for _ in range(40)]
        for left, ask in enumerate(reversed(asks)):
            assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 40 - left  # type: ignore[attr-defined]
            ask.cancel()

        gate.set()
        await turns()
        assert ref._cell.depth == 0  # type: ignore[attr-defined]
