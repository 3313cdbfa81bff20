"""Durable mailboxes: an entry is accepted in three steps, and each that was committed has exactly one outcome."""

import asyncio
from collections import Counter as Count
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    DeadLetterReason,
    InteractionContext,
    Mailbox,
    Message,
    MiniAgents,
    OneForAll,
    OneForOne,
    Overflow,
    RetryPolicy,
    SpawnOptions,
    StopReason,
    Supervisor,
    Terminated,
    TextMessage,
    miniagent,
)
from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.durable_cell import DURABLE_SLOTS, DurableActorCell, DurableMailbox
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.outcome import Outcome
from miniagents.agents.class_cell import ClassAgentCell
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    DeadlockError,
    DroppedError,
    MailboxFullError,
    PromiseCancelledError,
)
from tests.actors.actors import Add, Counter, Crash, Hold, Read, Total, turns


class Disk:
    """What the inboxes of all actors of a system write to. It writes when a test says so."""

    def __init__(self) -> None:
        self.writing: dict[Any, DurableMailbox] = {}
        self.written: list[Any] = []
        self.kept: list[Enveloped] = []
        self.outcomes: list[tuple[Any, Outcome, Any]] = []
        self.attempts: list[int] = []
        self.acknowledging: asyncio.Future[None] | None = None
        self.refused: Exception | None = None

    async def write(self, *messages: Message, error: Exception | None = None, known: bool = False) -> None:
        """End the writes of some messages, or of all, and let the loop turn."""
        for entry in tuple(self.writing):
            if not messages or entry.message in messages:
                mailbox = self.writing.pop(entry)
                if known:
                    mailbox.known_already(entry)
                elif error is None:
                    self.written.append(entry)
                    mailbox.written((entry,))
                else:
                    mailbox.not_written(entry, error)
        await turns()

    def outcomes_of(self, message: Message) -> list[Outcome]:
        return [outcome for entry, outcome, _ in self.outcomes if entry.message == message]


class DiskInbox:
    """The inbox of one actor."""

    def __init__(self, mailbox: Any, disk: Disk) -> None:
        self._mailbox = mailbox
        self._disk = disk

    async def recover(self) -> list[Enveloped]:
        return self._disk.kept

    def restore(self, instance: Any) -> None: ...

    def schedule(self, *arguments: Any, **options: Any) -> Any: ...

    def schedule_cron(self, *arguments: Any) -> Any: ...

    def save(self) -> None: ...

    def saved(self) -> tuple[Any, ...]:
        return ()

    def forget(self, entry: Enveloped) -> None: ...

    def put_back(self, entry: Enveloped) -> None: ...

    def identify(self, entry: Enveloped, message_id: str, accepted: Any) -> None: ...

    def unhandled(self, entry: Enveloped) -> None: ...

    def message_id_of(self, entry: object) -> str | None:
        return None

    def close(self) -> None: ...

    def commit(self, entry: Enveloped) -> None:
        if self._disk.refused is not None:
            raise self._disk.refused
        assert entry not in self._disk.writing
        self._disk.writing[entry] = self._mailbox

    def handled(self, entry: Enveloped, outcome: Outcome, answer: object) -> "asyncio.Future[None] | None":
        assert entry in self._disk.written, "only what is on disk has an outcome"
        self._disk.outcomes.append((entry, outcome, answer))
        self._disk.attempts.append(entry.crashes)
        return self._disk.acknowledging


class DurableSystem(ActorSystem):
    """Its actors are durable."""

    def __init__(self, disk: Disk, **options: Any) -> None:
        super().__init__(**options)
        self.disk = disk

    def new_cell(
        self, parent: Cell, actor: object, name: str, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> LivingCell:
        cell = super().new_cell(parent, actor, name, options, kwargs)
        if isinstance(cell, ActorCell):
            return DurableActorCell(self, parent, name, cell.props, lambda cell: DiskInbox(cell, self.disk))
        return cell


def cell_of(ref: ActorRef) -> Any:
    return ref._cell


def mailbox(capacity: int | None = None, overflow: Overflow = Overflow.BACKPRESSURE) -> SpawnOptions:
    return SpawnOptions(mailbox=Mailbox(capacity, overflow))


def full() -> OSError:
    return OSError("the disk is full")


# Reserve, commit, post


async def test_a_message_is_handled_once_it_is_on_disk_and_not_before() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log)
        ref.tell(TextMessage("first"))
        await turns()
        assert log == ["start"]
        assert cell_of(ref).depth == 1

        await disk.write()

        assert log == ["start", "first"]
        assert cell_of(ref).depth == 0


async def test_send_returns_when_its_message_is_on_disk() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        sending = asyncio.create_task(ref.send(Add(1)))
        other = asyncio.create_task(ref.send(Add(2)))
        await turns()

        await disk.write(Add(2))
        assert not sending.done()
        await other
        await disk.write(Add(1))
        await sending


async def test_messages_are_handled_in_the_order_in_which_they_were_sent_however_the_writes_end() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log)
        for text in "abcd":
            ref.tell(TextMessage(text))

        await disk.write(TextMessage("c"))
        await disk.write(TextMessage("b"))
        assert log == ["start"]
        await disk.write(TextMessage("a"), error=full())
        assert log == ["start", "b", "c"]
        await disk.write()
        assert log == ["start", "b", "c", "d"]


async def test_what_cannot_be_written_gives_its_room_back_and_the_sender_gets_the_error() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log, options=mailbox(3))
        ask = ref.ask(Read())
        sending = asyncio.create_task(ref.send(TextMessage("sent")))
        ref.tell(TextMessage("told"))
        waiting = asyncio.create_task(ref.send(TextMessage("waits for room")))
        await turns()

        with capture_logs() as logs:
            await disk.write(Read(), TextMessage("sent"), TextMessage("told"), error=full())

        for lost in (ask, sending):
            with pytest.raises(OSError, match="full"):
                await lost
        assert [entry["event"] for entry in logs] == ["mailbox.not_written"]
        assert system.dead_letters.counts == {DeadLetterReason.NOT_WRITTEN: 3}
        await disk.write()
        await waiting
        assert log == ["start", "waits for room"]
    assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.HANDLED]


async def test_what_the_inbox_refuses_is_refused_to_its_sender_at_once() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=mailbox(1))
        disk.refused = ValueError("too large")
        with pytest.raises(ValueError, match="too large"):
            ref.tell(Add(1))
        with pytest.raises(ValueError, match="too large"):
            await ref.send(Add(1))
        with pytest.raises(ValueError, match="too large"):
            await ref.ask(Add(1))
        disk.refused = None
        ref.tell(Add(2))  # there is room still
        await disk.write()
    assert [entry.message for entry in disk.written] == [Add(2)]


async def test_room_that_is_reserved_counts_for_the_capacity() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=mailbox(2))
        await ref.started()
        ref.tell(Add(1))
        ref.tell(Add(2))
        with pytest.raises(MailboxFullError):
            ref.tell(Add(3))
        with pytest.raises(MailboxFullError):
            await ref.ask(Add(3))
        sending = asyncio.create_task(ref.send(Add(4)))
        await turns()
        assert {entry.message for entry in disk.writing} == {Add(1), Add(2)}

        await disk.write(Add(1))  # it is handled, and makes room
        assert {entry.message for entry in disk.writing} == {Add(2), Add(4)}
        await disk.write()
        await sending
        total = ref.ask(Read())
        await disk.write()
        assert await total == Total(value=7)


async def test_a_message_that_is_tried_again_counts_in_no_capacity_beside_what_is_written() -> None:
    disk = Disk()
    supervision = OneForOne(max_restarts=None, backoff=Backoff(1.0, 1.0))
    options = SpawnOptions(mailbox=Mailbox(2), retry=RetryPolicy(attempts=3), supervision=supervision)
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=options)
        crash = ref.ask(Crash())
        with capture_logs():
            await disk.write()
            await turns(50)  # the first restart is at once, and the second a second later
            ref.tell(Add(1))
            ref.tell(Add(2))
            with pytest.raises(MailboxFullError):
                ref.tell(Add(3))
            with pytest.raises(ValueError, match="crash"):
                await crash
        await disk.write()
        await asyncio.sleep(2.0)  # until the restart
        total = ref.ask(Read())
        await disk.write()
        assert await total == Total(value=3)


async def test_an_entry_that_is_not_in_the_mailbox_is_marked_as_taken() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=mailbox(2, Overflow.DROP_NEWEST))
        cell = cell_of(ref)
        failed, withdrawn, dropped, posted = (Envelope(Add(number)) for number in range(4))
        for envelope in (failed, withdrawn, dropped):
            cell.post(envelope)
        assert [envelope.taken for envelope in (failed, withdrawn, dropped)] == [False, False, True]
        with capture_logs():
            await disk.write(Add(0), error=full())
        assert failed.taken
        cell.withdraw(withdrawn)
        assert withdrawn.taken
        disk.written.append(posted)
        ended = ref.kill()
        cell.deliver(posted)
        await ended
        assert posted.taken
        await disk.write()


async def test_nothing_is_written_that_was_refused() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        rejecting = system.spawn(Counter, options=mailbox(1, Overflow.REJECT))
        dropping = system.spawn(Counter, options=mailbox(1, Overflow.DROP_NEWEST))
        for ref in (rejecting, dropping):
            ref.tell(Add(1))
        with pytest.raises(MailboxFullError):
            rejecting.tell(Add(2))
        with pytest.raises(DroppedError):
            await dropping.ask(Add(2))
        ended = system.spawn(Counter)
        await ended.stop()
        await ended.send(Add(2))
        with pytest.raises(ActorStoppedError):
            await ended.ask(Add(2))
        assert {entry.message for entry in disk.writing} == {Add(1)}
        await disk.write()


async def test_what_is_known_already_is_not_handled_again_and_its_ask_is_the_inboxs_to_end() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log, options=mailbox(3))
        known = ref.ask(TextMessage("asked"))
        sending = asyncio.create_task(ref.send(TextMessage("sent")))
        cancelled = ref.ask(TextMessage("cancelled"))
        await turns()
        cancelled.cancel("not wanted")
        cancelled.mark_seen()
        await disk.write(known=True)
        await sending
        assert isinstance(known, Ask)
        assert not known.done()
        known.answer(Total(value=7))
        assert await known == Total(value=7)
        for number in range(3):  # there is room again
            ref.tell(Add(number))
        await disk.write()
        assert log == ["start"]
        assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.HANDLED] * 3


async def test_an_actor_that_drains_waits_for_nothing_that_is_known_already() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        await ref.started()
        ref.tell(Add(1))
        began, ending = system.time(), ref.stop(drain=True)
        await turns()
        await disk.write(known=True)
        assert await ending is StopReason.SHUTDOWN
        assert system.time() - began < 1.0


async def test_a_priority_that_raises_refuses_before_anything_is_written() -> None:
    def priority(message: Message) -> float:
        raise KeyError("no priority")

    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=priority)))
        with pytest.raises(KeyError):
            ref.tell(Add(1))
        with pytest.raises(KeyError):
            await ref.ask(Add(1))
        assert not disk.writing


async def test_a_priority_that_raises_when_the_message_is_on_disk_is_a_crash_of_the_message() -> None:
    calls = list[Message]()

    def priority(message: Message) -> float:
        calls.append(message)
        if len(calls) == 2:
            raise KeyError("no priority now")
        return 0.0

    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=priority)))
        ask = ref.ask(Read())
        with capture_logs() as logs:
            await disk.write()
        with pytest.raises(KeyError):
            await ask
        assert [entry["event"] for entry in logs] == ["mailbox.not_posted"]
        assert disk.outcomes_of(Read()) == [Outcome.CRASHED]


async def test_a_full_mailbox_drops_the_oldest_also_while_it_is_written() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log, options=mailbox(1, Overflow.DROP_OLDEST))
        await ref.started()
        oldest = ref.ask(TextMessage("oldest"))
        ref.tell(TextMessage("newer"))

        with pytest.raises(DroppedError):
            await oldest
        assert not disk.outcomes
        await disk.write()

        assert log == ["start", "newer"]
        assert disk.outcomes_of(TextMessage("oldest")) == [Outcome.DROPPED]
        assert system.dead_letters.counts == {DeadLetterReason.DROPPED: 1}


async def test_a_full_mailbox_drops_what_waits_in_the_queue_first() -> None:
    disk, gate = Disk(), asyncio.Event()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, gate=gate, options=mailbox(2, Overflow.DROP_OLDEST))
        ref.tell(Hold())
        await disk.write()
        ref.tell(Add(1))
        await disk.write()
        ref.tell(Add(2))
        ref.tell(Add(3))
        assert disk.outcomes_of(Add(1)) == [Outcome.DROPPED]
        gate.set()
        await disk.write()
        assert disk.outcomes_of(Add(2)) == disk.outcomes_of(Add(3)) == [Outcome.HANDLED]


async def test_a_send_that_is_cancelled_while_it_is_written_is_delivered_all_the_same() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log)
        sending = asyncio.create_task(ref.send(TextMessage("sent")))
        await turns()
        sending.cancel()
        await turns()
        assert sending.cancelled()

        await disk.write()
        assert log == ["start", "sent"]


async def test_a_send_that_is_cancelled_while_it_waits_for_room_writes_nothing() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=mailbox(1))
        ref.tell(Add(1))
        sending = asyncio.create_task(ref.send(Add(2)))
        await turns()
        sending.cancel()
        await disk.write()
        assert not disk.writing
    assert [entry.message for entry in disk.written] == [Add(1)]


async def test_an_ask_that_ends_while_it_is_written_is_not_handled_and_acknowledged_when_it_is_on_disk() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log, options=mailbox(2))
        cancelled, expired = ref.ask(TextMessage("cancelled")), ref.ask(TextMessage("expired"), timeout=0.0)
        cancelled.cancel("not wanted")
        with pytest.raises(AskTimeoutError):
            await expired
        assert cell_of(ref).depth == 0  # there is room again
        assert not disk.outcomes

        await disk.write()

        assert log == ["start"]
        assert disk.outcomes_of(TextMessage("cancelled")) == [Outcome.CANCELLED]
        assert disk.outcomes_of(TextMessage("expired")) == [Outcome.EXPIRED]
        assert system.dead_letters.counts == {DeadLetterReason.EXPIRED: 1}
        with pytest.raises(PromiseCancelledError):
            await cancelled


async def test_an_ask_that_ends_behind_a_slower_write_is_acknowledged_at_once() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        ref.tell(Add(1))
        ask = ref.ask(Read())
        await disk.write(Read())
        ask.cancel("not wanted")
        assert disk.outcomes_of(Read()) == [Outcome.CANCELLED]
        await disk.write()
        assert disk.outcomes_of(Read()) == [Outcome.CANCELLED]
        ask.mark_seen()


async def test_what_ended_and_cannot_be_written_has_no_outcome_and_is_no_dead_letter() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        ask = ref.ask(Read())
        ask.cancel("not wanted")
        ask.mark_seen()
        await disk.write(error=full())
        assert not disk.outcomes
        assert system.dead_letters.total == 0


@pytest.mark.parametrize("error", [None, full()])
async def test_an_actor_that_is_killed_ends_its_asks_at_once_and_what_is_on_disk_later_is_cut_off(
    error: Exception | None,
) -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        ask = ref.ask(Read())
        ref.tell(Add(1))
        sending = asyncio.create_task(ref.send(Add(2)))
        await turns()
        await ref.kill()
        with pytest.raises(ActorStoppedError):
            await ask
        assert not disk.outcomes
        assert not sending.done()

        await disk.write(error=error)

        if error is None:
            await sending
            assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.CUT_OFF] * 3
            assert system.dead_letters.total == 0
        else:
            with pytest.raises(OSError, match="full"):
                await sending
            assert not disk.outcomes
            assert system.dead_letters.counts == {DeadLetterReason.NOT_WRITTEN: 3}


async def test_an_actor_that_ends_cuts_off_what_is_on_disk_behind_a_slower_write() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        ref.tell(Add(1))
        ref.tell(Add(2))
        await disk.write(Add(2))
        await ref.stop()
        assert disk.outcomes_of(Add(2)) == [Outcome.CUT_OFF]
        await disk.write()
        assert disk.outcomes_of(Add(1)) == disk.outcomes_of(Add(2)) == [Outcome.CUT_OFF]


async def test_an_actor_that_drains_waits_for_the_writes_of_what_it_has_accepted() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log)
        ref.tell(TextMessage("accepted"))
        ending = ref.stop(drain=True)
        await turns()
        assert ref.is_alive

        await disk.write()
        assert await ending is StopReason.SHUTDOWN
    assert log == ["start", "accepted", ("stop", StopReason.SHUTDOWN)]


async def test_an_actor_that_drains_ends_when_the_last_write_fails() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        await ref.started()
        ref.tell(TextMessage("accepted"))
        began, ending = system.time(), ref.stop(drain=True)
        await turns()
        with capture_logs():
            await disk.write(error=full())
        assert await ending is StopReason.SHUTDOWN
        assert system.time() - began < 1.0  # and not with the time that it has to shut down


async def test_an_actor_that_drains_ends_when_the_last_ask_in_line_is_cancelled() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        await ref.started()
        ask = ref.ask(Read())
        began, ending = system.time(), ref.stop(drain=True)
        await turns()
        ask.cancel("not wanted")
        ask.mark_seen()
        assert await ending is StopReason.SHUTDOWN
        assert system.time() - began < 1.0
        await disk.write()


def by_length(message: Message) -> float:
    assert isinstance(message, TextMessage)
    return len(message.content)


@pytest.mark.parametrize("priority", [None, by_length], ids=["first in, first out", "priority"])
async def test_a_system_that_ends_waits_for_the_writes_of_what_was_accepted(priority: Any) -> None:
    disk, log = Disk(), list[Any]()
    with capture_logs() as logs:
        async with DurableSystem(disk) as system:
            ref = system.spawn(Counter, log=log, options=SpawnOptions(mailbox=Mailbox(priority=priority)))
            ref.tell(TextMessage("accepted"))
            asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(disk.write()))
    assert not logs
    assert log[:2] == ["start", "accepted"]
    assert disk.outcomes_of(TextMessage("accepted")) == [Outcome.HANDLED]


async def test_what_a_journal_has_kept_is_handled_before_new_messages() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        disk.kept = [Envelope(TextMessage(text)) for text in "ab"]
        disk.written += disk.kept
        ref = system.spawn(Counter, log=log)
        ref.tell(TextMessage("c"))
        await disk.write()
    assert log[:4] == ["start", "a", "b", "c"]


async def test_a_restart_keeps_what_is_being_written() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, log=log)
        ref.tell(Crash())
        ref.tell(TextMessage("after"))
        with capture_logs():
            await disk.write(Crash())
        await disk.write()
    assert [entry for entry in log if isinstance(entry, str)] == ["start", "start", "after"]
    assert disk.outcomes_of(Crash()) == [Outcome.CRASHED]


class AsksItself(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        await ctx.self.ask(Read())
        return message


async def test_a_cycle_is_found_while_the_ask_that_closes_it_is_written() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(AsksItself)
        ask = ref.ask(Add(1))
        with capture_logs():
            await disk.write()
            with pytest.raises(DeadlockError):
                await ask
        await disk.write()
        assert disk.outcomes_of(Read()) == [Outcome.CANCELLED]


# What became of it


class Answers(Actor):
    """Answers in all ways."""

    errors = (LookupError,)

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case TextMessage(content="early"):
                ctx.reply(Total(value=1))
            case TextMessage(content="returned error"):
                return ValueError("an answer")
            case TextMessage(content="raised error"):
                raise LookupError("an answer")
            case Read():
                return Total(value=2)
        return None


async def test_what_was_handled_is_acknowledged_with_its_answer() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Answers)
        asks = [ref.ask(TextMessage(text)) for text in ("early", "returned error", "raised error")]
        asks.append(ref.ask(Read()))
        ref.tell(Add(1))
        await disk.write()
        assert await asks[0] == Total(value=1)
        assert await asks[3] == Total(value=2)
        for ask, kind in zip(asks[1:3], (ValueError, LookupError), strict=True):
            with pytest.raises(kind):
                await ask
    assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.HANDLED] * 5
    answers = [answer for _, _, answer in disk.outcomes]
    assert answers[0] is asks[0]  # it was given before
    assert isinstance(answers[1], ValueError)
    assert isinstance(answers[2], LookupError)
    assert answers[3:] == [Total(value=2), None]


async def test_an_answer_is_given_once_the_acknowledgement_is_on_disk_and_the_actor_goes_on_meanwhile() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        held = disk.acknowledging = asyncio.get_running_loop().create_future()
        ask = ref.ask(Read())
        ref.tell(Add(1))
        await disk.write()
        assert disk.outcomes_of(Add(1)) == [Outcome.HANDLED]
        assert not ask.done()

        held.set_result(None)
        assert await ask == Total(value=0)


async def test_who_asks_gets_the_error_of_an_acknowledgement_that_cannot_be_written() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        held = disk.acknowledging = asyncio.get_running_loop().create_future()
        ask = ref.ask(Read())
        await disk.write()
        await ref.kill()
        held.set_exception(full())
        with pytest.raises(OSError, match="full"):
            await ask


@pytest.mark.parametrize(("attempts", "poison_after", "expected"), [(3, None, 3), (3, 2, 2), (1, None, 1)])
async def test_a_message_that_crashed_its_actor_has_its_outcome_after_the_last_attempt(
    attempts: int, poison_after: int | None, expected: int
) -> None:
    disk = Disk()
    options = SpawnOptions(
        retry=RetryPolicy(attempts=attempts), poison_after=poison_after, supervision=OneForOne(max_restarts=None)
    )
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, options=options)
        ask = ref.ask(Crash())
        with capture_logs():
            await disk.write()
            with pytest.raises(ValueError, match="crash"):
                await ask
        assert disk.outcomes_of(Crash()) == [Outcome.CRASHED]
        assert disk.attempts == [expected]
        assert system.dead_letters.counts == {DeadLetterReason.POISONOUS: 1}


async def test_a_message_in_hand_whose_asker_cancels_it_is_cancelled() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        ask = ref.ask(Hold())
        await disk.write()
        ask.cancel("not wanted")
        await turns()
        assert disk.outcomes_of(Hold()) == [Outcome.CANCELLED]
        ask.mark_seen()


class Relay(Actor):
    def __init__(self, to: ActorRef) -> None:
        self.to = to

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        await self.to.ask(Hold())
        return None


async def test_a_message_in_hand_that_ends_with_the_deadline_of_its_asker_has_expired() -> None:
    disk, gate = Disk(), asyncio.Event()
    async with DurableSystem(disk) as system:
        relay = system.spawn(Relay, to=system.spawn(Counter, gate=gate))
        ask = relay.ask(Add(1), timeout=0.05)
        await disk.write()
        await disk.write()
        with pytest.raises(AskTimeoutError):
            await ask
        await turns()
        assert disk.outcomes_of(Add(1)) == [Outcome.EXPIRED]
        gate.set()


async def test_a_message_that_waits_when_its_asker_cancels_it_or_its_timer_is_cancelled_is_cancelled() -> None:
    disk, gate = Disk(), asyncio.Event()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        ask = ref.ask(Read())
        timer = system.schedule(0.0, ref, Add(1))
        await asyncio.sleep(0.01)
        await disk.write()
        ask.cancel("not wanted")
        ask.mark_seen()
        timer.cancel()
        gate.set()
        await turns()
    assert disk.outcomes_of(Read()) == disk.outcomes_of(Add(1)) == [Outcome.CANCELLED]


async def test_the_end_of_the_actor_cuts_off_what_is_in_hand_and_what_waits() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        asks = [ref.ask(Hold()), ref.ask(Read())]
        ref.tell(Add(1))
        await disk.write()
        await ref.kill()
        for ask in asks:
            with pytest.raises(ActorStoppedError):
                await ask
        assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.CUT_OFF] * 3
        assert system.dead_letters.total == 0


async def test_the_end_of_the_system_acknowledges_nothing() -> None:
    disk = Disk()
    with pytest.raises(RuntimeError, match="the program fails"):
        async with DurableSystem(disk) as system:
            ref = system.spawn(Counter, gate=asyncio.Event(), options=SpawnOptions(handler_timeout=None))
            cell_of(ref).shutdown = 0.0
            ref.tell(Hold())
            ref.tell(Add(1))
            await disk.write()
            raise RuntimeError("the program fails")
    assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.CUT_OFF] * 2


class Stubborn(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


async def test_a_message_in_hand_whose_handler_is_abandoned_is_cut_off() -> None:
    disk = Disk()
    with capture_logs(), pytest.raises(RuntimeError, match="the program fails"):
        async with DurableSystem(disk, grace=0.0) as system:
            ref = system.spawn(Stubborn)
            cell_of(ref).shutdown = 0.0
            ref.tell(Add(1))
            await disk.write()
            raise RuntimeError("the program fails")
    assert disk.outcomes_of(Add(1)) == [Outcome.CUT_OFF]


async def test_a_message_in_hand_that_a_sibling_cuts_off_is_handled_by_the_fresh_instance() -> None:
    disk, gate, log = Disk(), asyncio.Event(), list[Any]()
    specs = [
        ChildSpec("durable", Counter, kwargs={"gate": gate, "log": log}, shutdown=0.0),
        ChildSpec("sibling", Counter),
    ]
    async with DurableSystem(disk) as system:
        supervisor = await system.supervise(Supervisor("both", strategy=OneForAll(max_restarts=3), children=specs))
        durable, sibling = system.lookup("/both/durable"), system.lookup("/both/sibling")
        assert durable is not None
        assert sibling is not None
        ask = durable.ask(Hold())
        ask_later = durable.ask(Read())
        await disk.write()
        sibling.tell(Crash())
        with capture_logs():
            await disk.write()
            await turns(50)
        assert log.count("start") == 2
        assert not ask.done()
        gate.set()
        assert await ask is None
        assert await ask_later == Total(value=0)
        assert supervisor.is_alive
    assert disk.outcomes_of(Hold()) == disk.outcomes_of(Read()) == [Outcome.HANDLED]


class OwesAnAnswer(Actor):
    """Answers a question later, the second time it gets it."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        reply_to = ctx.reply_later()
        self.log.append("attempt")
        if len(self.log) == 1:
            await asyncio.sleep(3600)
        reply_to.reply(Total(value=1))


async def test_an_answer_that_is_owed_when_the_handler_is_cut_off_is_given_by_the_fresh_instance() -> None:
    disk, log = Disk(), list[Any]()
    spec = ChildSpec("owes", OwesAnAnswer, kwargs={"log": log}, shutdown=0.0)
    async with DurableSystem(disk) as system:
        await system.supervise(Supervisor("one", children=[spec]))
        ref = system.lookup("/one/owes")
        assert ref is not None
        ask = ref.ask(Read())
        await disk.write()
        await ref.stop()  # an exit, after which a permanent child is restarted
        assert await ask == Total(value=1)
        assert log == ["attempt", "attempt"]
    assert disk.outcomes_of(Read()) == [Outcome.HANDLED]


async def test_a_fault_of_the_runtime_cuts_off_the_message_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(cell: DurableActorCell, entry: Enveloped, answer: object) -> None:
        raise RuntimeError("a fault of the runtime")

    monkeypatch.setattr(DurableActorCell, "_answer_when_written", fail)
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Counter)
        ask = ref.ask(Read())
        with capture_logs():
            await disk.write()
        with pytest.raises(RuntimeError, match="a fault"):
            await ask
        assert disk.outcomes_of(Read()) == [Outcome.CUT_OFF]


async def test_a_send_to_a_pool_waits_until_its_message_is_on_disk() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        pool = await system.pool(Counter, size=1)
        sending = asyncio.create_task(pool.send(Add(1)))
        await turns()
        assert not sending.done()
        await disk.write()
        await sending


class Slow(Actor):
    """Replies, and goes on."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        _ = ctx.self.ask(Add(1))
        ctx.reply(Total(value=1))
        await asyncio.sleep(3600)


async def test_a_handler_that_is_cut_off_after_its_reply_has_not_handled_the_message_to_its_end() -> None:
    disk = Disk()
    async with DurableSystem(disk) as system:
        ref = system.spawn(Slow)
        ask = ref.ask(Read())
        await disk.write()
        assert await ask == Total(value=1)
        await ref.kill()
    assert disk.outcomes_of(Read()) == [Outcome.CUT_OFF]


class WatchesOne(Actor):
    def __init__(self, one: ActorRef, log: list[Any]) -> None:
        self.one = one
        self.log = log

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.watch(self.one)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.log.append(type(message))


async def test_messages_of_the_runtime_are_neither_written_nor_acknowledged() -> None:
    disk, log = Disk(), list[Any]()
    async with DurableSystem(disk) as system:
        one = system.spawn(Counter)
        system.spawn(WatchesOne, one=one, log=log)
        await turns()
        await one.stop()
        await turns()
    assert log == [Terminated]
    assert not disk.writing
    assert not disk.outcomes


class DurableClassAgentCell(DurableMailbox, ClassAgentCell):
    __slots__ = DURABLE_SLOTS

    def __init__(self, system: Any, parent: Cell, name: str, agent: Any, disk: Disk) -> None:
        super().__init__(system, parent, name, agent)
        self.open_mailbox(DiskInbox(self, disk))


@miniagent
class Secretary:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(f"noted {await ctx.message_promises}")


class DurableAgents(MiniAgents):
    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk = disk

    def new_cell(self, parent: Any, actor: Any, name: str, options: Any, kwargs: Any) -> Any:
        return DurableClassAgentCell(self, parent, name, actor, self.disk)


async def test_a_call_of_a_class_agent_is_not_written_and_waits_in_line_behind_what_is() -> None:
    disk = Disk()
    async with DurableAgents(disk) as system:
        ref = system.spawn(Secretary)
        told = ref.ask(TextMessage("first"))
        call = ref.inquire("second")
        await turns()
        assert [entry.message for entry in disk.writing] == [TextMessage("first")]
        assert not cell_of(ref).handled

        await disk.write()

        assert str(await told) == "noted first"
        assert str(await call) == "noted second"
    assert [outcome for _, outcome, _ in disk.outcomes] == [Outcome.HANDLED]


async def test_a_call_in_hand_ends_with_the_agent_and_is_no_dead_letter() -> None:
    disk = Disk()
    async with DurableAgents(disk) as system:
        ref = system.spawn(Secretary)
        call = ref.initiate_call()  # it waits for its messages
        await turns()
        assert cell_of(ref).current is not None
        await ref.kill()
        with pytest.raises(ActorStoppedError):
            await call.reply_sequence()
        assert system.dead_letters.total == 0


async def test_a_call_in_line_ends_with_the_agent() -> None:
    disk = Disk()
    async with DurableAgents(disk) as system:
        ref = system.spawn(Secretary)
        ref.tell(TextMessage("first"))
        call = ref.inquire("second")
        await turns()
        await ref.kill()
        with pytest.raises(ActorStoppedError):
            await call
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 1}
        await disk.write()
        assert disk.outcomes_of(TextMessage("first")) == [Outcome.CUT_OFF]


STEPS = ("tell", "ask", "send", "crash", "hold", "cancel", "write", "write last", "fail", "turn", "stop")


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=25),
    capacity=st.sampled_from([None, 1, 3]),
    overflow=st.sampled_from(Overflow),
    retry=st.sampled_from([None, RetryPolicy(attempts=2)]),
)
def test_each_message_on_disk_has_one_outcome_and_each_ask_one_ending(
    steps: list[str], capacity: int | None, overflow: Overflow, retry: RetryPolicy | None
) -> None:
    async def play() -> None:
        disk, gate = Disk(), asyncio.Event()
        asks, sends = list[Any](), list[asyncio.Task[None]]()
        options = SpawnOptions(
            mailbox=Mailbox(capacity, overflow), retry=retry, supervision=OneForOne(max_restarts=None)
        )
        async with DurableSystem(disk) as system:
            ref = system.spawn(Counter, gate=gate, options=options)
            for number, step in enumerate(steps):
                match step:
                    case "tell" | "crash" | "hold":
                        message = {"tell": Add(number), "crash": Crash(str(number)), "hold": Hold()}[step]
                        try:
                            ref.tell(message)
                        except MailboxFullError:
                            pass
                    case "ask":
                        asks.append(ref.ask(Read()))
                    case "send":
                        sends.append(asyncio.create_task(ref.send(Add(number))))
                        await turns(1)
                    case "cancel" if asks:
                        asks[number % len(asks)].cancel("not wanted")
                        if sends:
                            sends[number % len(sends)].cancel()
                    case "write" | "write last" if disk.writing:
                        entry = list(disk.writing)[-1 if step == "write last" else 0]
                        await disk.write(entry.message)
                    case "fail" if disk.writing:
                        await disk.write(next(iter(disk.writing)).message, error=full())
                    case "stop":
                        ref.stop()
                    case _:
                        await turns()
            gate.set()
            for _ in range(len(sends) + 1):
                await disk.write()
            if sends:
                await asyncio.wait(sends)
            ended = asyncio.gather(*asks, return_exceptions=True)
            await asyncio.wait_for(ended, 5)
            assert cell_of(ref).depth == 0
        assert not disk.writing
        assert not cell_of(ref)._reserved
        assert not cell_of(ref)._ended
        outcomes = Count(entry for entry, _, _ in disk.outcomes)
        assert outcomes == Count(disk.written)

    with capture_logs():
        asyncio.run(play())
