"""Rings of actors that wait for each other fail at the await that closes them, and nothing else does."""

import asyncio
import gc
import sys
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Message,
    MiniAgents,
    Supervisor,
    TextMessage,
    as_completed,
    gather,
    merge,
    miniagent,
)
from miniagents.errors import AskTimeoutError, DeadlockError
from tests.actors.actors import Counter, Read, turns


class Ask(Message):
    """Ask the next one in the cycle."""

    how: str = "await"


class Link(Actor):
    """Asks the next one, in several ways."""

    def __init__(self, cycle: list[ActorRef], n: int) -> None:
        self.cycle = cycle
        self.n = n

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        assert isinstance(message, Ask)
        following = self.cycle[(self.n + 1) % len(self.cycle)]
        match message.how:
            case "await":
                return await following.ask(message)
            case "timeout":
                return await following.ask(Ask(how="timeout"), timeout=1.0)
            case "not awaited":
                following.ask(Ask(how="end"))
                return None
            case "raced":
                first = asyncio.ensure_future(wait(following.ask(Ask(how="end"))))
                second = asyncio.ensure_future(asyncio.sleep(1.0))
                _, pending = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
                return None
            case "gather":
                await asyncio.gather(wait(following.ask(Ask(how="gather"))), wait(following.ask(Ask(how="gather"))))
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(wait(following.ask(Ask(how="group"))))
        return None


async def wait(promise: Any) -> Any:
    return await promise


def cycle_of(system: ActorSystem, n: int) -> list[ActorRef]:
    cycle: list[ActorRef] = []
    cycle.extend(system.spawn(Link, name=f"link{i}", cycle=cycle, n=i) for i in range(n))
    return cycle


@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_a_cycle_fails_at_once_and_names_itself(size: int) -> None:
    async with ActorSystem() as system:
        cycle = cycle_of(system, size)
        began = system.time()
        with pytest.raises(DeadlockError) as info:
            await cycle[0].ask(Ask())
        assert system.time() == began
        assert set(info.value.ring) == {ref.path for ref in cycle}
        assert info.value.ring[0] == info.value.ring[-1]
        assert len(info.value.ring) == size + 1
        assert " -> ".join(info.value.ring) in str(info.value)


async def test_the_error_of_a_cycle_is_not_logged_as_one_that_nobody_awaited(log: list[Any]) -> None:
    async with ActorSystem() as system:
        with pytest.raises(DeadlockError):
            await cycle_of(system, 3)[0].ask(Ask())
    gc.collect()
    assert not any("unawaited" in entry["event"] for entry in log)


@pytest.mark.parametrize("how", ["gather", "group"])
async def test_a_cycle_through_tasks_for_all_of_which_the_handler_waits_is_found(how: str) -> None:
    async with ActorSystem() as system:
        cycle = cycle_of(system, 2)
        with pytest.raises((DeadlockError, ExceptionGroup)):
            await cycle[0].ask(Ask(how=how), timeout=60)
        assert system.time() < 1030


async def test_an_ask_that_is_not_awaited_is_no_cycle() -> None:
    async with ActorSystem() as system:
        assert await cycle_of(system, 1)[0].ask(Ask(how="not awaited")) is None


async def test_an_ask_raced_against_a_fallback_is_no_cycle() -> None:
    async with ActorSystem() as system:
        assert await cycle_of(system, 1)[0].ask(Ask(how="raced")) is None


async def test_a_cycle_in_which_an_ask_has_its_own_timeout_is_left_to_it_and_the_error_names_it() -> None:
    async with ActorSystem() as system:
        cycle = cycle_of(system, 2)
        began = system.time()
        with pytest.raises(AskTimeoutError) as info:
            await cycle[0].ask(Ask(how="timeout"))
        assert system.time() - began == pytest.approx(1.0)
        assert info.value.ring


async def test_a_child_that_asks_its_supervisor_to_terminate_it_is_a_cycle() -> None:
    class Suicidal(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await supervisor.terminate_child("child")

    async with ActorSystem() as system:
        supervisor = await system.supervise(Supervisor("sup", children=[ChildSpec("child", Suicidal)]))
        child = system.lookup("/sup/child")
        assert child is not None
        with pytest.raises(DeadlockError, match="/sup/child"):
            await child.ask(Read())


async def test_a_cycle_through_function_agents_is_found() -> None:
    @miniagent
    async def relay(ctx: Any, depth: int) -> None:
        await waiting.ask(Ask())

    class WaitEdges(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            await relay.inquire(depth=1)

    async with MiniAgents() as system:
        waiting = system.spawn(WaitEdges, name="waiting")
        with pytest.raises(DeadlockError) as info:
            await waiting.ask(Ask())
        assert set(info.value.ring) == {"/waiting", "/agents/relay"}


async def test_a_cycle_through_a_class_agent_is_found() -> None:
    @miniagent
    class Selfish:
        async def __call__(self, ctx: Any) -> None:
            ctx.reply(await Selfish.inquire("me"))  # type: ignore[attr-defined]

    async with MiniAgents():
        with pytest.raises(DeadlockError, match="/agents/Selfish -> /agents/Selfish"):
            await Selfish.inquire("x")  # type: ignore[attr-defined]


async def test_a_concurrent_agent_that_can_still_answer_is_no_cycle() -> None:
    @miniagent
    async def recursive(ctx: Any, depth: int) -> None:
        if depth:
            ctx.reply(await recursive.inquire(depth=depth - 1))
        ctx.reply(str(depth))

    async with MiniAgents():
        assert [str(m) for m in await recursive.inquire(depth=3)] == ["0", "1", "2", "3"]


async def test_waiting_in_a_line_is_no_cycle() -> None:
    class Forwards(Actor):
        def __init__(self, to: ActorRef) -> None:
            self.to = to

        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            return await self.to.ask(message)

    async with ActorSystem() as system:
        ref: ActorRef = system.spawn(Counter)
        for _ in range(20):
            ref = system.spawn(Forwards, to=ref)
        answers = await asyncio.gather(*(wait(ref.ask(Read())) for _ in range(10)))
        assert [answer.value for answer in answers] == [0] * 10
        await turns()


@pytest.mark.parametrize("size", [1, 3])
async def test_an_ask_that_would_have_closed_a_cycle_is_no_longer_counted_in_a_mailbox(size: int) -> None:
    async with ActorSystem() as system:
        cycle = cycle_of(system, size)
        with pytest.raises(DeadlockError):
            await cycle[0].ask(Ask())
        await turns()

        assert [ref._cell.depth for ref in cycle] == [0] * size  # type: ignore[attr-defined]


class Asker(Actor):
    """Asks several actors at once."""

    def __init__(self, others: list[ActorRef], returns: bool = False) -> None:
        self.others = others
        self.returns = returns

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if isinstance(message, Read):
            return message
        asks = [ref.ask(Ask()) for ref in self.others]
        answers: list[Any] = await gather(*asks, return_exceptions=True) if self.returns else await gather(*asks)
        return TextMessage(", ".join(type(answer).__name__ for answer in answers))


class Answerer(Actor):
    """Answers after a while, or asks the asker back."""

    def __init__(self, asker: list[ActorRef], seconds: float | None) -> None:
        self.asker = asker
        self.seconds = seconds

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if self.seconds is None:
            await self.asker[0].ask(Read())
        else:
            await asyncio.sleep(self.seconds)
        return TextMessage("answer")


def asker_of(system: ActorSystem, *seconds: float | None, returns: bool = False) -> ActorRef:
    asker: list[ActorRef] = []
    others = [system.spawn(Answerer, name=f"other{n}", asker=asker, seconds=s) for n, s in enumerate(seconds)]
    asker.append(system.spawn(Asker, name="asker", others=others, returns=returns))
    return asker[0]


@pytest.mark.parametrize(
    ("seconds", "when"), [((None,), 0.0), ((None, None), 0.0), ((5.0, None, 3.0), 5.0), ((None, 5.0, 3.0), 5.0)]
)
async def test_a_cycle_through_any_member_of_a_gather_is_found_once_the_others_have_settled(
    seconds: tuple[float | None, ...], when: float
) -> None:
    async with ActorSystem() as system:
        began = system.time()
        with pytest.raises(DeadlockError) as info:
            await asker_of(system, *seconds).ask(Ask())
        assert system.time() - began == when
        assert "/asker" in info.value.ring


async def test_a_cycle_through_a_member_of_a_gather_that_returns_exceptions_fails_that_member_at_once() -> None:
    async with ActorSystem() as system:
        answer = await asker_of(system, None, 5.0, None, returns=True).ask(Ask())
        assert str(answer) == "DeadlockError, TextMessage, DeadlockError"


async def test_a_gather_whose_other_member_fails_is_no_cycle() -> None:
    """The failure ends the wait, and with it what would have been a cycle."""

    class Fails(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            await asyncio.sleep(1)
            raise ValueError("boom")

    class Catches(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if isinstance(message, Read):
                return message
            with pytest.raises(ValueError, match="boom"):
                await gather(back.ask(Ask()), fails.ask(Ask()))
            return TextMessage("caught")

    async with ActorSystem() as system:
        asker = [system.spawn(Catches)]
        back, fails = system.spawn(Answerer, asker=asker, seconds=None), system.spawn(Fails)
        assert str(await asker[0].ask(Ask())) == "caught"


async def test_a_cycle_through_one_of_several_that_come_as_they_settle_comes_as_a_failed_promise() -> None:
    class Reads(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            if isinstance(message, Read):
                return message
            came = []
            async for promise in as_completed(*(ref.ask(Ask()) for ref in others)):
                came.append(type(promise.exception()).__name__)
            return TextMessage(", ".join(came))

    async with ActorSystem() as system:
        asker = [system.spawn(Reads)]
        others = [system.spawn(Answerer, asker=asker, seconds=s) for s in (None, 2.0)]
        assert str(await asker[0].ask(Ask())) == "NoneType, DeadlockError"


async def test_a_cycle_through_one_of_merged_replies_is_raised_there_and_the_others_come() -> None:
    @miniagent
    async def reads(ctx: Any) -> None:
        came = []
        merged = merge(back.inquire(), slow.inquire())
        while True:
            try:
                came.append(str(await (await anext(merged))))
            except StopAsyncIteration:
                break
            except DeadlockError:
                came.append("cycle")
        ctx.reply(", ".join(came))

    @miniagent
    async def back(ctx: Any) -> None:
        await replies[0]

    @miniagent
    async def slow(ctx: Any) -> None:
        ctx.reply("slow 1")
        await asyncio.sleep(1)
        ctx.reply("slow 2")

    replies: list[Any] = []
    async with MiniAgents():
        replies.append(reads.inquire())
        assert str(await replies[0]) == "slow 1, slow 2, cycle"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
async def test_a_cycle_through_a_gather_is_found_with_eager_tasks() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    try:
        async with ActorSystem() as system:
            with pytest.raises(DeadlockError) as info:
                await asker_of(system, 5.0, None).ask(Ask())
            assert set(info.value.ring) == {"/asker", "/other1"}
    finally:
        loop.set_task_factory(None)
