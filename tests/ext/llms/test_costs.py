"""The cost of a request: the prices that a user gives, else the list price of the tier that served it, or none."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import BudgetExceededError
from miniagents.ext.llms import Budget, Price, Spent, Usage, attempting, list_prices
from miniagents.ext.llms.catalogue import Catalogue
from miniagents.ext.llms.costs import cost_of
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.llms.wire import DONE, USAGE, Answer, Wire, chunk, end, response, says_piece, start, stream

USED = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def paying(**prices: Price) -> Any:
    """A budget, as far as it has prices."""
    return SimpleNamespace(prices=prices)


def test_the_price_of_a_user_comes_before_the_list_price_and_other_models_keep_theirs() -> None:
    pytest.importorskip("genai_prices", reason="the prices of models are in genai-prices")
    budget = paying(**{"gpt-5-mini": Price(100.0, 1000.0)})
    assert cost_of("gpt-5-mini", USED, [budget]) == pytest.approx(1100.0)
    assert cost_of("claude-haiku-4-5", USED, [budget]) == cost_of("claude-haiku-4-5", USED) is not None


def test_the_first_budget_that_has_a_price_of_the_model_tells_it() -> None:
    budgets = [paying(), paying(other=Price(1.0, 1.0)), paying(mine=Price(2.0, 3.0)), paying(mine=Price(9.0, 9.0))]
    assert cost_of("mine", USED, budgets) == pytest.approx(5.0)


def test_a_name_stands_for_those_that_begin_with_it_and_a_dash_the_longest_name_first() -> None:
    budget = paying(**{"own": Price(1.0, 1.0), "own-large": Price(4.0, 4.0)})
    costs = [cost_of(name, USED, [budget]) for name in ("own-2026", "own-large-2026", "owner")]
    assert costs == [pytest.approx(2.0), pytest.approx(8.0), None]


@pytest.mark.parametrize(("model", "is_known"), [("gpt-5-mini", True), ("a model without a price", False)])
async def test_the_cost_of_a_model_without_a_price_is_unknown_and_not_nothing(model: str, is_known: bool) -> None:
    pytest.importorskip("genai_prices", reason="the prices of models are in genai-prices")
    meter = Meter()
    current_meter.set(meter)
    budget = Budget(tokens=10_000)

    async with MiniAgents(budget=budget):
        await ScriptedModel.fork(model=model, script=Script("Hello.")).inquire("Hi")

    assert (meter.cost is not None and meter.cost > 0) is is_known
    assert budget.spent.usd == meter.cost
    assert meter.output_tokens == 1


async def test_what_was_spent_in_dollars_stays_unknown_after_a_model_without_a_price() -> None:
    budget = Budget(tokens=10_000, prices={"known": Price(1.0, 1.0)})
    async with MiniAgents(budget=budget):
        for model in ("known", "scripted", "known"):
            await ScriptedModel.fork(model=model, script=Script(Reply("ok", input_tokens=9))).inquire("Hi")

    assert budget.spent == Spent(tokens=30, usd=None)


async def test_the_prices_of_a_budget_are_those_of_the_calls_cost_too() -> None:
    meter = Meter()
    current_meter.set(meter)
    budget = Budget(usd=100, prices={"scripted": Price(1000.0, 10_000.0)})

    async with MiniAgents(budget=budget):
        reply = ScriptedModel.fork(script=Script(Reply("ok", input_tokens=100))).inquire("Hi")
        await reply

    assert meter.cost == budget.spent.usd == pytest.approx((100 * 1000.0 + 10_000.0) / 1e6)


async def test_a_model_without_a_price_is_refused_with_what_to_give() -> None:
    async with MiniAgents():
        with pytest.raises(
            BudgetExceededError, match=r"give Budget\(prices=\{'scripted': Price\(input=..., output=...\)"
        ):
            await ScriptedModel.fork(script=Script("x"), budget=Budget(usd=1)).inquire("Hi")


def test_a_request_whose_price_is_gone_at_its_end_costs_what_was_reserved() -> None:
    prices = {"mine": Price(1.0, 1.0)}
    budget = Budget(usd=10.0, prices=prices)
    reservation = budget.reserve("/agent", "mine", 1_000_000, 2_000_000)
    prices.clear()
    reservation.settle(USED)
    assert budget.spent.usd == pytest.approx(3.0)


def answer_of(api: str, tier: str | None) -> Answer:
    """An answer that says which tier served it; None for one that does not."""
    more = {} if tier is None else {"service_tier": tier}
    if api == "chat":
        return stream(says_piece(api, "ok"), chunk({}, "stop"), chunk(choices=[], usage=USAGE, **more), DONE)
    if api == "responses":
        return stream(says_piece(api, "ok"), {"type": "response.completed", "response": response(**more)})
    usage = {"input_tokens": 3, "output_tokens": 1, **({"speed": "fast"} if tier == "fast" else more)}
    return stream(start(usage=usage), says_piece(api, "ok"), *end())


@pytest.mark.real_time
@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize(
    ("said", "tier"),
    [
        ("priority", "priority"),
        ("batch", "batch"),
        ("fast", "fast"),
        ("default", None),
        ("standard", None),
        (None, None),
    ],
)
async def test_the_tier_that_served_a_request_is_in_its_usage_the_standard_one_is_not(
    api: str, said: str | None, tier: str | None
) -> None:
    async with Wire(answer_of(api, said)) as wire, MiniAgents():
        (reply,) = await wire.agent(api).inquire("Hi")

    assert reply.usage.service_tier == tier  # type: ignore[attr-defined]
    assert ("service_tier" in reply.metadata["usage"]) is (tier is not None)


@pytest.mark.real_time
async def test_each_request_costs_what_its_own_tier_costs_and_the_costs_are_added() -> None:
    pytest.importorskip("genai_prices", reason="the prices of models are in genai-prices")
    meter = Meter()
    current_meter.set(meter)
    budget = Budget(usd=1.0)
    async with Wire(answer_of("chat", "priority"), answer_of("chat", "flex")) as wire, MiniAgents(budget=budget):
        agent = wire.agent("chat", model="gpt-5-mini")
        await agent.inquire("Hi")
        await agent.inquire("Hi")

    costs = [cost_of("gpt-5-mini", Usage(3, 2, service_tier=tier)) for tier in ("priority", "flex")]
    assert None not in costs
    assert meter.cost == budget.spent.usd == pytest.approx(sum(cost or 0.0 for cost in costs))
    assert costs[0] != costs[1]


class Watched(Catalogue):
    """Says in which thread it was loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded = 0

    async def load(self) -> None:
        self.loaded += 1
        await super().load()


@pytest.mark.real_time
async def test_the_catalogue_is_loaded_in_a_thread_before_the_first_request_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = Watched()
    monkeypatch.setattr(attempting, "catalogue", catalogue)
    loaded_by_then: list[bool] = []

    async def look() -> None:
        loaded_by_then.append(catalogue.is_loaded)

    answer = Answer(look, *answer_of("chat", None).parts, content_type="text/event-stream")
    async with Wire(answer) as wire, MiniAgents():
        agent = wire.agent("chat", model="gpt-5-mini")
        await agent.inquire("Hi")
        await agent.inquire("Hi")

    assert (loaded_by_then, catalogue.loaded) == ([True, True], 1)


async def test_a_scripted_model_with_the_name_of_a_listed_one_has_its_price_and_needs_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("genai_prices", reason="the prices of models are in genai-prices")
    catalogue = Watched()
    for module in (attempting, list_prices):
        monkeypatch.setattr(module, "catalogue", catalogue)
    list_prices.list_price_of.cache_clear()
    budget = Budget(tokens=10_000)
    async with MiniAgents(budget=budget):
        await ScriptedModel.fork(model="gpt-5-mini", script=Script("ok")).inquire("Hi")

    assert (catalogue.loaded, catalogue.is_loaded) == (0, True)
    assert budget.spent.usd


async def test_a_scripted_model_loads_no_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Watched()
    for module in (attempting, list_prices):
        monkeypatch.setattr(module, "catalogue", catalogue)
    list_prices.list_price_of.cache_clear()
    async with MiniAgents():
        await ScriptedModel.fork(script=Script("ok")).inquire("Hi")

    assert (catalogue.loaded, catalogue.is_loaded) == (0, False)


async def test_the_catalogue_is_read_while_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, goes_on = Catalogue(), asyncio.Event()
    loop = asyncio.get_running_loop()
    read = catalogue.entries

    def entries(model: str) -> Iterator[Any]:
        asyncio.run_coroutine_threadsafe(_set(goes_on), loop).result(30)
        return read(model)

    monkeypatch.setattr(catalogue, "entries", entries)
    await catalogue.load()
    assert goes_on.is_set()
    assert catalogue.is_loaded


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_without_the_package_no_model_has_a_list_price_and_a_given_price_holds() -> None:
    program = """
import sys
sys.modules["genai_prices"] = None
from miniagents.ext.llms import Price, Usage
from miniagents.ext.llms.costs import cost_of
class Budget:
    prices = {"gpt-5": Price(1.0, 1.0)}
print(cost_of("gpt-5", Usage(1_000_000)), cost_of("gpt-5", Usage(1_000_000), [Budget]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "1.0"]
