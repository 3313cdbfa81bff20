"""Cycles of waits over several nodes."""

import asyncio
from typing import Any

import pytest

from miniagents import Actor, ActorContext, ActorRef, EventKind, InteractionContext, Message, TextMessage, miniagent
from miniagents.errors import AskTimeoutError, DeadlockError
from tests.actors.actors import Counter, Hold
from tests.cluster.clusters import TestNode, two_nodes


class Next(Message):
    to: ActorRef


class Link(Actor):
    """Asks the next one whatever it is asked, or sleeps for so many seconds first."""

    to: Any = None

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Next):
            self.to = message.to
            return None
        if str(message).startswith("sleep"):
            await asyncio.sleep(float(str(message).split()[1]))
            return message
        if self.to is None:
            return message
        answer: Message = await self.to.ask(message, timeout=self.timeout)
        return answer


async def test_a_cycle_over_two_nodes_is_found_and_named_and_one_of_its_asks_fails() -> None:
    async with two_nodes() as (here, there, _):
        a, b = here.system.spawn(Link, name="a"), there.system.spawn(Link, name="b")
        a.tell(Next(to=here.remote(b)))
        b.tell(Next(to=there.remote(a)))
        with here.system.events.subscribe() as near, there.system.events.subscribe() as far:
            began = here.system.time()
            with pytest.raises(DeadlockError) as caught:
                await a.ask(TextMessage("round"))
            assert here.system.time() - began < 3
            near.close()
            far.close()
            found = [e async for e in near if e.kind is EventKind.DEADLOCK]
            found += [e async for e in far if e.kind is EventKind.DEADLOCK]
        assert "over several nodes" in str(caught.value)
        assert len(found) == 1, "one of the two asks has failed, and the other one with its answer"
        assert found[0].ring in (("/a", "/b", "/a"), ("/b", "/a", "/b"))


class AsksLater(Link):
    """Asks the next one after five seconds."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if not isinstance(message, Next):
            await asyncio.sleep(5.0)
        return await super().receive(message, ctx)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
async def test_the_youngest_ask_of_a_cycle_fails(names: tuple[str, str]) -> None:
    async with two_nodes() as (here, there, _):
        first, second = here.system.spawn(Link, name=names[0]), there.system.spawn(AsksLater, name=names[1])
        first.tell(Next(to=here.remote(second)))
        second.tell(Next(to=there.remote(first)))
        with there.system.events.subscribe() as events:
            with pytest.raises(DeadlockError):
                await first.ask(TextMessage("round"))
            events.close()
            rings = [event.ring async for event in events if event.kind is EventKind.DEADLOCK]
        assert rings == [(f"/{names[1]}", f"/{names[0]}", f"/{names[1]}")]


async def test_a_cycle_over_three_nodes_with_a_local_wait_in_it_is_found() -> None:
    async with two_nodes() as (here, there, network), TestNode(network, "third") as third:
        a = here.system.spawn(Link, name="a")
        b1, b2 = there.system.spawn(Link, name="b1"), there.system.spawn(Link, name="b2")
        c = third.system.spawn(Link, name="c")
        a.tell(Next(to=here.remote(b1)))
        b1.tell(Next(to=b2))
        b2.tell(Next(to=there.remote(c)))
        c.tell(Next(to=third.remote(a)))
        with pytest.raises(DeadlockError, match=r"/a.*/b1|/b2.*/c"):
            await a.ask(TextMessage("round"))
        await asyncio.sleep(1)
        assert len(here.nodes.probing) == len(there.nodes.probing) == len(third.nodes.probing) == 0


@miniagent
class Caller:
    """Calls the next agent with whatever it gets."""

    to: Any = None

    async def __call__(self, ctx: InteractionContext) -> None:
        message = (await ctx.message_promises)[0]
        if isinstance(message, Next):
            self.to = message.to
        else:
            ctx.reply(await self.to.inquire(message))


async def test_a_cycle_of_calls_of_agents_over_two_nodes_is_found() -> None:
    async with two_nodes() as (here, there, _):
        a: Any = here.system.spawn(Caller, name="a")
        b: Any = there.system.spawn(Caller, name="b")
        await a.inquire(Next(to=here.remote(b)))
        await b.inquire(Next(to=there.remote(a)))
        began = here.system.time()
        with pytest.raises(DeadlockError, match=r"/a -> /b -> /a|/b -> /a -> /b"):
            await a.inquire(TextMessage("round"))
        assert here.system.time() - began < 3
        assert len(here.nodes.probing) == len(there.nodes.probing) == 0


async def test_a_long_wait_that_is_no_cycle_is_no_deadlock() -> None:
    async with two_nodes() as (here, there, _):
        a, b = here.system.spawn(Link, name="a"), there.system.spawn(Link, name="b")
        a.tell(Next(to=here.remote(b)))
        assert await a.ask(TextMessage("sleep 0")) == TextMessage("sleep 0")
        asking = asyncio.create_task(_ask(a, "through"))
        b.tell(TextMessage("sleep 60"))
        await asyncio.sleep(0)
        assert await asking == TextMessage("through")


async def _ask(ref: Any, text: str) -> Any:
    return await ref.ask(TextMessage(text))


async def test_an_actor_that_waits_behind_a_busy_one_is_no_deadlock() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (here, there, _):
        busy = there.system.spawn(Counter, gate=gate)
        busy.tell(Hold())
        a = here.system.spawn(Link, name="a")
        a.tell(Next(to=here.remote(busy)))
        ask = a.ask(TextMessage("wait"))
        await asyncio.sleep(100)
        assert not ask.done()
        gate.set()
        await ask


async def test_a_cycle_in_which_an_ask_has_a_timeout_is_left_to_it() -> None:
    async with two_nodes() as (here, there, _):
        a, b = here.system.spawn(Link, name="a"), there.system.spawn(Link, name="b", timeout=7.0)
        a.tell(Next(to=here.remote(b)))
        b.tell(Next(to=there.remote(a)))
        began = here.system.time()
        with pytest.raises(AskTimeoutError):
            await a.ask(TextMessage("round"))
        assert here.system.time() - began >= 7.0
