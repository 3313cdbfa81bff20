"""A swarm against a provider that fails: all the work is done, no limit overrun, each answer paid once."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from miniagents import Backoff, InteractionContext, MiniAgents, RetryPolicy, miniagent
from miniagents.ext.llms import Budget, OpenAIAgent, RateLimit
from miniagents.testing import Exchange, FakeProvider, Fault, Reply

pytestmark = pytest.mark.real_time

AGENTS = 500
PER_SECOND = 250


_WEIGHTS = (1, 4, 4, 1)  # each 429 halves the rate for everybody, so that many of them make a long test


def flaky(seed: int) -> Callable[[Exchange], Reply]:
    """Fails every fifth request, each time in another way."""
    dice = random.Random(seed)
    faults = [
        lambda text: Reply.rate_limited(0.01),
        lambda text: Reply.failure(500),
        lambda text: Reply(text, fault=Fault.CUT, fault_at=1),
        lambda text: Reply(text, fault=Fault.STALL, fault_at=1),
    ]

    def answer(exchange: Exchange) -> Reply:
        text = f"the answer to {exchange.prompt}"
        return dice.choices(faults, _WEIGHTS)[0](text) if dice.random() < 0.2 else Reply(text)

    return answer


@pytest.mark.timeout(120)
async def test_500_agents_finish_their_work(fake_provider: FakeProvider) -> None:
    fake_provider.reset(flaky(7))
    fake_provider.requests_per_second = PER_SECOND * 1.2  # the network may push some of them together
    limit, budget = RateLimit(requests_per_minute=PER_SECOND * 60, concurrent=100), Budget(tokens=10_000_000)
    model = OpenAIAgent.fork(
        model="m",
        rate_limit=limit,
        idle_timeout=2.0,
        retry=RetryPolicy(attempts=12, backoff=Backoff(0.01, 0.2, jitter=0.5)),
        max_tokens=10,
        **fake_provider.openai,
    )

    @miniagent
    async def worker(ctx: InteractionContext) -> None:
        ctx.reply(await model.inquire(ctx.message_promises))

    async with MiniAgents(budget=budget):
        calls = [worker.fork(alias=f"worker-{number}").inquire(f"question-{number}") for number in range(AGENTS)]
        answers = [str(await call) for call in calls]

    assert answers == [f"the answer to question-{number}" for number in range(AGENTS)]
    assert fake_provider.overruns == 0
    assert fake_provider.most_at_once <= 100 + 20  # a connection that was closed may be seen a little later
    whole = Counter(one.prompt for one in fake_provider.exchanges if one.is_complete)
    assert whole == {f"question-{number}": 1 for number in range(AGENTS)}  # each answer was paid once
    paid_whole = sum(one.tokens_sent for one in fake_provider.exchanges if one.is_complete)
    assert paid_whole == AGENTS * 4
    assert len(fake_provider.exchanges) > AGENTS * 1.1
    assert budget.spent.estimated_tokens > 0  # of the calls that were cut
    assert limit.in_flight == limit.waiting == 0
