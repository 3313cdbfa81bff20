"""A handler that swallows the cancellation of its `handler_timeout` keeps no asker, and is cancelled each second."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    InteractionContext,
    Message,
    MiniAgents,
    RetryPolicy,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.errors import HandlerTimeoutError
from miniagents.journal import MemoryJournal
from miniagents.promising import Promise

SWALLOWS = "actor.swallows_cancel"
LIMIT = 2.0


class Code:
    """Code that swallows its cancellations until it is let go, and notes their times."""

    def __init__(self) -> None:
        self.began = 0.0
        self.cancelled_after: list[float] = []
        self.is_let_go = False
        self.runs = 0

    async def run(self, message: str) -> None:
        self.runs += 1
        if message != "hang":
            return
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        while not self.is_let_go:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                self.cancelled_after.append(round(loop.time() - self.began, 3))


class Hangs(Actor):
    def __init__(self, code: Code) -> None:
        self.code = code

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        await self.code.run(str(message))
        return message


@miniagent
class HangingAgent:
    def __init__(self, code: Code) -> None:
        self.code = code

    async def __call__(self, ctx: InteractionContext) -> None:
        await self.code.run(str(await ctx.message_promises.as_single_text_promise()))
        ctx.reply("done")


def ask_an_actor(system: MiniAgents, code: Code) -> Callable[[str], Promise[Any]]:
    ref = system.spawn(Hangs, code, name="hangs", options=SpawnOptions(handler_timeout=LIMIT))
    return lambda text: ref.ask(TextMessage(text))


def ask_an_actor_with_its_own_task(system: MiniAgents, code: Code) -> Callable[[str], Promise[Any]]:
    options = SpawnOptions(handler_timeout=LIMIT, own_task=True)
    ref = system.spawn(Hangs, code, name="hangs", options=options)
    return lambda text: ref.ask(TextMessage(text))


def ask_a_class_agent(system: MiniAgents, code: Code) -> Callable[[str], Promise[Any]]:
    options = SpawnOptions(handler_timeout=LIMIT)
    agent = HangingAgent.fork(options=options, non_freezable_kwargs={"code": code})  # type: ignore[attr-defined]
    asks: Callable[[str], Promise[Any]] = system.spawn(agent, name="hangs").inquire
    return asks


KINDS = [ask_an_actor, ask_an_actor_with_its_own_task, ask_a_class_agent]


def spawn(system: MiniAgents, code: Code, **options: Any) -> ActorRef:
    return system.spawn(Hangs, code, name="hangs", options=SpawnOptions(handler_timeout=LIMIT, **options))


@pytest.mark.parametrize("start", KINDS)
async def test_who_asked_a_handler_that_swallows_its_cancel_is_told_a_second_later(
    start: Callable[[MiniAgents, Code], Callable[[str], Promise[Any]]], log: list[Any]
) -> None:
    code = Code()
    async with MiniAgents() as system:
        asks = start(system, code)

        with pytest.raises(HandlerTimeoutError, match=r"/hangs: ran for longer than its handler_timeout of 2\.0 s"):
            await asks("hang")

        assert system.time() - code.began == pytest.approx(LIMIT + 1.0)
        assert system.tree("/hangs").restarts == 0  # the code runs on
        code.is_let_go = True
        await asks("next")


@pytest.mark.parametrize("start", KINDS)
async def test_a_handler_that_swallows_its_cancel_is_cancelled_each_second_and_crashes_when_it_ends(
    start: Callable[[MiniAgents, Code], Callable[[str], Promise[Any]]], log: list[Any]
) -> None:
    code = Code()
    async with MiniAgents() as system:
        asks = start(system, code)
        hung, waiting = asks("hang"), asks("next")
        await asyncio.sleep(LIMIT + 2.5)
        assert code.cancelled_after == [LIMIT, LIMIT + 1.0, LIMIT + 2.0]
        assert not waiting.done()

        code.is_let_go = True
        await waiting

        assert system.time() - code.began == pytest.approx(LIMIT + 3.0)
        assert isinstance(hung.exception(), HandlerTimeoutError)
        assert system.tree("/hangs").restarts == 1
        assert "HandlerTimeoutError" in str(system.tree("/hangs").last_error)
        await asyncio.sleep(10)
    events = [entry["event"] for entry in log]
    assert events == [SWALLOWS, SWALLOWS, SWALLOWS, "actor.crashed"]


async def test_a_message_that_nobody_waits_for_is_cancelled_each_second_too(log: list[Any]) -> None:
    code = Code()
    async with MiniAgents() as system:
        ref = spawn(system, code)
        ref.tell(TextMessage("hang"))
        await asyncio.sleep(LIMIT + 1.5)

        assert code.cancelled_after == [LIMIT, LIMIT + 1.0]
        code.is_let_go = True
    assert [entry["event"] for entry in log][:2] == [SWALLOWS, SWALLOWS]


async def test_a_clean_up_that_takes_less_than_a_second_is_not_cancelled(log: list[Any]) -> None:
    class CleansUp(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(0.9)
                cleaned.append(str(message))

    cleaned: list[str] = []
    async with MiniAgents() as system:
        ref = system.spawn(CleansUp, name="cleans-up", options=SpawnOptions(handler_timeout=LIMIT))
        with pytest.raises(HandlerTimeoutError):
            await ref.ask(TextMessage("hang"))

        assert cleaned == ["hang"]
        await asyncio.sleep(5)
    assert [entry["event"] for entry in log] == ["actor.crashed"]


@pytest.mark.parametrize("end", ["kill", "restart", "crash"])
async def test_what_must_end_for_another_reason_too_is_cancelled_once_a_second(end: str, log: list[Any]) -> None:
    code = Code()
    async with MiniAgents() as system:
        ref = spawn(system, code)
        ask = ref.ask(TextMessage("hang"))
        await asyncio.sleep(LIMIT + 0.5)
        match end:
            case "kill":
                ref.kill()
            case "restart":
                ref.restart()
            case "crash":
                ref._cell.crash(ZeroDivisionError())  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        assert SWALLOWS not in [entry["event"] for entry in log]  # it has had half a second
        await asyncio.sleep(2.3)

        assert code.cancelled_after == [LIMIT + n for n in (0.0, 0.5, 1.5, 2.5)]
        assert [entry["event"] for entry in log].count(SWALLOWS) == 2
        assert isinstance(ask.exception(), HandlerTimeoutError)
        code.is_let_go = True


async def test_a_message_whose_asker_was_told_is_not_tried_again() -> None:
    code = Code()
    async with MiniAgents() as system:
        ref = spawn(system, code, retry=RetryPolicy(attempts=3))
        with pytest.raises(HandlerTimeoutError):
            await ref.ask(TextMessage("hang"))
        code.is_let_go = True

        await ref.ask(TextMessage("next"))

        assert code.runs == 2
        assert not list(system.dead_letters)


async def test_a_durable_message_comes_again_if_its_handler_was_abandoned_with_the_system() -> None:
    code, journal = Code(), MemoryJournal()
    async with MiniAgents(journal=journal, grace=0.0) as system:
        ask = spawn(system, code, durable=True).ask(TextMessage("hang"))
        await asyncio.sleep(LIMIT + 1.5)
        assert isinstance(ask.exception(), HandlerTimeoutError)
    code.is_let_go = True

    async with MiniAgents(journal=journal) as system:
        await spawn(system, code, durable=True).ask(TextMessage("next"))

    assert code.runs == 3


async def test_a_hook_that_swallows_its_cancel_is_cancelled_each_second(log: list[Any]) -> None:
    code = Code()

    class HangsInItsStart(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            await code.run("hang")

    async with MiniAgents() as system:
        ref = system.spawn(HangsInItsStart, name="hangs", options=SpawnOptions(handler_timeout=LIMIT))
        await asyncio.sleep(LIMIT + 1.5)
        assert code.cancelled_after == [LIMIT, LIMIT + 1.0]

        code.is_let_go = True
        with pytest.raises(HandlerTimeoutError):
            await ref.started()
    assert [entry["event"] for entry in log][:2] == [SWALLOWS, SWALLOWS]
