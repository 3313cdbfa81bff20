"""Cancelling goes from agents to actors and to agents again, and whoever waits for the end waits for all of it."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    InteractionContext,
    Message,
    MiniAgents,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    AskTimeoutError,
    PromiseCancelledError,
)
from tests.actors.actors import turns
from tests.actors.asking import CLEAN_UP, Asks, Work, Works, asks_actor, tokens


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
