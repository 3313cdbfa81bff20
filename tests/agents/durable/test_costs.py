"""What the journal costs a call and a replay, in things that can be counted; see `tests/test_costs.py`."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.journal import MemoryJournal
from tests.clocks import stopped_clock  # noqa: F401 - every test here has it
from tests.test_costs import count, note_counts

BOUNDS = {
    "call": 134.0,
    "call of many": 130.0,
    "replay": 128.0,
    "replay of many": 123.0,
}
"""Python calls, with those of a `MemoryJournal`, at most so many, on any Python from 3.11 to 3.13."""

fails: list[bool] = []


class Counting(MemoryJournal):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: Counter[str] = Counter()

    def read(self, query: Any) -> Any:
        self.queries[type(query).__name__] += 1
        return super().read(query)


@miniagent
async def leaf(ctx: InteractionContext) -> None:
    ctx.reply("an answer")


@miniagent(version="1")
async def calls(ctx: InteractionContext, n: int, at_once: int) -> None:
    note_counts()
    for start in range(0, n, at_once):
        for call in [leaf.inquire(str(number)) for number in range(start, start + at_once)]:
            await call
    note_counts()
    if fails:
        raise ValueError("later")


async def run(journal: MemoryJournal, n: int, at_once: int) -> None:
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        await leaf.inquire("the first call")
        await mini.run_job("j", calls.fork(n=n, at_once=at_once))


def live(at_once: int) -> Callable[[int], Awaitable[None]]:
    return lambda n: run(Counting(), n, at_once)


def check(name: str, workload: Callable[[int], Awaitable[None]]) -> None:
    python_calls, tasks, callbacks = count(workload)
    assert python_calls <= BOUNDS[name], f"{name}: at most {BOUNDS[name]} so far, and {python_calls:.2f} now"
    assert tasks <= 0.01
    assert callbacks <= 0.01


@pytest.mark.parametrize(("name", "at_once"), [("call", 1), ("call of many", 1000)])
def test_a_durable_call_costs_no_more_than_before(name: str, at_once: int) -> None:
    check(name, live(at_once))


@pytest.mark.parametrize(("name", "at_once"), [("replay", 1), ("replay of many", 1000)])
def test_a_replay_costs_no_more_than_before_and_asks_the_journal_once_for_many_calls(name: str, at_once: int) -> None:
    journal = Counting()
    fails.append(True)
    with pytest.raises(ValueError, match="later"):
        count(lambda n: run(journal, n, at_once))
    fails.clear()
    journal.queries.clear()
    check(name, lambda n: run(journal, n, at_once))
    assert journal.queries.total() <= 12, journal.queries
    assert journal.queries["Answers"] <= 2  # one for the root
