"""Worker tasks carry nothing from one actor to the next: no cancellation, no scope, no context."""

import asyncio
import weakref
from typing import Any

import anyio
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    InteractionContext,
    Message,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.actors.dispatch.workers import WorkerTask
from miniagents.agents.interaction import Interaction
from tests.actors.actors import Add, Counter, Crash, Read, turns


def cancel_as_it_returns() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def swallowed_cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        pass


left_open: list[Any] = []


async def asyncio_scope_left_open() -> None:
    scope = asyncio.timeout(5)
    await scope.__aenter__()
    left_open.append(scope)


async def anyio_scope_left_open() -> None:
    scope = anyio.CancelScope(deadline=anyio.current_time() + 5)
    scope.__enter__()
    left_open.append(scope)


BAD: dict[str, Any] = {
    "cancel as it returns": cancel_as_it_returns,
    "swallowed cancel": swallowed_cancel,
    "asyncio scope left open": asyncio_scope_left_open,
    "anyio scope left open": anyio_scope_left_open,
}


async def test_a_worker_that_is_cancelled_before_its_first_step_is_replaced() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        ref.tell(Add(3))
        for task in asyncio.all_tasks():
            if isinstance(task, WorkerTask):
                task.cancel()

        total = await asyncio.wait_for(ref.ask(Read()), 5)

        assert total.value == 3


class Bad(Actor):
    def __init__(self, hook: str, what: str) -> None:
        self.hook = hook
        self.what = what

    async def misbehave(self, hook: str) -> None:
        if hook == self.hook:
            result = BAD[self.what]()
            if result is not None:
                await result

    async def on_start(self, ctx: ActorContext) -> None:
        await self.misbehave("on_start")

    async def on_stop(self, reason: Any) -> None:
        await self.misbehave("on_stop")

    async def on_restart(self, reason: Any) -> None:
        await self.misbehave("on_restart")

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if isinstance(message, Crash):
            raise ValueError("crash")
        await self.misbehave("receive")


class Victim(Actor):
    """Suspends long enough for a stray cancellation to reach it."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(10)
        return TextMessage("unharmed")


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("hook", ["on_start", "receive", "on_stop", "on_restart"])
async def test_the_next_actor_on_the_same_worker_is_unharmed(hook: str, what: str) -> None:
    left_open.clear()
    async with ActorSystem() as system:
        bad = system.spawn(Bad, hook=hook, what=what)
        bad.tell(Add(1))
        await turns()
        if hook == "on_restart":
            bad.tell(Crash())
            await turns()
        elif hook == "on_stop":
            bad.stop()
        victims = [system.spawn(Victim) for _ in range(5)]
        asks = [victim.ask(Read()) for victim in victims]
        for ask in asks:
            assert str(await ask) == "unharmed"
        assert all(system.tree(victim.path).restarts == 0 for victim in victims)


async def test_own_task_runs_start_handlers_and_stop_in_one_task_so_that_a_task_group_can_span_them() -> None:
    class Session(Actor):
        """As an MCP client does: a task group is opened in `on_start` and closed in `on_stop`."""

        def __init__(self, log: list[Any]) -> None:
            self.log = log

        async def on_start(self, ctx: ActorContext) -> None:
            self.task = asyncio.current_task()
            self.group = await anyio.create_task_group().__aenter__()
            self.group.start_soon(anyio.sleep_forever)

        async def on_stop(self, reason: Any) -> None:
            self.group.cancel_scope.cancel()
            await self.group.__aexit__(None, None, None)
            self.log.append("closed")

        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if isinstance(message, Crash):
                raise ValueError("crash")
            return TextMessage(str(asyncio.current_task() is self.task))

    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Session, options=SpawnOptions(own_task=True), log=log)
        assert str(await ref.ask(Read())) == "True"
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        assert str(await ref.ask(Read())) == "True"
        await ref.stop()
    assert log == ["closed", "closed"]


async def test_an_idle_actor_owns_no_task() -> None:
    async with ActorSystem() as system:
        before = len(asyncio.all_tasks())
        refs = [system.spawn(Counter) for _ in range(1000)]
        for ref in refs:
            await ref.ask(Read())
        assert len(asyncio.all_tasks()) - before < 40


async def test_one_that_is_flooded_and_never_suspends_does_not_starve_its_neighbours() -> None:
    order: list[str] = []

    class Notes(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            order.append(ctx.self.name)

    async with ActorSystem() as system:
        flooded, other = system.spawn(Notes, name="flooded"), system.spawn(Notes, name="other")
        for n in range(10_000):
            flooded.tell(Add(n))
        await other.ask(Read())
        assert order.index("other") < 1000


async def test_a_stop_overtakes_the_messages_of_one_that_is_flooded() -> None:
    handled: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Counter, log=handled)
        for n in range(10_000):
            ref.tell(TextMessage(str(n)))
        await turns(1)
        before = len(handled)
        await ref.stop()
        assert len(handled) == before + 1  # nothing but on_stop


async def test_in_debug_mode_a_handler_that_blocks_the_loop_is_logged_with_its_path(log: list[Any]) -> None:
    class Blocks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            import time

            time.sleep(0.15)  # noqa: ASYNC251 - this is what the test is about

    async with ActorSystem(debug=True) as system:
        await system.spawn(Blocks, name="blocks").ask(Read())
    assert [entry["actor"] for entry in log if entry["event"] == "loop.blocked"] == ["/blocks"]


class Keep(Message):
    """Keep a handle of the task that handles this."""

    how: str


class Kept(Actor):
    """Gives its task away, and is asked for more afterwards."""

    def __init__(self, handles: list[Any], hook: str = "receive") -> None:
        self.handles = handles
        self.hook = hook

    def keep(self, how: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        match how:
            case "variable":
                self.handles.append(task.cancel)
            case "weak":
                weakly = weakref.ref(task)
                self.handles.append(lambda: (kept := weakly()) is not None and kept.cancel())
            case "weak set":
                tasks = weakref.WeakSet([task])
                self.handles.append(lambda: [kept.cancel() for kept in tasks])
            case "all tasks":
                everybody, me = asyncio.all_tasks(), id(task)
                self.handles.append(lambda: [kept.cancel() for kept in everybody if id(kept) == me])

    async def on_start(self, ctx: ActorContext) -> None:
        if self.hook == "on_start":
            self.keep("variable")

    async def on_restart(self, reason: Any) -> None:
        if self.hook == "on_restart":
            self.keep("variable")

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        match message:
            case Keep(how=how):
                if "waited" in how:
                    await asyncio.sleep(0.1)
                self.keep(how.removesuffix(", waited"))
            case Crash():
                raise ValueError("crash")
            case TextMessage():
                for cancel in self.handles:
                    cancel()  # the handler itself has a handle of an earlier one
                await asyncio.sleep(1)
            case _:
                await asyncio.sleep(1)
        return TextMessage("unharmed")


HOW = ["variable", "weak", "weak set", "all tasks", "variable, waited", "weak, waited", "all tasks, waited"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("who", ["outside", "loop", "helper", "itself", "another"])
@pytest.mark.parametrize("whom", ["the same actor", "another actor"])
async def test_a_handle_that_was_kept_cancels_nobody_who_comes_later(how: str, who: str, whom: str) -> None:
    handles: list[Any] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Kept, handles=handles)
        victim = supervisor if whom == "the same actor" else system.spawn(Kept, handles=handles)
        # In one turn, where it is one actor: nobody waits for the first answer before the second is asked for.
        first = supervisor.ask(Keep(how=how))
        answer = victim.ask(TextMessage("cancel") if who == "itself" else Read())
        await first
        await asyncio.sleep(0.5)
        assert handles

        match who:
            case "outside":
                handles[0]()
            case "loop":
                asyncio.get_running_loop().call_soon(handles[0])
            case "helper":
                await asyncio.create_task(called(handles[0]))
            case "another":
                await system.spawn(Kept, handles=handles).ask(TextMessage("cancel"))

        assert str(await answer) == "unharmed"
        assert str(await victim.ask(Read())) == "unharmed"
        assert system.tree(victim.path).restarts == 0


async def called(what: Any) -> None:
    what()


@pytest.mark.parametrize("hook", ["on_start", "on_restart"])
async def test_a_handle_that_a_hook_kept_cancels_no_handler(hook: str) -> None:
    handles: list[Any] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Kept, handles=handles, hook=hook)
        if hook == "on_restart":
            with pytest.raises(ValueError, match="crash"):
                await supervisor.ask(Crash())
        answer = supervisor.ask(Read())
        await asyncio.sleep(0.5)

        handles[0]()

        assert str(await answer) == "unharmed"


async def test_a_handle_cancels_the_handler_that_gave_it_away_as_long_as_that_runs() -> None:
    class Lends(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            task = asyncio.current_task()
            assert task is not None
            helper = asyncio.create_task(called(task.cancel))
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(1)
            await helper
            task.uncancel()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.sleep(2)
            with pytest.raises(TimeoutError), anyio.fail_after(1):
                await anyio.sleep(2)
            return TextMessage("as it should be")

    async with ActorSystem() as system:
        lends = system.spawn(Lends)
        for _ in range(2):
            assert str(await lends.ask(Read())) == "as it should be"


async def test_a_worker_whose_task_nobody_keeps_is_used_again() -> None:
    names: list[str] = []

    class Looks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            async with asyncio.timeout(5):
                await asyncio.sleep(0.1)
            with anyio.fail_after(5):
                await anyio.sleep(0.1)
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0.1))
            task = asyncio.current_task()
            assert task is not None
            names.append(task.get_name())

    async with ActorSystem() as system:
        looks = system.spawn(Looks)
        for _ in range(99):
            looks.tell(Read())
        await looks.ask(Read())

    assert len(names) == 100
    assert len(set(names)) == 1


async def test_the_own_task_of_an_actor_is_clean_again_before_the_next_message() -> None:
    class Own(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if message == TextMessage("wait"):
                await asyncio.Event().wait()
            task = asyncio.current_task()
            assert task is not None
            return TextMessage(str(task.cancelling()))

    async with ActorSystem() as system:
        own = system.spawn(Own, options=SpawnOptions(own_task=True))
        for _ in range(3):
            waiting = own.ask(TextMessage("wait"))
            await asyncio.sleep(0.001)
            await waiting.aclose()
            assert await own.ask(TextMessage("cancelled?")) == TextMessage("0")


@pytest.mark.parametrize("kind", ["actor", "agent"])
async def test_a_worker_that_fails_ends_whom_it_serves_and_is_logged_and_the_others_go_on(
    kind: str, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fault(BaseException):
        """No `Exception`, so that nothing in a turn takes it."""

    async def fails(*_: Any) -> None:
        raise Fault("a fault of the runtime")

    @miniagent
    async def echo(ctx: InteractionContext) -> None:
        ctx.reply("echo")

    async with MiniAgents() as system:
        ref = system.spawn(Victim)
        await turns()
        with monkeypatch.context() as faulty:
            faulty.setattr(ActorCell if kind == "actor" else Interaction, "turn", fails)
            promise: Any = ref.ask(Read()) if kind == "actor" else echo.inquire()
            await turns()
        error = promise.exception()
        assert isinstance(error if kind == "agent" else error.__cause__, Fault)

        assert str(await echo.inquire()) == "echo"
        assert str(await system.spawn(Victim).ask(Read())) == "unharmed"

    assert [entry["event"] for entry in log] == ["runtime.worker_failed"]
