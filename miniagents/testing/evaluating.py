"""`evaluate`: an agent at work on cases, and checks of what it replies."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from miniagents.agents import MiniAgent
from miniagents.errors import BudgetExceededError, InvalidOptionError
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.messages import Messages, error_text
from miniagents.testing.report import Attempt, Case, Report

Check: TypeAlias = Callable[[Case, Messages], bool | float | Awaitable[bool | float]]
"""A check of the replies to a case, async or not: True, False, or a score from 0.0 to 1.0, which passes from 0.5 on."""


async def evaluate(
    agent: MiniAgent,
    cases: Sequence[Case],
    checks: Sequence[Check],
    *,
    repeat: int = 1,
    concurrency: int = 10,
    timeout: float | None = None,
) -> Report:
    """Let an agent work on cases, and check its replies.

    Each attempt is a call of the agent in the current system: limits, budgets, observers and the journal hold for it.
    Within an agent that runs as a job (`MiniAgents.run_job`), what the journal has of durable agents and of judges is
    not asked again. Cancelling the evaluation cancels the calls that run.

    An agent that fails has passed no check. An attempt that a budget refuses counts in no rate, and the report has not
    passed.

    Args:
        agent: The agent.
        cases: The cases. Equal names get numbers.
        checks: The checks. Their names are those of the functions. A check may ask an agent, a judge.
        repeat: Attempts at each case, 1 or more.
        concurrency: The most attempts that run at once, with their checks; 1 or more.
        timeout: Seconds that one call of the agent may take, more than 0; None for no limit.

    Returns:
        The report.

    Raises:
        InvalidOptionError: There are no cases or no checks, or an option is outside its range.

    Example:
        >>> from miniagents import MiniAgents
        >>> from miniagents.testing import Script, ScriptedModel
        >>> def exact(case, replies):
        ...     return str(replies) == case.expected
        >>> async def main():
        ...     async with MiniAgents():
        ...         agent = ScriptedModel.fork(script=Script("3", "5"))
        ...         cases = [Case("1 + 2?", expected="3"), Case("2 + 2?", expected="4", name="two")]
        ...         return await evaluate(agent, cases, [exact], concurrency=1)
        >>> report = asyncio.run(main())
        >>> report.passed, report.rates["exact"].rate, report.cases["two"].passed
        (False, 0.5, 0)
    """
    if not cases or not checks:
        raise InvalidOptionError("evaluate() needs cases and checks")
    for name, value in (("repeat", repeat), ("concurrency", concurrency)):
        if value < 1:
            raise InvalidOptionError(f"evaluate({name}=) must be 1 or more, not {value!r}")
    named_checks = dict(zip(_names([_name_of(check) for check in checks]), checks, strict=True))
    named_cases = zip(_names([case.name or str(place) for place, case in enumerate(cases, 1)]), cases, strict=True)
    places = asyncio.Semaphore(concurrency)

    async def attempt_at(name: str, case: Case, number: int) -> Attempt:
        async with places:
            return await _attempt(agent, name, case, number, named_checks, timeout)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(attempt_at(name, case, number))
            for name, case in named_cases
            for number in range(1, repeat + 1)
        ]
    return Report(tuple(task.result() for task in tasks), tuple(named_checks))


async def _attempt(
    agent: MiniAgent, name: str, case: Case, number: int, checks: dict[str, Check], timeout: float | None
) -> Attempt:
    """Call the agent once, and check its replies."""
    loop = asyncio.get_running_loop()
    outer, meter, began = current_meter.get(), Meter(), loop.time()
    token = current_meter.set(meter)
    error: str | None = None
    replies: Messages | None = None
    was_run = True
    # The label tells the attempts apart in a journal, where equal calls are one.
    promise = agent.inquire(case.input, timeout=timeout, errors_as_messages=False, label=f"{name} {number}")
    try:
        replies = await promise
    except BudgetExceededError as exceeded:
        error, was_run = error_text(exceeded), False
    except Exception as failure:
        error = error_text(failure)
    finally:
        current_meter.reset(token)
        promise.cancel("its evaluation is over")
        if outer is not None:
            outer.add(Usage(meter.input_tokens, meter.output_tokens, meter.cached_tokens), meter.cost)
    seconds = loop.time() - began
    scores, check_errors = dict[str, float](), dict[str, str]()
    if replies is not None:
        for check, function in checks.items():
            try:
                scores[check] = await _score(function, case, replies)
            except Exception as failure:
                check_errors[check] = error_text(failure)
    tokens = meter.input_tokens + meter.output_tokens
    return Attempt(name, number, replies, scores, error, check_errors, was_run, seconds, tokens)


async def _score(check: Check, case: Case, replies: Messages) -> float:
    verdict = check(case, replies)
    if inspect.isawaitable(verdict):
        verdict = await verdict
    if not isinstance(verdict, (bool, int, float)) or not 0 <= verdict <= 1:
        raise InvalidOptionError(f"a check returns True, False, or a score from 0.0 to 1.0, not {verdict!r}")
    return float(verdict)


def _name_of(check: Check) -> str:
    return getattr(check, "__name__", None) or type(check).__name__


def _names(names: Sequence[str]) -> list[str]:
    """Return the names, of which equal ones get numbers."""
    unique: list[str] = []
    for name in names:
        free, number = name, 2
        while free in unique:
            free, number = f"{name} {number}", number + 1
        unique.append(free)
    return unique
