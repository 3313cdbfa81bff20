"""Cancelling goes down everything that was started for a promise, and whoever waits for the end waits for all of it."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    Backoff,
    InteractionContext,
    Message,
    MiniAgents,
    RetryPolicy,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    HandlerTimeoutError,
    NotSendableError,
    PromiseCancelledError,
)
from miniagents.ext.llms import RateLimit
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.actors.actors import Read, turns

CLEAN_UP = 3.0


class Work(Message):
    """Do what there is to do, in one of several ways."""

    how: str = "awaited"


class Works(Actor):
    """Works for a thousand seconds, and cleans up for some."""

    def __init__(self, log: list[str], clean_up: float = CLEAN_UP) -> None:
        self.log = log
        self.clean_up = clean_up

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if not isinstance(message, Work):
            return None
        self.log.append("works")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            await asyncio.sleep(self.clean_up)
            self.log.append("cleaned up")
            raise
        self.log.append("done")
        return None


async def wait(promise: Any) -> Any:
    return await promise


async def tokens(to: ActorRef) -> AsyncIterator[str]:
    yield "one "
    await to.ask(Work())
    yield "two"


class Asks(Actor):
    """Asks another one, in one of several ways."""

    def __init__(self, to: Any, kept: list[Any] | None = None) -> None:
        self.to = to
        self.kept = kept if kept is not None else []

    def call(self) -> Any:
        return self.to.ask(Work()) if isinstance(self.to, ActorRef) else self.to.inquire("work")

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message.how if isinstance(message, Work) else "told":
            case "awaited":
                await self.call()
            case "not awaited":
                self.call()
                await asyncio.sleep(1000)
            case "gather":
                await asyncio.gather(wait(self.call()), asyncio.sleep(1000))
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.asks_later())
            case "wait":
                await asyncio.wait([asyncio.create_task(self.asks_later())])
            case "wait_for":
                await asyncio.wait_for(self.asks_later(), 1000)
            case "tasks of tasks":
                await asyncio.gather(asyncio.create_task(self.asks_in_a_group()), asyncio.sleep(1000))
            case "ctx.create_task":
                ctx.create_task(self.asks_later())
                await asyncio.sleep(1000)
            case "stream":
                async for _ in TextMessage.promise(message_token_streamer=lambda _: tokens(self.to)):
                    pass
            case "stream that nobody reads":
                TextMessage.promise(message_token_streamer=lambda _: tokens(self.to))
                await asyncio.sleep(1000)
            case "reply_later, pipe_to_self":
                ctx.reply_later()
                ctx.pipe_to_self(self.call(), lambda _: Read())
            case "reply_later, ctx.create_task":
                ctx.reply_later()
                ctx.create_task(self.asks_later())
            case "a task of before":
                ctx.create_task(self.asks_later())
        return None

    async def asks_in_a_group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.asks_later())

    async def asks_later(self) -> None:
        await asyncio.sleep(1)
        try:
            await self.call()
        except PromiseCancelledError:
            self.kept.append("its ask was cancelled")


WAYS = [
    "awaited",
    "not awaited",
    "gather",
    "group",
    "wait",
    "wait_for",
    "tasks of tasks",
    "ctx.create_task",
    "stream",
    "stream that nobody reads",
    "reply_later, pipe_to_self",
    "reply_later, ctx.create_task",
]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("depth", [1, 3])
async def test_what_a_handler_has_asked_for_is_cancelled_with_its_ask_and_waited_for(how: str, depth: int) -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        works = system.spawn(Works, log=log)
        top: Any = works
        kept: list[Any] = []
        for _ in range(depth - 1):
            top = system.spawn(Asks, to=top, kept=kept)
        top = system.spawn(Asks, to=top, kept=kept)
        ask = top.ask(Work(how=how))
        await asyncio.sleep(5)
        assert log == ["works"]
        began = system.time()

        await ask.aclose("enough")

        assert log == ["works", "cancelled", "cleaned up"]
        assert system.time() - began == pytest.approx(CLEAN_UP)
        with pytest.raises(PromiseCancelledError, match="enough"):
            await ask
        assert all(actor.restarts == 0 for actor in system.tree().children)


@pytest.mark.parametrize("end", ["kill", "stop", "handler_timeout", "children"])
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("how", [*WAYS, "a task of before"])
async def test_what_a_handler_has_asked_for_is_cancelled_when_it_is_cut_off(how: str, asked: bool, end: str) -> None:
    beside = how.startswith("reply_later") or how == "a task of before"
    if beside and end == "handler_timeout":
        return  # no handler runs
    log: list[str] = []
    async with ActorSystem() as system:
        works = system.spawn(Works, log=log, clean_up=0.0)
        options = SpawnOptions(handler_timeout=6.0 if end == "handler_timeout" else None)
        asks = system.spawn(Asks, options=options, to=works)
        work = Work(how=how)
        ask = asks.ask(work) if asked else None
        if ask is None:
            asks.tell(work)
        await asyncio.sleep(5)
        assert log == ["works"]

        match end:
            case "kill":
                asks.kill()
            case "stop":
                asks.stop()
            case "children":
                asks._cell.crash(ZeroDivisionError())  # type: ignore[attr-defined]
        await asyncio.sleep(7)

        assert log == ["works", "cancelled", "cleaned up"]
        if ask is not None and how != "a task of before":
            assert isinstance(ask.exception(), (ActorStoppedError, HandlerTimeoutError, ZeroDivisionError))


@pytest.mark.parametrize("asks_first", [True, False])
async def test_what_a_handler_asks_for_that_has_answered_is_cancelled_when_it_is_cut_off(asks_first: bool) -> None:
    class Acknowledges(Asks):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            asked = self.call() if asks_first else None
            ctx.reply(Message())
            await (asked if asked is not None else self.call())

    log: list[str] = []
    async with ActorSystem() as system:
        asks = system.spawn(Acknowledges, to=system.spawn(Works, log=log, clean_up=0.0))
        await asks.ask(Work())
        await asyncio.sleep(1)
        asks.kill()
        await turns()

        assert log == ["works", "cancelled", "cleaned up"]


@pytest.mark.parametrize("asked", [True, False])
async def test_what_a_handler_has_asked_for_is_cancelled_when_it_crashes(asked: bool) -> None:
    class Crashes(Asks):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            self.call()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.asks_later())
                await asyncio.sleep(5)
                raise ZeroDivisionError

    log: list[str] = []
    async with ActorSystem() as system:
        asks = system.spawn(Crashes, to=system.spawn(Works, log=log, clean_up=0.0))
        ask = asks.ask(Work()) if asked else None
        if ask is None:
            asks.tell(Work())
        await asyncio.sleep(6)

        assert log == ["works", "cancelled", "cleaned up"]
        assert system.tree("/Works-1").mailbox_depth == 0
        assert ask is None or isinstance(ask.exception(), ExceptionGroup | ZeroDivisionError)


async def test_a_promise_that_is_returned_is_no_answer_and_is_cancelled() -> None:
    class Returns(Asks):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            return self.call()

    log: list[str] = []
    async with ActorSystem() as system:
        asks = system.spawn(Returns, to=system.spawn(Works, log=log))
        with pytest.raises(NotSendableError, match="await it first"):
            await asks.ask(Work())
        await asyncio.sleep(CLEAN_UP)

        assert log in ([], ["works", "cancelled", "cleaned up"])


@pytest.mark.parametrize("how", WAYS)
async def test_what_a_handler_has_asked_for_ends_with_the_deadline_of_its_ask(how: str) -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        asks = system.spawn(Asks, to=system.spawn(Works, log=log, clean_up=0.0))
        with pytest.raises(AskTimeoutError):
            await asks.ask(Work(how=how), timeout=5)
        await turns()

        # A serial handler is not interrupted by a deadline; what waits for it has ended.
        assert log == ["works"]
        assert system.tree(asks.path).restarts == 0


async def test_cancelling_returns_at_once_and_who_waits_later_waits_for_all_of_it_too() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        ask = system.spawn(Asks, to=system.spawn(Works, log=log)).ask(Work())
        await asyncio.sleep(1)
        ask.cancel("enough")
        await asyncio.sleep(1)
        assert log == ["works", "cancelled"]

        await ask.aclose()

        assert log == ["works", "cancelled", "cleaned up"]


async def test_a_chain_of_any_length_is_cancelled() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        top = system.spawn(Works, log=log)
        for _ in range(2_000):
            top = system.spawn(Asks, to=top)
        ask = top.ask(Work())
        await turns(10_000)
        assert log == ["works"]

        await ask.aclose("enough")

        assert log == ["works", "cancelled", "cleaned up"]


# What is not part of it


async def test_what_runs_beside_the_handlers_is_not_cancelled_with_the_message_in_hand() -> None:
    log: list[str] = []

    class Polls(Actor):
        def __init__(self, to: ActorRef) -> None:
            self.to = to

        async def on_start(self, ctx: ActorContext) -> None:
            ctx.create_task(self.poll())

        async def poll(self) -> None:
            await asyncio.sleep(1)
            await self.to.ask(Work())

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await asyncio.sleep(1000)

    async with ActorSystem() as system:
        polls = system.spawn(Polls, to=system.spawn(Works, log=log))
        ask = polls.ask(Work())
        await asyncio.sleep(2)
        assert log == ["works"]

        await ask.aclose("enough")
        await asyncio.sleep(1000)

        assert log == ["works", "done"]


@pytest.mark.parametrize("shielded", [False, True])
async def test_what_a_task_asks_that_the_handler_does_not_wait_for_is_not_cancelled(shielded: bool) -> None:
    log: list[str] = []

    class LeavesToItself(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            task = asyncio.create_task(self.ask())
            tasks.append(task)
            await (asyncio.shield(task) if shielded else asyncio.sleep(1000))

        async def ask(self) -> None:
            await asyncio.sleep(1)
            await works.ask(Work())

    tasks: list[Any] = []
    async with ActorSystem() as system:
        works = system.spawn(Works, log=log)
        ask = system.spawn(LeavesToItself).ask(Work())
        await asyncio.sleep(2)
        assert log == ["works"]

        await ask.aclose("enough")
        await asyncio.gather(*tasks)

        assert log == ["works", "done"]


@pytest.mark.parametrize("later", ["told", "asked"])
async def test_a_handler_that_follows_does_not_work_for_an_answer_that_is_still_owed(later: str) -> None:
    log: list[str] = []

    class Owes(Actor):
        def __init__(self, to: ActorRef) -> None:
            self.to = to

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, Work):
                ctx.reply_later()
            else:
                await self.to.ask(Work())

    async with ActorSystem() as system:
        owes = system.spawn(Owes, to=system.spawn(Works, log=log))
        ask = owes.ask(Work())
        if later == "told":
            owes.tell(Read())
        else:
            other = owes.ask(Read())
            assert not other.done()
        await asyncio.sleep(1)
        assert log == ["works"]

        await ask.aclose("enough")
        await asyncio.sleep(1000)

        assert log == ["works", "done"]


async def test_what_a_handler_asks_while_it_cleans_up_is_answered() -> None:
    class Cleans(Actor):
        def __init__(self, to: ActorRef) -> None:
            self.to = to

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                log.append(str(await self.to.ask(Read())))

    class Answers(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            await asyncio.sleep(1)
            return TextMessage("released")

    log: list[str] = []
    async with ActorSystem() as system:
        ask = system.spawn(Cleans, to=system.spawn(Answers)).ask(Work())
        await asyncio.sleep(1)

        await ask.aclose("enough")

        assert log == ["released"]


async def test_what_was_asked_for_and_not_awaited_goes_on_when_the_handler_returns() -> None:
    log: list[str] = []

    class Leaves(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            works.ask(Work())

    async with ActorSystem() as system:
        works = system.spawn(Works, log=log)
        ask = system.spawn(Leaves).ask(Work())
        await ask

        ask.cancel("too late")
        await asyncio.sleep(1001)

        assert log == ["works", "done"]


async def test_a_handler_that_asks_for_long_keeps_no_more_than_a_few_of_its_asks() -> None:
    answers: list[weakref.ref[Any]] = []

    class Answers(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return TextMessage("yes")

    class AsksOften(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            first = to.ask(Read())
            for _ in range(500):
                second = to.ask(Read())  # the next one is under way before the last has ended
                answers.append(weakref.ref(first))
                await first
                first = second
            del first, second
            gc.collect()
            assert sum(answer() is not None for answer in answers) < 40

    async with ActorSystem() as system:
        to = system.spawn(Answers)
        await system.spawn(AsksOften).ask(Work())


# Agents


@miniagent
async def works_too(ctx: InteractionContext, log: Any = None) -> None:
    log.append("works")
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(CLEAN_UP)
        log.append("cleaned up")


def agent_that_works(log: list[str]) -> Any:
    return works_too.fork(non_freezable_kwargs={"log": log})


@miniagent
async def asks_actor(ctx: InteractionContext, to: Any, how: str = "awaited") -> None:
    match how:
        case "awaited":
            await to.ask(Work())
        case "not awaited":
            to.ask(Work())
            await asyncio.sleep(1000)
        case "stream":
            ctx.reply(TextMessage.promise(message_token_streamer=lambda _: tokens(to)))
        case "generator":

            async def replies() -> AsyncIterator[str]:
                await to.ask(Work())
                yield "never"

            ctx.reply(replies())


async def end(how: str, replies: Any, system: MiniAgents, **of: Any) -> None:
    """End a call in one of several ways, and wait for all of it."""
    if how == "aclose":
        await replies.aclose("enough")
    elif how == "cancel":
        replies.cancel("enough")
        await replies.aclose()
    else:
        (top,) = [one for one in system.interactions() if one.agent.alias == of["alias"]]
        assert await top.cancel("enough") == ()


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        (how, ends)
        for how in ("awaited", "not awaited", "stream", "generator")
        for ends in ("aclose", "cancel", "interaction")
        if ends != "interaction" or how.endswith("awaited")  # of the others the agent has returned
    ],
)
@pytest.mark.parametrize("last", ["actor", "agent"])
async def test_cancelling_goes_from_agents_to_actors_and_to_agents_again(how: str, ends: str, last: str) -> None:
    log: list[str] = []
    async with MiniAgents() as system:
        bottom: Any = system.spawn(Works, log=log) if last == "actor" else agent_that_works(log)
        between = system.spawn(Asks, to=bottom)
        replies = asks_actor.inquire(to=between, how=how)
        await asyncio.sleep(5)
        assert log == ["works"]

        await end(ends, replies, system, alias="asks_actor")

        assert log[-1] == "cleaned up"
        assert system.interactions() == ()
        with pytest.raises(PromiseCancelledError, match="enough"):
            await replies


@miniagent
class Serial:
    """A class agent that asks an actor."""

    def __init__(self, to: Any = None) -> None:
        self.to = to

    async def __call__(self, ctx: InteractionContext) -> None:
        await self.to.ask(Work())


@pytest.mark.parametrize("kind", ["function", "class"])
@pytest.mark.parametrize("ends", ["aclose", "deadline", "with its asker"])
async def test_the_ask_of_an_agent_is_cancelled_with_all_that_the_agent_has_asked_for(kind: str, ends: str) -> None:
    log: list[str] = []
    async with MiniAgents() as system:
        works = system.spawn(Works, log=log)
        agent = (Serial if kind == "class" else asks_actor).fork(to=works)  # type: ignore[union-attr]
        ref = system.spawn(agent)
        asked: Any = system.spawn(Asks, to=ref) if ends == "with its asker" else ref
        ask = asked.ask(Work(), timeout=5 if ends == "deadline" else None)
        await asyncio.sleep(2)
        assert log == ["works"]

        if ends == "deadline":
            with pytest.raises(AskTimeoutError):
                await ask
            await turns()
            assert system.interactions() == ()
        else:
            await ask.aclose("enough")
            assert log == ["works", "cancelled", "cleaned up"]
        assert system.tree(ref.path).restarts == 0


async def test_an_error_as_the_reason_for_a_cancel_is_no_crash_of_a_class_agent() -> None:
    log: list[str] = []
    async with MiniAgents() as system:
        ref = system.spawn(Serial.fork(to=system.spawn(Works, log=log)))  # type: ignore[attr-defined]
        ask = ref.ask(Work())
        await asyncio.sleep(1)

        await ask.aclose(LookupError("no longer wanted"))

        assert system.tree(ref.path).restarts == 0


async def test_a_handler_that_swallows_its_cancellation_is_reported_after_the_grace(log: list[Any]) -> None:
    class Stubborn(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            while not until.is_set():
                try:
                    await until.wait()
                except asyncio.CancelledError:
                    pass

    until = asyncio.Event()
    async with MiniAgents() as system:
        stubborn = system.spawn(Stubborn, name="stubborn")
        asks_actor.inquire(to=stubborn)
        await asyncio.sleep(1)
        (one,) = system.interactions()
        began = system.time()

        assert await one.cancel("enough", grace=2.0) == ()

        assert system.time() - began == pytest.approx(2.0)
        assert [entry["actor"] for entry in log if entry["event"] == "call.asks_run_on"] == ["/stubborn"]
        until.set()


async def test_a_stream_that_is_cancelled_cancels_what_it_has_asked_for() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        works = system.spawn(Works, log=log)
        promise = TextMessage.promise(message_token_streamer=lambda _: tokens(works))
        await asyncio.sleep(1)
        assert log == ["works"]

        await promise.aclose("enough")

        assert log == ["works", "cancelled", "cleaned up"]


# Models


async def tool_that_asks(ref: ActorRef) -> str:
    await ref.ask(Work())
    return "never"


@pytest.mark.parametrize("tool", ["function", "agent"])
@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_goes_through_the_tools_of_a_model(tool: str, top: str) -> None:
    log: list[str] = []
    script = Script(Reply(calls=(Call("tool", {} if tool == "function" else {"message": "Hi"}),)), "done")
    async with MiniAgents() as system:
        works = system.spawn(Works, log=log)

        async def function() -> str:
            """Ask an actor."""
            return await tool_that_asks(works)

        function.__name__ = "tool"
        target: Any = function if tool == "function" else asks_actor.fork(alias="tool", to=works)
        model = ScriptedModel.fork(script=script, tools=[target])
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(5)
        assert log == ["works"]

        await promise.aclose("enough")

        assert log == ["works", "cancelled", "cleaned up"]
        assert system.interactions() == ()


@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_ends_a_wait_for_a_rate_limit(top: str) -> None:
    limit = RateLimit(concurrent=1)
    script = Script(Reply("slow", delay=1000), "never")
    async with MiniAgents() as system:
        model = ScriptedModel.fork(script=script, rate_limit=limit)
        first = model.inquire("first")
        await asyncio.sleep(1)
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(1)
        assert limit.waiting == 1
        began = system.time()

        await promise.aclose("enough")

        assert limit.waiting == 0
        assert system.time() == began
        await first.aclose()
    assert len(script.requests) == 1


@pytest.mark.parametrize("top", ["the model", "an actor"])
async def test_cancelling_ends_a_pause_between_two_attempts(top: str) -> None:
    script = Script(Reply.failure(500), "never")
    async with MiniAgents() as system:
        model = ScriptedModel.fork(script=script, retry=RetryPolicy(backoff=Backoff(60, 60)))
        promise: Any = model.inquire("Hi") if top == "the model" else system.spawn(Asks, to=model).ask(Work())
        await asyncio.sleep(1)
        assert len(script.requests) == 1
        began = system.time()

        await promise.aclose("enough")

        assert system.interactions() == ()
        assert system.time() == began
        await asyncio.sleep(1000)
    assert len(script.requests) == 1


# Answers that are given later


class Owing(Actor):
    """Hands the duty to answer over."""

    def __init__(self, owed: list[ReplyTo]) -> None:
        self.owed = owed

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.owed.append(ctx.reply_later())


@pytest.mark.parametrize("reason", ["enough", None])
async def test_whoever_owes_an_answer_hears_of_a_cancel_once(reason: Any) -> None:
    owed: list[ReplyTo] = []
    heard: list[Any] = []
    async with ActorSystem() as system:
        ask = system.spawn(Owing, owed=owed).ask(Work())
        await turns()
        (reply_to,) = owed
        waits = asyncio.create_task(wait(reply_to.cancelled))
        reply_to.on_cancel(heard.append)
        await turns()
        assert not waits.done()

        ask.cancel(reason)

        expected = reason if reason is not None else "cancelled"
        assert heard == [expected]
        assert await waits == expected
        assert await reply_to.cancelled == expected
        reply_to.on_cancel(heard.append)
        assert heard == [expected, expected]
        ask.cancel("again")
        assert heard == [expected, expected]
        assert not reply_to.is_open


@pytest.mark.parametrize("through", ["ask", "interaction"])
async def test_who_waits_for_a_cancel_waits_for_the_tasks_that_it_has_cancelled(through: str) -> None:
    log: list[str] = []

    class Owes(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            reply_to = ctx.reply_later()
            task = ctx.create_task(self.work())
            reply_to.on_cancel(lambda reason: task.cancel())

        async def work(self) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(CLEAN_UP)
                log.append("cleaned up")

    @miniagent
    async def asks(ctx: InteractionContext, ref: ActorRef) -> None:
        await ref.ask(Message())

    async with MiniAgents() as system:
        ref = system.spawn(Owes)
        if through == "ask":
            ask = ref.ask(Message())
            await turns()
            await ask.aclose()
        else:
            asks.inquire(ref=ref)
            await turns()
            (interaction,) = system.interactions()
            assert await interaction.cancel() == ()

        assert log == ["cleaned up"]


async def test_whoever_owes_an_answer_hears_of_a_cancel_that_was_before_it_asked() -> None:
    owed: list[ReplyTo] = []
    async with ActorSystem() as system:
        ask = system.spawn(Owing, owed=owed).ask(Work())
        await turns()
        ask.cancel("enough")

        assert await owed[0].cancelled == "enough"


async def test_whoever_owes_an_answer_hears_of_a_deadline() -> None:
    owed: list[ReplyTo] = []
    heard: list[Any] = []
    async with ActorSystem() as system:
        ask = system.spawn(Owing, owed=owed).ask(Work(), timeout=5)
        await turns()
        owed[0].on_cancel(heard.append)
        with pytest.raises(AskTimeoutError):
            await ask

        (error,) = heard
        assert isinstance(error, AskTimeoutError)
        assert await owed[0].cancelled is error


@pytest.mark.parametrize("end", ["answer", "error", "an error that tells of a cancel", "the actor ends"])
async def test_an_answer_that_is_given_is_no_cancel(end: str) -> None:
    owed: list[ReplyTo] = []
    heard: list[Any] = []
    errors = {"error": ValueError("no"), "an error that tells of a cancel": PromiseCancelledError("no", reason="no")}
    async with ActorSystem() as system:
        ref = system.spawn(Owing, owed=owed)
        ask = ref.ask(Work())
        await turns()
        (reply_to,) = owed
        reply_to.on_cancel(heard.append)
        if end == "the actor ends":
            await ref.stop()
        else:
            reply_to.reply(errors.get(end))

        assert await asyncio.wait_for(wait(reply_to.cancelled), 5) is None
        assert heard == []
        if end == "answer":
            assert await ask is None
        else:
            with pytest.raises((ActorStoppedError, ValueError, PromiseCancelledError)):
                await ask


async def test_a_callback_that_fails_fails_nobody_and_is_logged(log: list[Any]) -> None:
    def fails(reason: Any) -> None:
        raise ValueError(f"bad: {reason}")

    owed: list[ReplyTo] = []
    heard: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Owing, owed=owed)
        ask = ref.ask(Work())
        await turns()
        owed[0].on_cancel(fails)
        owed[0].on_cancel(heard.append)

        ask.cancel("enough")

        assert heard == ["enough"]
        (entry,) = [entry for entry in log if "on_cancel" in entry["event"]]
        assert entry["actor"] == ref.path
        assert "bad: enough" in entry["error"]


async def test_an_answer_that_a_callback_gives_comes_too_late() -> None:
    owed: list[ReplyTo] = []
    async with ActorSystem() as system:
        ask = system.spawn(Owing, owed=owed).ask(Work())
        await turns()
        owed[0].on_cancel(lambda _: owed[0].reply(TextMessage("partial")))

        ask.cancel("enough")

        with pytest.raises(PromiseCancelledError, match="enough"):
            await ask
        assert len(system.dead_letters) == 1
