"""What is accepted in one turn of the loop is one write, and is refused entry by entry."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from miniagents import (
    Actor,
    ActorContext,
    ActorStoppedError,
    ActorSystem,
    DeadLetterReason,
    JournalError,
    Message,
    SpawnOptions,
    StopReason,
    TextMessage,
)
from miniagents.journal import Accept, MemoryJournal, SqliteJournal
from tests.actors.actors import Add, Counter, Hold, Read, Total, turns
from tests.actors.durable.counting import DURABLE, counter, mail_in
from tests.journal.sqlite.opened import hold


class Told(MemoryJournal):
    """A journal that notes the writes with entries, and fails some."""

    def __init__(self, fails: Callable[[tuple[Any, ...]], bool] = lambda operations: False) -> None:
        super().__init__()
        self.fails = fails
        self.accepted: list[list[str]] = []

    def write(self, first: Any, *more: Any) -> asyncio.Future[Any]:
        accepted = [operation.receiver for operation in (first, *more) if isinstance(operation, Accept)]
        if accepted:
            self.accepted.append(accepted)
        if accepted and self.fails((first, *more)):
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(JournalError(f"write {len(self.accepted)} failed"))
            return failed
        return super().write(first, *more)


async def test_what_all_mailboxes_accept_in_one_turn_of_the_loop_is_one_write() -> None:
    journal = Told()
    async with ActorSystem(journal=journal) as system:
        first, second = (system.spawn(Counter, name=name, options=DURABLE) for name in ("first", "second"))
        await asyncio.gather(first.send(Add(1)), second.send(Add(1)))  # each begins its work with a write of its own
        journal.accepted.clear()

        await asyncio.gather(*(ref.send(Add(1)) for ref in (first, second, first)))
        first.tell(Add(1))
        asks = [second.ask(Read()), first.ask(Read())]

        assert await asks[0] == Total(value=2)
        assert await asks[1] == Total(value=4)
        assert [sorted(write) for write in journal.accepted] == [
            ["/first", "/first", "/second"],
            ["/first", "/first", "/second"],
        ]


async def test_an_entry_that_cannot_be_written_fails_alone() -> None:
    async def send(amount: int) -> None:
        await ref.send(Add(amount))

    refused = list[int]()
    journal = Told(lambda operations: any(getattr(operation, "number", 0) in refused for operation in operations))
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        await ref.send(Add(1))
        refused.append(journal.next_id() + 2)

        with capture_logs() as logs:
            outcomes = await asyncio.gather(*(send(amount) for amount in (10, 100, 1000)), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [type(None), JournalError, type(None)]
        assert await ref.ask(Read()) == Total(value=1011)
        assert system.dead_letters.counts == {DeadLetterReason.NOT_WRITTEN: 1}
        assert not logs, "the sender has the error"


async def test_each_sender_of_a_group_that_fails_has_an_error_of_its_own() -> None:
    journal = Told()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        await ref.send(Add(1))
        journal.fails = lambda operations: True

        sends = asyncio.gather(*(ref.send(Add(1)) for _ in range(3)), return_exceptions=True)
        ask = ref.ask(Add(1))
        with pytest.raises(JournalError, match="failed"):
            await ask
        errors = await sends

        assert all(isinstance(error, JournalError) for error in errors)
        assert len({str(error) for error in errors}) == 3
        journal.fails = lambda operations: False
        assert await ref.ask(Read()) == Total(value=1)


async def test_what_a_journal_does_not_take_at_all_is_refused_to_each_sender() -> None:
    class Closed(MemoryJournal):
        is_closed = False

        def write(self, first: Any, *more: Any) -> asyncio.Future[Any]:
            if self.is_closed:
                raise JournalError("the journal is not open")
            return super().write(first, *more)

    journal = Closed()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        assert await ref.ask(Read()) == Total(value=0)
        journal.is_closed = True
        errors = await asyncio.gather(*(ref.send(Add(1)) for _ in range(2)), return_exceptions=True)
        assert [str(error) for error in errors] == ["the journal is not open"] * 2
        journal.is_closed = False


async def test_a_write_that_a_journal_cancels_fails_the_ask_and_does_not_cancel_it() -> None:
    class Cancels(MemoryJournal):
        cancels = False

        def write(self, first: Any, *more: Any) -> asyncio.Future[Any]:
            written = super().write(first, *more)
            if self.cancels:
                written.cancel()
            return written

    journal = Cancels()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        await ref.started()
        for _ in range(2):  # the first entry of an actor, which is written alone, and one of a group
            journal.cancels = True
            ask = ref.ask(Read())
            with pytest.raises(ActorStoppedError, match="journal was closed"):
                await ask
            journal.cancels = False
            await ref.send(Add(1))


async def test_what_an_actor_accepts_in_the_turn_of_its_end_is_written_before_its_end() -> None:
    written = list[str]()

    class Killer(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ref.tell(message)
            ref.kill()

    class Ordered(MemoryJournal):
        def write(self, first: Any, *more: Any) -> asyncio.Future[Any]:
            written.append(type(first).__name__)
            return super().write(first, *more)

    journal = Ordered()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system)
        await ref.ask(Read())
        written.clear()

        system.spawn(Killer).tell(Add(7))  # its turn and the end of the counter are in one turn of the loop
        assert await ref.terminated() is StopReason.KILLED
        assert written == ["Accept", "Rest"]

        assert await counter(system).ask(Read()) == Total(value=7)
    assert await mail_in(journal) == []


async def test_a_send_that_is_cancelled_is_delivered_and_the_others_of_its_group_wait_for_the_disk() -> None:
    journal = Told()
    async with ActorSystem(journal=journal) as system:
        ref = system.spawn(Counter, name="counter", options=SpawnOptions(durable=True))
        await ref.send(Add(1))
        sends = [asyncio.create_task(ref.send(Add(10))) for _ in range(3)]
        await asyncio.sleep(0)
        sends[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await sends[1]
        assert not sends[0].done()
        await asyncio.gather(sends[0], sends[2])
        await turns()
        assert await ref.ask(Read()) == Total(value=31)


@pytest.mark.real_time
async def test_acknowledgements_and_what_is_accepted_meanwhile_share_one_transaction(tmp_path: Path) -> None:
    journal, gate, log = SqliteJournal(tmp_path / "held.db"), asyncio.Event(), list[Any]()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log, gate=gate)
        await ref.send(Hold())
        await asyncio.gather(*(ref.send(TextMessage(f"{number}")) for number in range(3)))

        released, statements = hold(journal)
        sends = asyncio.gather(*(ref.send(Add(1)) for _ in range(3)))
        gate.set()
        await turns()
        assert log == ["start", "0", "1", "2"], "they are handled, and the disk does not know of that"
        released.set()
        await sends

        transaction = statements[: statements.index("COMMIT")]
        (deletes,) = [statement for statement in transaction if statement.startswith("DELETE FROM envelopes")]
        assert "json_each('[5, 4, 3, 2]')" in deletes, "four messages were handled"
        assert sum(statement.startswith("INSERT INTO envelopes") for statement in transaction) == 3
        assert await ref.ask(Read()) == Total(value=3)
