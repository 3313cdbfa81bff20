"""Durable mailboxes on a journal: what was accepted is handled, across the ends and the deaths of the process."""

import asyncio
import time
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    AskTimeoutError,
    DeadlockError,
    InvalidOptionError,
    JournalError,
    Mailbox,
    Message,
    MessageDeadError,
    MessageIdConflictError,
    MessageTooLargeError,
    OneForOne,
    Overflow,
    PromiseCancelledError,
    RetryPolicy,
    SpawnOptions,
    TextMessage,
)
from miniagents.journal import Begin, Expire, MemoryJournal, mailbox_subject
from tests.actors.actors import Add, Counter, Crash, Hold, Read, Total, turns
from tests.actors.durable.counting import DURABLE, Account, counter, letters_in, mail_in, one_life


class ProgramFails(Exception):
    pass


# Accepted


async def test_a_message_is_on_disk_when_send_returns_and_gone_when_it_is_handled() -> None:
    journal, gate = MemoryJournal(), asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, gate=gate)
        await ref.send(Hold())
        await ref.send(Add(1))
        assert await mail_in(journal) == [Hold(), Add(1)]

        gate.set()
        assert await ref.ask(Read()) == Total(value=1)
        await turns()
        assert await mail_in(journal) == []


async def test_what_was_not_handled_when_the_system_ended_is_handled_first_by_the_next_one_in_order() -> None:
    journal, gate, log = MemoryJournal(), asyncio.Event(), list[Any]()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            ref = counter(system, log, gate=gate)
            await ref.send(TextMessage("handled"))
            await ref.send(Hold())
            for text in "abc":
                await ref.send(TextMessage(text))
            raise ProgramFails

    gate.set()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log, gate=gate)
        ref.tell(TextMessage("new"))

    assert [entry for entry in log if isinstance(entry, str)] == ["start", "handled", "start", "a", "b", "c", "new"]
    assert await mail_in(journal) == []


async def test_mail_waits_until_its_path_is_spawned_again() -> None:
    journal = MemoryJournal()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            await counter(system, gate=asyncio.Event()).send(Hold())
            await system.lookup("/counter").send(TextMessage("kept"))  # type: ignore[union-attr]
            raise ProgramFails

    async with ActorSystem(journal=journal) as system:
        system.spawn(Counter, name="other", options=DURABLE)
    assert await mail_in(journal) == [Hold(), TextMessage("kept")]


async def test_an_actor_that_is_stopped_and_spawned_again_in_one_system_has_its_mail() -> None:
    journal, log = MemoryJournal(), list[Any]()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log, gate=asyncio.Event())
        await ref.send(Hold())
        await ref.send(TextMessage("kept"))
        await ref.kill()

        gate = asyncio.Event()
        gate.set()
        await counter(system, log, gate=gate).ask(Read())

    assert [entry for entry in log if isinstance(entry, str)] == ["start", "start", "kept"]


async def test_what_waits_in_a_full_mailbox_is_delivered_again_whatever_its_capacity() -> None:
    journal, gate, log = MemoryJournal(), asyncio.Event(), list[Any]()
    one = Mailbox(1, Overflow.BACKPRESSURE)
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            ref = counter(system, log, gate=gate, mailbox=one)
            await ref.send(Hold())
            await turns()
            await ref.send(TextMessage("a"))
            raise ProgramFails

    gate.set()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log, gate=gate, mailbox=one)
        await ref.send(TextMessage("b"))

    assert [entry for entry in log if isinstance(entry, str)] == ["start", "start", "a", "b"]


async def test_a_message_that_is_too_large_is_refused_to_its_sender_and_nothing_is_written() -> None:
    journal = MemoryJournal(max_message_bytes=100)
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        with pytest.raises(MessageTooLargeError, match=r"TextMessage\.content"):
            await ref.send(TextMessage("x" * 200))
        with pytest.raises(MessageTooLargeError):
            await ref.ask(TextMessage("x" * 200), message_id="large")
        with pytest.raises(MessageTooLargeError):
            await ref.send(TextMessage("x" * 200), message_id="large")
        await ref.send(TextMessage("small"), message_id="large")
    assert await mail_in(journal) == []


class FullDisk(MemoryJournal):
    """A journal that fails as long as its disk is full."""

    is_full = False

    def _put(self, work: Any) -> asyncio.Future[Any]:
        future = super()._put(work)
        if not self.is_full or not isinstance(work, tuple):
            return future
        self._waiting.pop()
        future.set_exception(JournalError("the disk is full", reason="full"))
        return future


async def test_a_full_disk_is_the_senders_error_and_work_goes_on_when_there_is_room() -> None:
    journal = FullDisk()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        await ref.started()
        journal.is_full = True
        with pytest.raises(JournalError, match="full"):
            await ref.send(Add(1))
        for message_id in (None, "an id"):
            with pytest.raises(JournalError, match="full"):
                await ref.ask(Add(1), message_id=message_id)
        with pytest.raises(JournalError, match="full"):
            await ref.send(Add(1), message_id="another")
        journal.is_full = False

        await ref.send(Add(1), message_id="an id")
        assert await ref.ask(Read()) == Total(value=1)


async def test_a_journal_that_cannot_be_read_fails_the_start_and_its_mail_waits(log: list[Any]) -> None:
    class Unreadable(MemoryJournal):
        is_broken = False

        def read(self, query: Any) -> Any:
            if self.is_broken:
                raise JournalError("the disk is gone")
            return super().read(query)

    journal = Unreadable()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            await counter(system, gate=asyncio.Event()).send(Hold())
            raise ProgramFails
    async with ActorSystem(journal=journal) as system:
        journal.is_broken = True
        ref = counter(system)
        with pytest.raises(JournalError, match="gone"):
            await ref.started()
        journal.is_broken = False
    assert await mail_in(journal) == [Hold()]
    assert "actor.start_failed" in [entry["event"] for entry in log]


# Names


async def test_a_durable_actor_without_a_name_is_refused() -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        with pytest.raises(InvalidOptionError, match="Counter: a durable actor needs a name"):
            system.spawn(Counter, options=DURABLE)


async def test_a_message_id_is_refused_where_no_journal_remembers_it() -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        plain = system.spawn(Counter, name="plain")
        pool = await system.pool(Counter, size=2, options=DURABLE, name="pool")
        for ref in (plain, pool):
            with pytest.raises(InvalidOptionError, match=f"{ref.path}: message_id= is for durable actors"):
                ref.ask(Read(), message_id="an id")
            with pytest.raises(InvalidOptionError, match="message_id= is for durable actors"):
                await ref.send(Read(), message_id="an id")
        with pytest.raises(InvalidOptionError, match="a text that is not empty"):
            await counter(system).send(Read(), message_id="")


# What became of it


async def test_a_message_whose_handler_crashed_is_a_dead_letter_in_the_journal(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        with pytest.raises(ValueError, match="poison"):
            await ref.ask(Crash("poison"))
        await ref.send(Add(1))
        assert await ref.ask(Read()) == Total(value=1)

    (letter,) = await letters_in(journal)
    assert (letter.reason, letter.error) == ("poisonous", "ValueError: poison")
    assert letter.envelope.attempts == 1
    assert await mail_in(journal) == []


async def test_attempts_that_crashed_count_across_the_death_of_the_process(log: list[Any]) -> None:
    journal, runs = MemoryJournal(), list[Any]()
    policy = RetryPolicy(attempts=3)

    async def crash_twice(system: ActorSystem) -> None:
        counter(system, runs, retry=policy, supervision=OneForOne(max_restarts=1)).tell(Crash())
        await system.lookup("/counter").terminated()  # type: ignore[union-attr]
        raise ProgramFails

    with pytest.raises(ProgramFails):
        await one_life(journal, crash_twice)
    assert runs.count("start") == 2
    assert await mail_in(journal) == [Crash()]

    async with ActorSystem(journal=journal) as system:
        counter(system, runs, retry=policy)
        await turns(50)
    assert await mail_in(journal) == []
    (letter,) = await letters_in(journal)
    assert letter.envelope.attempts == 3


async def test_the_end_of_the_system_acknowledges_nothing_of_what_it_cancels() -> None:
    class Asks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
            other = ctx.system.lookup("/counter")
            assert other is not None
            return await other.ask(Hold())  # type: ignore[no-any-return]

    journal = MemoryJournal()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            counter(system, gate=asyncio.Event())
            ask = system.spawn(Asks).ask(Read())
            await turns(30)
            ask.mark_seen()
            assert await mail_in(journal) == [Hold()]
            raise ProgramFails
    assert await mail_in(journal) == [Hold()]


async def test_an_ask_that_its_asker_cancels_is_gone() -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        gate = asyncio.Event()
        ref = counter(system, gate=gate)
        await ref.send(Hold())
        ask = ref.ask(Add(1))
        await turns()
        ask.cancel("not wanted")
        gate.set()
        with pytest.raises(PromiseCancelledError):
            await ask
        assert await ref.ask(Read()) == Total(value=0)
    assert await mail_in(journal) == []


# Message ids


async def test_a_message_id_that_was_handled_is_answered_from_the_journal_also_by_the_next_process() -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Account, name="account", options=DURABLE)
        assert await ref.ask(Add(2), message_id="webhook-1") == Total(value=2)
        assert await ref.ask(Add(5)) == Total(value=7)
        assert await ref.ask(Add(2), message_id="webhook-1") == Total(value=2)
        await ref.send(Add(2), message_id="webhook-1")

    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Account, name="account", options=DURABLE)
        assert await ref.ask(Add(2), message_id="webhook-1") == Total(value=2)
        assert await ref.ask(Read()) == Total(value=7)


async def test_the_same_message_id_with_other_content_is_refused() -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = counter(system)
        await ref.send(Add(1), message_id="an id")
        for _ in range(2):
            with pytest.raises(MessageIdConflictError, match="/counter: the message id 'an id' was used before") as got:
                await ref.send(Add(2), message_id="an id")
            assert got.value.message_id == "an id"
            with pytest.raises(MessageIdConflictError):
                await ref.ask(Add(2), message_id="an id")
            assert await ref.ask(Read()) == Total(value=1)  # it was handled meanwhile
        await ref.send(Add(1, metadata={"attempt": 2}), message_id="an id")  # metadata is no content


async def test_ids_are_of_each_receiver() -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        refs = [system.spawn(Counter, name=name, options=DURABLE) for name in "ab"]
        for number, ref in enumerate(refs):
            await ref.send(Add(number), message_id="an id")
        assert [await ref.ask(Read()) for ref in refs] == [Total(value=0), Total(value=1)]


async def test_a_message_id_that_waits_is_joined() -> None:
    journal, gate = MemoryJournal(), asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, gate=gate)
        await ref.send(Hold())
        asks = [ref.ask(Read(), message_id="an id") for _ in range(2)]
        await turns()
        asks.append(ref.ask(Read(), message_id="an id"))
        await ref.send(Read(), message_id="an id")
        assert await mail_in(journal) == [Hold(), Read()]
        gate.set()
        assert [await ask for ask in asks] == [Total(value=0)] * 3
        assert ref._cell.depth == 0  # type: ignore[attr-defined]


async def test_a_message_id_in_hand_is_joined() -> None:
    gate = asyncio.Event()
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = counter(system, gate=gate)
        first = ref.ask(Hold(), message_id="an id")
        await turns()
        second = ref.ask(Hold(), message_id="an id")
        await turns()
        assert not first.done()
        gate.set()
        assert await first is None
        assert await second is None


async def test_a_message_id_that_waits_in_the_journal_is_joined_while_the_actor_starts() -> None:
    journal, log = MemoryJournal(), list[Any]()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            ref = counter(system, log, gate=asyncio.Event())
            await ref.send(Hold())
            await ref.send(TextMessage("kept"), message_id="an id")
            raise ProgramFails
    async with ActorSystem(journal=journal) as system:
        gate = asyncio.Event()
        gate.set()
        ref = counter(system, log, gate=gate)
        joined = ref.ask(TextMessage("kept"), message_id="an id")
        assert await joined is None
    assert log.count("kept") == 1


async def test_the_message_of_a_dead_letter_is_refused_under_its_id_until_it_is_sent_again(log: list[Any]) -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = counter(system)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash(), message_id="an id")
        with pytest.raises(MessageDeadError, match="/counter: the message of id 'an id' is dead letter") as got:
            await ref.ask(Crash(), message_id="an id")
        with pytest.raises(MessageDeadError):
            await ref.send(Crash(), message_id="an id")

        assert await system.dead_letters.durable.resend(got.value.number)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash(), message_id="an id")


async def test_the_message_of_a_dropped_letter_is_refused_under_its_id_and_the_error_says_so(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash(), message_id="an id")
        (letter,) = await system.dead_letters.durable.list()
        assert await system.dead_letters.durable.drop(letter.number)
        await _is_refused_as_dropped(ref)
    async with ActorSystem(journal=journal) as system:
        await _is_refused_as_dropped(counter(system))


async def test_the_id_of_a_dropped_letter_is_a_new_one_once_it_was_forgotten(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash(), message_id="an id")
        (letter,) = await system.dead_letters.durable.list()
        await system.dead_letters.durable.drop(letter.number)
        await journal.write(Expire(0.0, time.time() + 1))
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash(), message_id="an id")


async def _is_refused_as_dropped(ref: ActorRef) -> None:
    for send in (ref.ask, ref.send):
        with pytest.raises(MessageDeadError, match=r"'an id' became dead letter \d+ .* dropped.* keep_ids_for") as got:
            await send(Crash(), message_id="an id")
        assert "resend" not in str(got.value)


class Answers(Actor):
    """Answers in all ways, and counts what it does."""

    errors = (LookupError,)

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        assert isinstance(message, TextMessage)
        self.log.append(f"{message.content} {ctx.message_id}")
        match message.content:
            case "early":
                ctx.reply(Total(value=1))
            case "later":
                reply_to = ctx.reply_later()
                ctx.create_task(self.answer(reply_to))
            case "returned error":
                return ValueError("an answer")
            case "raised error":
                raise LookupError("an answer")
            case "returned":
                return Total(value=2)
        return None

    async def answer(self, reply_to: Any) -> None:
        await asyncio.sleep(1)
        reply_to.reply(Total(value=3))


ANSWERS = {
    "early": Total(value=1),
    "later": Total(value=3),
    "returned": Total(value=2),
    "nothing": None,
    "returned error": ValueError("an answer"),
    "raised error": LookupError("an answer"),
}


@pytest.mark.parametrize("way", ANSWERS)
async def test_each_way_to_answer_is_recorded_under_a_message_id(way: str) -> None:
    journal, log, answers = MemoryJournal(), list[str](), list[Any]()
    for _ in range(2):
        async with ActorSystem(journal=journal) as system:
            ref = system.spawn(Answers, name="answers", options=DURABLE, log=log)
            for _ in range(2):
                try:
                    answers.append(await ref.ask(TextMessage(way), message_id=way))
                except Exception as error:
                    answers.append(error)
    assert [repr(answer) for answer in answers] == [repr(ANSWERS[way])] * 4
    assert log == [f"{way} {way}"]


async def test_an_answer_that_is_owed_when_the_system_ends_is_given_by_the_next_one() -> None:
    journal, log = MemoryJournal(), list[str]()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            ref = system.spawn(Answers, name="answers", options=DURABLE, log=log)
            ask = ref.ask(TextMessage("later"), message_id="an id")
            await turns()
            raise ProgramFails
    with pytest.raises(ActorStoppedError):
        await ask
    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Answers, name="answers", options=DURABLE, log=log)
        assert await ref.ask(TextMessage("later"), message_id="an id") == Total(value=3)
    assert log == ["later an id"] * 2


async def test_a_message_with_an_id_is_handled_also_if_its_asker_has_left() -> None:
    journal, gate = MemoryJournal(), asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, gate=gate)
        await ref.send(Hold())
        cancelled, expired = ref.ask(Add(1), message_id="a"), ref.ask(Add(2), message_id="b", timeout=1)
        await turns()
        cancelled.cancel("not wanted")
        with pytest.raises(AskTimeoutError):
            await expired
        in_hand = ref.ask(Hold(), message_id="c")
        await turns()
        in_hand.cancel("not wanted")
        gate.set()
        assert await ref.ask(Read()) == Total(value=3)
        assert ref._cell.depth == 0  # type: ignore[attr-defined]
        for ask in (cancelled, in_hand):
            with pytest.raises(PromiseCancelledError):
                await ask
        assert system.dead_letters.total == 0
    assert await mail_in(journal) == []


async def test_a_message_with_an_id_that_a_full_mailbox_dropped_stays_dropped() -> None:
    gate = asyncio.Event()
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = counter(system, gate=gate, mailbox=Mailbox(1, Overflow.DROP_OLDEST))
        await ref.send(Hold())
        await turns()
        dropped = ref.ask(Add(1), message_id="an id")
        await turns()
        ref.tell(Add(2))
        for ask in (dropped, None):
            await turns()
            with pytest.raises(Exception, match="dropped"):
                await (ask or ref.ask(Add(1), message_id="an id"))
        gate.set()


async def test_a_message_with_an_id_that_would_close_a_cycle_is_refused() -> None:
    class AsksItself(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if isinstance(message, Add):
                await ctx.self.ask(Read(), message_id="an id")
            return Total(value=1)

    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = system.spawn(AsksItself, name="itself", options=SpawnOptions(durable=True))
        with pytest.raises(DeadlockError):
            await ref.ask(Add(1))
        assert await ref.ask(Read(), message_id="an id") == Total(value=1)


async def test_a_handler_sees_the_id_and_the_attempts_of_a_message_also_after_a_death() -> None:
    journal, seen = MemoryJournal(), list[Any]()

    class Sees(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            envelope = ctx.envelope
            assert envelope is not None
            seen.append((ctx.message_id, envelope.crashes))
            if len(seen) == 1:
                raise ValueError("the first time")
            if len(seen) == 2:
                await asyncio.sleep(3600)

    async def life(system: ActorSystem) -> None:
        ref = system.spawn(Sees, name="sees", options=SpawnOptions(durable=True, retry=RetryPolicy()))
        await ref.send(Add(1), message_id="an id")
        await asyncio.sleep(1)
        raise ProgramFails

    with pytest.raises(ProgramFails):
        await one_life(journal, life)
    async with ActorSystem(journal=journal) as system:
        system.spawn(Sees, name="sees", options=DURABLE)
        await turns()
    assert seen == [("an id", 0), ("an id", 1), ("an id", 1)]


# The death of the process


async def test_a_message_that_kills_the_process_three_times_in_a_row_is_a_dead_letter(log: list[Any]) -> None:
    journal, handled = MemoryJournal(), list[Message]()

    class Deadly(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            handled.append(message)
            if isinstance(message, Crash):
                journal.is_dead = True
                await asyncio.sleep(3600)

    async def life(system: ActorSystem) -> None:
        ref = system.spawn(Deadly, name="counter", options=DURABLE)
        if not handled:
            await asyncio.gather(*(ref.send(message) for message in (Add(1), Crash(), Add(2))))
        await turns(50)

    lives = 0
    while not await one_life(journal, life):
        journal = journal.after_death()
        lives += 1
    # In the first life something was handled, so that its death does not count.
    assert lives == 4
    assert handled == [Add(1), *[Crash()] * 4, Add(2)]
    (letter,) = await letters_in(journal)
    assert letter.reason == "deadly"
    assert "died 3 times" in letter.error


async def test_a_death_counts_also_if_the_first_write_of_that_life_failed() -> None:
    journal = FullDisk()

    async def life(system: ActorSystem) -> None:
        ref = counter(system, gate=asyncio.Event())
        await ref.started()
        journal.is_full = True
        with pytest.raises(JournalError, match="full"):
            await ref.send(Hold())
        await turns()  # this disk says no at once, and the future tells its callbacks in the next turn
        journal.is_full = False
        await ref.send(Hold())
        journal.is_dead = True
        await asyncio.sleep(3600)

    assert not await one_life(journal, life)
    survivor = journal.after_death()
    survivor.open()
    assert await survivor.write(Begin(mailbox_subject("/counter"))) == 1


async def test_a_system_that_ends_in_order_is_no_death() -> None:
    journal = MemoryJournal()
    for _ in range(5):
        with pytest.raises(ProgramFails):
            async with ActorSystem(journal=journal) as system:
                ref = counter(system, gate=asyncio.Event())
                await ref.send(Hold())
                await turns()
                raise ProgramFails
    assert len(await mail_in(journal)) == 5
    assert await letters_in(journal) == ()


@pytest.mark.parametrize("die_at", range(40))
async def test_a_death_at_any_write_loses_nothing_that_was_accepted_and_counts_nothing_twice(die_at: int) -> None:
    accepted = list[int]()

    async def life(system: ActorSystem) -> None:
        ref = system.spawn(Account, name="account", options=DURABLE)
        for number in range(10):
            await ref.send(Add(2**number), message_id=str(number))
            accepted.append(number)
        assert await ref.ask(Read()) == Total(value=2**10 - 1)

    journal = MemoryJournal(die_at=die_at)
    while not await one_life(journal, life):
        journal = journal.after_death()
    assert await mail_in(journal, "/account") == []
    assert set(accepted) == set(range(10))
