"""Work that a handler has started is cancelled with its message, and whoever waits for the end waits for all of it."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    Message,
    SpawnOptions,
    TextMessage,
)
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    HandlerTimeoutError,
    NotSendableError,
    PromiseCancelledError,
)
from tests.actors.actors import Read, turns
from tests.actors.asking import CLEAN_UP, WAYS, Asks, Work, Works


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
