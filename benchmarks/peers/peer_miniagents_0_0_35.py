"""MiniAgents 0.0.35: agents are coroutines, one per call; what they exchange are promises of immutable messages.

There is no long-lived actor with a mailbox. The nearest thing is an open AgentCall, to which messages are sent until
it is finished: that is the actor of `tell` and `spawn`. A request is a new call of an agent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from common import LLM, Boom, MemoryProbe, clock, main, note, quiet, unsupported

from miniagents import MiniAgents, miniagent
from miniagents.messages import Message, MessageSequence, MessageTokenAppender, TextMessage


class Msg(Message):
    n: int


class Line(Message):
    text: str
    number: int
    price: float
    tags: tuple[str, ...]


def line(i: Any) -> Any:
    return Line(text="a line of an order", number=i, price=9.5, tags=("new", "paid"))


def in_context(fn: Any) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        async with MiniAgents():
            return await fn(n)

    if hasattr(fn, "note"):
        run.note = fn.note  # type: ignore[attr-defined]
    return run


@miniagent
async def counter(ctx: Any, sink: Any) -> None:
    async for promise in ctx.message_promises:
        msg = await promise
        sink.total += msg.n
        sink.seen += 1


@miniagent
async def echo(ctx: Any) -> None:
    ctx.reply(ctx.message_promises)


@miniagent
async def plus_one(ctx: Any) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(Msg(n=(await promise).n + 1))


@miniagent
async def one_reply(ctx: Any) -> None:
    ctx.reply("hello")


@miniagent
async def idle(ctx: Any, started: Any) -> None:
    started.n += 1
    async for _ in ctx.message_promises:
        pass


@miniagent
async def fragile(ctx: Any) -> None:
    raise Boom


@miniagent
async def streamer(ctx: Any, n: int, live: bool) -> None:
    with MessageTokenAppender() as tokens:
        ctx.reply(TextMessage.promise(message_token_streamer=tokens))
        for _ in range(n):
            tokens.append("tok ")
            if live:
                await asyncio.sleep(0)


@miniagent
async def relay(ctx: Any) -> None:
    with MessageTokenAppender() as tokens:
        ctx.reply(TextMessage.promise(message_token_streamer=tokens))
        async for promise in ctx.message_promises:
            async for token in promise:
                tokens.append(token)


class Sink:
    total = seen = n = 0


@note("messages sent into one open AgentCall")
async def tell(n: int) -> tuple[Any, int]:
    sink = Sink()
    call = counter.fork(non_freezable_kwargs={"sink": sink}).initiate_call()
    await asyncio.sleep(0)
    t = clock()
    for i in range(n):
        call.send_message(Msg(n=i))
    await call.reply_sequence()
    t = clock() - t
    assert sink.seen == n and sink.total == n * (n - 1) // 2
    return t, n


@note("a new agent call per request")
async def ask(n: int) -> tuple[Any, int]:
    t = clock()
    for i in range(n):
        (reply,) = await echo.trigger(Msg(n=i))
        assert reply.n == i  # type: ignore[attr-defined]
    t = clock() - t
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        agents = [echo.fork(alias=f"ECHO_{i}") for i in range(actors_n)]
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            got = await asyncio.gather(*[agents[i % actors_n].trigger(Msg(n=i)) for i in range(wave)])
            assert len(got) == wave and got[7][0].n == 7  # type: ignore[attr-defined]
        t = clock() - t
        return t, rounds * wave

    run.note = "a new agent call per request"  # type: ignore[attr-defined]
    return run


@note("open AgentCalls, each agent running and waiting for its first message")
async def spawn(n: int) -> tuple[Any, int]:
    started = Sink()
    agent = idle.fork(non_freezable_kwargs={"started": started})
    t = clock()
    calls = [agent.initiate_call() for _ in range(n)]
    while started.n < n:
        await asyncio.sleep(0)
    t = clock() - t
    for c in calls:
        c.finish()
    return t, n


async def mem(n: int) -> Any:
    started = Sink()
    agent = idle.fork(non_freezable_kwargs={"started": started})
    warm = [agent.initiate_call() for _ in range(100)]
    while started.n < 100:
        await asyncio.sleep(0)
    with MemoryProbe() as m:
        calls = [agent.initiate_call() for _ in range(n)]
        while started.n < n + 100:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
    for c in warm + calls:
        c.finish()
    return m.per(n)


@note("a pipeline of 1,000 agent calls per lap, each waiting for the reply of the one before; a hop is a new call")
async def ring(n: int) -> tuple[Any, int]:
    agents = [plus_one.fork(alias=f"HOP_{i}") for i in range(1000)]
    laps = max(1, n // 1000)
    t = clock()
    token = Msg(n=0)
    for _ in range(laps):
        promise: Any = token
        for agent in agents:
            promise = agent.trigger(promise)
        (token,) = await promise
    t = clock() - t
    assert token.n == laps * 1000
    return t, laps * 1000


def stream(live: bool, relays: int = 0) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        t = clock()
        seen = 0
        replies = streamer.trigger(n=n, live=live)
        for _ in range(relays):
            replies = relay.trigger(replies)
        async for promise in replies:
            async for _ in promise:
                seen += 1
        t = clock() - t
        assert seen == n
        return t, n

    run.note = "one message streamed token by token"  # type: ignore[attr-defined]
    return run


async def agent_call(n: int) -> tuple[Any, int]:
    t = clock()
    for _ in range(n):
        (reply,) = await one_reply.trigger("hi")
        assert reply.content == "hello"  # type: ignore[attr-defined]
    t = clock() - t
    return t, n


async def agent_call_concurrent(n: int) -> tuple[Any, int]:
    rounds = max(1, n // 1000)
    t = clock()
    for _ in range(rounds):
        got = await asyncio.gather(*[one_reply.trigger("hi") for _ in range(1000)])
        assert got[0][0].content == "hello"  # type: ignore[attr-defined]
    t = clock() - t
    return t, rounds * 1000


def nested(n: int) -> Any:
    level: list[Any] = [f"message {i}" for i in range(n)]
    while len(level) > 10:
        level = [level[i : i + 10] for i in range(0, len(level), 10)]
    return level


async def flatten(n: int) -> tuple[Any, int]:
    items = nested(n)
    t = clock()
    seen = 0
    async for _ in MessageSequence.turn_into_sequence_promise(items):
        seen += 1
    t = clock() - t
    assert seen == n
    return t, n


async def hash_key(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        one.hash_key
    return clock() - t, n


async def hash_key_cached(n: int) -> tuple[Any, int]:
    one = line(1)
    one.hash_key
    t = clock()
    for _ in range(n):
        one.hash_key
    return clock() - t, n


@note("JSON: `serialized`")
async def encode(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        one.serialized
    return clock() - t, n


@note("JSON, into one known type: `model_validate_json`")
async def decode(n: int) -> tuple[Any, int]:
    lines = [line(i).serialized for i in range(n)]
    t = clock()
    for one in lines:
        Line.model_validate_json(one)  # type: ignore[attr-defined]
    return clock() - t, n


@note("open AgentCalls, finished and awaited")
async def stop(n: int) -> tuple[Any, int]:
    started = Sink()
    agent = idle.fork(non_freezable_kwargs={"started": started})
    calls = [agent.initiate_call() for _ in range(n)]
    while started.n < n:
        await asyncio.sleep(0)
    t = clock()
    ends = [call.reply_sequence() for call in calls]
    for end in ends:
        await end
    t = clock() - t
    return t, n


@note("continues: the exception reaches whoever awaits the reply; the next call is a new agent; no supervision; "
      "logging off")  # fmt: skip
async def crash(n: int) -> tuple[Any, int]:
    quiet()
    t = clock()
    for _ in range(n):
        try:
            await fragile.trigger()
        except Boom:
            pass
    t = clock() - t
    return t, n


DEFAULTS = dict(
    tell=5_000, ask=1_000, ask_concurrent=2_000, ring=2_000, fanout=2_000, spawn=2_000, stop=2_000, stream=100_000,
    stream_live=100_000, stream3=30_000, stream3_live=30_000, crash=1_000, agent_call=1_000,
    agent_call_concurrent=2_000, flatten=20_000, hash_key=10_000, hash_key_cached=50_000, encode=10_000, decode=10_000,
    spawn_mem=10_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "miniagents-0.0.35",
        "miniagents",
        dict(
            tell=in_context(tell), ask=in_context(ask), ask_concurrent=in_context(waves(100, 1000)),
            ring=in_context(ring), fanout=in_context(waves(1000, 1000)), spawn=in_context(spawn), stop=in_context(stop),
            stream=in_context(stream(False)), stream_live=in_context(stream(True)),
            stream3=in_context(stream(False, relays=2)), stream3_live=in_context(stream(True, relays=2)),
            crash=in_context(crash), agent_call=in_context(agent_call),
            agent_call_concurrent=in_context(agent_call_concurrent), flatten=in_context(flatten),
            hash_key=in_context(hash_key), hash_key_cached=in_context(hash_key_cached), encode=in_context(encode),
            decode=in_context(decode), spawn_mem=in_context(mem),
            **unsupported("a crash ends the call, and the next call is a new agent: nothing recovers", "recovery"),
            **unsupported("no loop of model and tools, and no scripted model", *LLM),
        ),
        DEFAULTS,
    )  # fmt: skip
