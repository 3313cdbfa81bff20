"""Budgets: reserved before a call, settled with what it used."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from miniagents import EventKind, InteractionContext, MiniAgents, miniagent
from miniagents.errors import BudgetExceededError, InvalidOptionError
from miniagents.ext.llms import Budget, Price, RateLimit, allowances, budgets
from miniagents.ext.llms.messages import Usage
from miniagents.ext.telemetry import log_events
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel

PRICES = {"scripted": Price(input=1.0, output=10.0, cached=0.1)}


async def test_a_budget_counts_what_calls_use() -> None:
    budget = Budget(tokens=10_000, usd=1, prices=PRICES)
    script = Script(Reply("one two", input_tokens=100, cached_tokens=40))
    async with MiniAgents():
        await ScriptedModel.fork(script=script, budget=budget).inquire("Hi")
    assert budget.spent.tokens == 102
    assert budget.spent.usd == pytest.approx((60 * 1.0 + 40 * 0.1 + 2 * 10.0) / 1e6)
    assert budget.spent.estimated_tokens == 0


async def test_further_calls_fail_when_it_is_spent_and_what_runs_may_finish() -> None:
    budget = Budget(tokens=1000)
    script = Script(Reply([f"{number} " for number in range(500)], delay=0.1, input_tokens=400))
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script, budget=budget, max_tokens=600)
        running = agent.inquire("Hi")
        await asyncio.sleep(1)
        with pytest.raises(BudgetExceededError, match="of 1000 are left"):
            await agent.inquire("Hi")
        assert len((await running)[0].content) > 0
    assert budget.spent.tokens == 900
    assert len(script.requests) == 1


async def test_a_call_that_may_exceed_it_is_refused_the_first_one_too() -> None:
    async with MiniAgents():
        with pytest.raises(BudgetExceededError, match="lower max_tokens"):
            await ScriptedModel.fork(script=Script("x"), budget=Budget(tokens=100), max_tokens=200).inquire("Hi")


async def test_two_calls_at_once_cannot_spend_the_same_tokens() -> None:
    budget = Budget(tokens=1000)
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script(Reply("a", delay=1)), budget=budget, max_tokens=600)
        one, two = agent.inquire("Hi"), agent.inquire("Hi")
        assert str(await one) == "a"
        with pytest.raises(BudgetExceededError):
            await two


async def test_a_model_without_a_price_is_refused_under_usd() -> None:
    async with MiniAgents():
        with pytest.raises(BudgetExceededError, match="has no price"):
            await ScriptedModel.fork(script=Script("x"), budget=Budget(usd=1)).inquire("Hi")


async def test_a_failed_request_costs_nothing_and_a_cut_one_is_estimated() -> None:
    budget = Budget(tokens=100_000)
    script = Script(Reply.failure(500), Reply("a b c d", fault=Fault.CUT, fault_at=3), Reply("ok", input_tokens=5))
    async with MiniAgents():
        await ScriptedModel.fork(script=script, budget=budget).inquire("Hi")
    assert budget.spent.estimated_tokens > 0
    assert budget.spent.tokens == budget.spent.estimated_tokens + 6


async def test_a_provider_that_sends_no_usage_is_estimated() -> None:
    budget = Budget(tokens=100_000)
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=Script(Reply("a b", reports_usage=False)), budget=budget).inquire(
            "Hi"
        )
    assert reply.usage.estimated
    assert budget.spent.estimated_tokens == budget.spent.tokens == reply.usage.total_tokens > 0


async def test_a_spent_budget_is_no_crash_of_the_agents_above_the_model_and_is_logged_once(log: list[Any]) -> None:
    model = ScriptedModel.fork(script=Script("Hi"), budget=Budget(tokens=0))

    @miniagent
    class Clerk:
        def __init__(self) -> None:
            self.calls = 0

        async def __call__(self, ctx: InteractionContext, answer: bool = False) -> None:
            self.calls += 1
            ctx.reply(str(self.calls) if answer else await model.inquire("Hi"))

    @miniagent
    async def desk(ctx: InteractionContext) -> None:
        ctx.reply(await Clerk.inquire())  # type: ignore[attr-defined]

    told: list[EventKind] = []
    async with MiniAgents() as system:
        with log_events(system, level="info"), system.events.subscribe() as events:
            with pytest.raises(BudgetExceededError):
                await desk.inquire()
            calls = str(await Clerk.inquire(answer=True))  # type: ignore[attr-defined]
            events.close()
            async for event in events:
                told.append(event.kind)

    assert calls == "2", "the instance stays"
    assert EventKind.INTERACTION_ENDED in told
    assert EventKind.CRASH not in told
    assert [(entry["event"], entry["log_level"], entry["actor"]) for entry in log] == [
        ("llm.refused", "info", "/agents/ScriptedModel")
    ]


async def test_a_budget_of_the_system_covers_a_run() -> None:
    budget = Budget(tokens=5000)
    async with MiniAgents(budget=budget):
        await ScriptedModel.fork(script=Script(Reply("a", input_tokens=9))).inquire("Hi")
        await ScriptedModel.fork(script=Script(Reply("b", input_tokens=9))).inquire("Hi")
    assert budget.spent.tokens == 20


async def test_a_budget_of_a_part_of_the_tree_covers_what_comes_from_there() -> None:
    model = ScriptedModel.fork(script=Script(Reply("a", input_tokens=9)))

    @miniagent
    async def worker(ctx: InteractionContext) -> None:
        @miniagent
        async def between(inner: InteractionContext) -> None:
            inner.reply(model.inquire("Hi"))

        ctx.reply(await between.inquire())

    budget = Budget(tokens=5000, under="/research")
    async with MiniAgents(budget=budget) as system:
        inside = system.spawn(worker, name="research")
        outside = system.spawn(worker, name="researcher")
        await outside.inquire()
        assert budget.spent.tokens == 0
        await inside.inquire()
        assert budget.spent.tokens == 10


async def test_an_interaction_knows_its_tokens_and_cost() -> None:
    seen = []
    model = ScriptedModel.fork(
        model="gpt-5-mini", script=Script(Reply("a", input_tokens=1_000_000), Reply("b", delay=5))
    )
    async with MiniAgents() as system:
        script = Script(Reply("", calls=(Call("wait"),), input_tokens=1_000_000), "done")

        async def wait() -> str:
            (one,) = system.interactions()
            seen.append((one.tokens, one.cost))
            return "ok"

        await model.fork(script=script, tools=[wait]).inquire("Hi")
    ((tokens, cost),) = seen
    assert tokens >= 1_000_000
    assert cost == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("options", [{}, {"tokens": -1}, {"usd": -0.1}])
def test_what_is_no_budget_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidOptionError):
        Budget(**options)  # type: ignore[arg-type]


def test_a_window_gives_all_of_it_back_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10 * 86400.0 - 1]
    monkeypatch.setattr(budgets, "time", SimpleNamespace(time=lambda: now[0]))
    budget = Budget(tokens=100, window="1d")
    budget.reserve("/a", "m", 50, 50).settle(Usage(50, 50))
    with pytest.raises(BudgetExceededError):
        budget.reserve("/a", "m", 1, 0)

    now[0] += 1  # midnight

    budget.reserve("/a", "m", 50, 50)


def test_what_is_reserved_stays_reserved_when_a_window_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budgets, "time", SimpleNamespace(time=lambda: now[0]))
    budget = Budget(tokens=100, window=60)
    reservation = budget.reserve("/a", "m", 80, 0)
    now[0] = 61.0
    with pytest.raises(BudgetExceededError):
        budget.reserve("/a", "m", 30, 0)

    reservation.settle(None)

    budget.reserve("/a", "m", 100, 0)


def test_of_many_callers_those_that_have_spent_nothing_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budgets, "time", SimpleNamespace(time=lambda: now[0]))
    monkeypatch.setattr(allowances, "_MAX_CALLERS", 10)
    budget = Budget(tokens=100, per="caller", window=60)
    for number in range(10):
        budget.of(str(number)).reserve("/a", "m", 10, 0).settle(Usage(10, 0))
    budget.of("10")
    assert len(budget.shares()) == 11

    now[0] = 61.0
    budget.of("11")

    assert budget.shares() == (budget.of("11"),)


def test_what_was_spent_is_nothing_once_its_window_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budgets, "time", SimpleNamespace(time=lambda: now[0]))
    budget = Budget(tokens=100, window=60)
    budget.reserve("/a", "m", 80, 0).settle(Usage(80, 0))
    assert budget.spent.tokens == 80
    now[0] = 61.0
    assert budget.spent.tokens == 0


@pytest.mark.parametrize("allowance", [Budget(tokens=1), RateLimit()], ids=["budget", "rate limit"])
def test_one_allowance_for_all_is_the_share_of_every_caller(allowance: Any) -> None:
    assert allowance.of("ann") is allowance
    assert allowance.of(None) is allowance


def test_a_reservation_is_settled_once() -> None:
    budget = Budget(tokens=100)
    reservation = budget.reserve("/a", "m", 80, 0)
    reservation.settle(Usage(10, 0))
    reservation.settle(Usage(10, 0))
    assert budget.spent.tokens == 10
    budget.reserve("/a", "m", 90, 0)
