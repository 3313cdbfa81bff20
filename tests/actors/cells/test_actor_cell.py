"""The life of an actor: start, restart, stop, kill, hooks, watching, timers, what it owns."""

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Backoff,
    DeadLetterReason,
    EventKind,
    Message,
    OneForAll,
    OneForOne,
    ReplyTo,
    RetryPolicy,
    SpawnOptions,
    StopReason,
    Terminated,
    TextMessage,
)
from miniagents.errors import (
    ActorStoppedError,
    HandlerTimeoutError,
    SystemNotRunningError,
)
from tests.actors.actors import Add, Counter, Crash, Hold, Read, turns


async def test_a_restart_keeps_mailbox_and_ref_and_replaces_the_instance() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Counter, start=7, log=log)
        ref.tell(Add(100))
        crashed = ref.ask(Crash("boom"))
        ref.tell(Add(1))
        after = ref.ask(Read())
        with pytest.raises(ValueError, match="boom") as info:
            await crashed
        assert (await after).value == 8  # the queued messages went to the fresh instance, in order
        assert ref.is_alive
        assert system.lookup(ref.path) is ref
        error = info.value
        assert log == ["start", ("stop", error), "start", ("restart", error)]


async def test_a_restart_that_fails_does_not_carry_the_crash_that_it_answers() -> None:
    class Starts(Actor):
        made = 0

        def __init__(self) -> None:
            Starts.made += 1
            if Starts.made > 1:
                raise KeyError("no second instance")

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            raise ValueError("boom")

    async with ActorSystem() as system:
        ref = system.spawn(Starts, options=SpawnOptions(supervision=OneForOne(max_restarts=1)))
        ref.tell(TextMessage("hello"))
        error = await ref.terminated()
        assert isinstance(error, KeyError)
        assert error.__context__ is None


async def test_what_a_crashed_instance_set_in_its_context_is_not_there_for_the_next_one() -> None:
    mood: ContextVar[str] = ContextVar("mood", default="calm")

    class Moody(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            before = mood.get()
            mood.set(str(message))
            if str(message) == "angry":
                raise ValueError("boom")
            return TextMessage(before)

    async with ActorSystem() as system:
        ref = system.spawn(Moody, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))
        ref.tell(TextMessage("angry"))
        assert str(await ref.ask(TextMessage("content"))) == "calm"
        assert str(await ref.ask(TextMessage("glad"))) == "content"


async def test_a_task_that_a_crashed_instance_kept_is_not_that_of_the_next_start() -> None:
    kept: list[asyncio.Task[Any] | None] = []
    starting, gate = asyncio.Event(), asyncio.Event()

    class Keeper(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            if kept:
                starting.set()
                await gate.wait()

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if not kept:
                kept.append(asyncio.current_task())
                raise ValueError("boom")
            return message

    async with ActorSystem() as system:
        ref = system.spawn(Keeper, options=SpawnOptions(supervision=OneForOne(max_restarts=1)))
        ref.tell(TextMessage("keep"))
        answer = ref.ask(TextMessage("hello"))
        await starting.wait()
        assert kept[0] is not None
        kept[0].cancel()
        await turns()
        gate.set()
        assert str(await answer) == "hello"


async def test_an_actor_that_crashes_on_each_message_lets_the_loop_turn() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))
        for _ in range(3_000):
            ref.tell(Crash())
        last = ref.ask(Read())
        loop_turns = 0
        while not last.done():
            await asyncio.sleep(0)
            loop_turns += 1
        assert loop_turns > 5


async def test_crashes_in_a_row_wait_longer_and_longer_and_a_handled_message_resets_that() -> None:
    async with ActorSystem() as system:
        options = SpawnOptions(supervision=OneForOne(max_restarts=None, backoff=Backoff(1.0, 4.0)))
        ref = system.spawn(Counter, options=options)
        loop = asyncio.get_running_loop()
        pauses = []
        for _ in range(5):
            began = loop.time()
            with pytest.raises(ValueError, match="crash"):
                await ref.ask(Crash())
            pauses.append(round(loop.time() - began, 3))
        assert pauses == [0, 0, 1.0, 2.0, 4.0]
        await ref.ask(Read())
        began = loop.time()
        for _ in range(2):
            with pytest.raises(ValueError, match="crash"):
                await ref.ask(Crash())
        assert loop.time() == began


async def test_when_its_own_supervision_is_used_up_it_ends_alone() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(supervision=OneForOne(max_restarts=1, within=5.0)))
        other = system.spawn(Counter)
        ref.tell(Crash("first"))
        ref.tell(Crash("second"))
        reason = await ref.terminated()
        assert isinstance(reason, ValueError)
        assert other.is_alive


async def test_a_first_start_that_fails_ends_the_actor_and_tells_its_askers_the_cause() -> None:
    class Broken(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            raise OSError("no disk")

    async with ActorSystem() as system:
        ref = system.spawn(Broken)
        with pytest.raises(ActorStoppedError) as info:
            await ref.ask(Read())
        assert isinstance(info.value.__cause__, OSError)
        with pytest.raises(OSError, match="no disk"):
            await ref.started()
        assert not ref.is_alive


async def test_on_start_runs_before_the_first_message_and_has_the_context() -> None:
    class Greets(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            await asyncio.sleep(1)
            self.name = self.ctx.self.name

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return TextMessage(self.name)

    async with ActorSystem() as system:
        assert str(await system.spawn(Greets, name="g").ask(Read())) == "g"


async def test_on_stop_that_fails_is_logged_and_the_reason_stays(log: list[Any]) -> None:
    class Bad(Counter):
        async def on_stop(self, reason: Any) -> None:
            raise OSError("in on_stop")

    async with ActorSystem() as system:
        ref = system.spawn(Bad)
        await ref.started()
        assert await ref.stop() is StopReason.SHUTDOWN
    assert any(entry["event"] == "actor.on_stop_failed" for entry in log)


async def test_stop_discards_what_waits_and_drain_handles_it_first() -> None:
    async with ActorSystem() as system:
        for drain in (False, True):
            gate = asyncio.Event()
            seen: list[str] = []
            ref = system.spawn(Counter, gate=gate, log=seen)
            ref.tell(Hold())
            await turns()
            ref.tell(TextMessage("waits"))
            ended = ref.stop(drain=drain)
            gate.set()
            assert await ended is StopReason.SHUTDOWN
            assert ("waits" in seen) is drain
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 1}


async def test_stop_gives_the_message_in_hand_its_shutdown_seconds_and_then_cancels() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        ask = ref.ask(Hold())
        await turns()
        began = asyncio.get_running_loop().time()
        await ref.stop()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.0)
        with pytest.raises(ActorStoppedError):
            await ask


async def test_a_swallowed_cancellation_is_repeated_each_second_with_a_log_line(log: list[Any]) -> None:
    class Stubborn(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            swallowed = 0
            while swallowed < 3:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    swallowed += 1

    async with ActorSystem() as system:
        ref = system.spawn(Stubborn)
        ref.tell(Read())
        await turns()
        began = asyncio.get_running_loop().time()
        await ref.stop()
        assert asyncio.get_running_loop().time() - began == pytest.approx(7.0)
    assert sum("swallows" in entry["event"] for entry in log) == 2


async def test_kill_gives_no_grace_and_on_stop_still_runs_for_one_second_at_most() -> None:
    class Slow(Counter):
        async def on_stop(self, reason: Any) -> None:
            self.log.append("stopping")
            await asyncio.sleep(100)
            self.log.append("never")

    seen: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Slow, gate=asyncio.Event(), log=seen)
        ref.tell(Hold())
        await turns()
        began = asyncio.get_running_loop().time()
        assert await ref.kill() is StopReason.KILLED
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)
        assert seen == ["start", "stopping"]


async def test_an_actor_stops_itself_after_the_message_in_hand_and_a_crash_wins() -> None:
    class Leaves(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
            if isinstance(message, Crash):
                ctx.stop()
                raise ValueError("crash wins")
            ctx.stop(reason=StopReason.SHUTDOWN if isinstance(message, Add) else StopReason.NORMAL)
            return TextMessage("bye")

    async with ActorSystem() as system:
        first = system.spawn(Leaves)
        assert str(await first.ask(Read())) == "bye"
        assert await first.terminated() is StopReason.NORMAL
        second = system.spawn(Leaves)
        second.tell(Add(1))
        assert await second.terminated() is StopReason.SHUTDOWN
        third = system.spawn(Leaves)
        with pytest.raises(ValueError, match="wins"):
            await third.ask(Crash())
        assert str(await third.ask(Read())) == "bye"


async def test_no_other_reason_than_normal_and_shutdown_is_taken() -> None:
    class Leaves(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.stop(reason=StopReason.KILLED)

    async with ActorSystem() as system:
        with pytest.raises(ValueError, match="NORMAL"):
            await system.spawn(Leaves).ask(Read())


class Parent(Actor):
    """Spawns children and watches what it is told to."""

    def __init__(self, log: list[Any], strategy: Any = None) -> None:
        self.log = log
        self.children: list[Any] = []

    async def on_start(self, ctx: ActorContext) -> None:
        self.children = [ctx.spawn(Child, name=name, log=self.log) for name in ("a", "b")]

    async def on_stop(self, reason: Any) -> None:
        self.log.append("parent stopped")

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        match message:
            case Terminated(ref, reason):
                self.log.append((ref.name, reason))
            case Crash():
                raise ValueError("parent crashed")
            case Add(amount):
                ctx.watch(self.children[amount])
            case Read():
                ctx.unwatch(self.children[0])


class Child(Counter):
    async def on_start(self, ctx: ActorContext) -> None:
        self.log.append(f"{ctx.self.name} started")

    async def on_stop(self, reason: Any) -> None:
        self.log.append(f"{self.ctx.self.name} stopped")


async def test_children_stop_first_and_in_reverse_order() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        parent = system.spawn(Parent, log=seen)
        await parent.ask(TextMessage("x"))
        await turns()
        await parent.stop()
    assert seen == ["a started", "b started", "b stopped", "a stopped", "parent stopped"]


async def test_a_restart_stops_the_children_and_makes_new_ones() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        parent = system.spawn(Parent, name="p", log=seen)
        await parent.ask(TextMessage("x"))
        old = system.lookup("/p/a")
        assert old is not None
        with pytest.raises(ValueError, match="parent crashed"):
            await parent.ask(Crash())
        await parent.ask(TextMessage("x"))
        new = system.lookup("/p/a")
        assert new is not None
        assert new != old
        assert not old.is_alive
        assert seen.count("a started") == 2


async def test_the_parent_crashes_when_the_strategy_for_its_children_is_used_up() -> None:
    class Strict(Parent):
        strategy = OneForAll(max_restarts=1, within=5.0)

    seen: list[Any] = []
    async with ActorSystem() as system:
        parent = system.spawn(Strict, name="p", log=seen)
        await parent.ask(TextMessage("x"))
        for _ in range(2):
            child = system.lookup("/p/a")
            assert child is not None
            child.tell(Crash())
            await turns(50)
        assert system.tree("/p").restarts == 1
        assert "Restart" in (system.tree("/p").last_error or "")


async def test_terminated_is_delivered_once_for_each_watch_also_of_the_dead_and_never_for_a_restart() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        parent = system.spawn(Parent, name="p", log=seen)
        for _ in range(2):
            await parent.ask(Add(0))
        a, b = system.lookup("/p/a"), system.lookup("/p/b")
        assert a is not None
        assert b is not None
        a.tell(Crash())
        await turns(50)
        assert ("a", StopReason.SHUTDOWN) not in seen
        await a.stop()
        await b.stop()
        await parent.ask(Add(1))
        await turns()
        assert seen.count(("a", StopReason.SHUTDOWN)) == 1
        assert seen.count(("b", StopReason.SHUTDOWN)) == 1


async def test_after_unwatch_a_waiting_terminated_is_thrown_away() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        parent = system.spawn(Parent, name="p", log=seen)
        await parent.ask(Add(0))
        a = system.lookup("/p/a")
        assert a is not None
        parent.tell(Read())  # unwatch
        await a.stop()
        await parent.ask(TextMessage("x"))
        assert ("a", StopReason.SHUTDOWN) not in seen


class Ticker(Actor):
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        match message:
            case Add(amount):
                self.timer = ctx.schedule_every(float(amount), TextMessage("tick"))
                ctx.schedule(1.5, TextMessage("once"))
            case Read():
                self.timer.cancel()
                self.timer.cancel()
            case Crash():
                raise ValueError("crash")
            case TextMessage():
                self.log.append((message.content, round(ctx.system.time(), 1)))


async def test_timers_tick_until_they_are_cancelled_or_the_instance_ends() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Ticker, log=seen)
        start = system.time()
        await ref.ask(Add(1))
        await asyncio.sleep(2.6)
        await ref.ask(Read())
        await asyncio.sleep(5)
        assert [(text, round(at - start, 1)) for text, at in seen] == [("tick", 1.0), ("once", 1.5), ("tick", 2.0)]
        await ref.ask(Add(1))
        ref.tell(Crash())
        await asyncio.sleep(5)
        assert len(seen) == 3


async def test_of_a_periodic_tick_at_most_one_waits() -> None:
    class Busy(Ticker):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await super().receive(message, ctx)
            if isinstance(message, Hold):
                await asyncio.sleep(10)

    seen: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Busy, log=seen)
        await ref.ask(Add(1))
        await ref.ask(Hold())
        await asyncio.sleep(0.5)
        assert len([text for text, _ in seen if text == "tick"]) <= 2
        await ref.ask(Read())


async def test_a_reply_before_the_return_wins_and_a_second_one_is_a_dead_letter() -> None:
    class Early(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            ctx.reply(TextMessage("early"))
            ctx.reply(TextMessage("second"))
            return TextMessage("ignored")

    async with ActorSystem() as system:
        assert str(await system.spawn(Early).ask(Read())) == "early"
        assert system.dead_letters.counts == {DeadLetterReason.REPLIED_TWICE: 1}


class Later(Actor):
    def __init__(self) -> None:
        self.owed: list[ReplyTo] = []

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Add):
            self.owed[message.amount].reply(TextMessage("at last"))
        else:
            self.owed.append(ctx.reply_later())
        return None


async def test_a_reply_can_come_later_and_ends_with_the_actor() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Later)
        first, second = ref.ask(Read()), ref.ask(Read())
        await ref.ask(Add(0))
        assert str(await first) == "at last"
        assert not second.done()
        await ref.stop()
        with pytest.raises(ActorStoppedError):
            await second


async def test_tasks_of_an_actor_end_with_it_and_results_are_piped_to_it() -> None:
    class Works(Actor):
        def __init__(self, log: list[Any]) -> None:
            self.log = log

        async def forever(self) -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                self.log.append("task ended")

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, Add):
                ctx.create_task(self.forever())
                ctx.pipe_to_self(asyncio.sleep(1, "result"), lambda result: TextMessage(str(result)))
            else:
                self.log.append(str(message))

    seen: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Works, log=seen)
        await ref.ask(Add(0))
        await asyncio.sleep(2)
        await ref.stop()
    assert seen == ["result", "task ended"]


async def test_a_handler_that_hangs_is_a_crash_by_timeout() -> None:
    async with ActorSystem() as system:
        with system.events.subscribe() as events:
            ref = system.spawn(Counter, options=SpawnOptions(handler_timeout=2.0), gate=asyncio.Event())
            with pytest.raises(HandlerTimeoutError, match=r"2\.0 s") as info:
                await ref.ask(Hold())
            assert isinstance(info.value, TimeoutError)
            await ref.ask(Read())
            assert system.tree(ref.path).restarts == 1
            events.close()
            kinds = [event.kind async for event in events]
        assert EventKind.HANG in kinds


async def test_a_hanging_start_is_bounded_too() -> None:
    class Hangs(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            await asyncio.sleep(1e6)

    async with ActorSystem() as system:
        ref = system.spawn(Hangs, options=SpawnOptions(handler_timeout=2.0))
        with pytest.raises(HandlerTimeoutError):
            await ref.started()


async def test_an_actor_reads_the_time_of_day_from_the_clock_of_its_system() -> None:
    class Clock(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(ctx.now())
            await asyncio.sleep(3600)
            seen.append(ctx.now())

    seen: list[datetime] = []
    async with ActorSystem() as system:
        await system.spawn(Clock).ask(Message())
        assert seen[1] == datetime.fromtimestamp(system.wall_clock.time(), UTC)

    assert (seen[1] - seen[0]).total_seconds() == pytest.approx(3600)


async def test_a_poisonous_message_is_set_aside_after_so_many_crashes() -> None:
    async with ActorSystem() as system:
        options = SpawnOptions(retry=RetryPolicy(), poison_after=3)
        ref = system.spawn(Counter, options=options)
        ask = ref.ask(Crash("poison"))
        after = ref.ask(Read())
        with pytest.raises(ValueError, match="poison"):
            await ask
        await after
        assert system.tree(ref.path).restarts == 3
        assert system.dead_letters.counts == {DeadLetterReason.POISONOUS: 1}


@pytest.mark.parametrize(
    ("attempts", "poison_after", "tried"), [(None, None, 3), (10, 2, 2), (2, 10, 2), (5, None, 5), (None, 4, 4)]
)
async def test_of_attempts_and_poison_after_the_smaller_wins(
    attempts: int | None, poison_after: int | None, tried: int
) -> None:
    async with ActorSystem() as system:
        options = SpawnOptions(retry=RetryPolicy(attempts=attempts), poison_after=poison_after)
        ref = system.spawn(Counter, options=options)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        await ref.ask(Read())
        assert system.tree(ref.path).restarts == tried
        assert system.dead_letters.counts == {DeadLetterReason.POISONOUS: 1}


async def test_without_a_retry_policy_a_message_is_tried_once() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        await ref.ask(Read())
        assert system.tree(ref.path).restarts == 1


variable: ContextVar[str] = ContextVar("variable", default="unset")


class Sets(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        before = variable.get()
        variable.set(f"{before}+{ctx.self.name}")
        if isinstance(message, Crash):
            raise ValueError("crash")
        return TextMessage(before)


async def test_context_variables_are_kept_between_messages_and_leak_to_nobody() -> None:
    variable.set("outside")
    async with ActorSystem() as system:
        a, b = system.spawn(Sets, name="a"), system.spawn(Sets, name="b")
        assert str(await a.ask(Read())) == "unset"
        assert str(await a.ask(Read())) == "unset+a"
        assert str(await b.ask(Read())) == "unset"
        with pytest.raises(ValueError, match="crash"):
            await a.ask(Crash())
        assert str(await a.ask(Read())) == "unset"  # a fresh instance has a fresh context
    assert variable.get() == "outside"


async def test_timeouts_of_asyncio_and_anyio_work_in_handlers() -> None:
    class Bounded(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            try:
                if isinstance(message, Add):
                    async with asyncio.timeout(1):
                        await asyncio.sleep(100)
                with anyio.fail_after(1):
                    await anyio.sleep(100)
            except TimeoutError:
                return TextMessage("timed out")
            return TextMessage("never")

    async with ActorSystem() as system:
        ref = system.spawn(Bounded)
        for message in (Add(1), Read(), Add(1), Read()):
            assert str(await ref.ask(message)) == "timed out"


async def test_names_are_unique_and_free_again_after_the_end() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="one")
        for bad in ("one", "", "a/b"):
            with pytest.raises(ValueError, match="name"):
                system.spawn(Counter, name=bad)
        assert system.spawn(Counter).name == "Counter-1"
        await ref.stop()
        assert system.lookup("/one") is None
        again = system.spawn(Counter, name="one")
        assert again != ref
        assert not ref.is_alive


async def test_a_system_that_does_not_run_takes_no_actors() -> None:
    system = ActorSystem()
    with pytest.raises(RuntimeError):
        system.spawn(Counter)
    async with system:
        pass
    with pytest.raises(SystemNotRunningError):
        system.spawn(Counter)


async def test_the_tree_shows_every_actor_at_this_moment() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="busy", gate=gate)
        ref.tell(Hold())
        await turns()
        ref.tell(Add(1))
        await asyncio.sleep(3)
        info = system.tree("/busy")
        assert (info.path, info.state, info.mailbox_depth) == ("/busy", "running", 1)
        assert info.message_age == pytest.approx(3.0)
        assert info.oldest_age == pytest.approx(3.0)
        gate.set()
        await ref.ask(Read())
        info = system.tree("/busy")
        assert (info.state, info.mailbox_depth, info.handled) == ("idle", 0, 3)
        assert [child.path for child in system.tree(limit=2).children] == ["/busy"]


async def test_a_group_broadcasts_to_its_members_and_who_ends_leaves() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        group = system.group("all")
        refs = [system.spawn(Counter, log=seen) for _ in range(3)]
        for ref in refs:
            group.join(ref)
        await refs[0].stop()
        group.broadcast(TextMessage("hi"))
        await refs[1].ask(Read())
        await refs[2].ask(Read())
        assert set(group.members) == set(refs[1:])
        assert seen.count("hi") == 2


async def test_on_restart_that_fails_is_a_crash_of_the_fresh_instance_whose_on_stop_runs() -> None:
    class Fragile(Counter):
        fails = 1

        async def on_restart(self, reason: Any) -> None:
            if Fragile.fails:
                Fragile.fails -= 1
                raise OSError("in on_restart")

    seen: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Fragile, log=seen)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        assert (await ref.ask(Read())).value == 0
        kinds = [entry if isinstance(entry, str) else f"stop {type(entry[1]).__name__}" for entry in seen]
        assert kinds == ["start", "stop ValueError", "start", "stop OSError", "start"]


async def test_draining_handles_what_was_sent_before_the_first_start() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        ref.tell(Add(3))
        total = ref.ask(Read())
        await ref.stop(drain=True)
        assert (await total).value == 3
        assert system.dead_letters.total == 0


async def test_a_crash_while_draining_restarts_and_the_draining_goes_on() -> None:
    seen: list[Any] = []
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = system.spawn(Counter, gate=gate, log=seen)
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("1"))
        ref.tell(Crash())
        ref.tell(TextMessage("2"))
        ended = ref.stop(drain=True)
        gate.set()
        assert await ended is StopReason.SHUTDOWN
        assert [entry for entry in seen if entry in ("1", "2")] == ["1", "2"]
        assert system.dead_letters.total == 0


async def test_terminated_comes_after_on_stop_and_after_the_name_is_free() -> None:
    class Watcher(Actor):
        def __init__(self, log: list[Any]) -> None:
            self.log = log

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, Terminated):
                self.log.append(("terminated", ctx.system.lookup("/watched")))
            elif isinstance(message, Read):
                ctx.watch(watched)

    seen: list[Any] = []
    async with ActorSystem() as system:
        watched = system.spawn(Counter, name="watched", log=seen)
        watcher = system.spawn(Watcher, log=seen)
        await watcher.ask(Read())
        await watched.stop()
        await watcher.ask(TextMessage("flush"))
        assert seen[-2:] == [("stop", StopReason.SHUTDOWN), ("terminated", None)]


async def test_an_actor_can_stop_itself_through_its_ref_without_waiting_for_it() -> None:
    class Leaves(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            ctx.self.stop()
            return TextMessage("bye")

    async with ActorSystem() as system:
        ref = system.spawn(Leaves)
        assert str(await ref.ask(Read())) == "bye"
        assert await ref.terminated() is StopReason.SHUTDOWN


async def test_stopping_and_killing_again_is_harmless() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        endings = [ref.stop(), ref.stop(), ref.kill(), ref.kill()]
        for ending in endings:
            assert await ending in (StopReason.SHUTDOWN, StopReason.KILLED)
        assert await ref.stop() is await ref.terminated()


async def test_a_parent_that_stops_takes_no_more_children() -> None:
    class Late(Actor):
        async def on_stop(self, reason: Any) -> None:
            with pytest.raises(SystemNotRunningError):
                self.ctx.spawn(Counter)
            refused.append(True)

    refused: list[bool] = []
    async with ActorSystem() as system:
        ref = system.spawn(Late)
        await ref.started()
        await ref.stop()
    assert refused == [True]


async def test_the_sender_belongs_to_the_message_and_is_none_from_outside() -> None:
    class Tells(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            return await target.ask(message)

    class Says(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return TextMessage(str(ctx.sender.path if ctx.sender is not None else None))

    async with ActorSystem() as system:
        target = system.spawn(Says)
        assert str(await target.ask(Read())) == "None"
        assert str(await system.spawn(Tells, name="teller").ask(Read())) == "/teller"


async def test_a_durable_actor_in_a_system_without_a_journal_is_refused_and_the_error_says_what_to_do() -> None:
    async with ActorSystem() as system:
        with pytest.raises(ValueError, match=r"/scribe: durable=True needs a journal.*SqliteJournal"):
            system.spawn(Actor, name="scribe", options=SpawnOptions(durable=True))
