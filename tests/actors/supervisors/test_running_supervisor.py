"""Supervisors to which several things happen at once."""

import asyncio
import gc
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    Message,
    OneForAll,
    OneForOne,
    Restart,
    RestForOne,
    Shutdown,
    SimpleOneForOne,
    StopReason,
    Supervisor,
    SupervisorRef,
)
from tests.actors.actors import Add, Crash, Hold, Read, turns
from tests.actors.cells.test_living_cell import TURNS, Worker

GROUPS = [OneForAll(max_restarts=9), RestForOne(max_restarts=9)]


class Job(Actor):
    """Does its work in its start, and ends."""

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.stop()

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        pass


class JobByMessage(Job):
    """The same by a message to itself."""

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.self.tell(Hold())

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        ctx.stop()


def child(system: ActorSystem, path: str) -> ActorRef:
    ref = system.lookup(path)
    assert ref is not None
    return ref


# Ends in a restart


async def test_a_child_that_is_killed_at_whatever_turn_of_its_restart_holds_no_call_of_its_supervisor() -> None:
    class Busy(Actor):
        """Always has something to do, so that a fresh start waits for its turn."""

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.self.tell(message)

    for n in TURNS:
        async with ActorSystem() as system:
            crowd = [system.spawn(Busy) for _ in range(20)]
            for ref in crowd:
                ref.tell(Hold())
            supervisor = await system.supervise(
                Supervisor("s", strategy=OneForOne(max_restarts=9), children=[ChildSpec("w", Worker)])
            )
            ref = child(system, "/s/w")
            with pytest.raises(ValueError, match="crash"):
                await ref.ask(Crash())
            await turns(n)
            ref.kill()
            counts = await supervisor.count_children()
            assert counts.workers == 1
            for busy in crowd:
                busy.kill()
            assert await ref.ask(Add(1)) == Add(1)


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_group_is_restarted_when_two_of_it_end_at_once_and_one_takes_its_time(strategy: Any) -> None:
    for n in TURNS:
        async with ActorSystem() as system:
            supervisor = await system.supervise(
                Supervisor(
                    "s",
                    strategy=strategy,
                    children=[ChildSpec("a", Worker, kwargs={"slow": {"on_stop": 0.1}}), ChildSpec("b", Worker)],
                )
            )
            a, b = child(system, "/s/a"), child(system, "/s/b")
            a.tell(Hold())
            await turns(n)
            b.tell(Hold())
            await asyncio.sleep(1)
            assert {info.ref for info in await supervisor.which_children()} == {a, b}
            assert await a.ask(Add(1)) == await b.ask(Add(1)) == Add(1)


async def test_a_sibling_to_be_killed_gets_no_grace_in_the_restart_of_its_group() -> None:
    loop = asyncio.get_running_loop()
    async with ActorSystem() as system:
        log: list[Any] = []
        brutal = ChildSpec("b", Worker, shutdown=Shutdown.KILL, kwargs={"slow": {"on_stop": 10**6}, "log": log})
        supervisor = await system.supervise(
            Supervisor("s", strategy=OneForAll(max_restarts=9), children=[ChildSpec("a", Worker), brutal])
        )
        b = child(system, "/s/b")

        child(system, "/s/a").tell(Crash())

        await asyncio.sleep(0.5)
        assert log == ["start", StopReason.KILLED]
        began = loop.time()
        assert len(await supervisor.which_children()) == 2
        assert loop.time() - began == pytest.approx(0.5)  # `on_stop` has had its second
        assert log == ["start", StopReason.KILLED, "start"]
        assert system.lookup("/s/b") is b


async def test_a_child_of_a_pool_that_is_stopped_in_a_start_that_fails_is_tried_again_after_its_backoff() -> None:
    starts = 0

    class Fails(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            nonlocal starts
            starts += 1
            if starts == 2:
                await asyncio.sleep(0.1)
                raise ValueError("no database")

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if isinstance(message, Crash):
                raise ValueError
            return message

    async with ActorSystem() as system:
        pool = await system.pool(Fails, size=1, strategy=OneForOne(9, 60.0, Backoff(0.1, 0.1)))
        member = (await pool.which_children())[0].ref
        assert isinstance(member, ActorRef)
        pool.tell(Crash())
        while starts < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        member.stop()
        await asyncio.sleep(1)

        assert await member.ask(Add(1)) == Add(1)
        assert starts == 3


# Ends before the start was told


@pytest.mark.parametrize("kind", [Job, JobByMessage])
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
async def test_a_child_that_ends_in_its_start_is_listed_as_ended(kind: type[Job], restart: Restart) -> None:
    async with ActorSystem() as system:
        supervisor = await system.supervise(Supervisor("s", children=[ChildSpec("job", kind, restart=restart)]))
        await asyncio.sleep(0.1)

        if restart is Restart.TEMPORARY:
            assert await supervisor.which_children() == ()
        else:
            assert [info.ref for info in await supervisor.which_children()] == [None]
            await supervisor.restart_child("job")
            await asyncio.sleep(0.1)
            await supervisor.delete_child("job")
        counts = await supervisor.count_children()
        assert (counts.specs, counts.active, counts.workers) == (0, 0, 0)


async def test_a_nested_supervisor_that_is_stopped_at_whatever_turn_of_its_restart_is_listed_as_it_is() -> None:
    for n in TURNS:
        async with ActorSystem() as system:
            top = await system.supervise(
                Supervisor(
                    "top",
                    strategy=OneForOne(max_restarts=9),
                    children=[ChildSpec("in", Supervisor("in"), restart=Restart.TRANSIENT)],
                )
            )
            ref = child(system, "/top/in")
            ref.kill()
            await turns(n)
            assert isinstance(await ref.stop(), StopReason)
            (info,) = await top.which_children()
            assert info.ref is (ref if ref.is_alive else None)
            assert (await top.count_children()).active == ref.is_alive


@pytest.mark.parametrize("kind", [Job, JobByMessage])
async def test_2_000_jobs_that_have_ended_leave_nothing_of_their_supervisor(kind: type[Job]) -> None:
    async with ActorSystem() as system:
        supervisor = await system.supervise(
            Supervisor("s", strategy=SimpleOneForOne(), children=[ChildSpec("job", kind, restart=Restart.TEMPORARY)])
        )
        for _ in range(2_000):
            await supervisor.start_child()
        await asyncio.sleep(0.1)

        counts = await supervisor.count_children()
        assert (counts.specs, counts.active, counts.workers) == (1, 0, 0)
        assert await supervisor.which_children() == ()
        assert system.tree(path="/s").children == ()
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing) is kind]


# A caller that goes


@pytest.mark.parametrize("simple", [False, True])
async def test_a_start_child_that_is_cancelled_at_whatever_turn_keeps_nothing(simple: bool) -> None:
    class Starts(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            await turns(5)
            self.log.append("start")

    outcomes = set()
    for n in range(25):
        async with ActorSystem() as system:
            log: list[Any] = []
            spec = ChildSpec("w", Starts, kwargs={"log": log})
            supervisor = await system.supervise(
                Supervisor("s", strategy=SimpleOneForOne(), children=[spec])
                if simple
                else Supervisor("s", strategy=OneForOne())
            )
            call = asyncio.create_task(supervisor.start_child() if simple else supervisor.start_child(spec))
            await turns(n)
            call.cancel()
            (result,) = await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(1)
            outcomes.add(type(result))
            children = await supervisor.which_children()
            assert [info.ref for info in children] == ([result] if isinstance(result, ActorRef) else [])
            assert len(log) in (0, 2) or isinstance(result, ActorRef)  # whoever has started has had its `on_stop`
    assert outcomes == {asyncio.CancelledError, ActorRef}


async def test_whoever_asks_a_child_that_ends_before_its_next_start_hears_of_its_end() -> None:
    async with ActorSystem() as system:
        supervisor = await system.supervise(
            Supervisor(
                "s",
                strategy=OneForOne(9, 60.0, Backoff(5.0, 5.0)),
                children=[ChildSpec("w", Worker, restart=Restart.TRANSIENT)],
            )
        )
        ref = child(system, "/s/w")
        ref.tell(Crash())
        await asyncio.sleep(0.1)  # in backoff
        waiting = ref.ask(Read())

        assert await ref.stop() is StopReason.SHUTDOWN

        with pytest.raises(Exception, match="/s/w"):
            await waiting
        assert [info.ref for info in await supervisor.which_children()] == [None]
        assert await supervisor.restart_child("w") != ref


async def test_a_child_of_a_template_may_be_asked_for_while_its_supervisor_starts() -> None:
    class Job(Actor):
        """One of many."""

    async with ActorSystem() as system:
        template = ChildSpec("job", Job)
        starting = asyncio.create_task(
            system.supervise(Supervisor("jobs", strategy=SimpleOneForOne(), children=[template]))
        )
        await asyncio.sleep(0)  # the supervisor is there before its start is over
        jobs = system.lookup("/jobs")
        assert isinstance(jobs, SupervisorRef)

        child = await jobs.start_child()

        assert child is not None
        assert child.is_alive
        assert await starting == jobs
