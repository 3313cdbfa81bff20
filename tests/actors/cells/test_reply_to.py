"""Answers that are given later: the one who owes an answer hears of a cancel and of a deadline."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    InteractionContext,
    Message,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    PromiseCancelledError,
)
from tests.actors.actors import turns
from tests.actors.asking import CLEAN_UP, Work, wait


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
