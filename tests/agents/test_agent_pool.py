"""Pools of agents: called as one agent, served by the member that routing chooses."""

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    AgentPoolRef,
    Backoff,
    ChildSpec,
    DeadLetterReason,
    EventKind,
    InteractionContext,
    Mailbox,
    Message,
    MiniAgents,
    OneForOne,
    Pool,
    Routing,
    SpawnOptions,
    Supervisor,
    TextMessage,
    decode,
    encode,
    miniagent,
)
from miniagents.errors import (
    ActorStoppedError,
    AgentArgumentError,
    AskTimeoutError,
    MailboxFullError,
    PromiseCancelledError,
)


async def turns(n: int = 20) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


@miniagent
async def greeter(ctx: InteractionContext, greeting: str = "Hello", times: int = 1) -> None:
    """Says who it is and what it was told."""
    async for message in ctx.message_promises:
        for _ in range(times):
            ctx.reply(f"{ctx.self.name}: {greeting}, {await message}")


@miniagent
class Memory:
    """Counts its calls."""

    def __init__(self, start: int = 0) -> None:
        self.calls = start

    async def __call__(self, ctx: InteractionContext, crash: bool = False) -> None:
        self.calls += 1
        said = " ".join([str(message) for message in await ctx.message_promises])
        if crash:
            raise ValueError(said)
        ctx.reply(f"{ctx.self.name}: {said} {self.calls}")


@miniagent
async def waits(ctx: InteractionContext, gate: Any) -> None:
    ctx.reply(ctx.self.name)
    await gate.wait()


async def test_a_pool_of_agents_is_called_as_an_agent() -> None:
    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=2, name="greeters", kwargs={"greeting": "Hi"})
        assert isinstance(pool, AgentPoolRef)
        replies = [pool.inquire("Ann"), pool.inquire("Bob", times=2), pool.trigger(["Cid", "Dan"], greeting="Hey")]
        assert [str(await reply) for reply in replies] == [
            "1: Hi, Ann",
            "2: Hi, Bob\n\n2: Hi, Bob",
            "1: Hey, Cid\n\n1: Hey, Dan",
        ]
        with pytest.raises(AgentArgumentError, match="'nmae'"):
            pool.inquire("Ann", nmae="x")
        assert (await pool.count_children()).workers == 2
        ref: Any = system.lookup("/greeters")
        assert str(await ref.inquire("Eve")) == "2: Hi, Eve"


async def test_a_call_of_a_pool_streams_in_both_directions() -> None:
    async def tokens(_: Any) -> AsyncIterator[str]:
        for token in ("a", "b"):
            yield token

    @miniagent
    async def echo(ctx: InteractionContext) -> None:
        async for message in ctx.message_promises:
            ctx.reply(message)

    async with MiniAgents() as system:
        pool = await system.pool(echo, size=2)
        call = pool.initiate_call()
        replies = call.reply_sequence(finish_call=False)
        reading = aiter(replies)
        call.send_message("one")
        assert str(await (await anext(reading))) == "one"
        call.send_message(TextMessage.promise(message_token_streamer=tokens))
        call.finish()
        assert [str(token) async for token in await anext(reading)] == ["a", "b"]
        assert await anext(reading, None) is None


async def test_calls_go_to_the_member_with_the_least_to_do() -> None:
    gate = asyncio.Event()
    async with MiniAgents() as system:
        agent = waits.fork(non_freezable_kwargs={"gate": gate})
        pool = await system.pool(agent, size=3, routing=Routing.LEAST_LOADED, name="q")
        first: Any = system.lookup("/q/1")
        busy = [first.inquire() for _ in range(2)]
        calls = [pool.inquire() for _ in range(7)]
        lazy = pool.inquire(start_soon=False)
        gate.set()
        done = Tally([str(await call) for call in calls])
        assert done == {"1": 1, "2": 3, "3": 3}
        assert str(await lazy) in ("1", "2", "3")
        assert [str(await call) for call in busy] == ["1", "1"]


@pytest.mark.parametrize("kind", ["text", "message", "list", "promise", "stream", "call"])
async def test_calls_with_equal_keys_go_to_the_same_instance(kind: str) -> None:
    async def later(text: str) -> AsyncIterator[Any]:
        await asyncio.sleep(1)
        yield text
        yield "and more"

    def send(pool: Any, text: str) -> Any:
        match kind:
            case "text":
                return pool.inquire(text)
            case "message":
                return pool.inquire(TextMessage(text))
            case "list":
                return pool.inquire([text, "and more"])
            case "promise":
                return pool.inquire(TextMessage.promise(message_token_streamer=lambda _: later(text)))
            case "stream":
                return pool.inquire(later(text))
        call = pool.initiate_call()

        async def fill() -> None:
            await asyncio.sleep(1)
            call.send_message(text)
            call.finish()

        asyncio.get_running_loop().create_task(fill())
        return call.reply_sequence(finish_call=False)

    def key(message: Message | None) -> object:
        keys.append(message)
        return str(message)[:1]

    keys: list[Any] = []
    async with MiniAgents() as system:
        pool = await system.pool(Memory, size=5, routing=Routing.CONSISTENT_HASH, key=key)
        users = ["a", "b", "c", "d", "e", "f"]
        replies = [[str(await send(pool, user)) for _ in range(3)] for user in users]
        members = [{reply.partition(":")[0] for reply in of_user} for of_user in replies]
        assert [len(names) for names in members] == [1] * len(users)
        assert len(set.union(*members)) > 1
        assert all(isinstance(message, TextMessage) for message in keys)
        await pool.inquire()
        assert keys[-1] is None  # it was called without a message


async def test_what_a_key_raises_fails_the_call_and_so_does_a_first_message_that_fails() -> None:
    def key(message: Message | None) -> object:
        raise LookupError("no key")

    async def breaks() -> AsyncIterator[str]:
        await asyncio.sleep(1)
        raise ValueError("no message")
        yield ""

    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=2, routing=Routing.CONSISTENT_HASH, key=key)
        with pytest.raises(LookupError, match="no key"):
            await pool.inquire("Ann")
        with pytest.raises(ValueError, match="no message"):
            await pool.inquire(breaks())
        assert system.interactions() == ()


async def test_a_call_whose_key_is_on_its_way_ends_by_timeout_and_by_cancel() -> None:
    async def never() -> AsyncIterator[str]:
        await asyncio.sleep(1000)
        yield ""

    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=2, routing=Routing.CONSISTENT_HASH, key=str, name="p")
        with pytest.raises(AskTimeoutError, match="/p"):
            await pool.inquire(never(), timeout=1.0)
        replies = pool.inquire(never())
        await turns()
        assert [one.path for one in system.interactions()] == ["/p"]
        replies.cancel("enough")
        with pytest.raises(PromiseCancelledError):
            await replies
        assert system.interactions() == ()


async def test_a_call_is_its_members_from_the_start_and_a_crash_restarts_that_member_alone() -> None:
    async with MiniAgents() as system:
        pool = await system.pool(Memory, size=2, name="p", strategy=OneForOne(max_restarts=5))
        assert str(await pool.inquire("a")) == "1: a 1"
        assert str(await pool.inquire("b")) == "2: b 1"
        with system.events.subscribe() as events:
            replies = pool.inquire("c", crash=True)
        assert [event.path async for event in events if event.kind is EventKind.INTERACTION_STARTED] == ["/p/1"]
        assert [one.path for one in system.interactions()] == ["/p/1"]
        with pytest.raises(ValueError, match="c"):
            await replies
        assert str(await pool.inquire("d")) == "2: d 2"
        assert str(await pool.inquire("e")) == "1: e 1"


async def test_a_pool_of_agents_in_a_tree_keeps_calls_until_it_is_restarted() -> None:
    async with MiniAgents() as system:
        strategy = OneForOne(max_restarts=3, within=10.0, backoff=Backoff(2.0, 2.0))
        spec = ChildSpec("pool", Pool(Memory, size=2, strategy=OneForOne(max_restarts=0), kwargs={"start": 10}))
        tree = await system.supervise(Supervisor("tree", strategy=strategy, children=[spec]))
        pool: Any = system.lookup("/tree/pool")
        pool.check_ready()
        assert str(await pool.inquire("a")) == "1: a 11"
        with pytest.raises(ValueError, match="b"):
            await pool.inquire("b", crash=True)
        await turns()
        with pytest.raises(ActorStoppedError, match="restarting"):
            pool.check_ready()
        replies = [pool.inquire("c"), pool.inquire("d", timeout=1.0), pool.inquire("e"), pool.inquire("f")]
        told = pool.ask(TextMessage("g"))
        replies[2].cancel()
        with pytest.raises(AskTimeoutError):
            await replies[1]
        assert str(await replies[0]) == "1: c 11"
        assert str(await replies[3]) == "2: f 11"
        assert str(await told) == "1: g 12"
        assert system.dead_letters.counts == {DeadLetterReason.EXPIRED: 1}
        await tree.terminate_child("pool")
        with pytest.raises(ActorStoppedError):
            await pool.inquire("h")
        assert system.interactions() == ()


async def test_a_pool_that_is_restarted_keeps_calls_whose_first_message_is_on_its_way() -> None:
    async def later(text: str, seconds: float) -> AsyncIterator[str]:
        await asyncio.sleep(seconds)
        yield text

    def key(message: Any) -> object:
        keys.append(str(message))
        return str(message)

    keys: list[str] = []
    async with MiniAgents() as system:
        strategy = OneForOne(max_restarts=3, within=10.0, backoff=Backoff(2.0, 2.0))
        pool = Pool(Memory, size=2, strategy=OneForOne(max_restarts=0), routing=Routing.CONSISTENT_HASH, key=key)
        await system.supervise(Supervisor("tree", strategy=strategy, children=[ChildSpec("pool", pool)]))
        ref: Any = system.lookup("/tree/pool")
        with pytest.raises(ValueError, match="crash"):
            await ref.inquire("crash", crash=True)
        await turns()
        replies = [ref.inquire(later("a", 1.0)), ref.inquire(later("b", 5.0)), ref.inquire(later("c", 5.0))]
        assert str(await replies[0]).endswith(": a 1")
        assert system.tree(ref.path).mailbox_depth == 0
        replies[1].cancel()
        assert str(await replies[2]).partition(": ")[2][0] == "c"
        assert system.tree(ref.path).mailbox_depth == 0
        assert ref._cell.dead_entries == 0  # nothing is counted as gone that has left already
    assert keys == ["crash", "a", "c"]


async def test_check_ready_of_a_pool_is_about_room_in_any_member() -> None:
    gate = asyncio.Event()
    decorate = miniagent(max_concurrency=1, mailbox=Mailbox(1), non_freezable_kwargs={"gate": gate})
    agent = decorate(waits.wrapped)
    async with MiniAgents() as system:
        pool = await system.pool(agent, size=2)
        calls = []
        for _ in range(4):
            pool.check_ready()
            calls.append(pool.inquire())
        with pytest.raises(MailboxFullError):
            pool.check_ready()
        waiting = pool.inquire()  # waits for room
        await turns()
        gate.set()
        assert sorted([str(await call) for call in calls]) == ["1", "1", "2", "2"]
        assert str(await waiting) in ("1", "2")


async def test_plain_messages_to_a_pool_of_agents_are_answered() -> None:
    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=2)
        asks = [pool.ask(TextMessage(name)) for name in ("Ann", "Bob")]
        assert [str(await ask) for ask in asks] == ["1: Hello, Ann", "2: Hello, Bob"]


class Team(Message):
    of: AgentPoolRef


async def test_a_pool_of_agents_travels() -> None:
    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=1)
        team: Any = decode(encode(Team(of=pool)))
        assert team.of is pool
        data = encode(Team(of=pool))
        await pool.stop()
        team = decode(data)
        assert team == Team(of=pool)
        with pytest.raises(ActorStoppedError, match="does not live here"):
            team.of.inquire("Ann")


async def test_a_thread_calls_a_pool() -> None:
    async with MiniAgents() as system:
        pool = await system.pool(greeter, size=1, options=SpawnOptions())

        def call() -> str:
            return str(system.from_thread.inquire(pool, "Ann").result(5))

        assert await asyncio.to_thread(call) == "1: Hello, Ann"
