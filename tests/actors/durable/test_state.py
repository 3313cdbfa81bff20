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
    MiniAgents,
    OneForOne,
    SpawnOptions,
    miniagent,
)
from miniagents.journal import Handle, MemoryJournal, Save, Snapshot, SnapshotOf
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
    def __init__(self) -> None:
        self.total = 0

    def snapshot(self):  # type: ignore[no-untyped-def]
        return Newer(self.total, "counted")

    def restore(self, state):  # type: ignore[no-untyped-def]
        self.total = state.total

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        self.total += 1
        return Total(value=self.total)


class SaysAnyStruct(SaysNoType):
    def restore(self, state: msgspec.Struct) -> None:
        self.total = state.total  # type: ignore[attr-defined]


class OnlySnapshotSays(SaysNoType):
    def snapshot(self) -> Newer:
        return Newer(self.total, "")


class SaysDict(SaysNoType):
    def restore(self, state: dict[str, int]) -> None: ...


class SaysUnknown(SaysNoType):
    def restore(self, state: "Unknown") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def of_a_function() -> tuple[type[Actor], type[Actor], type[Actor]]:
    class Local(msgspec.Struct):
        total: int

    class Declares(SaysNoType):
        def snapshot(self) -> "Local":
            return Local(self.total)

        def restore(self, state: "Local") -> None:
            self.total = state.total

    class Refers(SaysNoType):
        def snapshot(self):  # type: ignore[no-untyped-def]
            return Local(self.total)

    hidden: Any = {"local": msgspec.defstruct("Hidden", [("total", int)])}

    class Hides(SaysNoType):
        def snapshot(self):  # type: ignore[no-untyped-def]
            return hidden["local"](self.total)

    return Declares, Refers, Hides


@pytest.mark.parametrize("which", [SaysNoType, SaysAnyStruct, OnlySnapshotSays, 0, 1])
async def test_the_type_of_the_state_is_what_a_method_declares_or_else_what_was_saved(which: Any) -> None:
    journal = MemoryJournal()
    for number in (1, 2, 3):
        kind = of_a_function()[which] if isinstance(which, int) else which  # another process makes its own types
        async with ActorSystem(journal=journal) as system:
            assert await account(system, kind).ask(Read()) == Total(value=number)


async def test_a_state_that_no_other_process_could_find_crashes_the_first_message(log: list[Any]) -> None:
    async with ActorSystem(journal=MemoryJournal()) as system:
        with pytest.raises(
            TypeError, match=r"/account: snapshot\(\) gives a .*Hidden, which another process cannot find"
        ):
            await account(system, of_a_function()[2]).ask(Read())


async def test_a_saved_state_whose_type_is_gone_fails_the_start_and_names_it(log: list[Any]) -> None:
    journal = MemoryJournal()
    journal.open()
    await journal.write(Save(Snapshot("/account", b"\x81\xa5total\x01", "old_program:Old.State")))
    async with ActorSystem(journal=journal) as system:
        with pytest.raises(DecodeError, match=r"saved as old_program:Old\.State, which this program does not define"):
            await account(system, SaysNoType).started()


async def test_a_state_saved_by_the_same_file_under_another_name_of_its_module_is_found() -> None:
    journal = MemoryJournal()
    journal.open()
    body = msgspec.msgpack.encode(Newer(4, ""))
    await journal.write(Save(Snapshot("/account", body, "__mp_main__:Newer")))
    async with ActorSystem(journal=journal) as system:
        assert await account(system, SaysNoType).ask(Read()) == Total(value=5)


class Waits(Actor):
    async def snapshot(self) -> Newer:
        return Newer(0, "")

    async def restore(self, state: Newer) -> None: ...


class WaitsAgent:
    snapshot, restore = Waits.snapshot, Waits.restore

    async def __call__(self, ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (OnlySaves, "/account: a durable OnlySaves has both"),
        (SaysDict, r"/account: the state of a durable SaysDict is a msgspec\.Struct, not dict"),
        (SaysUnknown, "/account: an annotation of SaysUnknown.restore cannot be read .*'Unknown'"),
        (Waits, "neither is async"),
        (miniagent(durable=True)(WaitsAgent), "/account: a durable WaitsAgent has both .* neither is async"),
    ],
)
async def test_methods_that_cannot_keep_a_state_are_refused_at_the_spawn(kind: Any, said: str) -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        for _ in range(2):  # the first spawn does not take the name
            with pytest.raises(InvalidOptionError, match=said):
                system.spawn(kind, name="account", options=None if hasattr(kind, "wrapped") else DURABLE)


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
