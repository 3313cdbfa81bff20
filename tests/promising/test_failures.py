"""A failure that nobody hears of is logged, once, whatever path it took; one that somebody hears of is not."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ChildSpec,
    ErrorMessage,
    InteractionContext,
    Message,
    MessageSequence,
    MiniAgents,
    OneForOne,
    SpawnOptions,
    Supervisor,
    TextMessage,
    TextToken,
    miniagent,
)
from miniagents.errors import ActorStoppedError, AskTimeoutError, PromiseCancelledError, StartError
from miniagents.messages.single_text import as_single_text_promise
from miniagents.promising import Promise, StreamedPromise
from tests.actors.actors import turns

ROOT = Path(__file__).parents[2]


class BoomError(Exception):
    """What fails here."""


async def fails(*_: Any) -> Any:
    await asyncio.sleep(1)
    raise BoomError("boom")


def fails_at_once(*_: Any) -> Any:
    raise BoomError("boom")


async def tokens(_: object) -> AsyncIterator[TextToken]:
    yield TextToken("begun")
    await fails()


async def messages() -> AsyncIterator[str]:
    yield "begun"
    await fails()


@miniagent
async def function(ctx: InteractionContext) -> None:
    ctx.reply("begun")
    await fails()


@miniagent
class OfClass:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply("begun")
        await fails()


@miniagent
async def streams(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def hands_on(ctx: InteractionContext) -> None:
    ctx.reply(function.inquire())


@miniagent
async def gathers(ctx: InteractionContext) -> None:
    await asyncio.gather(function.inquire(), streams.inquire())


@miniagent
async def reads_nothing(ctx: InteractionContext) -> None:
    """Its input fails, and is no concern of its."""


class Asked(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        await fails()


class Answers(Asked):
    errors = (BoomError,)


def spawned(actor: Any) -> Any:
    return MiniAgents.get_current().spawn(actor)


PROMISES: dict[str, Callable[[], Any]] = {
    "a resolver": lambda: Promise(fails),
    "a stream": lambda: StreamedPromise(tokens),
    "a message": lambda: TextMessage.promise(message_token_streamer=tokens),
    "a sequence": lambda: MessageSequence.turn_into_sequence_promise(messages()),
    "one text": lambda: as_single_text_promise(messages(), start_soon=True),
    "a function agent": lambda: function.inquire(),
    "a class agent": lambda: OfClass.inquire(),  # type: ignore[attr-defined]
    "an agent that streams": lambda: streams.inquire(),
    "an agent that hands on": lambda: hands_on.inquire(),
    "an agent that gathers": lambda: gathers.inquire(),
    "an ask of an actor": lambda: spawned(Asked).ask(Message()),
    "an ask that is answered with it": lambda: spawned(Answers).ask(Message()),
    "an ask of a function agent": lambda: spawned(function).ask(TextMessage("Hi")),
    "an ask of a class agent": lambda: spawned(OfClass).ask(TextMessage("Hi")),
}


async def read(promise: Any) -> None:
    """All of it, to its end, whatever fails."""
    replay = promise.__aiter__()
    while True:
        try:
            piece = await replay.__anext__()
        except StopAsyncIteration:
            return
        except BoomError:
            continue
        if isinstance(piece, StreamedPromise):
            await read(piece)


def reports(log: list[Any]) -> list[Any]:
    """Where a failure was reported with its traceback."""
    return [entry for entry in log if "BoomError" in entry.get("stack", "")]


@pytest.mark.parametrize("how", ["awaited", "iterated", "dropped at once", "dropped at the end", "kept for ever"])
@pytest.mark.parametrize("kind", PROMISES)
async def test_a_failed_promise_is_reported_once_unless_somebody_has_looked(
    kind: str, how: str, log: list[Any]
) -> None:
    async with MiniAgents():
        promise = PROMISES[kind]()
        if how == "iterated" and not isinstance(promise, StreamedPromise):
            how = "awaited"
        match how:
            case "awaited":
                with pytest.raises(BoomError):
                    await promise
            case "iterated":
                await read(promise)
            case "dropped at once":
                del promise
                await asyncio.sleep(2)
                gc.collect()
                assert len(reports(log)) == 1
            case "dropped at the end":
                await asyncio.sleep(2)

    if how != "kept for ever":
        promise = None
        gc.collect()
    assert len(reports(log)) == (0 if how in ("awaited", "iterated") else 1)


async def test_two_promises_that_failed_with_one_error_are_one_report(log: list[Any]) -> None:
    async with MiniAgents():
        outer = hands_on.inquire()
        inner = as_single_text_promise(outer, start_soon=True)
        await asyncio.sleep(2)
        del outer, inner

    gc.collect()
    assert len(reports(log)) == 1


class Hooks(Actor):
    def __init__(self, hook: str) -> None:
        self.hook = hook

    async def on_start(self, ctx: ActorContext) -> None:
        if self.hook == "on_start":
            await fails()

    async def on_stop(self, reason: Any) -> None:
        if self.hook == "on_stop":
            await fails()

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        match self.hook:
            case "handler":
                await fails()
            case "timer":
                self.hook = "handler"
                ctx.schedule(1.0, message)
            case "create_task":
                ctx.create_task(fails())
            case "create_task, awaited":
                task = ctx.create_task(fails())
                with pytest.raises(BoomError):
                    await task
            case "wrap":
                ctx.pipe_to_self(asyncio.sleep(1), fails_at_once)
            case "pipe_to_self":
                ctx.pipe_to_self(fails(), lambda error: TextMessage(repr(error)))
                self.hook = "none"


@miniagent
async def with_side_task(ctx: InteractionContext) -> None:
    ctx.make_sure_to_wait(fails())


@miniagent
async def with_side_promise(ctx: InteractionContext) -> None:
    ctx.make_sure_to_wait(function.inquire())


@miniagent
async def with_side_future(ctx: InteractionContext) -> None:
    ctx.make_sure_to_wait(asyncio.ensure_future(fails()))


@miniagent
async def in_background(ctx: InteractionContext) -> None:
    ctx.interaction.start_soon(fails())


@miniagent
async def in_background_and_waits(ctx: InteractionContext) -> None:
    ctx.make_sure_to_wait(ctx.interaction.start_soon(fails()))


@miniagent
async def closes_early(ctx: InteractionContext) -> None:
    ctx.close_replies()
    await fails()


@miniagent
async def fails_in_its_clean_up(ctx: InteractionContext) -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        await fails()


def told(actor: Any, **arguments: Any) -> Callable[[], Any]:
    return lambda: MiniAgents.get_current().spawn(actor, **arguments).tell(TextMessage("Hi"))


def cancelled() -> None:
    replies = fails_in_its_clean_up.inquire()
    asyncio.get_running_loop().call_later(1, replies.cancel, "enough")


def shared() -> None:
    MiniAgents.get_current().shared("key", object, fails)


def persisted() -> None:
    MiniAgents.get_current().on_persist_messages(fails)
    MessageSequence.turn_into_sequence_promise(["Hi"])


PATHS: dict[str, tuple[Callable[[], Any], int]] = {
    "a message to an actor": (told(Hooks, hook="handler"), 1),
    "a message whose error is an answer": (told(Answers), 1),
    "a message to a function agent": (told(function), 1),
    "a message to a class agent": (told(OfClass), 1),
    "a timer": (told(Hooks, hook="timer"), 1),
    "on_start": (told(Hooks, hook="on_start"), 1),
    "on_stop": (told(Hooks, hook="on_stop"), 1),
    "create_task": (told(Hooks, hook="create_task"), 1),
    "create_task that is awaited": (told(Hooks, hook="create_task, awaited"), 0),
    "pipe_to_self, which tells": (told(Hooks, hook="pipe_to_self"), 0),
    "the wrap of pipe_to_self": (told(Hooks, hook="wrap"), 1),
    "a side task": (with_side_task.inquire, 1),
    "a promise that is waited for beside": (with_side_promise.inquire, 1),
    "a future that is waited for beside": (with_side_future.inquire, 1),
    "background work": (in_background.inquire, 1),
    "background work that is waited for": (in_background_and_waits.inquire, 1),
    "after the replies were closed": (closes_early.inquire, 1),
    "the clean-up of a cancelled call": (cancelled, 1),
    "an input that nobody reads": (lambda: reads_nothing.inquire(messages()), 1),
    "what closes what is shared": (shared, 1),
    "who persists messages": (persisted, 1),
}


CUT_OFF = ("a timer", "create_task", "create_task that is awaited", "the wrap of pipe_to_self")
"""They do not come to fail where the system ends at once."""


@pytest.mark.parametrize("when", ["while the system runs", "as the system ends"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_failure_is_reported_once_on_whatever_path(path: str, when: str, log: list[Any]) -> None:
    begin, count = PATHS[path]

    async with MiniAgents():
        kept = begin()
        if when == "while the system runs":
            await asyncio.sleep(5)
    del kept
    gc.collect()

    assert len(reports(log)) == (0 if path in CUT_OFF and when == "as the system ends" else count)


@pytest.mark.parametrize("below", [function, streams])
async def test_a_failure_further_down_that_arrives_as_a_message_is_no_failure_to_report(
    below: Any, log: list[Any]
) -> None:
    @miniagent
    async def hands_it_on(ctx: InteractionContext) -> None:
        ctx.reply([below.inquire(), below.inquire()])  # the second one has ended when it is its turn

    async with MiniAgents():
        replies = await hands_it_on.inquire(errors_as_messages=True)
    gc.collect()

    assert sum(isinstance(message, ErrorMessage) for message in replies) == 2
    assert reports(log) == []


@pytest.mark.parametrize("how", ["kill", "stop", "cancel", "deadline", "the system"])
@pytest.mark.parametrize("agent", [gathers, hands_on, function])
@pytest.mark.parametrize("after", range(8))
async def test_what_ends_with_its_caller_is_no_failure_to_report(
    agent: Any, how: str, after: int, log: list[Any]
) -> None:
    async with MiniAgents() as system:
        promise = agent.inquire(timeout=0.5 if how == "deadline" else None)
        await turns(after)
        for cell in system.cells() if how in ("kill", "stop") else ():
            if cell.path == f"/agents/{agent.alias}":
                cell.ref.kill() if how == "kill" else cell.ref.stop()
        if how == "cancel":
            promise.cancel("enough")
        if how == "the system":
            ending = asyncio.create_task(system._end())
            await asyncio.sleep(0)
        with pytest.raises((ActorStoppedError, AskTimeoutError, PromiseCancelledError, BoomError)):
            await promise
        if how == "the system":
            await ending

    gc.collect()
    assert reports(log) == []
    assert [entry for entry in log if "unawaited" in entry["event"]] == []


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("own_task", [False, True])
async def test_an_actor_that_is_ended_as_its_system_is_left_is_no_failure_to_report(
    how: str, own_task: bool, log: list[Any]
) -> None:
    class Busy(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await asyncio.sleep(1000)

    async with MiniAgents() as system:
        ref = system.spawn(Busy, options=SpawnOptions(own_task=own_task))
        ref.tell(Message())
        await turns()
        ref.kill() if how == "kill" else ref.stop()

    gc.collect()
    assert log == []


PROGRAM = """
    import asyncio, sys
    from miniagents import Actor, InteractionContext, Message, MiniAgents, miniagent

    @miniagent
    async def boom(ctx):
        raise ValueError("boom")

    class Task(Actor):
        async def receive(self, message, ctx):
            async def fails():
                raise ValueError("boom")
            self.task = ctx.create_task(fails())

    kept = []

    async def main():
        how = sys.argv[1]
        if how == "task":
            MiniAgents.get_current().spawn(Task).tell(Message())
        elif how == "kept":
            kept.append(boom.inquire("x"))
        elif how == "heard":
            try:
                await boom.inquire("x")
            except ValueError:
                pass
        else:
            boom.inquire("x")

    MiniAgents().run(main())
"""


@pytest.mark.parametrize(("how", "count"), [("dropped", 1), ("kept", 1), ("task", 1), ("heard", 0)])
def test_a_program_that_is_run_reports_what_failed_before_it_ends(tmp_path: Path, how: str, count: int) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "program.py", how], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 0
    assert (ended.stdout + ended.stderr).count("\n| ValueError: boom\n") == count


@pytest.mark.parametrize("how", ["group", "crash after the deadline", "kill of what cleans up"])
async def test_what_comes_after_the_end_of_a_call_is_reported_once_at_the_most(how: str, log: list[Any]) -> None:
    @miniagent
    async def waits(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.5)

    @miniagent
    class Serial:
        async def __call__(self, ctx: InteractionContext) -> None:
            if how == "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.calls())
            else:
                await asyncio.sleep(2)
                raise BoomError("boom")

        async def calls(self) -> None:
            await waits.inquire()

    async with MiniAgents() as system:
        ref = system.spawn(waits if how.startswith("kill") else Serial)
        with pytest.raises((AskTimeoutError, PromiseCancelledError)):
            if how.startswith("kill"):
                ask = ref.ask(TextMessage("Hi"))
                await turns()
                ask.cancel()
                ref.kill()
                await ask
            else:
                await ref.ask(TextMessage("Hi"), timeout=1)
        await asyncio.sleep(5)

    assert [entry["event"] for entry in log] == (["actor.crashed"] if how.startswith("crash") else [])


@pytest.mark.parametrize("after", [*range(9), 12])
@pytest.mark.parametrize("fails", [True, False])
async def test_a_start_that_whoever_asked_for_it_has_given_up_is_no_failure_to_report(
    after: int, fails: bool, log: list[Any]
) -> None:
    class Slow(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            await turns(6)
            if fails:
                raise BoomError("boom")
            await asyncio.sleep(1)

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            """Nothing."""

    async with MiniAgents() as system:
        top = await system.supervise(Supervisor("top", strategy=OneForOne(), children=[]))
        nested = Supervisor("nested", strategy=OneForOne(), children=[ChildSpec("a", Slow), ChildSpec("b", Slow)])
        starting = asyncio.create_task(top.start_child(ChildSpec("nested", nested)))
        await turns(after)
        starting.cancel()
        with pytest.raises((asyncio.CancelledError, StartError)):
            await starting
        await asyncio.sleep(3)

        assert await top.which_children() == ()
    gc.collect()
    assert log == []


class Slow(Actor):
    """Answers with a failure once its gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate

    async def receive(self, message: Message, ctx: ActorContext) -> Exception:
        await self.gate.wait()
        return BoomError("boom")


async def test_a_failure_is_logged_though_somebody_has_waited_and_went_away_before(log: list[Any]) -> None:
    gate = asyncio.Event()
    async with MiniAgents() as system:
        slow = system.spawn(Slow, gate=gate)
        await slow.started()
        ask = slow.ask(TextMessage("hello"))
        waiting = asyncio.ensure_future(asyncio.wait_for(ask, 60.0))
        await turns()
        waiting.cancel()
        await turns()
        gate.set()
        await turns()
        assert ask.done()
    assert [entry["event"] for entry in log] == ["promise.failed_unawaited"]
