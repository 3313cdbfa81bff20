"""What has ended leaves no reference cycles: the garbage collector finds nothing after messages, calls and streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    AgentCall,
    AskTimeoutError,
    InteractionContext,
    Message,
    MiniAgent,
    MiniAgents,
    OneForOne,
    PromiseCancelledError,
    SpawnOptions,
    TextMessage,
    TextToken,
    miniagent,
)
from miniagents.promising import Promise, StreamAppender, StreamedPromise
from tests.garbage import garbage_of

Workload = Callable[[MiniAgents], Callable[[], Awaitable[object]]]


class Number(Message):
    n: int


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class Slow(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        await asyncio.sleep(1000)


class Fragile(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise ValueError


async def tokens(_: object) -> AsyncIterator[TextToken]:
    for text in ("to", "ken"):
        await asyncio.sleep(0)
        yield TextToken(text)


def broken(_: object) -> AsyncIterator[TextToken]:
    return broken_tokens()  # which do not know the promise: else their frame, in the traceback, would lead to it


async def broken_tokens() -> AsyncIterator[TextToken]:
    yield TextToken("to")
    await asyncio.sleep(0)
    raise ValueError


def streamed(*, start_soon: bool = True) -> Any:
    return TextMessage.promise(message_token_streamer=tokens, start_soon=start_soon)


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


@miniagent
async def reader(ctx: InteractionContext) -> None:
    async for promise in ctx.message_promises:
        async for _ in promise:
            pass
    ctx.reply("read")


@miniagent
async def streamer(ctx: InteractionContext) -> None:
    ctx.reply(streamed())


@miniagent
async def lazy_streamer(ctx: InteractionContext) -> None:
    ctx.reply(streamed(start_soon=False))


@miniagent
async def breaking_streamer(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=broken))


@miniagent
async def generator(ctx: InteractionContext) -> None:
    async def pieces() -> AsyncGenerator[Any, None]:
        yield "one"
        await asyncio.sleep(0)
        yield streamed()

    ctx.reply(pieces())
    ctx.reply_out_of_order(streamed())


@miniagent
async def joiner(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises.as_single_text_promise())


@miniagent
async def caller(ctx: InteractionContext) -> None:
    ctx.reply([streamer.inquire("one"), parrot.inquire(streamed())])
    ctx.reply(await streamer.inquire("two"))


class StreamingClass:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(streamed())


streaming_class = miniagent(StreamingClass)


@miniagent
async def sleeper(ctx: InteractionContext) -> None:
    await asyncio.sleep(1000)


def call_of(agent: MiniAgent) -> Workload:
    """Calls of an agent whose replies are awaited."""

    def workload(_: MiniAgents) -> Callable[[], Awaitable[object]]:
        async def once() -> None:
            await agent.inquire(["one", streamed()])

        return once

    return workload


def reading_of(agent: MiniAgent) -> Workload:
    """Calls of an agent whose replies are read token by token."""

    def workload(_: MiniAgents) -> Callable[[], Awaitable[object]]:
        async def once() -> None:
            async for promise in agent.inquire(["one", streamed()]):
                async for _ in promise:
                    pass

        return once

    return workload


def once_outside(once: Callable[[], Awaitable[object]]) -> Workload:
    return lambda _: once


async def promise() -> None:
    async def resolver(_: object) -> int:
        await asyncio.sleep(0)
        return 1

    await Promise(resolver)


async def stream() -> None:
    stream: StreamedPromise[Any, Any] = StreamedPromise(tokens)
    assert len([piece async for piece in stream]) == len(await stream) == 2


async def stream_with_a_resolver() -> None:
    async def whole(promise: StreamedPromise[Any, int]) -> int:
        return len([piece async for piece in promise])

    assert await StreamedPromise(tokens, resolver=whole) == 2


async def appended_stream() -> None:
    with StreamAppender[str]() as appender:
        stream: StreamedPromise[Any, Any] = StreamedPromise(appender)
        appender.append("piece")
    await stream


async def broken_stream() -> None:
    with suppress(ValueError):
        await StreamedPromise(broken)


async def broken_stream_read() -> None:
    with suppress(ValueError):
        async for _ in StreamedPromise(broken):
            pass


async def cancelled_stream() -> None:
    stream: StreamedPromise[Any, Any] = StreamedPromise(tokens)
    await asyncio.sleep(0)
    await stream.aclose()


async def stream_cancelled_before_its_first_step() -> None:
    stream: StreamedPromise[Any, Any] = StreamedPromise(tokens)
    await stream.aclose()


async def open_call() -> None:
    call: AgentCall = parrot.initiate_call()
    call.send_message("one").send_message(streamed())
    await call.reply_sequence()


async def lazy_call() -> None:
    await streamer.inquire("one", start_soon=False)


async def broken_reply() -> None:
    with suppress(ValueError):
        await breaking_streamer.inquire("one")


async def cancelled_call() -> None:
    replies = sleeper.inquire("one")
    await asyncio.sleep(0)
    await replies.aclose()


async def cancelled_reply() -> None:
    replies = streamer.inquire("one")
    async for promise in replies:
        async for _ in promise:
            break
    await replies.aclose()


async def awaited_call_that_is_cancelled() -> None:
    replies = [sleeper.inquire("one")]
    await asyncio.sleep(0)
    replies[0].cancel()
    with suppress(PromiseCancelledError):
        await replies.pop()


async def call_with_a_timeout() -> None:
    with suppress(AskTimeoutError):
        await sleeper.inquire("one", timeout=0.1)


async def call_that_makes_its_deadline() -> None:
    await streamer.inquire("one", timeout=10)


def tell(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    echo = system.spawn(Echo)

    async def once() -> None:
        echo.tell(Number(n=1))

    return once


def ask(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    echo = system.spawn(Echo)

    async def once() -> None:
        await echo.ask(Number(n=1))
        await echo.ask(Number(n=1), timeout=1)

    return once


def ask_that_times_out(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    async def once() -> None:
        slow = system.spawn(Slow)
        with suppress(AskTimeoutError):
            await slow.ask(Number(n=1), timeout=0.1)
        await slow.kill()

    return once


def ask_that_is_cancelled(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    slow = system.spawn(Slow)

    async def once() -> None:
        asks = [slow.ask(Number(n=1))]
        await asyncio.sleep(0)
        asks[0].cancel()
        with suppress(PromiseCancelledError):
            await asks.pop()

    return once


def crash(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    fragile = system.spawn(Fragile, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))

    async def once() -> None:
        fragile.tell(Number(n=1))
        with suppress(ValueError):
            await fragile.ask(Number(n=1))

    return once


def life_of_an_actor(system: MiniAgents) -> Callable[[], Awaitable[object]]:
    async def once() -> None:
        echo = system.spawn(Echo)
        await echo.ask(Number(n=1))
        await echo.stop()

    return once


WORKLOADS: dict[str, Workload] = {
    "a promise": once_outside(promise),
    "a stream": once_outside(stream),
    "a stream with a resolver": once_outside(stream_with_a_resolver),
    "an appended stream": once_outside(appended_stream),
    "a stream that fails": once_outside(broken_stream),
    "a stream that fails at a reader": once_outside(broken_stream_read),
    "a cancelled stream": once_outside(cancelled_stream),
    "a stream cancelled before its first step": once_outside(stream_cancelled_before_its_first_step),
    "a call": call_of(parrot),
    "a call, read": reading_of(parrot),
    "tokens in": call_of(reader),
    "tokens out": call_of(streamer),
    "tokens out, read": reading_of(streamer),
    "lazy tokens out": call_of(lazy_streamer),
    "lazy tokens out, read": reading_of(lazy_streamer),
    "an async generator": call_of(generator),
    "an async generator, read": reading_of(generator),
    "one text of many": call_of(joiner),
    "calls below a call": call_of(caller),
    "calls below a call, read": reading_of(caller),
    "a class agent": call_of(streaming_class),
    "a class agent, read": reading_of(streaming_class),
    "an open call": once_outside(open_call),
    "a lazy call": once_outside(lazy_call),
    "a reply that fails": once_outside(broken_reply),
    "a cancelled call": once_outside(cancelled_call),
    "a cancelled call that is awaited": once_outside(awaited_call_that_is_cancelled),
    "a cancelled reply": once_outside(cancelled_reply),
    "a call that times out": once_outside(call_with_a_timeout),
    "a call in time": once_outside(call_that_makes_its_deadline),
    "a tell": tell,
    "an ask": ask,
    "an ask that times out": ask_that_times_out,
    "a cancelled ask": ask_that_is_cancelled,
    "a crash": crash,
    "the life of an actor": life_of_an_actor,
}


@pytest.mark.parametrize("name", WORKLOADS)
async def test_what_has_ended_leaves_no_reference_cycle(name: str) -> None:
    async with MiniAgents() as system:
        assert await garbage_of(WORKLOADS[name](system)) == {}


async def test_garbage_is_counted() -> None:
    async def once() -> None:
        cycle: list[object] = []
        cycle.append(cycle)

    assert await garbage_of(once) == {"list": 100}
