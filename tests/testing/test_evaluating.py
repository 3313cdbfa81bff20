"""Agents at work on cases."""

import asyncio
import json
from typing import Any

import pytest

from miniagents import InteractionContext, Message, MiniAgents, UserMessage, miniagent
from miniagents.errors import InvalidOptionError, PromiseCancelledError
from miniagents.ext.llms import Budget
from miniagents.ext.llms.provider import ModelRequest
from miniagents.journal import MemoryJournal
from miniagents.messages import Messages
from miniagents.testing import Case, Rate, Report, Script, ScriptedModel, evaluate


def exact(case: Case, replies: Messages) -> bool:
    return str(replies) == str(case.expected)


def near(case: Case, replies: Messages) -> float:
    return 1.0 / (1 + abs(int(str(replies)) - int(case.expected)))


@miniagent
async def adder(ctx: InteractionContext) -> None:
    """Add two numbers, and no others."""
    first, second = str(await ctx.message_promises).split("+")
    ctx.reply(str(int(first) + int(second)))


CASES = [Case("1+2", "3"), Case("2+2", "5", name="wrong"), Case("x+1", "1", name="letters")]


async def test_each_check_and_each_case_has_a_rate() -> None:
    async with MiniAgents():
        report = await evaluate(adder, CASES, [exact, near])
    assert report.checks == ("exact", "near")
    assert [attempt.case for attempt in report.attempts] == ["1", "wrong", "letters"]
    assert [attempt.passed for attempt in report.attempts] == [True, False, False]
    assert [dict(attempt.scores) for attempt in report.attempts] == [
        {"exact": 1.0, "near": 1.0},
        {"exact": 0.0, "near": 0.5},
        {},
    ]
    assert (report.rates["exact"].passed, report.rates["near"].passed, report.total.passed) == (1, 2, 1)
    assert report.rates["near"].mean == pytest.approx(0.5)
    assert report.attempts[2].error is not None
    assert report.attempts[2].error.startswith("ValueError: invalid literal")
    assert not report.passed
    assert {name: rate.rate for name, rate in report.cases.items()} == {"1": 1.0, "wrong": 0.0, "letters": 0.0}


async def test_a_report_passes_if_all_attempts_pass_all_checks() -> None:
    async with MiniAgents():
        report = await evaluate(adder, [Case("1+2", "3"), Case("3+4", "7")], [exact, near], repeat=3)
    assert report.passed
    assert report.total == Rate(6, 6, report.total.low, 1.0, 1.0)
    assert report.total.low == pytest.approx(0.342, abs=1e-3)  # that of two cases, and not of six
    assert report.cases["1"].low == pytest.approx(0.438, abs=1e-3)  # that of three attempts
    assert not Report((), ("exact",)).passed


async def test_the_table_and_the_json_show_rates_and_errors() -> None:
    def broken(case: Case, replies: Messages) -> bool:
        raise KeyError("missing")

    async with MiniAgents():
        report = await evaluate(adder, CASES, [exact, broken])
    assert report.table().splitlines() == [
        "check       passed  rate          95 %  mean",
        "exact          1/3  0.33  0.06 to 0.79  0.33",
        "broken         0/3  0.00  0.00 to 0.56  0.00",
        "all checks     0/3  0.00  0.00 to 0.56  0.00",
        "",
        "case        passed  rate          95 %  mean",
        "1              0/1  0.00  0.00 to 0.79  0.00",
        "wrong          0/1  0.00  0.00 to 0.79  0.00",
        "letters        0/1  0.00  0.00 to 0.79  0.00",
        "1, attempt 1: broken: KeyError: 'missing'",
        "wrong, attempt 1: broken: KeyError: 'missing'",
        "letters, attempt 1: ValueError: invalid literal for int() with base 10: 'x'",
    ]
    assert str(report) == report.table()
    data = json.loads(report.to_json())
    assert data["passed"] is False
    assert data["checks"]["exact"] == {
        "passed": 1,
        "of": 3,
        "rate": 0.3333,
        "low": 0.0615,
        "high": 0.7923,
        "mean": 0.3333,
    }
    assert data["attempts"][0]["replies"] == ["3"]
    assert data["attempts"][2]["replies"] is None
    assert data["attempts"][1]["check_errors"] == {"broken": "KeyError: 'missing'"}


async def test_no_more_attempts_run_at_once_than_allowed_and_each_is_made() -> None:
    at_once, most, texts = 0, 0, list[str]()

    @miniagent
    async def slow(ctx: InteractionContext) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        texts.append(str(await ctx.message_promises))
        await asyncio.sleep(1.0)
        at_once -= 1
        ctx.reply("done")

    async with MiniAgents():
        report = await evaluate(slow, [Case("a"), Case("b")], [lambda case, replies: True], repeat=5, concurrency=3)
    assert most == 3
    assert sorted(texts) == ["a"] * 5 + ["b"] * 5
    assert [(attempt.case, attempt.number) for attempt in report.attempts] == [
        (case, number) for case in ("1", "2") for number in range(1, 6)
    ]
    assert {attempt.seconds for attempt in report.attempts} == {1.0}


async def test_a_judge_is_an_agent() -> None:
    judge = ScriptedModel.fork(script=Script('{"value": true}', '{"value": false}'), output=bool)

    async def polite(case: Case, replies: Messages) -> bool:
        prompt = UserMessage(f"Is this polite? {replies}")
        return bool((await judge.inquire(prompt))[-1].output)

    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script("Thank you.", "No."))
        report = await evaluate(agent, [Case("Hi"), Case("Bye")], [polite], concurrency=1)
    assert [attempt.scores["polite"] for attempt in report.attempts] == [1.0, 0.0]


@pytest.mark.parametrize("verdict", [2, -0.1, float("nan"), "yes", None])
async def test_a_verdict_that_is_no_score_is_an_error_of_the_check(verdict: Any) -> None:
    async with MiniAgents():
        report = await evaluate(adder, [Case("1+2", "3")], [lambda case, replies: verdict])
    (attempt,) = report.attempts
    assert "a check returns True, False, or a score" in attempt.check_errors["<lambda>"]
    assert not attempt.passed


async def test_tokens_are_those_of_the_agent_and_all_below_it_and_the_budget_holds() -> None:
    model = ScriptedModel.fork(script=Script("one two three"), max_tokens=10)

    @miniagent
    async def asks_a_model(ctx: InteractionContext) -> None:
        ctx.reply(await model.inquire("Hi there"))

    budget = Budget(tokens=30)
    async with MiniAgents(budget=budget):
        report = await evaluate(
            asks_a_model, [Case(str(number)) for number in range(9)], [lambda case, replies: True], concurrency=1
        )
    ran = [attempt for attempt in report.attempts if attempt.was_run]
    assert {attempt.tokens for attempt in ran} == {5}
    assert budget.spent.tokens == 5 * len(ran)
    assert 0 < len(ran) < 9
    assert report.total.of == len(ran)
    assert report.total.passed == len(ran)
    assert not report.passed
    assert "not run: BudgetExceededError" in report.table()


async def test_cancelling_the_evaluation_cancels_the_calls() -> None:
    began, ended = asyncio.Event(), list[str]()

    @miniagent
    async def waits(ctx: InteractionContext) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(str(await ctx.message_promises))

    async with MiniAgents():
        evaluation = asyncio.ensure_future(evaluate(waits, [Case("a"), Case("b"), Case("c")], [exact], concurrency=2))
        await began.wait()
        await asyncio.sleep(1)
        evaluation.cancel()
        with pytest.raises((asyncio.CancelledError, PromiseCancelledError)):
            await evaluation
        await asyncio.sleep(1)
        assert sorted(ended) == ["a", "b"]


async def test_a_call_that_takes_too_long_has_failed() -> None:
    @miniagent
    async def sleeps(ctx: InteractionContext) -> None:
        await asyncio.sleep(float(str(await ctx.message_promises)))
        ctx.reply("woken")

    async with MiniAgents():
        report = await evaluate(sleeps, [Case("1"), Case("100")], [lambda case, replies: True], timeout=10.0)
    assert [attempt.passed for attempt in report.attempts] == [True, False]
    assert "no answer within 10.0 s" in str(report.attempts[1].error)


async def test_an_evaluation_within_a_job_goes_on_where_it_was() -> None:
    asked: list[str] = []

    def answer(request: ModelRequest) -> str:
        asked.append(str(request.messages[-1]))
        return "fine"

    model = ScriptedModel.fork(script=Script(answer), alias="pupil")
    judge = ScriptedModel.fork(script=Script(answer), alias="judge")

    async def good(case: Case, replies: Messages) -> bool:
        return str(await judge.inquire(f"Is {case.input} {replies}?")) == "fine"

    @miniagent(version="1", alias="nightly")
    async def nightly(ctx: InteractionContext) -> None:
        cases = [Case(f"case {number}") for number in range(4)]
        report = await evaluate(model, cases, [good], concurrency=1)
        ctx.reply(report.to_json())
        if life == 1:
            raise ValueError("the first life ends")

    journal = MemoryJournal()
    asked_in: list[int] = []
    for life in (1, 2):
        async with MiniAgents(journal=journal, durable_agents=True) as mini:
            replies: Any = mini.run_job("nightly", nightly)
            if life == 1:
                with pytest.raises(ValueError, match="the first life ends"):
                    await replies
            else:
                assert json.loads(str(await replies))["passed"] is True
        asked_in.append(len(asked))
    assert asked_in == [8, 8]


@pytest.mark.parametrize("options", [{"repeat": 0}, {"concurrency": 0}])
async def test_an_option_outside_its_range_is_refused(options: dict[str, int]) -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match=f"{next(iter(options))}="):
            await evaluate(adder, CASES, [exact], **options)
        with pytest.raises(InvalidOptionError, match="needs cases and checks"):
            await evaluate(adder, [], [exact])


async def test_equal_names_get_numbers() -> None:
    async with MiniAgents():
        report = await evaluate(adder, [Case("1+1", "2", name="sum"), Case("1+2", "3", name="sum")], [exact, exact])
    assert list(report.cases) == ["sum", "sum 2"]
    assert report.checks == ("exact", "exact 2")


async def test_an_input_may_be_several_messages() -> None:
    conversation: list[Message] = [UserMessage("1"), UserMessage("+2")]

    @miniagent
    async def counts(ctx: InteractionContext) -> None:
        ctx.reply(str(len(await ctx.message_promises)))

    async with MiniAgents():
        assert (await evaluate(counts, [Case(conversation, "2")], [exact], repeat=2)).passed
