"""Rate limits: paced, fair, and shared."""

import asyncio
import datetime as dt
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.errors import InvalidOptionError, RateLimitedError
from miniagents.ext.llms import RateLimit
from miniagents.testing import FakeProvider, Reply, Script, ScriptedModel, VirtualTimeLoop
from tests.llms.apis import agent_of


def now() -> float:
    return asyncio.get_running_loop().time()


_TOMORROW = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()


async def admissions(
    limit: RateLimit, count: int, *, who: Callable[[int], str] = lambda _: "me", tokens: int = 0
) -> list[float]:
    times: list[tuple[str, float]] = []

    async def one(number: int) -> None:
        admission = await limit.admit(who(number), tokens)
        times.append((who(number), now()))
        admission.settle(tokens)

    await asyncio.gather(*(one(number) for number in range(count)))
    return [at for _, at in times]


async def test_requests_are_paced_and_do_not_burst() -> None:
    times = await admissions(RateLimit(requests_per_minute=600), 50)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert min(pauses) >= 0.1
    assert times[-1] - times[0] == pytest.approx(49 * 0.105)


@given(rate=st.integers(1, 50), count=st.integers(1, 60))
def test_no_second_sees_more_than_its_share(rate: int, count: int) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        times = runner.run(admissions(RateLimit(requests_per_minute=rate * 60), count))
    for start in times:
        assert sum(start <= at < start + 1.0 for at in times) <= rate


@given(rate=st.integers(10, 1000), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_tokens_are_never_spent_twice(rate: int, sizes: list[int]) -> None:
    async def main() -> list[tuple[float, int]]:
        limit = RateLimit(tokens_per_minute=rate * 60)
        seen = []

        async def one(size: int) -> None:
            admission = await limit.admit("me", size)
            seen.append((now(), size))
            admission.settle(size)

        await asyncio.gather(*(one(size) for size in sizes))
        return seen

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        seen = runner.run(main())
    first = seen[0][0]
    for at, size in seen:
        # What was admitted up to here fits into one second's worth, what has flown in since, and the last one.
        assert sum(s for t, s in seen if t <= at) <= rate * (1 + at - first) + max(size, *sizes) + 1e-6


async def test_a_request_reserves_its_estimate_and_settles_with_what_it_used() -> None:
    limit = RateLimit(tokens_per_minute=6000)
    first = await limit.admit("me", 100)
    began = now()
    first.settle(0)
    await limit.admit("me", 100)
    assert now() == began  # nothing was used: all of it came back
    await limit.admit("me", 100)
    assert now() == pytest.approx(began + 1)


async def test_agents_take_turns() -> None:
    order = []
    limit = RateLimit(requests_per_minute=600)

    async def one(who: str) -> None:
        (await limit.admit(who, 0)).settle(0)
        order.append(who)

    await asyncio.gather(*(one("greedy") for _ in range(20)), one("modest"), one("modest"))
    assert order.index("modest") <= 2
    assert [at for at, who in enumerate(order) if who == "modest"][1] <= 4


async def test_so_many_at_once_and_no_more() -> None:
    limit = RateLimit(concurrent=2)
    one, two = await limit.admit("a", 0), await limit.admit("b", 0)
    third = asyncio.create_task(limit.admit("c", 0))
    await asyncio.sleep(1)
    assert not third.done()
    one.settle(0)
    await third
    assert limit.in_flight == 2
    two.settle(0)


async def test_a_429_halves_the_rate_for_everybody_and_it_grows_again() -> None:
    limit = RateLimit(requests_per_minute=6000)
    admission = await limit.admit("unlucky", 0)
    limit.slow_down(admission)
    assert limit.share == pytest.approx(0.5)
    limit.slow_down(admission)  # another 429 of the same burst tells nothing new
    assert limit.share == pytest.approx(0.5)
    await asyncio.sleep(1)
    assert limit.share == pytest.approx(0.6)
    await asyncio.sleep(10)
    assert limit.share == 1.0


async def test_a_429_slows_down_where_no_rate_is_configured() -> None:
    limit = RateLimit(concurrent=100)
    first = [await limit.admit("me", 0) for _ in range(20)]
    limit.slow_down(first[-1])
    times = await admissions(limit, 5)
    assert times[-1] > times[0]


async def test_retry_after_holds_everybody_back() -> None:
    limit = RateLimit(requests_per_minute=60_000)
    admission = await limit.admit("unlucky", 0)
    began = now()
    limit.slow_down(admission, retry_after=7)
    await limit.admit("somebody else", 0)
    assert now() - began >= 7


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"},
        {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": _TOMORROW},
    ],
)
async def test_the_providers_headers_hold_everybody_back(headers: dict[str, str]) -> None:
    limit = RateLimit(requests_per_minute=60_000)
    await limit.admit("me", 0)
    began = now()
    limit.adapt(headers)
    await limit.admit("me", 0)
    assert now() - began >= 90


async def test_the_providers_limit_wins_where_it_is_lower() -> None:
    limit = RateLimit(requests_per_minute=60_000)
    await limit.admit("me", 0)
    limit.adapt({"x-ratelimit-limit-requests": "60"})
    times = await admissions(limit, 3)
    assert times[2] - times[1] >= 1


async def test_patience_ends_a_wait() -> None:
    limit = RateLimit(concurrent=1)
    await limit.admit("me", 0)
    with pytest.raises(RateLimitedError, match=r"waited 5 s"):
        await limit.admit("me", 0, patience=5)
    assert limit.waiting == 0


async def test_nobody_holds_a_place_while_waiting_for_another_agent() -> None:
    limit = RateLimit(concurrent=1)
    inner = ScriptedModel.fork(alias="inner", script=Script("inner answer"), rate_limit=limit)
    from miniagents.testing import Call

    script = Script(Reply(calls=(Call("inner", {"message": "x"}),)), "outer answer")
    outer = ScriptedModel.fork(alias="outer", script=script, tools=[inner], rate_limit=limit)

    @miniagent
    async def top(ctx: InteractionContext) -> None:
        ctx.reply(await outer.inquire("Hi"))

    async with MiniAgents():
        replies = await top.inquire(timeout=60)
    assert [str(reply) for reply in replies][1:] == ["inner answer", "outer answer"]


@pytest.mark.real_time
async def test_a_fan_out_ramps_up_instead_of_storming(fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    limit = RateLimit(requests_per_minute=60 * 100)
    async with MiniAgents():
        agent = agent_of("openai", fake_provider, rate_limit=limit)
        calls = [agent.inquire(str(number)) for number in range(60)]
        for call in calls:
            await call
    first = fake_provider.exchanges[0].received_at
    assert sum(one.received_at - first < 0.2 for one in fake_provider.exchanges) <= 30


@pytest.mark.parametrize("options", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"concurrent": 0}])
def test_what_is_no_limit_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidOptionError):
        RateLimit(**options)
