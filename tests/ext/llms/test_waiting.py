"""One `RateLimit`, `Budget` or `Cache` in several event loops: one after the other, and in threads at once."""

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import BudgetExceededError, RateLimitedError
from miniagents.ext.llms import Budget, Cache, RateLimit, Usage
from miniagents.ext.llms.waiting import SharedClock
from miniagents.testing import FakeProvider, Reply, VirtualTimeLoop
from tests.ext.llms.apis import agent_of, each_api

pytestmark = pytest.mark.real_time


def in_threads(*mains: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
    """What coroutines return, each run in a thread and a loop of its own, all at once."""
    results: list[Any] = [None] * len(mains)

    def run(number: int) -> None:
        async def bounded() -> Any:
            async with asyncio.timeout(20):
                return await mains[number]()

        try:
            results[number] = asyncio.run(bounded())
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(mains))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


async def admitted(limit: RateLimit, count: int, who: str, *, work: float = 0.0) -> list[float]:
    """When so many requests were admitted, all made at once."""
    times: list[float] = []

    async def one() -> None:
        admission = await limit.admit(who, 0)
        times.append(time.monotonic())
        await asyncio.sleep(work)
        admission.settle(0)

    await asyncio.gather(*(one() for _ in range(count)))
    return times


def test_a_rate_is_kept_by_all_threads_together() -> None:
    limit = RateLimit(requests_per_minute=60 * 105)

    results = in_threads(*[lambda: admitted(limit, 20, "one")] * 3)

    times = sorted(itertools.chain(*results))
    assert len(times) == 60
    assert times[-1] - times[0] >= 0.58  # 59 pauses of 10 ms each
    assert (limit.waiting, limit.in_flight) == (0, 0)
    assert limit._queue._loops == {}


def test_the_requests_of_several_threads_take_turns() -> None:
    limit, order = RateLimit(concurrent=1), list[str]()
    held, both = threading.Event(), threading.Barrier(3)

    def main_of(who: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def one() -> None:
            admission = await limit.admit(who, 0)
            order.append(who)
            await asyncio.sleep(0.005)
            admission.settle(0)

        async def main() -> None:
            await asyncio.to_thread(held.wait, 10)
            tasks = [asyncio.ensure_future(one()) for _ in range(5)]
            await asyncio.sleep(0)
            both.wait(10)
            await asyncio.gather(*tasks)

        return main

    async def holder() -> None:
        admission = await limit.admit("holder", 0)
        held.set()
        await asyncio.to_thread(both.wait, 10)
        admission.settle(0)

    results = in_threads(holder, main_of("a"), main_of("b"))

    assert results == [None, None, None]
    assert order in (["a", "b"] * 5, ["b", "a"] * 5)


def test_no_more_requests_run_at_once_than_allowed_in_all_threads_together() -> None:
    limit, most, running = RateLimit(concurrent=3), [0], list[int]()

    async def one() -> None:
        admission = await limit.admit("me", 0)
        running.append(1)
        most[0] = max(most[0], len(running))
        await asyncio.sleep(0.002)
        running.pop()
        admission.settle(0)

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(30)))

    assert in_threads(main, main, main) == [None] * 3
    assert most == [3]
    assert limit.in_flight == 0


def test_a_pause_that_is_asked_for_in_one_thread_holds_for_the_others() -> None:
    limit, slowed = RateLimit(requests_per_minute=60_000), threading.Event()

    async def unlucky() -> None:
        admission = await limit.admit("unlucky", 0)
        limit.slow_down(admission, retry_after=0.3)
        admission.settle(0)
        slowed.set()

    async def other() -> float:
        await asyncio.to_thread(slowed.wait, 10)
        began = time.monotonic()
        (await limit.admit("other", 0)).settle(0)
        return time.monotonic() - began

    _, waited = in_threads(unlucky, other)

    assert 0.25 <= waited < 5


def test_who_waits_in_a_loop_is_served_though_the_loop_that_set_the_time_has_ended() -> None:
    limit, paused = RateLimit(requests_per_minute=60_000), threading.Event()

    async def first() -> None:
        admission = await limit.admit("first", 0)
        limit.slow_down(admission, retry_after=0.2)
        waiting = asyncio.ensure_future(limit.admit("first", 0))
        await asyncio.sleep(0)
        paused.set()
        await asyncio.sleep(0.05)
        waiting.cancel()
        admission.settle(0)

    async def second() -> str:
        await asyncio.to_thread(paused.wait, 10)
        (await limit.admit("second", 0)).settle(0)
        return "served"

    assert in_threads(first, second) == [None, "served"]


def test_tokens_that_a_loop_gives_back_before_it_ends_serve_another_one_earlier() -> None:
    limit, admitted_once, waits = RateLimit(tokens_per_minute=60_000), threading.Event(), threading.Event()

    async def first() -> None:
        admission = await limit.admit("first", 9_500)
        admitted_once.set()
        await asyncio.to_thread(waits.wait, 10)
        admission.settle(1_000)  # of the 9.5 s that were reserved, 1 s is used

    async def second() -> float:
        await asyncio.to_thread(admitted_once.wait, 10)
        began = time.monotonic()
        waiting = asyncio.ensure_future(limit.admit("second", 1_000))
        await asyncio.sleep(0.01)
        waits.set()
        (await waiting).settle(0)
        return time.monotonic() - began

    _, waited = in_threads(first, second)

    assert 0.5 < waited < 6


def test_what_a_loop_left_under_way_is_given_back_when_it_has_ended() -> None:
    limit = RateLimit(concurrent=1)
    abandoned = asyncio.new_event_loop()
    abandoned.run_until_complete(limit.admit("gone", 0))
    waiting = abandoned.create_task(limit.admit("gone", 0))
    abandoned.run_until_complete(asyncio.sleep(0))

    async def other() -> str:
        (await limit.admit("other", 0)).settle(0)
        return "served"

    async def main() -> str:
        served = asyncio.ensure_future(other())
        await asyncio.sleep(0.01)
        assert not served.done()
        abandoned.close()
        return await served

    try:
        assert in_threads(main) == ["served"]
    finally:
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is left is the point here
        del waiting
        gc.collect()
    assert (limit.waiting, limit.in_flight) == (0, 0)


def test_patience_ends_in_a_loop_whatever_the_others_do() -> None:
    limit, holds = RateLimit(concurrent=1), threading.Event()
    done = threading.Event()

    async def holder() -> None:
        admission = await limit.admit("holder", 0)
        holds.set()
        await asyncio.to_thread(done.wait, 10)
        admission.settle(0)

    async def impatient() -> None:
        await asyncio.to_thread(holds.wait, 10)
        try:
            await limit.admit("impatient", 0, patience=0.05)
        finally:
            done.set()

    _, error = in_threads(holder, impatient)

    assert isinstance(error, RateLimitedError)
    assert limit.waiting == 0


def test_a_limit_goes_on_in_the_next_run() -> None:
    limit = RateLimit(requests_per_minute=60 * 10.5)

    async def main() -> float:
        (await limit.admit("me", 0)).settle(0)
        return time.monotonic()

    first, second = asyncio.run(main()), asyncio.run(main())

    assert second - first >= 0.09


def test_a_clock_goes_on_whatever_loop_asks() -> None:
    clock = SharedClock()

    async def jump(seconds: float) -> float:
        clock.now()
        await asyncio.sleep(seconds)
        return clock.now()

    def run(seconds: float, factory: Any) -> float:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(jump(seconds))

    first = run(5000, VirtualTimeLoop)
    second = run(0.01, asyncio.new_event_loop)
    third = run(100, VirtualTimeLoop)

    assert first <= second < first + 60
    assert second + 100 <= third < second + 160
    assert third <= clock.now() < third + 60


def test_a_budget_is_spent_by_all_threads_together_and_never_twice() -> None:
    budget, count = Budget(tokens=3000), 2000

    def main_of() -> Callable[[], Coroutine[Any, Any, int]]:
        async def main() -> int:
            granted = 0
            for _ in range(count):
                try:
                    reservation = budget.reserve("me", "m", 1, 0)
                except BudgetExceededError:
                    continue
                granted += 1
                reservation.settle(Usage(1, 0))
            return granted

        return main

    assert sum(in_threads(*(main_of() for _ in range(4)))) == 3000
    assert (budget.spent.tokens, budget._reserved_tokens) == (3000, 0)


@each_api
@pytest.mark.parametrize("in_file", [True, False])
def test_equal_requests_of_several_threads_share_one_call(
    api: str, in_file: bool, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    fake_provider.reset(Reply("one two three", delay=0.05), "another")
    cache = Cache(tmp_path / "cache.db" if in_file else None)

    async def main() -> str:
        async with MiniAgents():
            return str(await agent_of(api, fake_provider, cache=cache).inquire("same"))

    assert in_threads(*[main] * 4) == ["one two three"] * 4
    assert asyncio.run(main()) == "one two three"
    assert len(fake_provider.exchanges) == 1
    assert (cache.hits, cache.misses) == (4, 1)
    cache.close()


def test_when_the_one_call_fails_in_a_thread_another_thread_makes_it(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(400), "good")
    cache = Cache()

    async def main() -> str:
        async with MiniAgents():
            return str(await agent_of("openai", fake_provider, cache=cache).inquire("same", errors_as_messages=True))

    results = in_threads(main, main)

    assert sorted(result == "good" for result in results) == [False, True]


def test_who_waits_for_a_loop_that_ended_without_an_answer_asks_itself() -> None:
    cache = Cache()
    gone = asyncio.new_event_loop()
    assert gone.run_until_complete(cache.get("key")) is None

    async def main() -> Any:
        waiting = asyncio.ensure_future(cache.get("key"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        gone.close()
        return await waiting

    assert in_threads(main) == [None]
    assert cache.misses == 2


def test_one_agent_with_all_three_works_in_several_threads(fake_provider: FakeProvider) -> None:
    limit, budget, cache = RateLimit(requests_per_minute=60_000, concurrent=2), Budget(tokens=100_000), Cache()
    fake_provider.reset(lambda exchange: Reply(f"answer to {exchange.prompt}", delay=0.001))

    async def main() -> list[str]:
        async with MiniAgents():
            agent = agent_of("openai", fake_provider, rate_limit=limit, budget=budget, cache=cache)
            return [str(await one) for one in [agent.inquire(str(number)) for number in range(10)]]

    assert in_threads(main, main, main) == [[f"answer to {number}" for number in range(10)]] * 3
    assert len(fake_provider.exchanges) == 10
    assert fake_provider.most_at_once <= 2
    assert limit.in_flight == 0
