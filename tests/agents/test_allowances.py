"""The rate limits and budgets that a system lists."""

import asyncio
import gc

from miniagents import Caller, InteractionContext, MiniAgents, miniagent
from miniagents.actors.observing.caller import current_caller
from miniagents.agents.allowances import Known, limit_infos
from miniagents.ext.llms import Budget, RateLimit
from miniagents.testing import Reply, Script, ScriptedModel


async def test_a_system_lists_the_limits_its_agents_have_used_and_who_waits_for_them() -> None:
    limit = RateLimit(concurrent=1, requests_per_minute=60_000)
    model = ScriptedModel.fork(script=Script(*[Reply("done", delay=10)] * 3), rate_limit=limit)

    @miniagent
    async def asker(ctx: InteractionContext) -> None:
        ctx.reply(await model.inquire("Hi"))

    async with MiniAgents() as system:
        assert system.limits() == (), "nobody has used it"
        first = model.inquire("Hi")
        await asyncio.sleep(1)
        rest = [asker.inquire("Hi"), asker.inquire("Hi")]
        await asyncio.sleep(1)
        (info,) = system.limits()
        assert (info.concurrent, info.requests_per_minute, info.in_flight, info.waiting) == (1, 60_000, 1, 2)
        assert list(info.waiters.values()) == [2]
        assert next(iter(info.waiters)).endswith("for /agents/asker")
        for call in [first, *rest]:
            await call
        (info,) = system.limits()
        assert (info.in_flight, info.waiting, info.waiters, info.share) == (0, 0, {}, 1.0)


def test_a_limit_that_nobody_has_any_more_is_listed_no_more_and_its_number_not_given_again() -> None:
    known = Known[RateLimit]()
    kept, dropped = RateLimit(concurrent=1), RateLimit(concurrent=2)
    for limit in (kept, dropped, kept):
        known.add(limit)
    assert [info.id for info in limit_infos(known)] == [1, 2]
    del dropped, limit
    gc.collect()
    assert [(info.id, info.concurrent) for info in limit_infos(known)] == [(1, 1)]
    another = RateLimit(concurrent=3)
    known.add(another)
    assert [info.id for info in limit_infos(known)] == [1, 3]


async def test_a_system_lists_its_own_budgets_and_those_of_its_agents() -> None:
    whole, own = Budget(usd=2.0), Budget(tokens=1_000, window=60.0)
    model = ScriptedModel.fork(script=Script(Reply("Hello!")), budget=own, max_tokens=10, model="gpt-4o-mini")
    async with MiniAgents(budget=whole) as system:
        assert [(info.usd, info.spent_tokens) for info in system.budgets()] == [(2.0, 0)]
        await model.inquire("Hi")
        first, second = system.budgets()
        assert (first.usd, second.tokens, second.window) == (2.0, 1_000, 60.0)
        assert first.spent_tokens == second.spent_tokens == whole.spent.tokens > 0
        assert first.id != second.id


async def test_a_budget_for_each_caller_is_listed_by_its_shares() -> None:
    budget = Budget(tokens=1_000, per="caller")
    model = ScriptedModel.fork(script=Script("a", "b"), budget=budget, max_tokens=10)
    async with MiniAgents() as system:
        for name in ("ada", "bob"):
            token = current_caller.set(Caller(name))
            await model.inquire("Hi")
            current_caller.reset(token)
        infos = system.budgets()
        assert [(info.caller, info.is_share) for info in infos] == [("ada", True), ("bob", True)]
        assert all(info.spent_tokens > 0 for info in infos)
        assert len({info.id for info in infos}) == 1
