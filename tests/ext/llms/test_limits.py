"""Rate limits: paced, fair, and shared."""

import asyncio
import datetime as dt
import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import Caller, EventKind, InteractionContext, MiniAgents, miniagent
from miniagents.actors.observing.caller import current_caller
from miniagents.errors import InvalidOptionError, RateLimitedError
from miniagents.ext.llms import RateLimit, allowances
from miniagents.ext.llms.limits import Admission
from miniagents.testing import FakeProvider, Reply, Script, ScriptedModel, VirtualTimeLoop
from tests.ext.llms.apis import agent_of


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


async def refused(limit: RateLimit, count: int) -> list[bool]:
    """So many requests at once are answered with a 429. Returns which of them lowered the rate."""
    all_at_once = [await limit.admit("unlucky", 0) for _ in range(count)]
    slowed = [limit.slow_down(admission) is not None for admission in all_at_once]
    for admission in all_at_once:
        admission.settle(None)
    return slowed


async def test_more_than_a_few_429s_halve_the_rate_for_everybody_and_it_grows_again() -> None:
    limit = RateLimit(requests_per_minute=6000)
    assert await refused(limit, 4) == [False, False, True, False]  # the last one was sent before the cut: no news
    assert limit.share == pytest.approx(0.5)
    assert limit.rate == pytest.approx(50)
    assert "share=0.50, rate=50/s" in repr(limit)
    await asyncio.sleep(1)
    assert limit.share == pytest.approx(0.6)
    await asyncio.sleep(10)
    assert limit.share == 1.0


async def test_429s_slow_down_where_no_rate_is_configured() -> None:
    limit = RateLimit(concurrent=100)
    assert any(await refused(limit, 20))
    times = await admissions(limit, 5)
    assert times[-1] > times[0]
    await asyncio.sleep(10)
    times = await admissions(limit, 5)
    assert times[-1] == times[0]  # as fast as it was


async def one_in(limit: RateLimit, seconds: float, ends_badly: Callable[[], bool]) -> int:
    """Ask one request after the other for so many seconds. Returns how many were answered."""
    answered, until = 0, now() + seconds
    while True:
        admission = await limit.admit("me", 0)
        if now() >= until:
            return answered
        if ends_badly():
            limit.slow_down(admission, retry_after=1.0)
            admission.settle(None)
        else:
            answered += 1
            admission.settle(0)


@pytest.mark.parametrize("seed", range(10))
async def test_a_stray_429_in_twentyfive_leaves_at_least_four_fifths_of_the_rate(seed: int) -> None:
    limit, chance = RateLimit(requests_per_minute=80 * 60), random.Random(seed)
    answered = await one_in(limit, 60, lambda: chance.random() < 0.04)
    assert answered / 60 >= 0.8 * 80


async def test_the_rate_is_halved_by_the_first_429_that_chance_does_not_explain() -> None:
    limit = RateLimit(requests_per_minute=60_000)
    for _ in range(83):
        (await limit.admit("lucky", 0)).settle(0)
    slowed: list[bool] = []
    while not any(slowed):
        admission = await limit.admit("unlucky", 0)
        slowed.append(limit.slow_down(admission) is not None)
        admission.settle(None)
    assert len(slowed) == 17  # of 100 requests 10 are expected, and 6 more may be chance


async def test_a_provider_that_is_slower_than_the_configured_rate_is_found_out_within_seconds() -> None:
    limit, tokens = RateLimit(requests_per_minute=80 * 60), [0.0, now()]

    def is_too_much() -> bool:
        tokens[0] = min(40.0, tokens[0] + 40.0 * (now() - tokens[1]))
        tokens[1] = now()
        tokens[0] -= tokens[0] >= 1
        return tokens[0] < 1

    await asyncio.sleep(1)
    await one_in(limit, 5, is_too_much)
    assert limit.share < 1


async def test_a_cut_of_the_rate_is_an_event_and_a_log(log: list[dict[str, object]]) -> None:
    limit = RateLimit(requests_per_minute=60_000)
    script = Script(*[Reply.rate_limited()] * 3, "ok")
    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            await ScriptedModel.fork(script=script, rate_limit=limit).inquire("Hi")
            system.events.close()
            seen = [event async for event in events if event.kind is EventKind.SLOWED]
    ((share, rate),) = [(event.detail.share, event.detail.rate) for event in seen]
    assert (share, rate) == (pytest.approx(0.5), pytest.approx(500))
    (slowed,) = (entry for entry in log if entry["event"] == "limit.slowed")
    assert slowed["share"] == pytest.approx(0.5)
    assert slowed["rate"] == pytest.approx(500)


@pytest.mark.parametrize("retry_after", [86_400.0, math.inf])
async def test_nobody_waits_for_a_limit_that_is_closed_for_a_day(retry_after: float) -> None:
    limit = RateLimit(concurrent=1)
    admission = await limit.admit("unlucky", 0)
    waiting = asyncio.create_task(limit.admit("in the queue", 0, longest_pause=60.0))
    await asyncio.sleep(0)
    began = now()
    limit.slow_down(admission, retry_after)
    admission.settle(None)
    with pytest.raises(RateLimitedError, match="longer than 60"):
        await waiting
    with pytest.raises(RateLimitedError, match="longer than 60"):
        await limit.admit("later", 0, longest_pause=60.0)
    assert now() == began
    assert limit.waiting == 0
    await asyncio.sleep(600)
    await limit.admit("much later", 0, longest_pause=60.0)  # it is tried whether that still holds


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
def test_what_is_no_limit_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        RateLimit(**options)


async def admitted(limit: RateLimit, caller: str | None, **more: float) -> Admission:
    """A request on behalf of a caller; gathered, each is a task with a context of its own."""
    current_caller.set(Caller(caller) if caller is not None else None)
    return await limit.admit("me", 0, **more)


async def test_each_caller_has_a_rate_of_its_own_and_those_that_nobody_is_known_for_share_one() -> None:
    limit = RateLimit(requests_per_minute=60, per="caller")
    times: dict[str | None, list[float]] = {"ann": [], "bob": [], None: []}

    async def ask(caller: str | None) -> None:
        (await asyncio.create_task(admitted(limit, caller))).settle(0)
        times[caller].append(now())

    await asyncio.gather(*(ask(caller) for caller in times for _ in range(5)))

    for own in times.values():
        assert [at - own[0] for at in own] == pytest.approx([1.05 * number for number in range(5)])
    assert limit.of("ann").requests_per_minute == 60
    assert limit.of("ann").rate == 1.0
    assert limit.of("ann") is not limit.of("bob")
    assert limit.in_flight == limit.of("ann").in_flight == 0


async def test_one_callers_requests_at_once_hold_up_nobody_else_and_what_waits_is_counted() -> None:
    limit = RateLimit(concurrent=1, per="caller")
    first = await asyncio.create_task(admitted(limit, "ann"))
    second = asyncio.create_task(admitted(limit, "ann"))
    await asyncio.sleep(0)
    other = await asyncio.create_task(admitted(limit, "bob"))

    assert (limit.in_flight, limit.waiting, second.done()) == (2, 1, False)
    assert "per='caller'" in repr(limit)

    first.settle(0)
    (await second).settle(0)
    other.settle(0)
    assert (limit.in_flight, limit.waiting, limit.of("ann").in_flight) == (0, 0, 0)


async def test_what_the_provider_refuses_slows_all_callers_down() -> None:
    limit = RateLimit(requests_per_minute=60_000, per="caller")
    for _ in range(3):
        refusals = [await asyncio.create_task(admitted(limit, name)) for name in ("ann", "bob")]
        for one in refusals:
            limit.slow_down(one, retry_after=5.0)
            one.settle(None)
    began = now()

    (await asyncio.create_task(admitted(limit, "cy"))).settle(0)

    assert limit.share < 1.0
    assert now() - began >= 5.0


async def test_a_caller_waits_no_longer_than_its_patience_in_both_lines_together() -> None:
    limit = RateLimit(requests_per_minute=60, per="caller")
    (await asyncio.create_task(admitted(limit, "ann"))).settle(0)
    limit.adapt({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "100s"})
    began = now()

    with pytest.raises(RateLimitedError):
        await asyncio.create_task(admitted(limit, "ann", patience=3.0))

    assert now() - began == pytest.approx(3.0)
    assert (limit.waiting, limit.of("ann").in_flight) == (0, 0)


async def test_only_callers_whose_limit_is_as_it_began_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowances, "_MAX_CALLERS", 3)
    limit = RateLimit(requests_per_minute=60, tokens_per_minute=60, per="caller")
    busy = await asyncio.create_task(admitted(limit, "busy"))
    (await asyncio.create_task(admitted(limit, "idle"))).settle(0)
    await asyncio.sleep(10)
    (await asyncio.create_task(admitted(limit, "paced"))).settle(0)
    (await asyncio.create_task(admitted(limit, "new"))).settle(0)

    assert set(limit._shares) == {"busy", "paced", "new"}
    busy.settle(0)


async def test_a_swarm_asks_within_each_callers_rate() -> None:
    limit = RateLimit(requests_per_minute=60, per="caller")
    times: dict[str, list[float]] = {"ann": [], "bob": []}
    async with MiniAgents():
        model = ScriptedModel.fork(script=Script("ok"), rate_limit=limit)

        async def ask(caller: str) -> None:
            current_caller.set(Caller(caller))
            await model.inquire("Hi")
            times[caller].append(now())

        began = now()
        await asyncio.gather(*(ask(caller) for caller in times for _ in range(3)))

    assert {name: own[-1] - began for name, own in times.items()} == pytest.approx({"ann": 2.1, "bob": 2.1})


def test_only_callers_can_have_a_limit_of_their_own() -> None:
    with pytest.raises(InvalidOptionError, match=r'RateLimit\(per=\) is "caller" or None'):
        RateLimit(60, per="agent")  # type: ignore[arg-type]
    assert RateLimit(60).of("ann").per is None
