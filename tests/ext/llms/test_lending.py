"""Budgets and rate limits that the nodes of a cluster have together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from miniagents import AgentRef, EventKind, InteractionContext, MiniAgents, RetryPolicy, SpawnOptions, miniagent
from miniagents.cluster import Cluster
from miniagents.errors import BudgetExceededError, InvalidOptionError, RateLimitedError
from miniagents.ext.llms import Budget, Price, RateLimit
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.testing import Reply, Script, ScriptedModel
from miniagents.testing.memory_platform import MemoryPlatform

PRICES = {"scripted": Price(input=1.0, output=10.0)}

OPTIONS: dict[str, Any] = {}
"""The options of the models that the agents below call, set by each test."""


@miniagent
async def writer(ctx: InteractionContext, max_tokens: int = 100) -> None:
    """Calls a model on the node that it lives on."""
    ctx.reply(ScriptedModel.fork(max_tokens=max_tokens, retry=RetryPolicy(attempts=1), **OPTIONS).inquire("Hi"))


@miniagent
async def asks_for_the_pause(ctx: InteractionContext) -> None:
    """Says how long the rate limit wants it to wait."""
    try:
        await writer.inquire()
    except RateLimitedError as error:
        ctx.reply(f"{error}: {error.retry_after}")


@asynccontextmanager
async def cluster(*names: str, **options: Any) -> AsyncIterator[tuple[MiniAgents, MemoryPlatform, list[AgentRef]]]:
    """A system, its platform, and a writer on each node."""
    OPTIONS.clear()
    platform = MemoryPlatform(names)
    async with MiniAgents(cluster=Cluster(platform, lease=1.0, margin=0.1), **options) as system:
        yield system, platform, [system.spawn(writer, options=SpawnOptions(node=name)) for name in names]
    OPTIONS.clear()


def limit_of(system: MiniAgents, name: str) -> RateLimit:
    """The rate limit of a name that the driver owns."""
    limit: RateLimit = system.shared((RateLimit, name), lambda: pytest.fail("nobody has used it"))
    return limit


async def test_the_budget_of_the_system_counts_what_all_nodes_use() -> None:
    budget = Budget(usd=1.0, prices=PRICES)
    async with cluster("a", "b", budget=budget) as (_, _, writers):
        OPTIONS["script"] = Script(*[Reply("one two", input_tokens=100)] * 3)
        for far in writers:
            assert str(await far.inquire()) == "one two"
        await asyncio.sleep(1)
        assert budget.spent.tokens == 204
        assert budget.spent.usd == pytest.approx((200 * 1.0 + 4 * 10.0) / 1e6)


@miniagent
async def tells_the_cost(ctx: InteractionContext) -> None:
    """Says what a call of a model on its node costs."""
    meter = Meter()
    current_meter.set(meter)
    await ScriptedModel.fork(**OPTIONS).inquire("Hi")
    ctx.reply(str(meter.cost))


async def test_on_another_node_a_call_costs_what_the_prices_of_the_budget_say() -> None:
    async with cluster("a", budget=Budget(usd=1.0, prices=PRICES)) as (system, _, _):
        OPTIONS["script"] = Script(Reply("one two", input_tokens=100))
        far = system.spawn(tells_the_cost, options=SpawnOptions(node="a"))
        assert float(str(await far.inquire())) == pytest.approx((100 * 1.0 + 2 * 10.0) / 1e6)


async def test_a_call_on_a_node_that_may_exceed_the_budget_of_all_is_refused_before_it_is_sent() -> None:
    budget = Budget(tokens=1000)
    async with cluster("a", "b", budget=budget) as (_, _, (one, two)):
        OPTIONS["script"] = script = Script(*[Reply("long", delay=5)] * 2)
        running = one.inquire(max_tokens=600)
        await asyncio.sleep(1)
        with pytest.raises(BudgetExceededError, match="of 1000 are left"):
            await two.inquire(max_tokens=600)
        assert str(await running) == "long"
        assert len(script.requests) == 1
        assert str(await two.inquire(max_tokens=600)) == "long", "what was not used is there again"


async def test_a_budget_of_a_part_of_the_tree_covers_the_nodes_too() -> None:
    budget = Budget(tokens=10, under="/research")
    async with cluster("a", budget=budget) as (system, _, (far,)):
        OPTIONS["script"] = Script("covered by nothing", "not sent")
        assert str(await far.inquire()) == "covered by nothing"
        research = system.spawn(writer, name="research", options=SpawnOptions(node="a"))
        with pytest.raises(BudgetExceededError):
            await research.inquire()


async def test_a_lost_node_gives_back_what_it_had_not_spent() -> None:
    budget = Budget(tokens=1000)
    async with cluster("a", "b", budget=budget) as (_, platform, (one, two)):
        OPTIONS["script"] = Script(Reply("never", delay=3600), "fits")
        running = one.inquire(max_tokens=900)
        await asyncio.sleep(1)
        with pytest.raises(BudgetExceededError):
            await two.inquire(max_tokens=900)

        platform.die(platform.node("a"))

        assert isinstance(await asyncio.gather(running, return_exceptions=True), list)
        await asyncio.sleep(1)
        assert 0 < budget.spent.tokens < 20, "its input counts, as an estimate"
        assert budget.spent.estimated_tokens == budget.spent.tokens
        assert str(await two.inquire(max_tokens=900)) == "fits"


async def test_a_rate_limit_with_a_name_is_kept_by_all_nodes_together() -> None:
    async with cluster("a", "b", "c") as (system, _, writers):
        script = OPTIONS["script"] = Script(*["ok"] * 12)
        OPTIONS["rate_limit"] = RateLimit(requests_per_minute=60, shared="provider")
        await writers[0].inquire()
        began = system.time()
        await asyncio.gather(*(far.inquire() for far in writers for _ in range(3)))
        assert system.time() - began == pytest.approx(9 * 1.05, abs=0.2)
        assert len(script.requests) == 10


async def test_a_rate_limit_without_a_name_is_kept_by_each_node_alone() -> None:
    async with cluster("a", "b") as (system, _, (one, two)):
        OPTIONS["script"] = Script(*["ok"] * 4)
        OPTIONS["rate_limit"] = RateLimit(requests_per_minute=60)
        await asyncio.gather(one.inquire(), two.inquire())
        assert not [key for key in system._shared if key[0] is RateLimit]  # type: ignore[index]


async def test_a_lost_node_frees_its_places_among_those_that_run_at_once() -> None:
    async with cluster("a", "b") as (system, platform, (one, two)):
        OPTIONS["script"] = Script(Reply("never", delay=3600), "ok")
        OPTIONS["rate_limit"] = RateLimit(concurrent=1, shared="narrow")
        lost = one.inquire()
        await asyncio.sleep(1)
        waiting = two.inquire()
        await asyncio.sleep(10)
        assert (limit_of(system, "narrow").in_flight, limit_of(system, "narrow").waiting) == (1, 1)

        platform.die(platform.node("a"))

        assert str(await waiting) == "ok"
        assert isinstance(await asyncio.gather(lost, return_exceptions=True), list)
        await asyncio.sleep(1)
        assert limit_of(system, "narrow").in_flight == 0


async def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_leaves_the_queue_of_the_driver() -> None:
    async with cluster("a", "b") as (system, _, (one, two)):
        OPTIONS["script"] = Script(Reply("slow", delay=20), "ok")
        OPTIONS["rate_limit"] = RateLimit(concurrent=1, shared="narrow")
        running, waiting = one.inquire(), two.inquire()
        await asyncio.sleep(5)
        await waiting.aclose()
        await asyncio.sleep(1)
        assert limit_of(system, "narrow").waiting == 0
        assert str(await running) == "slow"
        await asyncio.sleep(1)
        assert limit_of(system, "narrow").in_flight == 0


async def test_refusals_on_one_node_slow_all_nodes_down_and_the_driver_reports_it() -> None:
    async with cluster("a", "b") as (system, _, writers):
        seen: list[Any] = []
        events = system.events.subscribe()
        OPTIONS["script"] = Script(*[Reply.rate_limited()] * 6)
        OPTIONS["rate_limit"] = RateLimit(requests_per_minute=60_000, shared="provider")
        for far in writers * 3:
            with pytest.raises(RateLimitedError):
                await far.inquire()
        async for event in events:
            if event.kind is EventKind.SLOWED:
                seen.append(event.path)
                break
        assert seen[0].startswith("/"), "the path of the agent that was refused"
        assert limit_of(system, "provider").share < 1


async def test_a_pause_that_the_provider_asks_of_all_for_too_long_is_told_with_its_length() -> None:
    async with cluster("a", "b") as (system, _, (one, _)):
        OPTIONS["script"] = Script(*[Reply.rate_limited(retry_after=300)] * 3)
        OPTIONS["rate_limit"] = RateLimit(shared="provider")
        for _ in range(3):
            with pytest.raises(RateLimitedError):
                await one.inquire()
        said = str(await system.spawn(asks_for_the_pause, options=SpawnOptions(node="b")).inquire())
        assert "the provider asks everybody to wait" in said
        assert float(said.rpartition(": ")[2]) == pytest.approx(300, abs=2)


async def test_one_name_with_other_terms_is_refused_and_the_error_names_both() -> None:
    async with cluster("a") as (_, _, (far,)):
        OPTIONS["script"] = Script("ok", "ok")
        OPTIONS["budget"] = Budget(tokens=5000, shared="purse")
        await far.inquire()
        OPTIONS["budget"] = Budget(tokens=9000, shared="purse")
        with pytest.raises(InvalidOptionError, match=r"Budget\(shared='purse'\) .*5000.* and .*9000"):
            await far.inquire()


async def test_a_budget_with_a_name_is_spent_by_the_driver_and_the_nodes_together() -> None:
    async with cluster("a", "b") as (system, _, writers):
        OPTIONS["script"] = Script(*[Reply("ok", input_tokens=99)] * 3)
        budget = OPTIONS["budget"] = Budget(tokens=5000, shared="purse")
        near = system.spawn(writer)
        for agent in (near, *writers):
            await agent.inquire()
        await asyncio.sleep(1)
        assert budget.spent.tokens == 300


async def test_a_node_that_joins_later_draws_on_the_same_budget() -> None:
    budget = Budget(tokens=1000)
    async with cluster("a", budget=budget) as (system, platform, _):
        OPTIONS["script"] = Script(*[Reply("ok", input_tokens=99)] * 2)
        platform.die(platform.node("a"))
        await asyncio.sleep(10)
        assert str(await system.spawn(writer, options=SpawnOptions(node="a")).inquire()) == "ok"
        await asyncio.sleep(1)
        assert budget.spent.tokens == 100
