"""Many that wait for one `Retry-After` come back one after the other."""

import asyncio
import itertools
from typing import Any

from miniagents import Backoff, MiniAgents, RetryPolicy
from miniagents.ext.llms import RateLimit
from miniagents.testing import Reply, Script, ScriptedModel

BARE = RetryPolicy(backoff=Backoff(0.001, 0.001))


def refuses_at_first(times: list[float], how_many: int) -> Script:
    def reply(_: Any) -> Reply:
        times.append(asyncio.get_running_loop().time())
        return Reply.rate_limited(10) if len(times) <= how_many else Reply("ok")

    return Script(reply)


async def test_those_that_are_told_to_wait_equally_long_do_not_come_back_together() -> None:
    times: list[float] = []
    async with MiniAgents():
        agent = ScriptedModel.fork(script=refuses_at_first(times, 40), retry=BARE)
        for call in [agent.inquire(str(number)) for number in range(40)]:
            await call
    back = [at - times[0] for at in times[40:]]
    assert min(back) >= 10
    assert max(back) <= 15
    assert all(sum(start <= at < start + 0.5 for at in back) <= 20 for start in back)


async def test_the_spread_does_not_lead_beyond_a_deadline_that_leaves_the_time() -> None:
    times: list[float] = []
    async with MiniAgents():
        agent = ScriptedModel.fork(script=refuses_at_first(times, 40), retry=BARE)
        for call in [agent.inquire(str(number), timeout=10.5) for number in range(40)]:
            assert str(await call) == "ok"


async def test_behind_a_limit_without_a_rate_they_come_back_paced() -> None:
    limit = RateLimit(concurrent=100)
    admissions = [await limit.admit("me", 0) for _ in range(20)]
    assert limit.slow_down(admissions[0], 10.0)
    waiting = [asyncio.create_task(limit.admit("me", 0)) for _ in range(20)]
    times = []
    for one in waiting:
        await one
        times.append(asyncio.get_running_loop().time())
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert min(pauses) > 0.04
