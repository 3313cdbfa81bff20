"""A storm on agents that talk to models: scripted ones that fail in every way, tools, retries, limits, budgets, a
cache, fallbacks, deadlines and cancellations."""

import asyncio
from typing import Any

from miniagents import InteractionContext, MiniAgents, RetryPolicy, miniagent
from miniagents.ext.llms import Budget, Cache, Fallback, RateLimit
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel, Simulation
from tests.storms.calls import Boom, Calls, a_while, disturbed

UNTIL = 20_000.0


class Storm:
    """One storm: some models with their limits, agents that ask them, and who asks the agents."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = random = sim.random
        self.calls = Calls(sim)
        self.limit = RateLimit(
            requests_per_minute=random.choice([60, 600]),
            tokens_per_minute=60_000,
            concurrent=random.choice([1, 2, 5]),
        )
        self.budget = Budget(tokens=random.choice([200, 10_000_000]))
        self.cache = Cache()
        options: dict[str, Any] = {
            "rate_limit": self.limit,
            "budget": self.budget,
            "max_tokens": 50,
            "tools": [self.slow, self.fails, self.helper()],
            "idle_timeout": random.choice([1.0, 30.0]),
        }
        if random.random() < 0.5:
            options["cache"] = self.cache
        if random.random() < 0.5:
            options["retry"] = RetryPolicy(attempts=random.randrange(1, 4))
        self.models = [ScriptedModel.fork(alias=name, script=Script(self.answer), **options) for name in ("one", "two")]
        self.agents = [*self.models, Fallback(*self.models, patience=random.choice([0.5, 3.0])), self.asker()]

    def answer(self, _: object) -> Reply:
        """What a model says."""
        random = self.random
        delay = random.choice([0.0, 0.01, 0.5])
        pick = random.random()
        if pick < 0.5:
            return Reply("a b c d e", delay=delay)
        if pick < 0.65:
            return Reply("a b c d e", delay=delay, fault=random.choice(list(Fault)), fault_at=random.randrange(5))
        if pick < 0.8:
            tools = [
                Call("slow"),
                Call("slow", {"seconds": 3}),
                Call("fails"),
                Call("helper"),
                Call("unknown"),
                Call("slow", "{"),
            ]
            return Reply(calls=tuple(random.choices(tools, k=random.randrange(1, 4))), delay=delay)
        return random.choice([Reply.failure(500), Reply.failure(400), Reply.rate_limited(1), Reply("", refusal="no")])

    async def slow(self, seconds: float = 1.0) -> str:
        """Take some time."""
        await asyncio.sleep(seconds)
        return "slept"

    async def fails(self) -> str:
        """Fail."""
        raise Boom("a tool")

    def helper(self) -> Any:
        """An agent as a tool, which asks a model."""

        @miniagent
        async def helper(ctx: InteractionContext) -> None:
            """Ask another model."""
            ctx.reply(ScriptedModel.fork(alias="deep", script=Script("x y z")).inquire("?"))

        return helper

    def asker(self) -> Any:
        storm = self

        @miniagent
        async def asker(ctx: InteractionContext) -> None:
            """Streams, waits for, or reads a part of what a model says."""
            replies = storm.random.choice(storm.models).inquire(ctx.message_promises)
            match storm.random.randrange(3):
                case 0:
                    ctx.reply(replies)
                case 1:
                    ctx.reply(await replies)
                case _:
                    async for promise in replies:
                        async for token in promise:
                            ctx.reply(str(token))
                            break

        return asker

    async def drive(self) -> None:
        random = self.random
        for _ in range(random.randrange(2, 10)):
            await a_while(self.sim, 0.01, 0.2, 1.0)
            agent = random.choice(self.agents)
            timeout = random.choice([None, None, 0.3, 20.0])
            call = agent.inquire(f"question {random.randrange(4)}", timeout=timeout, start_soon=random.random() < 0.9)
            if random.random() < 0.85:
                self.calls.watch(f"a call of {agent.alias}", call)
            if random.random() < 0.3:
                self.sim.later(random.choice([0, 0, 0.01, 0.5, 2]), call.cancel, "the storm")

    async def body(self) -> None:
        random = self.random
        async with MiniAgents() as system:
            await asyncio.gather(*(self.drive() for _ in range(random.randrange(1, 4))))
            await asyncio.sleep(random.choice([0, 0, 0.1, 300]))
            if random.random() < 0.1:
                raise Boom("the body")
        assert system.interactions() == ()


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim, fault=True)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
    limit = (one.limit.in_flight, one.limit.waiting)
    assert limit == (0, 0), f"requests in flight and waiting at the end: {limit}"
    assert one.budget._reserved_tokens == 0, f"tokens are still reserved: {one.budget._reserved_tokens}"
    assert one.cache._busy == {}, "questions are still being asked for the cache"
