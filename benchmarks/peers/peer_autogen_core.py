"""autogen-core: SingleThreadedAgentRuntime, RoutedAgent, tracing off by its documented switch.

`tell` is publish_message (the only fire-and-forget), `ask` is send_message. Its messages have to be dataclasses (or
pydantic or protobuf), so it gets frozen dataclasses.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ["AUTOGEN_DISABLE_RUNTIME_TRACING"] = "true"

import asyncio
from dataclasses import dataclass

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
    try_get_known_serializers_for_type,
)
from common import LLM, Boom, MemoryProbe, clock, main, note, quiet, unsupported


@dataclass(frozen=True)
class Msg:
    n: int


@dataclass(frozen=True)
class Tok:
    text: str


@dataclass(frozen=True)
class Line:
    text: str
    number: int
    price: float
    tags: tuple[str, ...]


def line(i: Any) -> Any:
    return Line("a line of an order", i, 9.5, ("new", "paid"))


class Counter(RoutedAgent):
    def __init__(self, want: int, done: Any) -> None:
        super().__init__("counter")
        self.want, self.done, self.seen, self.total = want, done, 0, 0

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> None:
        self.total += message.n
        self.seen += 1
        if self.seen == self.want:
            self.done.set_result(self.total)


class Echo(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("echo")

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> Msg:
        return message


class Fragile(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("fragile")

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> Msg:
        raise Boom


class Hop(RoutedAgent):
    def __init__(self, done: Any) -> None:
        super().__init__("hop")
        self.done = done

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> None:
        if message.n:
            to = (int(self.id.key) + 1) % 1000
            await self.publish_message(Msg(message.n - 1), TopicId("ring", str(to)))
        else:
            self.done.set_result(None)


class Consumer(RoutedAgent):
    def __init__(self, want: int, done: Any) -> None:
        super().__init__("consumer")
        self.want, self.done = want, done
        self.parts: list[str] = []

    @message_handler
    async def on_tok(self, message: Tok, ctx: MessageContext) -> None:
        self.parts.append(message.text)
        if len(self.parts) == self.want:
            self.done.set_result("".join(self.parts))


class Producer(RoutedAgent):
    def __init__(self, to: Any, live: bool) -> None:
        super().__init__("producer")
        self.to, self.live = to, live

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> None:
        for _ in range(message.n):
            await self.publish_message(Tok("tok "), self.to)
            if self.live:
                await asyncio.sleep(0)


class Relay(RoutedAgent):
    def __init__(self, to: Any) -> None:
        super().__init__("relay")
        self.to = to

    @message_handler
    async def on_tok(self, message: Tok, ctx: MessageContext) -> None:
        await self.publish_message(message, self.to)


class Recovering(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("recovering")

    @message_handler
    async def on_msg(self, message: Msg, ctx: MessageContext) -> Msg:
        if message.n:
            raise Boom
        return message


def with_runtime(fn: Any) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        try:
            return await fn(runtime, n)
        finally:
            await runtime.stop_when_idle()
            await runtime.close()

    if hasattr(fn, "note"):
        run.note = fn.note  # type: ignore[attr-defined]
    return run


@note("publish_message to a topic with one subscribed agent: the only fire-and-forget it has")
async def tell(runtime: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    await Counter.register(runtime, "counter", lambda: Counter(n, done))
    await runtime.add_subscription(TypeSubscription("tell", "counter"))
    topic = TopicId("tell", "default")
    t = clock()
    for i in range(n):
        await runtime.publish_message(Msg(i), topic)
    total = await done
    t = clock() - t
    assert total == n * (n - 1) // 2
    return t, n


async def ask(runtime: Any, n: int) -> tuple[Any, int]:
    await Echo.register(runtime, "echo", Echo)
    to = AgentId("echo", "default")
    await runtime.send_message(Msg(0), to)
    t = clock()
    for i in range(n):
        assert (await runtime.send_message(Msg(i), to)).n == i
    t = clock() - t
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    async def run(runtime: Any, n: int) -> tuple[Any, int]:
        await Echo.register(runtime, "echo", Echo)
        ids = [AgentId("echo", str(i)) for i in range(actors_n)]
        for to in ids:
            await runtime.send_message(Msg(0), to)
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            got = await asyncio.gather(*[runtime.send_message(Msg(i), ids[i % actors_n]) for i in range(wave)])
            assert len(got) == wave
        t = clock() - t
        return t, rounds * wave

    return run


@note(
    "register_agent_instance, the faster documented way; by a registered factory and get(lazy=False) it is about half"
)
async def spawn(runtime: Any, n: int) -> tuple[Any, int]:
    t = clock()
    for i in range(n):
        await runtime.register_agent_instance(Echo(), AgentId("echo", str(i)))
    t = clock() - t
    return t, n


async def mem(runtime: Any, n: int) -> Any:
    await Echo.register(runtime, "echo", Echo)
    for i in range(100):
        await runtime.get("echo", f"warm{i}", lazy=False)
    with MemoryProbe() as m:
        for i in range(n):
            await runtime.get("echo", str(i), lazy=False)
    return m.per(n)


async def ring(runtime: Any, n: int) -> tuple[Any, int]:
    done = asyncio.get_running_loop().create_future()
    await Hop.register(runtime, "hop", lambda: Hop(done))
    await runtime.add_subscription(TypeSubscription("ring", "hop"))
    for i in range(1000):
        await runtime.get("hop", str(i), lazy=False)
    t = clock()
    await runtime.publish_message(Msg(n), TopicId("ring", "0"))
    await done
    t = clock() - t
    return t, n


def stream(live: bool, relays: int = 0) -> Callable[..., Any]:
    async def run(runtime: Any, n: int) -> tuple[Any, int]:
        done = asyncio.get_running_loop().create_future()
        await Consumer.register(runtime, "consumer", lambda: Consumer(n, done))
        await runtime.add_subscription(TypeSubscription("hop-0", "consumer"))
        for i in range(relays):
            await Relay.register(runtime, f"relay-{i}", lambda i=i: Relay(TopicId(f"hop-{i}", "default")))
            await runtime.add_subscription(TypeSubscription(f"hop-{i + 1}", f"relay-{i}"))
        await Producer.register(runtime, "producer", lambda: Producer(TopicId(f"hop-{relays}", "default"), live))
        await runtime.add_subscription(TypeSubscription("start", "producer"))
        t = clock()
        await runtime.publish_message(Msg(n), TopicId("start", "default"))
        text = await done
        t = clock() - t
        assert len(text) == 4 * n
        return t, n

    return run


@note("continues: the same instance answers; publish_message, then send_message; logging off")
async def recovery(runtime: Any, n: int) -> tuple[Any, int]:
    quiet()
    await Recovering.register(runtime, "recovering", Recovering)
    await runtime.add_subscription(TypeSubscription("recover", "recovering"))
    to, topic = AgentId("recovering", "default"), TopicId("recover", "default")
    t = clock()
    for _ in range(n):
        await runtime.publish_message(Msg(1), topic)
        assert (await runtime.send_message(Msg(0), to)).n == 0
    t = clock() - t
    return t, n


@note("JSON, by the serializer that the runtime keeps for each message type")
def encode(n: int) -> tuple[Any, int]:
    (serializer,) = try_get_known_serializers_for_type(Line)
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        serializer.serialize(one)
    return clock() - t, n


@note("JSON, by the serializer that the runtime keeps for each message type")
def decode(n: int) -> tuple[Any, int]:
    (serializer,) = try_get_known_serializers_for_type(Line)
    lines = [serializer.serialize(line(i)) for i in range(n)]
    t = clock()
    for one in lines:
        serializer.deserialize(one)
    t = clock() - t
    assert serializer.deserialize(lines[1]).number == 1
    return t, n


def on_loop(fn: Any) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        return fn(n)

    run.note = fn.note  # type: ignore[attr-defined]
    return run


@note("continues: the exception goes to the sender of send_message and the same instance goes on; nothing restarts it")
async def crash(runtime: Any, n: int) -> tuple[Any, int]:
    await Fragile.register(runtime, "fragile", Fragile)
    to = AgentId("fragile", "default")
    t = clock()
    for i in range(n):
        try:
            await runtime.send_message(Msg(i), to)
        except Boom:
            pass
    t = clock() - t
    return t, n


DEFAULTS = dict(
    tell=5_000, ask=3_000, ask_concurrent=5_000, ring=5_000, fanout=5_000, spawn=10_000, stream=5_000,
    stream_live=5_000, stream3=3_000, stream3_live=3_000, crash=3_000, recovery=2_000, agent_call=3_000,
    agent_call_concurrent=5_000, encode=20_000, decode=20_000, spawn_mem=100_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "autogen-core",
        "autogen-core",
        dict(
            tell=with_runtime(tell), ask=with_runtime(ask), ask_concurrent=with_runtime(waves(100, 1000)),
            ring=with_runtime(ring), fanout=with_runtime(waves(1000, 1000)), spawn=with_runtime(spawn),
            stream=with_runtime(stream(False)), stream_live=with_runtime(stream(True)),
            stream3=with_runtime(stream(False, relays=2)), stream3_live=with_runtime(stream(True, relays=2)),
            crash=with_runtime(crash), recovery=with_runtime(recovery), agent_call=with_runtime(ask),
            agent_call_concurrent=with_runtime(waves(1, 1000)), encode=on_loop(encode), decode=on_loop(decode),
            spawn_mem=with_runtime(mem),
            **unsupported("an agent stays for as long as its runtime", "stop"),
            **unsupported("the core has no loop of model and tools", *LLM),
            **unsupported("a message is one dataclass: nothing is flattened or hashed", "flatten", "hash_key", "hash_key_cached"),
        ),
        DEFAULTS,
    )  # fmt: skip
