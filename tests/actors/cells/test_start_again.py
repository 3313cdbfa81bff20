"""`ref.restart()`: a fresh instance behind the same mailbox, asked for from outside."""

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
    EventKind,
    InteractionContext,
    Message,
    MiniAgents,
    OneForAll,
    OneForOne,
    Restart,
    StopReason,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import ActorStoppedError
from tests.actors.actors import Crash, Hold, turns


class Worker(Actor):
    """Counts its messages; what happens to it goes into a log that outlives the instance."""

    def __init__(self, log: list[Any], broken: list[bool] | None = None) -> None:
        self.log = log
        self.broken = broken if broken is not None else [False]
        self.count = 0

    async def on_start(self, ctx: ActorContext) -> None:
        if self.broken[0]:
            raise OSError("no disk")
        self.log.append("start")

    async def on_restart(self, reason: Any) -> None:
        self.log.append(("restart", reason))

    async def on_stop(self, reason: Any) -> None:
        self.log.append(("stop", reason))

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        match message:
            case Hold():
                await asyncio.Event().wait()
            case Crash(text):
                raise ValueError(text)
        self.count += 1
        return TextMessage(str(self.count))


RESTARTED = ["start", ("stop", StopReason.RESTARTED), "start", ("restart", StopReason.RESTARTED)]


async def test_a_restart_makes_a_fresh_instance_behind_the_same_mailbox() -> None:
    log = list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Worker, name="w", log=log)
        assert str(await ref.ask(TextMessage("a"))) == "1"
        await ref.restart()
        assert log == RESTARTED
        assert system.lookup("/w") is ref
        assert str(await ref.ask(TextMessage("a"))) == "1"
        assert system.tree("/w").restarts == 1


async def test_the_message_in_hand_ends_with_an_error_and_those_that_wait_go_to_the_fresh_instance() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker, log=[])
        held, waits = ref.ask(Hold()), ref.ask(TextMessage("a"))
        await turns()
        await ref.restart()
        with pytest.raises(ActorStoppedError, match="stopped"):
            await held
        assert str(await waits) == "1"


@pytest.mark.parametrize("restart", list(Restart))
async def test_the_restart_type_is_not_asked_and_no_window_counts_the_restart(restart: Restart) -> None:
    log = list[Any]()
    async with ActorSystem() as system:
        specs = [ChildSpec(name, Worker, kwargs={"log": log}, restart=restart) for name in ("a", "b")]
        await system.supervise(Supervisor("s", strategy=OneForAll(max_restarts=1, within=60.0), children=specs))
        first = system.lookup("/s/a")
        assert first is not None
        for _ in range(5):
            await first.restart()
        assert log == ["start", "start", *RESTARTED[1:] * 5], "its sibling stays as it is"
        assert system.lookup("/s/a") is first
        assert system.lookup("/s") is not None
        if restart is not Restart.TEMPORARY:
            with pytest.raises(ValueError, match="crash"):
                await first.ask(Crash("crash"))
            assert str(await first.ask(TextMessage("a"))) == "1", "the window has room for a crash"


async def test_a_restart_that_was_due_after_a_crash_comes_at_once_and_is_one() -> None:
    log = list[Any]()
    async with ActorSystem() as system:
        await system.supervise(
            Supervisor("s", strategy=OneForOne(max_restarts=9), children=[ChildSpec("w", Worker, kwargs={"log": log})])
        )
        ref: Any = system.lookup("/s/w")
        ref.tell(Crash("crash"))
        await turns()
        await ref.restart()
        assert str(await ref.ask(TextMessage("a"))) == "1"
        assert log.count("start") == system.tree("/s/w").restarts + 1


async def test_a_restart_of_one_that_has_ended_fails_also_if_it_ends_meanwhile() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker, log=[])
        again = ref.restart()
        ended = ref.kill()
        with pytest.raises(ActorStoppedError):
            await again
        assert await ended is StopReason.KILLED
        with pytest.raises(ActorStoppedError):
            await ref.restart()


async def test_a_restart_under_a_supervisor_that_ends_fails() -> None:
    async with ActorSystem() as system:
        supervisor = await system.supervise(
            Supervisor("s", children=[ChildSpec("w", Worker, kwargs={"log": list[Any]()})])
        )
        ref: Any = system.lookup("/s/w")
        ended = supervisor.stop()
        again = ref.restart()
        await ended
        with pytest.raises(ActorStoppedError):
            await again


async def test_a_start_that_fails_is_the_error_of_the_restart_and_ends_one_without_a_supervisor() -> None:
    broken = [False]
    async with ActorSystem() as system:
        ref = system.spawn(Worker, log=[], broken=broken)
        await ref.started()
        broken[0] = True
        with pytest.raises(OSError, match="no disk"):
            await ref.restart()


async def test_a_start_that_fails_under_a_supervisor_is_tried_again() -> None:
    broken = [False]
    async with ActorSystem() as system:
        kwargs = {"log": list[Any](), "broken": broken}
        strategy = OneForOne(max_restarts=100, within=60.0)
        await system.supervise(Supervisor("s", strategy=strategy, children=[ChildSpec("w", Worker, kwargs=kwargs)]))
        ref: Any = system.lookup("/s/w")
        broken[0] = True
        again = ref.restart()
        with pytest.raises(OSError, match="no disk"):
            await again
        broken[0] = False
        assert str(await ref.ask(TextMessage("a"))) == "1"


async def test_two_restarts_at_once_are_one_where_there_is_no_supervisor() -> None:
    log = list[Any]()
    async with ActorSystem() as system:
        ref = system.spawn(Worker, log=log)
        await ref.started()
        first, second = ref.restart(), ref.restart()
        await first
        await second
        assert log == RESTARTED


async def test_a_restart_is_an_event_with_its_reason() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker, log=[])
        await ref.started()
        with system.events.subscribe() as events:
            await ref.restart()
            event = await anext(events)
        assert (event.kind, event.reason) == (EventKind.RESTART, StopReason.RESTARTED)


async def test_an_actor_that_restarts_itself_goes_on_as_a_fresh_instance() -> None:
    class Own(Actor):
        count = 0

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            self.count += 1
            if str(message) == "again":
                await ctx.self.restart()
            return TextMessage(str(self.count))

    async with ActorSystem() as system:
        ref = system.spawn(Own)
        ref.tell(TextMessage("again"))
        assert str(await ref.ask(TextMessage("a"))) == "1"


async def test_a_supervisor_is_restarted_with_all_that_is_below_it() -> None:
    log = list[Any]()
    async with ActorSystem() as system:
        await system.supervise(Supervisor("s", children=[ChildSpec("w", Worker, kwargs={"log": log})]))
        supervisor: Any = system.lookup("/s")
        child: Any = system.lookup("/s/w")
        await supervisor.restart()
        assert supervisor.is_alive
        assert not child.is_alive
        assert log.count("start") == 2


async def test_siblings_that_wait_for_a_failed_restart_come_back_with_a_restart_by_hand() -> None:
    broken = [False]
    log = list[Any]()
    async with ActorSystem() as system:
        specs = [
            ChildSpec("a", Worker, kwargs={"log": [], "broken": broken}),
            ChildSpec("b", Worker, kwargs={"log": log}),
        ]
        strategy = OneForAll(max_restarts=100, within=60.0, backoff=Backoff(1_000.0, 1_000.0))
        await system.supervise(Supervisor("s", strategy=strategy, children=specs))
        first: Any = system.lookup("/s/a")
        second: Any = system.lookup("/s/b")
        broken[0] = True
        first.tell(Crash("crash"))
        await asyncio.sleep(1_500)
        assert log == ["start", ("stop", StopReason.SHUTDOWN)], "it waits for the restart of its sibling"
        broken[0] = False
        await first.restart()
        assert str(await second.ask(TextMessage("a"))) == "1"
        assert log.count("start") == 2


async def test_a_restart_shortens_no_end_that_its_parent_asked_for() -> None:
    log = list[Any]()

    class Slow(Actor):
        async def on_stop(self, reason: Any) -> None:
            log.append(reason)
            await asyncio.sleep(4)
            log.append("cleaned up")

        async def receive(self, message: Message, ctx: ActorContext) -> None: ...

    class Parent(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.spawn(Slow, name="child")

        async def receive(self, message: Message, ctx: ActorContext) -> None: ...

    async with ActorSystem() as system:
        parent = system.spawn(Parent, name="parent")
        await parent.started()
        await turns()
        child: Any = system.lookup("/parent/child")
        ended = parent.stop()
        await asyncio.sleep(1)
        with pytest.raises(ActorStoppedError):
            await child.restart()
        await ended
    assert log == [StopReason.SHUTDOWN, "cleaned up"]


async def test_agents_of_both_kinds_are_restarted_and_their_calls_end_with_an_error() -> None:
    begun = asyncio.Event()

    @miniagent
    async def function(ctx: InteractionContext) -> None:
        if "hold" in str(await ctx.message_promises):
            begun.set()
            await asyncio.Event().wait()
        ctx.reply("done")

    @miniagent
    class Kept:
        def __init__(self) -> None:
            self.count = 0

        async def __call__(self, ctx: InteractionContext) -> None:
            self.count += 1
            if "hold" in str(await ctx.message_promises):
                begun.set()
                await asyncio.Event().wait()
            ctx.reply(str(self.count))

    async with MiniAgents() as system:
        agents: list[tuple[Any, str]] = [(function, "done"), (Kept, "1")]
        for agent, answer in agents:
            call = agent.inquire("hold")
            begun.clear()
            await begun.wait()
            ref: ActorRef | None = system.lookup(system.interactions()[0].path)
            assert ref is not None
            await ref.restart()
            with pytest.raises(ActorStoppedError):
                await call
            assert str(await agent.inquire("go")) == answer
            assert system.tree(ref.path).restarts == 1
