"""Pools of actors: routing, room, and pools as children like any other."""

import asyncio
import gc
from collections import Counter as Tally
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Backoff,
    ChildSpec,
    DeadLetterReason,
    Mailbox,
    Message,
    OneForAll,
    OneForOne,
    Pool,
    Restart,
    Routing,
    SimpleOneForOne,
    SpawnOptions,
    Supervisor,
    SupervisorRef,
    TextMessage,
)
from miniagents.errors import ActorStoppedError, InvalidOptionError, MailboxFullError, StartError
from tests.actors.actors import Counter, Crash, Hold, turns


class Job(Message):
    n: int


class Worker(Actor):
    """Says who did it; waits for its gate first, where it has one."""

    def __init__(self, log: list[Any] | None = None, gate: asyncio.Event | None = None) -> None:
        self.log = log if log is not None else []
        self.gate = gate

    async def on_start(self, ctx: ActorContext) -> None:
        self.log.append(f"start {ctx.self.name}")

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Job(n):
                if self.gate is not None:
                    await self.gate.wait()
                self.log.append((ctx.self.name, n))
                return TextMessage(ctx.self.name)
            case Crash(text):
                raise ValueError(text)
            case _:
                return ctx.unhandled(message)


async def names(pool: Any, messages: list[Message]) -> list[str]:
    return [str(await ask) for ask in [pool.ask(message) for message in messages]]


async def test_the_options_of_pool_are_those_of_a_pool() -> None:
    async with ActorSystem() as system:
        pool = await system.pool(Worker, size=2, name="workers", restart=Restart.TEMPORARY)
        with pytest.raises(ValueError, match="first"):
            await pool.ask(Crash("first"))
        await turns()
        assert [info.path for info in system.tree("/workers").children] == ["/workers/2"]
        with pytest.raises(TypeError, match="sise"):
            await system.pool(Worker, size=2, sise=3)  # type: ignore[call-arg]


async def test_send_waits_for_room_in_the_member_that_routing_chooses() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        options = SpawnOptions(mailbox=Mailbox(1))
        pool = await system.pool(Worker, size=2, options=options, kwargs={"gate": gate, "log": log})
        for n in range(2):
            await pool.send(Job(n=n))
        await turns()  # each has one in hand
        for n in range(2, 4):
            await asyncio.wait_for(pool.send(Job(n=n)), 1)
        with pytest.raises(MailboxFullError):
            pool.tell(Job(n=99))
        sending = [asyncio.create_task(pool.send(Job(n=n))) for n in range(4, 8)]
        await turns()
        assert not any(task.done() for task in sending)
        gate.set()
        await asyncio.gather(*sending)
    assert sorted(n for entry in log if isinstance(entry, tuple) for n in entry[1:]) == list(range(8))
    assert system.dead_letters.total == 0


async def test_a_sender_that_waits_for_a_member_that_ends_is_let_go() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        options = SpawnOptions(mailbox=Mailbox(1))
        pool = await system.pool(Worker, size=1, options=options, kwargs={"gate": gate})
        await pool.send(Job(n=0))
        await turns()
        await pool.send(Job(n=1))
        sending = asyncio.create_task(pool.send(Job(n=2)))
        await turns()
        await pool.kill()
        await asyncio.wait_for(sending, 1)
        assert {letter.message for letter in system.dead_letters} == {Job(n=1), Job(n=2)}


async def test_load_counts_what_waits_and_what_is_in_hand() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        pool = await system.pool(
            Worker, size=3, routing=Routing.LEAST_LOADED, kwargs={"gate": gate, "log": log}, name="w"
        )
        first = system.lookup("/w/1")
        assert first is not None
        for n in range(3):
            first.tell(Job(n=n))
        await turns()
        for n in range(3, 9):
            pool.tell(Job(n=n))
        gate.set()
        await turns()
    assert Tally(entry[0] for entry in log if isinstance(entry, tuple)) == {"1": 3, "2": 3, "3": 3}


async def test_equal_keys_go_to_one_member_and_what_a_key_raises_goes_to_the_sender() -> None:
    def key(message: Any) -> object:
        if message.n < 0:
            raise LookupError("no key")
        return message.n % 5

    async with ActorSystem() as system:
        pool = await system.pool(Worker, size=4, routing=Routing.CONSISTENT_HASH, key=key)
        of = [set(await names(pool, [Job(n=n + 5 * m) for m in range(4)])) for n in range(5)]
        assert [len(members) for members in of] == [1] * 5
        assert len(set.union(*of)) > 1
        with pytest.raises(LookupError):
            pool.tell(Job(n=-1))
        with pytest.raises(LookupError):
            await pool.ask(Job(n=-1))
        with pytest.raises(LookupError):
            await pool.send(Job(n=-1))


async def test_a_child_spec_names_a_pool_which_is_a_child_like_any_other() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        tree = await system.supervise(
            Supervisor(
                "tree",
                children=[
                    ChildSpec("before", Counter),
                    ChildSpec("pool", Pool(Worker, size=2, kwargs={"log": log})),
                    ChildSpec("after", Counter),
                ],
            )
        )
        infos = await tree.which_children()
        assert [(info.id, info.kind, info.restart) for info in infos] == [
            ("after", "worker", Restart.PERMANENT),
            ("pool", "supervisor", Restart.PERMANENT),
            ("before", "worker", Restart.PERMANENT),
        ]
        pool = system.lookup("/tree/pool")
        assert isinstance(pool, SupervisorRef)
        assert await names(pool, [Job(n=n) for n in range(4)]) == ["1", "2", "1", "2"]
        assert (await pool.count_children()).workers == 2
        await tree.terminate_child("pool")
        assert not pool.is_alive
        again = await tree.restart_child("pool")
        assert await names(again, [Job(n=0)]) == ["1"]


async def test_a_pool_has_a_strategy_and_backoff_and_gives_up_to_its_supervisor() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        strategy = OneForAll(max_restarts=1, within=10.0)
        await system.supervise(
            Supervisor(
                "tree",
                strategy=OneForOne(max_restarts=3, within=10.0, backoff=Backoff(2.0, 2.0)),
                children=[ChildSpec("pool", Pool(Worker, size=2, strategy=strategy, kwargs={"log": log}))],
            )
        )
        pool: Any = system.lookup("/tree/pool")
        assert log == ["start 1", "start 2"]
        pool.tell(Crash())
        await turns(50)
        assert log == ["start 1", "start 2"] * 2  # all for one
        pool.tell(Crash())
        await turns(50)
        assert log == ["start 1", "start 2"] * 2
        assert system.tree("/tree/pool").state == "restarting"
        assert pool.is_alive
        kept, cancelled = pool.ask(Job(n=1)), pool.ask(Job(n=2))
        pool.tell(Job(n=3))
        await asyncio.wait_for(pool.send(Job(n=4)), 1)
        cancelled.cancel()
        assert system.tree("/tree/pool").mailbox_depth == 3
        await asyncio.sleep(3)
        assert log[4:6] == ["start 1", "start 2"]
        assert sorted(log[6:]) == [("1", 1), ("1", 4), ("2", 3)]
        assert str(await kept) == "1"
        assert system.tree("/tree/pool").restarts == 1
        assert await names(pool, [Job(n=5)]) == ["2"]
        assert system.dead_letters.total == 0


async def test_what_comes_while_a_permanent_pool_is_stopped_is_kept_for_the_next_members() -> None:
    seen, gate, log = list[Any](), asyncio.Event(), list[Any]()

    def key(message: Any) -> object:
        seen.append(message)
        return message.n

    async with ActorSystem() as system:
        pool = Pool(Worker, size=2, routing=Routing.CONSISTENT_HASH, key=key, kwargs={"gate": gate, "log": log})
        strategy = OneForOne(backoff=Backoff(5.0, 5.0))
        await system.supervise(Supervisor("tree", strategy=strategy, children=[ChildSpec("pool", pool)]))
        ref: Any = system.lookup("/tree/pool")
        ref.tell(Job(n=1))
        await turns()
        end = ref.stop()
        await turns()  # a member has its message in hand, and ends after it
        await ref.send(Job(n=2))
        ref.tell(Job(n=3))
        system.schedule(0.1, ref, Job(n=4))
        await asyncio.sleep(1)
        gate.set()
        await end
        await asyncio.sleep(1)
        assert ref.is_alive
    assert sorted(entry[1] for entry in log if isinstance(entry, tuple)) == [1, 2, 3, 4]
    assert all(isinstance(message, Job) for message in seen)  # and nothing of the runtime
    assert system.dead_letters.total == 0


async def test_a_tick_that_a_pool_has_kept_and_handed_on_is_taken_back() -> None:
    class Starts(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            await asyncio.sleep(2)

    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        starting = asyncio.create_task(system.pool(Starts, size=1, name="p", kwargs={"gate": gate, "log": log}))
        await asyncio.sleep(1)
        pool: Any = system.lookup("/p")
        pool.tell(Job(n=0))
        timers = [system.schedule(0.1, pool, Job(n=n)) for n in range(1, 4)]
        await asyncio.sleep(0.5)
        timers[0].cancel()
        assert pool._cell.depth == 3
        await starting
        await turns()
        timers[1].cancel()
        (member,) = pool._cell.children.values()
        assert (member.depth, member.dead_entries, pool._cell.dead_entries) == (1, 1, 0)
        gate.set()
    assert [entry[1] for entry in log if isinstance(entry, tuple)] == [0, 3]


async def test_a_tick_that_waits_in_a_member_is_taken_back() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        pool = await system.pool(Worker, size=2, kwargs={"gate": gate, "log": log})
        for n in range(2):
            pool.tell(Job(n=n))
        timer = system.schedule(1.0, pool, Job(n=2))
        await asyncio.sleep(2)
        assert sum(member.mailbox_depth for member in system.tree(pool.path).children) == 1
        timer.cancel()
        members = pool._cell.children or {}  # type: ignore[attr-defined]
        assert [pool._cell.depth, *[member.depth for member in members.values()]] == [0, 0, 0]  # type: ignore[attr-defined]
        gate.set()
    assert sorted(entry[1] for entry in log if isinstance(entry, tuple)) == [0, 1]


async def test_what_a_pool_keeps_when_it_ends_becomes_dead_letters_and_its_asks_fail() -> None:
    async with ActorSystem() as system:
        tree = await system.supervise(
            Supervisor(
                "tree",
                strategy=OneForOne(max_restarts=3, within=10.0, backoff=Backoff(2.0, 2.0)),
                children=[ChildSpec("pool", Pool(Worker, size=2, strategy=OneForOne(max_restarts=0)))],
            )
        )
        pool: Any = system.lookup("/tree/pool")
        pool.tell(Crash())
        await turns(50)
        ask = pool.ask(Job(n=1))
        pool.tell(Job(n=2))
        await tree.terminate_child("pool")
        with pytest.raises(ActorStoppedError):
            await ask
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 2}
        with pytest.raises(ActorStoppedError):
            await pool.ask(Job(n=3))


async def test_a_pool_is_supervised_under_a_supervisor_too_and_a_member_that_does_not_start_is_told() -> None:
    class Picky(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            if ctx.self.name == "2":
                raise LookupError("not me")

    async with ActorSystem() as system:
        tree = await system.supervise(Supervisor("tree"))
        pool = await system.supervise(Pool(Worker, size=2, name="workers"), parent=tree)
        assert pool.path == "/tree/workers"
        with pytest.raises(StartError, match="not me"):
            await system.pool(Picky, size=3)
        with pytest.raises(StartError, match="not me"):
            await system.supervise(Pool(Picky, size=3), parent=tree)
        assert [child.path for child in system.tree().children] == ["/tree"]


async def test_a_pool_whose_start_is_cancelled_leaves_nothing(log: list[Any]) -> None:
    class Slow(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            if ctx.self.name == "2":
                await asyncio.sleep(100)

    async with ActorSystem() as system:
        for start in (system.pool(Slow, size=3), system.supervise(Pool(Slow, size=3))):
            task = asyncio.create_task(start)
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(10)
            assert system.tree().children == ()
    gc.collect()
    assert log == []  # the promise of the start, which nobody has, is not reported as one that nobody awaited


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": 1, "routing": "sideways"}, "routing"),
        ({"size": 1, "routing": Routing.CONSISTENT_HASH}, "key"),
        ({"size": 1, "key": repr}, "key"),
        ({"size": 1, "strategy": SimpleOneForOne()}, "SimpleOneForOne"),
    ],
)
def test_a_pool_refuses_options_that_do_not_fit(given: Any, said: str) -> None:
    with pytest.raises(InvalidOptionError, match=said):
        Pool(Worker, **given)


def test_a_pool_has_no_supervisors_as_members() -> None:
    with pytest.raises(InvalidOptionError, match="not supervisors"):
        Pool(Supervisor("s"), size=1)


async def test_timers_from_outside_come_once_or_again_also_through_a_pool_and_end_with_actor_and_system() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        pool = await system.pool(Worker, size=2, kwargs={"log": log})
        counter = system.spawn(Counter, log=log)
        system.schedule(1.0, pool, Job(n=1))
        every = system.schedule_every(1.0, pool, Job(n=2))
        to_counter = system.schedule_every(1.0, counter, TextMessage("tick"))
        never = system.schedule(2.5, counter, TextMessage("never"))
        await asyncio.sleep(2.1)
        never.cancel()
        counter.tell(Crash())
        await asyncio.sleep(1)
        assert [entry for entry in log if isinstance(entry, tuple) and entry[1:] == (1,)] == [("1", 1)]
        assert [entry[1] for entry in log if isinstance(entry, tuple)].count(2) == 3
        assert log.count("tick") == 3  # a restart does not end it
        every.cancel()
        await counter.stop()
        await asyncio.sleep(3)
        assert log.count("tick") == 3
        assert "never" not in log
        to_counter.cancel()
        system.schedule(1e6, counter, TextMessage("late"))
    await asyncio.sleep(2e6)
    assert system.dead_letters.total == 0


async def test_a_timer_from_outside_waits_for_room_and_its_message_is_taken_back() -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=gate, log=log, options=SpawnOptions(mailbox=Mailbox(1)))
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("told"))
        timers = [system.schedule(1.0, ref, TextMessage(text)) for text in ("a", "b")]
        await asyncio.sleep(2)
        timers[1].cancel()
        gate.set()
        await turns()
    assert [entry for entry in log if isinstance(entry, str)] == ["start", "told", "a"]
