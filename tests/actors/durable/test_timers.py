"""The timers of durable actors: they outlive the process, and each tick comes once."""

import asyncio
import datetime as dt
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import msgspec
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    InvalidOptionError,
    Mailbox,
    Message,
    NotSendableError,
    Overflow,
    SpawnOptions,
    TextMessage,
)
from miniagents.journal import Accept, Advance, MemoryJournal, Schedule, Timers, Unschedule
from miniagents.journal import Timer as StoredTimer
from miniagents.messages import encode
from tests.actors.actors import Add, Crash, Hold, turns
from tests.actors.durable.counting import DURABLE, mail_in, one_life

cron = pytest.mark.skipif(find_spec("cronsim") is None, reason="cronsim is an extra")


class ProgramFails(Exception):
    pass


class Clerk(Actor):
    """Schedules at its start, and notes when messages come."""

    def __init__(self, log: list[Any], plan: Any = None, gate: asyncio.Event | None = None) -> None:
        self.log = log
        self.plan = plan
        self.gate = gate

    async def on_start(self, ctx: ActorContext) -> None:
        if self.plan is not None:
            self.plan(ctx)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if isinstance(message, Crash):
            raise ValueError(message.text)
        if isinstance(message, Hold):
            assert self.gate is not None
            await self.gate.wait()
        self.log.append((str(message), ctx.system.wall_clock.time()))


def clerk(system: ActorSystem, log: list[Any], plan: Any = None, **options: Any) -> Any:
    gate = options.pop("gate", None)
    return system.spawn(
        Clerk, name="clerk", options=SpawnOptions(durable=True, **options), log=log, plan=plan, gate=gate
    )


def now() -> float:
    loop: Any = asyncio.get_running_loop()
    return float(loop.wall_time())


async def stored(journal: MemoryJournal) -> tuple[StoredTimer, ...]:
    journal.open()
    return await journal.read(Timers("/clerk"))


async def end(journal: MemoryJournal, log: list[Any], plan: Any, after: float) -> None:
    """Let a system run for some seconds, and end it by a failure."""
    with pytest.raises(ProgramFails):
        async with ActorSystem(journal=journal) as system:
            clerk(system, log, plan)
            await asyncio.sleep(after)
            raise ProgramFails


async def test_a_timer_comes_when_it_is_due_although_the_system_ended_meanwhile() -> None:
    journal, log, began = MemoryJournal(), list[Any](), now()
    await end(journal, log, lambda ctx: ctx.schedule(100, TextMessage("due")), 60)
    assert not log
    async with ActorSystem(journal=journal) as system:
        clerk(system, log)
        await asyncio.sleep(60)
    assert log == [("due", pytest.approx(began + 100, abs=1))]
    assert await stored(journal) == ()


async def test_a_timer_that_was_due_while_the_process_was_down_comes_at_once() -> None:
    journal, log = MemoryJournal(), list[Any]()
    await end(journal, log, lambda ctx: ctx.schedule(100, TextMessage("due")), 1)
    await asyncio.sleep(1000)
    began = now()
    async with ActorSystem(journal=journal) as system:
        clerk(system, log)
        await asyncio.sleep(1)
    assert log == [("due", pytest.approx(began, abs=0.5))]


async def test_a_timer_exists_once_for_each_name_and_another_rule_or_message_replaces_it() -> None:
    journal, log, began = MemoryJournal(), list[Any](), now()
    was_restarted = list[int]()

    def plan(ctx: ActorContext) -> None:
        assert ctx.schedule(50, TextMessage("same")) is ctx.schedule(50, TextMessage("same"))
        if not was_restarted:
            ctx.schedule(50, TextMessage("old"), name="named")
        ctx.schedule(30, TextMessage("new"), name="named")

    await end(journal, log, plan, 20)
    assert sorted(timer.name for timer in await stored(journal))[-1] == "named"
    assert len(await stored(journal)) == 2
    was_restarted.append(1)
    await end(journal, log, plan, 40)  # made again at the start, they keep their times
    assert log == [("new", pytest.approx(began + 30, abs=1)), ("same", pytest.approx(began + 50, abs=1))]


async def test_a_periodic_timer_keeps_its_beat_and_missed_ticks_come_as_one() -> None:
    journal, log, began = MemoryJournal(), list[Any](), now()

    def plan(ctx: ActorContext) -> None:
        ctx.schedule_every(10, TextMessage("tick"))

    await end(journal, log, plan, 25)
    await asyncio.sleep(50)
    await end(journal, log, plan, 10)
    assert [round(at - began) for _, at in log] == [10, 20, 75, 80]


async def test_a_tick_is_accepted_and_its_timer_set_in_one_transaction() -> None:
    written = list[list[type]]()

    class Watched(MemoryJournal):
        def write(self, first: Any, *more: Any) -> Any:
            written.append([type(o) for o in (first, *more)])
            return super().write(first, *more)

    def plan(ctx: ActorContext) -> None:
        ctx.schedule(10, TextMessage("once"))
        ctx.schedule_every(20, TextMessage("again"))

    await end(Watched(), [], plan, 25)
    assert [set(batch) & {Advance, Unschedule} for batch in written if Accept in batch] == [{Unschedule}, {Advance}]


@pytest.mark.parametrize("die_at", range(1, 12))
async def test_each_tick_comes_at_least_once_and_is_accepted_once_whatever_write_the_process_dies_at(
    die_at: int,
) -> None:
    log = list[Any]()

    async def life(system: ActorSystem) -> None:
        clerk(system, log, lambda ctx: ctx.schedule(5, TextMessage("due"), name="once") if not log else None)
        await asyncio.sleep(20)

    journal = MemoryJournal(die_at=die_at)
    while not await one_life(journal, life):
        journal = journal.after_death()
    assert len(log) in (1, 2)
    assert await stored(journal) == ()
    assert await mail_in(journal, "/clerk") == []


async def test_a_timer_that_is_cancelled_is_gone_from_the_journal_too_with_its_tick_that_waits() -> None:
    journal, log, gate = MemoryJournal(), list[Any](), asyncio.Event()
    timers = list[Any]()

    def plan(ctx: ActorContext) -> None:
        timers.append(ctx.schedule(10, TextMessage("never")))
        timers.append(ctx.schedule_every(5, TextMessage("never")))

    async with ActorSystem(journal=journal) as system:
        ref = clerk(system, log, plan, gate=gate)
        ref.tell(Hold())
        await asyncio.sleep(7)
        for timer in timers * 2:
            timer.cancel()
        await turns()
        assert await stored(journal) == ()
        gate.set()
        await asyncio.sleep(60)
    assert [text for text, _ in log] == [str(Hold())]
    assert await mail_in(journal, "/clerk") == []


async def test_the_restart_of_the_actor_cancels_its_timers(log: list[Any]) -> None:
    journal, seen, plans = MemoryJournal(), list[Any](), list[int]()

    def plan(ctx: ActorContext) -> None:
        if not plans:
            ctx.schedule(10, TextMessage("of the first instance"))
        plans.append(1)

    async with ActorSystem(journal=journal) as system:
        ref = clerk(system, seen, plan)
        await asyncio.sleep(1)
        ref.tell(Crash())
        await asyncio.sleep(1)
        assert await stored(journal) == ()
        await asyncio.sleep(60)
    assert plans == [1, 1]
    assert not seen


async def test_a_restart_that_cancels_timers_names_them_in_the_log(log: list[Any]) -> None:
    def plan(ctx: ActorContext) -> None:
        if not plans:
            ctx.schedule(10, TextMessage("b"), name="second")
            ctx.schedule(10, TextMessage("a"), name="first")
        plans.append(1)

    plans: list[int] = []
    async with ActorSystem(journal=MemoryJournal()) as system:
        ref = clerk(system, [], plan)
        await asyncio.sleep(1)
        for _ in range(2):  # the second instance has none to lose
            ref.tell(Crash())
            await asyncio.sleep(1)

    said = [entry for entry in log if entry["event"] == "timer.cancelled_by_restart"]
    assert [(entry["actor"], entry["names"]) for entry in said] == [("/clerk", ["first", "second"])]


async def test_a_stop_of_the_actor_leaves_its_timers_to_the_next_one_of_its_path() -> None:
    journal, log = MemoryJournal(), list[Any]()
    async with ActorSystem(journal=journal) as system:
        await clerk(system, log, lambda ctx: ctx.schedule(10, TextMessage("due"))).started()
        await turns()
        await system.lookup("/clerk").stop()  # type: ignore[union-attr]
        await asyncio.sleep(60)
        assert not log
        clerk(system, log)
        await asyncio.sleep(1)
    assert [text for text, _ in log] == ["due"]


async def test_no_tick_comes_while_the_last_one_waits_or_runs() -> None:
    journal, log, gate = MemoryJournal(), list[Any](), asyncio.Event()
    async with ActorSystem(journal=journal) as system:
        clerk(system, log, lambda ctx: ctx.schedule_every(10, Hold()), gate=gate)
        await asyncio.sleep(45)
        gate.set()
        await asyncio.sleep(10)
    assert len(log) == 2


@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT, Overflow.DROP_NEWEST])
async def test_a_tick_for_a_full_mailbox_does_what_the_policy_says_and_the_next_one_comes(overflow: Overflow) -> None:
    journal, log, gate = MemoryJournal(), list[Any](), asyncio.Event()
    async with ActorSystem(journal=journal) as system:

        def plan(ctx: ActorContext) -> None:
            ctx.schedule_every(10, TextMessage("tick"))

        ref = clerk(system, log, plan, gate=gate, mailbox=Mailbox(1, overflow))
        await ref.started()
        await ref.send(Hold())
        await turns()
        await ref.send(TextMessage("fills it"))
        await asyncio.sleep(15)
        gate.set()
        await asyncio.sleep(10)
    ticks = [text for text, _ in log].count("tick")
    assert ticks == (2 if overflow is Overflow.BACKPRESSURE else 1)


async def test_a_timer_with_a_message_of_another_program_is_skipped_and_the_others_come(log: list[Any]) -> None:
    journal, seen = MemoryJournal(), list[Any]()
    await end(journal, seen, lambda ctx: ctx.schedule(10, TextMessage("due")), 1)
    journal.open()
    await journal.write(Schedule(StoredTimer("/clerk", "other", '{"type":"once","delay":1.0}', 0.0, b"of another")))
    async with ActorSystem(journal=journal) as system:
        clerk(system, seen)
        await asyncio.sleep(20)
    assert [text for text, _ in seen] == ["due"]
    assert "timer.undecodable" in [entry["event"] for entry in log]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Atlantis/Poseidonis"])
async def test_a_timer_with_a_cron_rule_that_this_program_cannot_follow_is_skipped_and_stays_in_the_journal(
    monkeypatch: pytest.MonkeyPatch, log: list[Any], zone: str
) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)  # as if it were not installed
    journal, seen = MemoryJournal(), list[Any]()
    await end(journal, seen, lambda ctx: ctx.schedule(10, TextMessage("due")), 1)
    journal.open()
    rule = msgspec.json.encode({"type": "cron", "rule": "0 9 * * *", "zone": zone}).decode()
    await journal.write(Schedule(StoredTimer("/clerk", "daily", rule, now() + 5, encode(TextMessage("daily")))))
    async with ActorSystem(journal=journal) as system:
        clerk(system, seen)
        await asyncio.sleep(20)
    assert [text for text, _ in seen] == ["due"]
    assert [entry["name"] for entry in log if entry["event"] == "timer.undecodable"] == ["daily"]
    assert [timer.name for timer in await stored(journal)] == ["daily"]


async def test_what_cannot_be_scheduled_is_refused() -> None:
    refused = list[Any]()

    def plan(ctx: ActorContext) -> None:
        makes: list[Callable[[], object]] = [
            lambda: ctx.schedule(-1, TextMessage("")),
            lambda: ctx.schedule_every(0, TextMessage("")),
            lambda: ctx.schedule(1, "no message"),  # type: ignore[arg-type]
            lambda: ctx.schedule_cron("0 9 * * *", TextMessage(""), max_late=-1),
        ]
        for make in makes:
            try:
                make()
            except Exception as error:
                refused.append(type(error))

    async with ActorSystem(journal=MemoryJournal()) as system:
        await clerk(system, [], plan).started()
    assert refused == [InvalidOptionError, InvalidOptionError, NotSendableError, InvalidOptionError]


async def test_names_and_cron_rules_are_for_durable_actors() -> None:
    refused = list[str]()

    class InMemory(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            makes: list[Callable[[], object]] = [
                lambda: ctx.schedule(1, Add(1), name="named"),
                lambda: ctx.schedule_cron("0 9 * * *", Add(1)),
            ]
            for make in makes:
                try:
                    make()
                except InvalidOptionError as error:
                    refused.append(str(error))

    async with ActorSystem() as system:
        await system.spawn(InMemory, name="actor").started()
    assert all("/actor" in text and "durable actors" in text for text in refused)
    assert len(refused) == 2


@cron
async def test_a_cron_tick_that_was_missed_while_the_process_was_down_comes_once_if_it_is_not_too_late() -> None:
    journal, log = MemoryJournal(), list[Any]()

    def plan(ctx: ActorContext) -> None:
        ctx.schedule_cron("0 9 * * *", TextMessage("daily"), zone="Europe/Berlin")
        ctx.schedule_cron("0 9 * * *", TextMessage("in time"), zone="Europe/Berlin", max_late=60)

    await end(journal, log, plan, 60)
    assert not log
    (first, *_) = await stored(journal)
    await asyncio.sleep(first.due_at - now() + 3 * 86400 + 3600)  # three of them, and an hour
    await end(journal, log, plan, 60)
    assert [text for text, _ in log] == ["daily"]
    await end(journal, log, plan, 23 * 3600)
    assert [text for text, _ in log] == ["daily", "daily", "in time"]
    assert dt.datetime.fromtimestamp(log[-1][1], dt.UTC).minute == 0


async def test_a_timer_of_an_actor_that_is_durable_in_a_spawned_tree_is_known_by_its_path() -> None:
    journal = MemoryJournal()

    class Parent(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            def plan(child: ActorContext) -> None:
                child.schedule(10, Add(1))

            ctx.spawn(Clerk, name="child", options=DURABLE, log=[], plan=plan)

    async with ActorSystem(journal=journal) as system:
        system.spawn(Parent, name="parent")
        await turns(20)
        (timer,) = await journal.read(Timers())
        assert timer.actor == "/parent/child"
