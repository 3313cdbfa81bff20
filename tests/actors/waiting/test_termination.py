"""A system that must end ends: what swallows its cancellation for ever is abandoned after the grace, and named."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    ChildSpec,
    InteractionContext,
    Message,
    MiniAgents,
    OneForOne,
    SpawnOptions,
    Supervisor,
    TextMessage,
    TextToken,
    miniagent,
)
from miniagents.errors import ActorStoppedError, InvalidOptionError, PromiseCancelledError
from miniagents.promising import Promise, PromisingContext
from tests.actors.actors import turns

ROOT = Path(__file__).parents[3]
ABANDONED = "shutdown.abandoned"


class Stubborn:
    """Swallows its cancellation until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def stay(self, *_: Any) -> None:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                pass


class Stays(Actor):
    """Stays in one of its hooks."""

    def __init__(self, stubborn: Stubborn, hook: str) -> None:
        self.stubborn = stubborn
        self.hook = hook

    async def on_start(self, ctx: ActorContext) -> None:
        if self.hook == "on_start":
            await self.stubborn.stay()

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if self.hook == "receive":
            ctx.spawn(Notes, name="below", log=self.stubborn.let_go.__dict__.setdefault("log", []))
            await self.stubborn.stay()
        elif self.hook == "create_task":
            ctx.create_task(self.stubborn.stay())

    async def on_stop(self, reason: Any) -> None:
        if self.hook == "on_stop":
            await self.stubborn.stay()


class Notes(Actor):
    """Says when it stops."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def on_stop(self, reason: Any) -> None:
        self.log.append(self.ctx.self.path)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        """Nothing."""


@miniagent
async def function(ctx: InteractionContext, stubborn: Stubborn) -> None:
    await stubborn.stay()


@miniagent
class OfClass:
    def __init__(self, stubborn: Stubborn) -> None:
        self.stubborn = stubborn

    async def __call__(self, ctx: InteractionContext) -> None:
        await self.stubborn.stay()


@miniagent
async def streaming(ctx: InteractionContext, stubborn: Stubborn) -> None:
    async def tokens(_: object) -> AsyncIterator[TextToken]:
        yield TextToken("begun")
        await stubborn.stay()

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


def asked(hook: str, own_task: bool = False) -> Callable[[MiniAgents, Stubborn], Promise[Any]]:
    def begin(system: MiniAgents, stubborn: Stubborn) -> Promise[Any]:
        options = SpawnOptions(own_task=own_task)
        return system.spawn(Stays, name="stays", options=options, stubborn=stubborn, hook=hook).ask(Message())

    return begin


def called(agent: Any, **options: Any) -> Callable[[MiniAgents, Stubborn], Promise[Any]]:
    def begin(_: MiniAgents, stubborn: Stubborn) -> Promise[Any]:
        fork = agent.fork(options=SpawnOptions(**options), non_freezable_kwargs={"stubborn": stubborn})
        replies: Promise[Any] = fork.inquire()
        return replies

    return begin


KINDS: dict[str, Callable[[MiniAgents, Stubborn], Promise[Any]]] = {
    "a function agent": called(function),
    "a function agent with a task of its own": called(function, own_task=True),
    "a class agent": called(OfClass),
    "a stream": called(streaming),
    "a handler": asked("receive"),
    "a handler in a task of its own": asked("receive", own_task=True),
    "a start": asked("on_start"),
    "an on_stop": asked("on_stop"),
    "a task of an actor": asked("create_task"),
    "a promise": lambda _, stubborn: Promise(stubborn.stay),
}
NAMED = {
    "a function agent": "/agents/function",
    "a function agent with a task of its own": "/agents/function",
    "a class agent": "/agents/OfClass",
    "a stream": None,
    "a promise": None,
}


async def left(how: str, system: MiniAgents) -> None:
    """Leave `async with` in one of several ways."""
    if how == "afinalize":
        for one in (*(cell.ref for cell in system.cells()),):
            one.kill()
        for interaction in system.interactions():
            interaction.begin_cancel("enough")
        for task in tuple(system._background):
            task.cancel()
        await system.afinalize()
        return
    await system.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)


@pytest.mark.parametrize("how", ["afinalize", "an exception"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_system_ends_without_what_swallows_its_cancellation_and_names_it(
    kind: str, how: str, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = Stubborn()
    stopped: list[str] = []
    ended: list[str] = []
    system = MiniAgents(grace=3.0)
    monkeypatch.setattr(system, "actor_ended", lambda cell: ended.append(cell.path))
    await system.__aenter__()
    system.spawn(Notes, name="oldest", log=stopped)
    promise = KINDS[kind](system, stubborn)
    await turns()
    began = asyncio.get_running_loop().time()

    await left(how, system)

    took = asyncio.get_running_loop().time() - began
    assert took <= 5 + 1 + 3 + 1  # the time to shut down, until it is told again, the grace, one second for the last
    assert promise.done()
    if kind not in ("an on_stop", "a task of an actor"):
        assert isinstance(promise.exception(), (ActorStoppedError, PromiseCancelledError))
    (said,) = [entry for entry in log if entry["event"] == ABANDONED]
    assert said.get("actor") == NAMED.get(kind, "/stays")
    assert "stay" in said["stack"]
    assert stopped == ["/oldest"]  # in supervised order all the same
    assert stubborn.let_go.__dict__.get("log", ["/stays/below"]) == ["/stays/below"]
    assert system.interactions() == ()
    assert not system.is_running

    stubborn.let_go.set()  # what comes of it then is thrown away, and does no harm
    await turns()
    assert not [entry for entry in log if entry["event"].startswith("runtime.")]
    assert sorted(set(ended)) == sorted(ended)  # each of them once
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


class Asks(Actor):
    """Asks another actor."""

    def __init__(self, other: ActorRef) -> None:
        self.other = other

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        answer: Message = await self.other.ask(message)
        return answer


@miniagent
async def calls(ctx: InteractionContext, agent: Any) -> None:
    ctx.reply(await agent.inquire())


UNWANTED = {
    "a function agent": "/agents/function",
    "a class agent": "/agents/OfClass",
    "a message to a class agent": "/stays",
    "a handler": "/stays",
    "a handler in a task of its own": "/stays",
    "a supervised handler": "/s/stays",
    "a handler that others wait for": "/stays",
    "a class agent that others wait for": "/agents/OfClass",
    "a handler that has run for too long": "/stays",
    "a class agent that has run for too long": "/stays",
}


async def ask_unwanted(kind: str, system: MiniAgents, stubborn: Stubborn, timeout: float | None) -> Promise[Any]:
    live = {"stubborn": stubborn}
    if kind == "a function agent":
        return function.fork(non_freezable_kwargs=live).inquire(timeout=timeout)
    if kind == "a message to a class agent":
        named = system.spawn(OfClass.fork(non_freezable_kwargs=live), name="stays")  # type: ignore[attr-defined]
        return named.ask(TextMessage("hi"), timeout=timeout)
    if kind == "a class agent that has run for too long":
        options = SpawnOptions(handler_timeout=0.1)
        agent = OfClass.fork(options=options, non_freezable_kwargs=live)  # type: ignore[attr-defined]
        called: Promise[Any] = system.spawn(agent, name="stays").inquire(timeout=timeout)
        return called
    if kind.startswith("a class agent"):
        agent = OfClass.fork(non_freezable_kwargs=live)  # type: ignore[attr-defined]
        replies: Promise[Any] = agent.inquire(timeout=timeout)
        if "others" in kind:
            await turns()
            calls.fork(non_freezable_kwargs={"agent": agent}).inquire()
        return replies
    kwargs = {"stubborn": stubborn, "hook": "receive"}
    if kind == "a supervised handler":
        children = [ChildSpec("stays", Stays, kwargs=kwargs)]
        await system.supervise(Supervisor("s", strategy=OneForOne(), children=children))
        found = system.lookup("/s/stays")
        assert found is not None
        ref: ActorRef = found
    else:
        handler_timeout = 0.1 if "too long" in kind else None
        options = SpawnOptions(own_task="own" in kind, handler_timeout=handler_timeout)
        ref = system.spawn(Stays, name="stays", options=options, kwargs=kwargs)
    ask = ref.ask(Message(), timeout=timeout)
    if "others" in kind:
        await turns()
        system.spawn(Asks, other=ref).tell(Message())
    return ask


@pytest.mark.parametrize("how", ["cancel", "deadline"])
@pytest.mark.parametrize("kind", UNWANTED)
async def test_a_normal_end_leaves_behind_what_nobody_waits_for_and_what_swallows_its_cancellation(
    kind: str, how: str, log: list[Any]
) -> None:
    stubborn = Stubborn()
    stopped: list[str] = []
    system = MiniAgents(grace=3.0)
    async with system:
        system.spawn(Notes, name="oldest", log=stopped)
        promise = await ask_unwanted(kind, system, stubborn, 0.5 if how == "deadline" else None)
        await turns()
        if how == "cancel" and "too long" not in kind:
            promise.cancel("enough")
        else:
            await asyncio.sleep(1.0)
        began = asyncio.get_running_loop().time()

    # A handler whose deadline has passed is told after the grace, has its time to shut down, and swallows a grace more.
    assert asyncio.get_running_loop().time() - began <= (4.0 if how == "cancel" else 3.0 + 1.0 + 5.0 + 3.0 + 1.0)
    assert promise.done()
    promise.exception()
    assert [entry.get("actor") for entry in log if entry["event"] == ABANDONED] == [UNWANTED[kind]]
    assert stopped == ["/oldest"]
    assert system.interactions() == ()
    stubborn.let_go.set()
    await turns()
    assert not [entry for entry in log if entry["event"].startswith("runtime.")]
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_what_goes_on_when_a_normal_end_begins_is_finished_beside_what_swallows_its_cancellation() -> None:
    stubborn = Stubborn()
    done: list[str] = []

    @miniagent
    async def long(ctx: InteractionContext) -> None:
        await asyncio.sleep(100.0)
        done.append("long")

    async with MiniAgents(grace=3.0) as system:
        long.inquire()
        replies = await ask_unwanted("a class agent", system, stubborn, None)
        await turns()
        replies.cancel("enough")

    assert done == ["long"]
    stubborn.let_go.set()
    await turns()


async def test_a_handler_that_has_answered_is_waited_for_until_it_is_done() -> None:
    done: list[str] = []

    class Acknowledges(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.reply(Message())
            await asyncio.sleep(100.0)
            done.append("done")

    async with MiniAgents(grace=3.0) as system:
        await system.spawn(Acknowledges).ask(Message())

    assert done == ["done"]


async def test_an_abandoned_handler_that_raises_at_last_does_no_harm(log: list[Any]) -> None:
    stubborn = Stubborn()

    class Raises(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await stubborn.stay()
            raise ValueError("at last")

    async with ActorSystem(grace=0) as system:
        ref = system.spawn(Raises)
        ask = ref.ask(Message())
        await turns()
        ref.kill()
    stubborn.let_go.set()
    await turns()

    assert isinstance(ask.exception(), ActorStoppedError)
    again = "actor.swallows_cancel"
    said = [entry["event"] for entry in log]
    assert said == [again, again, ABANDONED, "promise.failed_unawaited"]


async def test_a_clean_up_within_the_grace_is_not_disturbed() -> None:
    log: list[str] = []

    @miniagent
    async def tidy(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(7)
            log.append("tidy")

    async with MiniAgents(grace=8.0):
        replies = tidy.inquire()
        await turns()
        replies.cancel("enough")

    assert log == ["tidy"]


async def test_a_long_time_to_shut_down_is_given_whatever_the_grace(log: list[Any]) -> None:
    done: list[str] = []

    class Long(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await asyncio.sleep(50)
            done.append("done")

    with pytest.raises(ZeroDivisionError):
        async with ActorSystem(grace=1.0) as system:
            children = [ChildSpec("long", Long, shutdown=60.0)]
            await system.supervise(Supervisor("s", strategy=OneForOne(), children=children))
            system.lookup("/s/long").tell(Message())  # type: ignore[union-attr]
            await turns()
            raise ZeroDivisionError

    assert done == ["done"]
    assert log == []


async def test_what_the_system_shares_is_closed_or_abandoned_and_said_so(log: list[Any]) -> None:
    stubborn = Stubborn()
    closed: list[str] = []

    async def slow(_: object) -> None:
        await asyncio.sleep(1000)

    async def quick(_: object) -> None:
        closed.append("quick")

    async with MiniAgents(grace=2.0) as system:
        closers: list[Callable[[Any], Awaitable[None]]] = [quick, slow, stubborn.stay]
        for close in closers:
            system.shared(close, object, close)

    assert closed == ["quick"]
    assert sorted(entry["event"] for entry in log) == [ABANDONED, "system.shared_not_closed"]
    stubborn.let_go.set()
    await turns()


async def test_a_promising_context_ends_without_its_background_work_too(log: list[Any]) -> None:
    stubborn = Stubborn()

    with pytest.raises(ZeroDivisionError):
        async with PromisingContext():
            promise = Promise(stubborn.stay)
            await turns()
            raise ZeroDivisionError

    with pytest.raises(PromiseCancelledError, match="ended without it"):
        await promise
    assert [entry["event"] for entry in log] == [ABANDONED]
    stubborn.let_go.set()
    await turns()


@pytest.mark.parametrize("grace", [-1.0, float("nan")])
def test_a_grace_below_nothing_is_refused(grace: float) -> None:
    with pytest.raises(InvalidOptionError, match="grace="):
        MiniAgents(grace=grace)


PROGRAM = """
    import asyncio, sys
    from miniagents import Actor, MiniAgents, Message, miniagent

    async def stay():
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass

    @miniagent
    async def stubborn(ctx):
        print("begun", flush=True)
        await stay()

    class Stays(Actor):
        async def receive(self, message, ctx):
            await stay()

    async def main():
        MiniAgents.get_current().spawn(Stays, name="stays").tell(Message())
        stubborn.inquire()
        await asyncio.sleep(1000)

    async def embedded():
        async with MiniAgents(grace=0.5):
            await main()

    async def stays():
        print("begun", flush=True)
        await stay()

    if sys.argv[1] == "run":
        MiniAgents(grace=0.5).run(main())
    elif sys.argv[1] == "a main that swallows it":
        MiniAgents(grace=0.5).run(stays())
    else:
        asyncio.run(embedded())
"""


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("run", signal.SIGTERM),
        ("run", signal.SIGINT),
        ("a main that swallows it", signal.SIGTERM),
        ("a main that swallows it", signal.SIGINT),
        ("embedded", signal.SIGINT),
    ],
)
def test_a_process_ends_after_a_signal_whatever_its_agents_swallow(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "program.py", how],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            began = time.monotonic()
            process.send_signal(number)
            said, _ = process.communicate(timeout=40)
            took = time.monotonic() - began
        finally:
            process.kill()

    assert took < 20  # 5 s to shut down, one until it is told again; the rest is for a busy machine
    names = ["grace=0.5 program=stays"] if "main" in how else ["actor=/agents/stubborn", "actor=/stays"]
    assert said.count(ABANDONED) == len(names)
    for name in (*names, "in stay"):
        assert name in said
    assert process.returncode == (-signal.SIGTERM if number is signal.SIGTERM else -signal.SIGINT)


@pytest.mark.slow
@pytest.mark.real_time
def test_a_second_control_c_ends_a_process_whatever_its_agents_swallow(tmp_path: Path) -> None:
    says = PROGRAM.replace("pass", 'print("swallowed", flush=True)').replace("grace=0.5", "grace=2.0")
    (tmp_path / "program.py").write_text(textwrap.dedent(says))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "program.py", "run"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "swallowed\n"
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=40)
        finally:
            process.kill()

    assert process.returncode == -signal.SIGINT
    assert ABANDONED in said
