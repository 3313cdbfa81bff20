"""A storm on agents: functions and classes that call each other, stream, read a part, call lazily, keep calls open,
have deadlines, and are cancelled at any turn, all at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    Backoff,
    InteractionContext,
    Mailbox,
    Message,
    MessagePromise,
    MiniAgent,
    MiniAgents,
    RetryPolicy,
    SpawnOptions,
    TextMessage,
    as_completed,
    gather,
    merge,
    miniagent,
)
from miniagents.errors import MiniAgentsError
from miniagents.testing import Simulation
from tests.storms.calls import Boom, Calls, a_while, disturbed, turns

UNTIL = 20_000.0

SIMPLE = [
    "text",
    "text",
    "stream",
    "stream",
    "echo",
    "read",
    "pause",
    "pause",
    "sleep",
    "raise",
    "out_of_order",
    "early",
    "ask",
    "clean_up",
]
CALLING = [
    "flow",
    "flow",
    "wait",
    "wait",
    "gather",
    "part",
    "tokens",
    "lazy",
    "duplex",
    "generator",
    "later",
    "cancel",
    "fork",
    "input",
]


class Store(Actor):
    """A lean actor that agents ask."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        await turns(len(str(message)) % 4)
        return message


class Storm:
    """One storm: the agents, and what they do.

    The classes come in an order, and call only those behind them, so that none waits for itself; in some storms they
    call each other, and whoever would close a cycle must be told so. Whoever serves a bounded number of calls at once
    calls nobody: a cycle through such an agent is for a deadline to end.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.random
        self.calls = Calls(sim)
        self.seen: list[tuple[Any, Any]] = []
        self.store: Any = None
        random = self.random
        self.cycles = random.random() < 0.3
        self.functions = [self.function(f"f{number}", calling=True) for number in range(2)]
        self.leaves = [
            self.function("one", calling=False, max_concurrency=1),
            self.function("bounded", calling=False, max_concurrency=2, mailbox=Mailbox(capacity=2)),
            self.function("retried", calling=False, retry=RetryPolicy(attempts=2, backoff=Backoff(0.1, 1.0))),
            self.function("hurried", calling=False, handler_timeout=2.0),
        ]
        self.classes = [self.a_class(number) for number in range(3)]
        for at, agent in enumerate(self.classes):
            if random.random() < 0.3:
                self.classes[at] = agent.fork(options=SpawnOptions(passivate_after=0.5))

    def function(self, name: str, *, calling: bool, **options: Any) -> MiniAgent:
        async def code(ctx: InteractionContext, depth: int = 0, above: int = -1, kind: str = "") -> None:
            await self.act(ctx, depth if calling else 0, above)

        return miniagent(alias=name, **options)(code)

    def a_class(self, number: int) -> MiniAgent:
        storm = self

        class Code:
            """Knows whether its calls come one at a time."""

            def __init__(self) -> None:
                self.serves = False

            async def __call__(self, ctx: InteractionContext, depth: int = 0, above: int = -1) -> None:
                storm.calls.check(not self.serves, "two calls of one instance at once")
                self.serves = True
                try:
                    await storm.act(ctx, depth, number)
                finally:
                    self.serves = False

        return miniagent(alias=f"c{number}")(Code)

    # Calls

    def pick(self, above: int) -> MiniAgent:
        """An agent that may be called from below the class of this number."""
        random = self.random
        classes = self.classes if self.cycles else self.classes[above + 1 :]
        kinds = [self.functions, self.functions, self.leaves, classes, classes]
        return random.choice(random.choice([kind for kind in kinds if kind]))

    def call(self, depth: int, above: int, **options: Any) -> Any:
        """Call somebody, with something."""
        random = self.random
        agent = self.pick(above)
        if "timeout" not in options:
            options["timeout"] = random.choice([None, None, None, 0.0, 0.5, 5.0])
        if random.random() < 0.1:
            options["errors_as_messages"] = True
        given = self.given(agent, depth, above)
        return agent.inquire(self.something(depth, above), **options, **given)

    def given(self, agent: MiniAgent, depth: int, above: int) -> dict[str, Any]:
        return {"depth": depth - 1, "above": above}

    def something(self, depth: int, above: int) -> Any:
        """Whatever can be sent."""
        random = self.random
        match random.randrange(6):
            case 0:
                return None
            case 1:
                return self.stream()
            case 2:
                return self.one_by_one()
            case 3:
                return ["a", ["b", TextMessage("c")], {"d": 1}]
        return random.choice(["x", "hello"])

    def stream(self) -> MessagePromise:
        """A message that comes token by token, and may break off."""
        random = self.random
        pauses = [random.choice([0.0, 0.0, 0.01, 0.3]) for _ in range(random.randrange(4))]
        fails = random.random() < 0.1

        async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
            for number, pause in enumerate(pauses):
                await asyncio.sleep(pause)
                yield f"{number} "
            if fails:
                raise Boom("in a stream")

        return MessagePromise(message_token_streamer=tokens, start_soon=random.random() < 0.8)

    async def one_by_one(self) -> AsyncIterator[str]:
        for number in range(self.random.randrange(4)):
            await asyncio.sleep(self.random.choice([0.0, 0.01, 0.3]))
            yield f"{number}"
        if self.random.random() < 0.05:
            raise Boom("in a generator")

    # What agents do

    async def act(self, ctx: InteractionContext, depth: int, above: int) -> None:
        deeds = SIMPLE + CALLING * 2 if depth > 0 else SIMPLE
        for _ in range(self.random.randrange(1, 4)):
            try:
                await self.do(ctx, self.random.choice(deeds), depth, above)
            except (MiniAgentsError, Boom):
                if self.random.random() < 0.5:
                    raise

    async def do(self, ctx: InteractionContext, what: str, depth: int, above: int) -> None:
        random = self.random
        match what:
            case "text":
                ctx.reply(f"{ctx.this_agent.alias} {depth}")
            case "stream":
                ctx.reply(self.stream())
            case "echo":
                ctx.reply(ctx.message_promises)
            case "read":
                async for promise in ctx.message_promises:
                    await promise
            case "pause":
                await turns(random.randrange(5))
            case "sleep":
                await asyncio.sleep(random.choice([0.01, 0.5, 3.0]))
            case "raise":
                if random.random() < 0.5:
                    raise Boom("an agent")
            case "out_of_order":
                ctx.reply_out_of_order([self.stream(), "at once"])
            case "early":
                if random.random() < 0.3:
                    await ctx.afinish_early(make_sure_to_wait=random.random() < 0.5)
            case "ask":
                await self.store.ask(TextMessage("x" * random.randrange(5)), timeout=random.choice([None, 0.5]))
            case "clean_up":
                try:
                    await asyncio.sleep(0.2)
                finally:
                    await asyncio.sleep(0.1)
            case "flow":
                ctx.reply(self.call(depth, above))
            case "wait":
                await self.call(depth, above)
            case "gather":
                await self.together([self.call(depth, above, timeout=5.0) for _ in range(2)])
            case "part":
                async for _ in self.call(depth, above):
                    if random.random() < 0.5:
                        break
            case "tokens":
                async for promise in self.call(depth, above):
                    async for _ in promise:
                        if random.random() < 0.3:
                            break
            case "lazy":
                lazy = self.call(depth, above, start_soon=False)
                if random.random() < 0.6:
                    ctx.reply(lazy)
            case "duplex":
                await self.duplex(ctx, depth, above)
            case "generator":
                agent = self.pick(above)
                ctx.reply(agent.inquire(self.one_by_one(), **self.given(agent, depth, above)))
            case "later":
                awaitable: Any = self.call(depth, above, timeout=5.0)
                ctx.make_sure_to_wait(awaitable if random.random() < 0.5 else asyncio.sleep(0.1))
            case "cancel":
                call = self.call(depth, above)
                await turns(random.randrange(5))
                call.cancel("by the agent")
                if random.random() < 0.5:
                    ctx.reply(call)
            case "fork":
                fork = random.choice(self.functions).fork(kind=random.choice(["a", "b"]))
                ctx.reply(fork.inquire("x", depth=depth - 1, above=above))
            case "input":
                agent = self.pick(above)
                await agent.inquire(self.call(depth, above), **self.given(agent, depth, above))

    async def duplex(self, ctx: InteractionContext, depth: int, above: int) -> None:
        """A call that stays open for a while."""
        random = self.random
        agent = self.pick(above)
        call = agent.initiate_call(**self.given(agent, depth, above))
        if random.random() < 0.3:
            ctx.reply(call.reply_sequence(finish_call=False))
        for _ in range(random.randrange(3)):
            call.send_message(self.something(depth, above) or (), out_of_order=random.random() < 0.2)
            await a_while(self.sim, 0.01, 0.3)
        if random.random() < 0.7:
            await call.reply_sequence()
        # else it is finished when this agent ends

    # What is done to them

    async def drive(self, system: MiniAgents) -> None:
        random = self.random
        for _ in range(random.randrange(2, 12)):
            await a_while(self.sim, 0.001, 0.1, 1.0, 3.0)
            call = self.call(random.randrange(1, 5), -1, start_soon=random.random() < 0.9)
            pick = random.random()
            if pick < 0.6:
                self.watch(call)
            elif pick < 0.75:
                self.calls.watch("a reader", self.read(call, random.randrange(3)))
            elif pick < 0.85:
                self.watch(call)
                self.watch(call)
            if random.random() < 0.3:
                self.sim.later(random.choice([0, 0, 0.01, 0.5, 2]), call.cancel, "the storm")
            elif random.random() < 0.1:
                await turns(random.randrange(10))
                self.calls.watch("aclose", call.aclose("the storm"))
            if random.random() < 0.1 and system.interactions():
                self.calls.watch("interaction.cancel", random.choice(system.interactions()).cancel("the storm"))
            if random.random() < 0.05:
                path = random.choice(system.tree().children).path
                ref = system.lookup(path)
                if ref is not None and path != "/agents":
                    self.calls.watch(f"the end of {path}", random.choice([ref.kill, ref.stop])())

    async def together(self, calls: list[Any]) -> None:
        """Wait for several calls at once."""
        random = self.random
        match random.choice(["asyncio", "gather", "returned", "cancel", "completed", "merged"]):
            case "asyncio":
                await asyncio.gather(*calls, return_exceptions=True)
            case "gather":
                await gather(*calls)
            case "returned":
                await gather(*calls, return_exceptions=True)
            case "cancel":
                await gather(*calls, cancel=True)
            case "completed":
                async for call in as_completed(*calls):
                    await call
                    if random.random() < 0.3:
                        break
            case "merged":
                async for promise in merge(*calls):
                    await promise
                    if random.random() < 0.3:
                        break

    def watch(self, call: Any) -> None:
        self.seen.append((call, self.calls.watch(f"a call of {call._interaction and call._interaction.path}", call)))

    async def read(self, call: Any, most: int) -> None:
        """Read some messages, and some tokens of each."""
        number = 0
        async for promise in call:
            async for _ in promise:
                break
            number += 1
            if number > most:
                break

    async def body(self) -> None:
        random = self.random
        async with MiniAgents() as system:
            self.store = system.spawn(Store, name="store")
            for at, agent in enumerate(self.classes):
                if random.random() < 0.2:
                    system.spawn(agent, name=f"spawned{at}")
            await asyncio.gather(*(self.drive(system) for _ in range(random.randrange(1, 4))))
            await asyncio.sleep(random.choice([0, 0.1, 2, 100]))
            if random.random() < 0.15:
                raise Boom("the body")
        assert system.interactions() == ()

    async def check_replays(self) -> None:
        """Everybody sees the same, and the tokens of a message are its text."""
        for call, task in self.seen:
            try:
                again: Any = await call
            except (MiniAgentsError, Boom) as error:
                again = error
            assert again is task.result(), f"{again!r} is not {task.result()!r}"
            if isinstance(again, tuple):
                read = []
                async for promise in call:
                    message = await promise
                    read.append(message)
                    tokens = "".join([str(token) async for token in promise])
                    assert tokens == str(message), f"the tokens are {tokens!r}, the message {str(message)!r}"
                assert tuple(read) == tuple(again)


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
    await one.check_replays()
