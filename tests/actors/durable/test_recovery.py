"""The start of a durable actor: what waits in the journal is read first, and what ends the actor meanwhile ends it."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorStoppedError,
    ActorSystem,
    ChildSpec,
    JournalError,
    OneForAll,
    SpawnOptions,
    StopReason,
    Supervisor,
    TextMessage,
)
from miniagents.journal import Accept, MemoryJournal, encoded, kind_of
from tests.actors.actors import Counter, Crash, Read, Total, turns
from tests.actors.durable.counting import DURABLE, counter, mail_in


class ProgramFails(Exception):
    pass


class SlowToRead(MemoryJournal):
    """A journal whose reads wait for a gate, and may fail then."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = None
        self.fails = 0
        self.reads = 0

    def read(self, query: Any) -> Any:
        self.reads += 1
        if self.gate is None:
            return super().read(query)
        return asyncio.ensure_future(self._later(super().read(query), self.gate))

    async def _later(self, answer: Any, gate: asyncio.Event) -> Any:
        await gate.wait()
        if self.fails:
            self.fails -= 1
            raise JournalError("the disk is gone")
        return await answer


async def kept(journal: SlowToRead, *texts: str) -> None:
    """Let messages wait in a journal for the counter."""
    journal.open()
    for text in texts:
        message = TextMessage(text)
        await journal.write(Accept(journal.next_id(), "/counter", encoded(message, 1000), kind_of(message)))


async def test_an_actor_does_not_start_before_its_mail_is_read_and_new_messages_wait_behind_it() -> None:
    journal, log = SlowToRead(), list[Any]()
    await kept(journal, "kept")
    journal.gate = asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log)
        await ref.send(TextMessage("new"))
        total = ref.ask(Read())
        await turns(20)
        assert not log
        assert ref._cell.depth == 2  # type: ignore[attr-defined]
        journal.gate.set()
        assert await total == Total(value=0)
    assert log[:3] == ["start", "kept", "new"]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_an_actor_that_is_ended_while_its_mail_is_read_ends_at_once_and_the_mail_stays(how: str) -> None:
    journal, log = SlowToRead(), list[Any]()
    await kept(journal, "kept")
    journal.gate = asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log)
        ask, started = ref.ask(Read(), message_id="an id"), ref.started()
        await turns()
        await getattr(ref, how)()
        with pytest.raises(ActorStoppedError):
            await ask
        with pytest.raises(ActorStoppedError):
            await started
        journal.gate.set()
        await turns(20)
    assert not log
    assert await mail_in(journal) == [TextMessage("kept"), Read()]


async def test_a_system_that_fails_while_mail_is_read_ends_and_the_mail_stays() -> None:
    journal = SlowToRead()
    await kept(journal, "kept")
    journal.gate = asyncio.Event()
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            counter(system)
            await turns()
            raise ProgramFails
    journal.gate = None
    assert await mail_in(journal) == [TextMessage("kept")]


async def test_a_drain_while_mail_is_read_handles_the_mail() -> None:
    journal, log = SlowToRead(), list[Any]()
    await kept(journal, "kept")
    journal.gate = asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        ref = counter(system, log)
        ref.tell(TextMessage("new"))
        ended = ref.stop(drain=True)
        await turns()
        journal.gate.set()
        assert await ended is StopReason.SHUTDOWN
    assert log[:3] == ["start", "kept", "new"]


async def test_a_supervisor_waits_for_the_mail_of_its_child_and_a_failure_to_read_is_a_failed_start() -> None:
    journal, log = SlowToRead(), list[Any]()
    specs = [ChildSpec("a", Counter, kwargs={"log": log}, options=DURABLE), ChildSpec("b", Counter)]
    journal.gate = asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        supervising = asyncio.create_task(
            system.supervise(Supervisor("both", strategy=OneForAll(max_restarts=3), children=specs))
        )
        await turns(20)
        assert system.lookup("/both/b") is None
        journal.gate.set()
        await supervising
        b = system.lookup("/both/b")
        assert b is not None
        b.tell(Crash())  # both are restarted; the mail is not read again
        await turns(100)
        assert log.count("start") == 2

    journal.fails = 1
    async with ActorSystem(journal=journal) as system:
        with pytest.raises(Exception, match="did not start"):
            await system.supervise(Supervisor("both", children=specs))


async def test_a_failure_to_read_is_tried_again_by_the_next_actor_of_the_path(log: list[Any]) -> None:
    journal, seen = SlowToRead(), list[Any]()
    await kept(journal, "kept")
    journal.gate = asyncio.Event()
    journal.gate.set()
    async with ActorSystem(journal=journal) as system:
        journal.fails = 1
        with pytest.raises(JournalError, match="gone"):
            await counter(system, seen).started()
        await turns()
        await counter(system, seen).ask(Read())
    assert seen[:2] == ["start", "kept"]


async def test_a_durable_actor_may_have_a_task_of_its_own() -> None:
    journal, log = MemoryJournal(), list[Any]()
    for text in ("a", "b"):
        async with ActorSystem(journal=journal) as system:
            ref = system.spawn(
                Counter, name="counter", options=SpawnOptions(durable=True, own_task=True), kwargs={"log": log}
            )
            await ref.send(TextMessage(text))
            assert await ref.ask(Read()) == Total(value=0)
    assert [entry for entry in log if isinstance(entry, str)] == ["start", "a", "start", "b"]
