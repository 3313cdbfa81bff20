"""The state of a durable actor: saved with the acknowledgement of each message, restored before the start."""

from typing import Any

import msgspec
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DecodeError,
    InvalidOptionError,
    Message,
    OneForOne,
    SpawnOptions,
)
from miniagents.journal import Handle, MemoryJournal, Save, SnapshotOf
from tests.actors.actors import Add, Counter, Crash, Read, Total
from tests.actors.durable.counting import DURABLE, Account, letters_in


def account(system: ActorSystem, kind: Any = Account) -> Any:
    return system.spawn(kind, name="account", options=DURABLE)


async def test_the_state_is_saved_in_the_transaction_that_acknowledges_the_message() -> None:
    written = list[tuple[Any, ...]]()

    class Watched(MemoryJournal):
        def write(self, first: Any, *more: Any) -> Any:
            written.append((first, *more))
            return super().write(first, *more)

    async with ActorSystem(journal=Watched()) as system:
        assert await account(system).ask(Add(1)) == Total(value=1)
    assert [kinds for kinds in ([type(o) for o in batch] for batch in written) if Save in kinds] == [[Handle, Save]]


async def test_restore_runs_before_on_start_in_the_next_process_and_after_a_crash(log: list[Any]) -> None:
    seen = list[int]()

    class Started(Account):
        async def on_start(self, ctx: ActorContext) -> None:
            seen.append(self.total)

    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        ref = account(system, Started)
        await ref.ask(Add(2))
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())  # it has changed the state of the instance, and that is gone
        assert await ref.ask(Add(3)) == Total(value=5)
    async with ActorSystem(journal=journal) as system:
        assert await account(system, Started).ask(Read()) == Total(value=5)
    assert seen == [0, 2, 5]


async def test_a_state_may_be_a_message() -> None:
    class Remembers(Actor):
        def __init__(self) -> None:
            self.total = Total(value=0)

        def snapshot(self) -> Total:
            return self.total

        def restore(self, state: Total) -> None:
            self.total = state

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            self.total = Total(value=self.total.value + 1)
            return self.total

    journal = MemoryJournal()
    for number in (1, 2):
        async with ActorSystem(journal=journal) as system:
            assert await account(system, Remembers).ask(Read()) == Total(value=number)


class Newer(msgspec.Struct):
    total: int
    name: str


class Renamed(Account):
    def snapshot(self) -> Newer:  # type: ignore[override]  # another program
        return Newer(self.total, "")

    def restore(self, state: Newer) -> None:  # type: ignore[override]
        self.total = state.total


async def test_a_state_that_is_of_another_type_now_fails_the_start_and_says_what_to_do(log: list[Any]) -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        await account(system).ask(Add(1))
    async with ActorSystem(journal=journal) as system:
        with pytest.raises(DecodeError, match=r"/account: its state, saved as .*State, is no Newer any more.*defaults"):
            await account(system, Renamed).started()


class OnlySaves(Actor):
    def snapshot(self) -> Newer:
        return Newer(0, "")


class SaysNoType(Actor):
    def snapshot(self):  # type: ignore[no-untyped-def]
        return None

    def restore(self, state):  # type: ignore[no-untyped-def]
        pass


class Waits(Actor):
    async def snapshot(self) -> Newer:
        return Newer(0, "")

    async def restore(self, state: Newer) -> None: ...


@pytest.mark.parametrize(
    ("kind", "said"), [(OnlySaves, "has both"), (SaysNoType, "must say the type"), (Waits, "neither is async")]
)
async def test_methods_that_cannot_keep_a_state_fail_the_start(kind: Any, said: str, log: list[Any]) -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        with pytest.raises(InvalidOptionError, match=said):
            await account(system, kind).started()


@pytest.mark.parametrize("state", [None, ValueError("no snapshot")])
async def test_a_snapshot_that_fails_is_a_crash_of_the_message(state: Any, log: list[Any]) -> None:
    class Fails(Account):
        def snapshot(self) -> Any:
            if self.total == 13:
                if state is None:
                    return {"total": 13}
                raise state
            return super().snapshot()

    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        options = SpawnOptions(durable=True, supervision=OneForOne(max_restarts=None))
        ref = system.spawn(Fails, name="account", options=options)
        await ref.ask(Add(1))
        with pytest.raises((TypeError, ValueError), match=r"no snapshot|gives a msgspec\.Struct, not a dict"):
            await ref.ask(Add(12))
        assert await ref.ask(Add(1)) == Total(value=2)
    (letter,) = await letters_in(journal)
    assert letter.reason == "poisonous"


async def test_an_actor_without_a_state_saves_none() -> None:
    journal = MemoryJournal()
    async with ActorSystem(journal=journal) as system:
        assert await system.spawn(Counter, name="account", options=DURABLE).ask(Read()) == Total(value=0)
    journal.open()
    assert await journal.read(SnapshotOf("/account")) is None
