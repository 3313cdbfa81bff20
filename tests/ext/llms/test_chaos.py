"""Whatever is cancelled, and whenever, nothing is left behind."""

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents import MiniAgents
from miniagents.errors import MiniAgentsError
from miniagents.ext.llms import Budget, Cache, Fallback, RateLimit
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel, VirtualTimeLoop


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_random_cancellations_leave_nothing_behind(seed: int) -> None:
    dice = random.Random(seed)
    limit = RateLimit(requests_per_minute=600, tokens_per_minute=60_000, concurrent=5)
    budget, cache = Budget(tokens=10_000_000), Cache()

    async def slow(seconds: float = 1.0) -> str:
        await asyncio.sleep(seconds)
        return "slept"

    def answer(_: object) -> Reply:
        text, delay = "a b c d e", dice.random()
        return dice.choice(
            [
                Reply(text, delay=delay),
                Reply(text, delay=delay, fault=dice.choice(list(Fault)), fault_at=2),
                Reply.failure(500),
                Reply.rate_limited(1),
                Reply(calls=(Call("slow"), Call("slow", {"seconds": 3}))),
                Reply.failure(400),
            ]
        )

    async def main() -> None:
        async with MiniAgents() as system:
            options: dict[str, Any] = {
                "rate_limit": limit,
                "budget": budget,
                "cache": cache,
                "max_tokens": 50,
                "tools": [slow],
            }
            models = [ScriptedModel.fork(alias=name, script=Script(answer), **options) for name in ("one", "two")]
            agents = [*models, Fallback(*models, patience=3.0)]
            calls = []
            for number in range(40):
                calls.append(dice.choice(agents).inquire(f"question {number % 9}", timeout=dice.choice([None, 20.0])))
                await asyncio.sleep(dice.random() / 4)
                if dice.random() < 0.4:
                    dice.choice(calls).cancel("chaos")
            for call in calls:
                try:
                    await call
                except MiniAgentsError:
                    pass
            assert system.interactions() == ()
        assert all(call.done() for call in calls)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert (limit.in_flight, limit.waiting) == (0, 0)
    assert (budget._reserved_tokens, cache._busy) == (0, {})
