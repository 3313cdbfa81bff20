"""Ends that meet each other: a stop, a kill, a crash and a restart of one actor, at every turn of the loop."""

import asyncio
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
    OneForOne,
    Restart,
    SpawnOptions,
    StopReason,
    Supervisor,
    SupervisorRef,
    Terminated,
    TextMessage,
)
from miniagents.errors import ActorStoppedError, PromiseCancelledError
from tests.actors.actors import Add, Counter, Crash, Hold, Read, turns

TURNS = range(11)

EXITS = ["own stop", "stop", "drain", "kill", "crash", "stop in on_start", "crash, then stop", "stop, then crash"]


class Worker(Actor):
    """Takes its time in the hooks that are named.

    Args:
        slow: Seconds that `on_start` and `on_stop` take, by their names; the first start takes none.
        log: Gets what happens.
    """

    def __init__(self, slow: dict[str, float] | None = None, log: list[Any] | None = None) -> None:
        self.slow = slow if slow is not None else {}
        self.log = log if log is not None else []

    async def on_start(self, ctx: ActorContext) -> None:
        self.log.append("start")
        if self.log.count("start") > 1:
            await asyncio.sleep(self.slow.get("on_start", 0.0))

    async def on_stop(self, reason: Any) -> None:
        self.log.append(reason)
        await asyncio.sleep(self.slow.get("on_stop", 0.0))

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message:
            case Crash(text):
                raise ValueError(text)
            case Terminated():
                self.log.append("terminated")
            case Hold():
                ctx.stop()
            case TextMessage():
                self.log.append(message.content)
        return message


async def supervised(system: ActorSystem, spec: ChildSpec, **options: Any) -> tuple[SupervisorRef, ActorRef]:
    strategy = OneForOne(**{"max_restarts": 9, "within": 60.0, **options})
    supervisor = await system.supervise(Supervisor("s", strategy=strategy, children=[spec]))
    child = system.lookup(f"/s/{spec.id}")
    assert child is not None
    return supervisor, child


def end(ref: ActorRef, how: str) -> Any:
    return ref.kill() if how == "kill" else ref.stop(drain=how == "drain")


# What an exit comes to


@pytest.mark.parametrize("how", EXITS)
@pytest.mark.parametrize("own_task", [False, True])
async def test_every_exit_has_a_reason(how: str, own_task: bool) -> None:
    class StopsInStart(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.stop()

    for n in TURNS:
        async with ActorSystem() as system:
            options = SpawnOptions(own_task=own_task, supervision=OneForOne(max_restarts=0))
            kind = StopsInStart if how == "stop in on_start" else Worker
            ref = system.spawn(kind, options=options, slow={"on_stop": 0.5})
            await turns(n)
            match how:
                case "own stop":
                    ref.tell(Hold())
                case "crash":
                    ref.tell(Crash())
                case "crash, then stop":
                    ref.tell(Crash())
                    await turns(3)
                    ref.stop()
                case "stop, then crash":
                    ref.tell(Crash())
                    ref.stop()
                case "stop" | "kill" | "drain":
                    ref.tell(TextMessage("in the mailbox"))
                    end(ref, how)
            reason = await ref.terminated()
            assert isinstance(reason, (StopReason, ValueError))
            expected = {"own stop": StopReason.NORMAL, "stop": StopReason.SHUTDOWN, "kill": StopReason.KILLED}
            assert reason == expected.get(how, reason)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_of_a_crash_and_a_stop_the_latest_is_the_reason(how: str) -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        spec = ChildSpec("w", Worker, restart=Restart.TRANSIENT, kwargs={"slow": {"on_stop": 0.2}, "log": log})
        _, ref = await supervised(system, spec)
        ref.tell(Crash())
        await asyncio.sleep(0.1)  # `on_stop` of the crash runs

        reason = await end(ref, how)

        assert isinstance(log[-1], ValueError)
        assert reason is {"stop": StopReason.SHUTDOWN, "kill": StopReason.KILLED}[how]
        # A TRANSIENT child is not restarted after a stop, and is after a kill.
        await asyncio.sleep(1)
        assert ref.is_alive is (how == "kill")


async def test_kill_resolves_when_the_exit_is_judged_and_terminated_when_the_actor_ends_for_good() -> None:
    async with ActorSystem() as system:
        supervisor, ref = await supervised(system, ChildSpec("w", Worker, kwargs={"slow": {"on_start": 1.0}}))
        ended = ref.terminated()

        assert await ref.kill() is StopReason.KILLED

        assert ref.is_alive
        assert not ended.done()
        assert await ref.ask(Add(1)) == Add(1)
        assert not ended.done()
        await supervisor.terminate_child("w")
        assert await ended is StopReason.SHUTDOWN


async def test_the_promise_of_a_stop_that_was_cancelled_stays_so_and_the_actor_ends() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        await ref.ask(Read())
        stopped: Any = ref.stop()

        stopped.cancel("I do not care")

        assert await ref.terminated() is StopReason.SHUTDOWN
        with pytest.raises(PromiseCancelledError, match="I do not care"):
            await stopped


async def test_an_actor_that_has_ended_together_with_its_parent_has_its_path_still() -> None:
    async with ActorSystem() as system:
        supervisor, ref = await supervised(system, ChildSpec("w", Worker))

        await supervisor.stop()

        assert not ref.is_alive
        assert ref.path == "/s/w"


# No instance: ended and not yet restarted, in backoff, about to start, in its start


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_permanent_child_that_is_ended_in_its_backoff_comes_back_at_the_same_time(how: str) -> None:
    restarted_at = []
    for interrupted in (False, True):
        async with ActorSystem() as system:
            log: list[Any] = []
            supervisor, ref = await supervised(
                system, ChildSpec("w", Worker, kwargs={"log": log}), max_restarts=1, backoff=Backoff(5.0, 5.0)
            )
            loop = asyncio.get_running_loop()
            began = loop.time()
            ref.tell(Crash())
            await asyncio.sleep(0.05)
            waiting = ref.ask(Add(1))

            if interrupted:
                for _ in range(3):  # more often than the window of restarts allows
                    assert await end(ref, how) is {"stop": StopReason.SHUTDOWN, "kill": StopReason.KILLED}[how]
                assert (await supervisor.which_children())[0].ref == "restarting"

            assert await waiting == Add(1)
            restarted_at.append(loop.time() - began)
            assert log.count("start") == 2
            assert system.lookup("/s/w") is ref
    assert restarted_at[0] == restarted_at[1] > 1.0


@pytest.mark.parametrize("how", ["stop", "kill", "drain"])
@pytest.mark.parametrize("own_task", [False, True])
async def test_a_permanent_child_keeps_ref_and_mailbox_at_whatever_turn_after_its_crash_it_is_ended(
    how: str, own_task: bool
) -> None:
    for n in TURNS:
        async with ActorSystem() as system:
            spec = ChildSpec("w", Worker, options=SpawnOptions(own_task=own_task))
            supervisor, ref = await supervised(system, spec)
            ref.tell(Crash())
            waiting = ref.ask(Add(1))
            await turns(n)
            end(ref, how)
            async with asyncio.timeout(10):
                assert await waiting == Add(1)
                assert (await supervisor.count_children()).active == 1
            assert (await supervisor.which_children())[0].ref is ref
            assert ref.is_alive


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_permanent_child_keeps_ref_and_mailbox_when_it_is_ended_in_the_start_of_its_restart(how: str) -> None:
    async with ActorSystem() as system:
        _, ref = await supervised(system, ChildSpec("w", Worker, kwargs={"slow": {"on_start": 1.0}, "log": []}))
        ref.tell(Crash())
        waiting = ref.ask(Add(1))
        await asyncio.sleep(0.5)  # in the `on_start` of its restart

        ended = end(ref, how)

        assert await waiting == Add(1)
        assert await ended is {"stop": StopReason.SHUTDOWN, "kill": StopReason.KILLED}[how]
        assert system.lookup("/s/w") is ref


async def test_a_start_that_hangs_is_cut_off_after_the_grace_of_a_drain_that_was_asked_for_before() -> None:
    class Hangs(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            await asyncio.sleep(10**6)

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            pass

    loop = asyncio.get_running_loop()
    for n in range(4):
        async with ActorSystem() as system:
            ref = system.spawn(Hangs)
            ref.tell(TextMessage("in the mailbox"))
            await turns(n)
            began = loop.time()
            assert await ref.stop(drain=True) is StopReason.SHUTDOWN
            assert loop.time() - began == pytest.approx(5.0)


async def test_a_drain_of_what_has_no_time_to_shut_down_cuts_its_restart_off_at_once() -> None:
    async with ActorSystem() as system:
        log: list[Any] = []
        spec = ChildSpec(
            "w", Worker, restart=Restart.TRANSIENT, shutdown=0.0, kwargs={"slow": {"on_start": 10**6}, "log": log}
        )
        _, ref = await supervised(system, spec, backoff=Backoff(1.0, 1.0))
        ref.tell(Crash())
        await asyncio.sleep(0.1)
        ref.tell(TextMessage("in the mailbox"))

        reason = await ref.stop(drain=True)

        assert reason is StopReason.SHUTDOWN
        assert not ref.is_alive
        assert log.count("start") == 2


# Draining


async def test_a_drain_that_meets_a_crash_never_runs_two_handlers_at_once_and_loses_nothing(log: list[Any]) -> None:
    class Serial(Worker):
        inside = 0

        async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
            if isinstance(message, Crash):
                raise ValueError
            Serial.inside += 1
            assert Serial.inside == 1
            await asyncio.sleep(0.1)
            Serial.inside -= 1
            return await super().receive(message, ctx)

    class Ends(Actor):
        def __init__(self, other: ActorRef) -> None:
            self.other = other

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            self.other.stop(drain=True)

    for n in TURNS:
        async with ActorSystem() as system:
            handled: list[Any] = []
            ref = system.spawn(Serial, log=handled)
            ends = system.spawn(Ends, other=ref)
            await ref.started()
            await ends.started()
            for message in (Crash(), TextMessage("one"), TextMessage("two"), TextMessage("three")):
                ref.tell(message)
            await turns(n)
            ends.tell(Hold())
            assert await ref.terminated() is StopReason.SHUTDOWN
            assert [entry for entry in handled if entry in ("one", "two", "three")] == ["one", "two", "three"]
            assert not system.dead_letters.counts
    assert not [entry for entry in log if entry["event"].startswith("runtime.")]


@pytest.mark.parametrize("backoff", [None, Backoff(0.5, 0.5)])
async def test_a_drain_that_is_asked_for_after_a_crash_goes_on_after_the_restart(backoff: Backoff | None) -> None:
    async with ActorSystem() as system:
        log: list[Any] = []
        spec = ChildSpec("w", Worker, restart=Restart.TRANSIENT, kwargs={"slow": {"on_stop": 0.2}, "log": log})
        _, ref = await supervised(system, spec, backoff=backoff)
        for message in (Crash(), TextMessage("one"), Crash(), TextMessage("two")):
            ref.tell(message)
        await asyncio.sleep(0.1)  # `on_stop` of the first crash runs

        assert await ref.stop(drain=True) is StopReason.SHUTDOWN

        assert [entry for entry in log if entry in ("one", "two")] == ["one", "two"]
        assert log.count("start") == 3
        assert not ref.is_alive


async def test_a_drain_that_is_asked_for_while_a_failed_restart_is_cleared_goes_on_after_the_next_one() -> None:
    class Fails(Worker):
        async def on_start(self, ctx: ActorContext) -> None:
            await super().on_start(ctx)
            if self.log.count("start") == 2:
                ctx.create_task(lingers())
                await asyncio.sleep(0)
                raise ValueError("not yet")

    async def lingers() -> None:
        try:
            await asyncio.sleep(10**6)
        finally:
            await asyncio.sleep(0.5)

    async with ActorSystem() as system:
        log: list[Any] = []
        _, ref = await supervised(system, ChildSpec("w", Fails, restart=Restart.TRANSIENT, kwargs={"log": log}))
        ref.tell(Crash())
        ref.tell(TextMessage("one"))
        await asyncio.sleep(0.2)
        assert log.count("start") == 2

        assert await ref.stop(drain=True) is StopReason.SHUTDOWN

        assert log[-3:] == ["start", "one", StopReason.SHUTDOWN]
        assert not ref.is_alive


async def test_a_drain_whose_grace_is_over_after_a_crash_is_a_stop_and_no_crash() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        spec = ChildSpec("w", Counter, restart=Restart.TRANSIENT, kwargs={"gate": gate})
        _, ref = await supervised(system, spec)
        for message in (Crash(), Hold()):
            ref.tell(message)

        assert await ref.stop(drain=True) is StopReason.SHUTDOWN

        assert not ref.is_alive


# A task of its own


async def test_own_task_an_actor_that_crashes_twice_in_a_row_waits_for_its_backoff_and_lives() -> None:
    async with ActorSystem() as system:
        log: list[Any] = []
        options = SpawnOptions(own_task=True, supervision=OneForOne(max_restarts=None, backoff=Backoff(1.0, 1.0)))
        ref = system.spawn(Worker, options=options, log=log)
        ref.tell(Crash())
        ref.tell(Crash())
        await asyncio.sleep(0.5)
        assert log.count("start") == 2
        await asyncio.sleep(1.0)
        assert log.count("start") == 3
        assert await ref.ask(Add(1)) == Add(1)


async def test_own_task_an_actor_with_a_task_of_its_own_can_kill_itself() -> None:
    class Kills(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.create_task(asyncio.sleep(10))
            ctx.self.kill()

    async with ActorSystem() as system:
        ref = system.spawn(Kills, options=SpawnOptions(own_task=True))
        ref.tell(Hold())
        async with asyncio.timeout(2):
            assert await ref.terminated() is StopReason.KILLED


# What waits in the mailbox


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
async def test_a_terminated_that_comes_during_a_stop_is_kept_where_a_restart_follows(restart: Restart) -> None:
    class Watches(Worker):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
            if isinstance(message, Add):
                ctx.watch(other)
            return await super().receive(message, ctx)

    async with ActorSystem() as system:
        log: list[Any] = []
        other = system.spawn(Counter)
        spec = ChildSpec("w", Watches, restart=restart, kwargs={"slow": {"on_stop": 0.2}, "log": log})
        _, ref = await supervised(system, spec)
        await ref.ask(Add(1))
        ref.tell(Crash())
        await asyncio.sleep(0.1)  # `on_stop` of the crash runs
        stopped = ref.stop()
        await other.kill()
        ref.tell(TextMessage("meanwhile"))

        assert await stopped is StopReason.SHUTDOWN
        await asyncio.sleep(1)

        if restart is Restart.PERMANENT:
            assert ref.is_alive
            assert log[-2:] == ["terminated", "meanwhile"]
        else:
            assert not ref.is_alive
            assert "terminated" not in log
            assert [letter.message for letter in system.dead_letters] == [TextMessage("meanwhile")]


# A failure that comes while the body returns


@pytest.mark.parametrize("on_stop", [0.0, 1.0])
async def test_a_failure_of_the_root_that_comes_while_the_body_returns_is_raised(on_stop: float) -> None:
    failures: list[BaseException] = []

    async def body() -> None:
        async with ActorSystem(on_failure=failures.append) as system:
            children = [ChildSpec(f"w{n}", Worker, kwargs={"slow": {"on_stop": on_stop}}) for n in range(20)]
            await system.supervise(Supervisor("s", strategy=OneForOne(max_restarts=3), children=children))
            refs: list[Any] = [system.lookup(f"/s/w{n}") for n in range(20)]
            asks = [refs[n % 20].ask(Crash(str(n)) if n % 2 else Read()) for n in range(100)]
            await asyncio.gather(*asks, return_exceptions=True)

    with pytest.raises(ValueError, match=r"^\d+$"):
        await body()
    assert len(failures) == 1


async def test_what_an_actor_owns_ends_in_the_order_in_which_it_came() -> None:
    class Owner(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.reply_later()
            ctx.create_task(wait())

    async def wait() -> None:
        number = len(started)
        started.append(number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    started, ended, failed = list[int](), list[int](), list[int]()
    async with ActorSystem() as system:
        owner = system.spawn(Owner)
        asks = [owner.ask(Read()) for _ in range(50)]
        for number, ask in enumerate(asks):
            ask.add_done_callback(lambda _, number=number: failed.append(number))  # type: ignore[misc]
        await turns()
        await owner.stop()
        for ask in asks:
            assert isinstance(ask.exception(), ActorStoppedError)
    assert started == ended == failed == list(range(50))
