"""The time from `promise.cancel()` until the provider sees the connection closed.

`python -m benchmarks.cancel_latency`: one call at a time, then many at once. The provider is a real HTTP server on
loopback, in a thread of this process. The bare SDK (closing its stream) is measured in the same run, for comparison.
"""

import asyncio
import logging
import statistics
import time

import structlog

from miniagents import MessageSequencePromise, MiniAgents
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.testing import FakeProvider, Reply

SLOW = Reply([f"{number} " for number in range(5000)], delay=0.02)
ROUNDS = 50
AT_ONCE = (1, 10, 100, 500)


async def _first_token(replies: MessageSequencePromise) -> None:
    async for promise in replies:
        async for _ in promise:
            return


async def _one_by_one(provider: FakeProvider, agent: object) -> list[float]:
    found = []
    for number in range(ROUNDS):
        replies = agent.inquire(f"call {number}")  # type: ignore[attr-defined]
        await _first_token(replies)
        exchange = provider.last
        began = time.monotonic()
        replies.cancel("measured")
        await exchange.ended()
        assert exchange.closed_by_client_at is not None
        found.append(exchange.closed_by_client_at - began)
    return found


async def _bare_sdk(provider: FakeProvider) -> list[float]:
    from openai import AsyncOpenAI

    found = []
    async with AsyncOpenAI(**provider.openai, max_retries=0) as client:
        for number in range(ROUNDS):
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": f"call {number}"}], stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
            exchange = provider.last
            began = time.monotonic()
            await stream.close()
            await exchange.ended()
            assert exchange.closed_by_client_at is not None
            found.append(exchange.closed_by_client_at - began)
    return found


async def _many(provider: FakeProvider, agent: object, count: int) -> float:
    provider.reset(SLOW)
    calls = [agent.inquire(f"call {number}") for number in range(count)]  # type: ignore[attr-defined]
    await asyncio.gather(*(_first_token(call) for call in calls))
    began = time.monotonic()
    for call in calls:
        call.cancel("measured")
    for exchange in provider.exchanges:
        await exchange.ended()
    return max(exchange.closed_by_client_at or began for exchange in provider.exchanges) - began


async def main() -> None:
    """Measure, and print the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with FakeProvider(SLOW) as provider:
        agents = {
            "OpenAIAgent": OpenAIAgent.fork(model="m", **provider.openai),
            "AnthropicAgent": AnthropicAgent.fork(model="m", **provider.anthropic),
        }
        async with MiniAgents():
            rows = {"openai SDK alone": await _bare_sdk(provider)}
            for name, agent in agents.items():
                rows[name] = await _one_by_one(provider, agent)
            print(f"{'one at a time':24} {'median ms':>10} {'p95 ms':>10}")
            for name, seconds in rows.items():
                p95 = statistics.quantiles(seconds, n=20)[-1]
                print(f"{name:24} {statistics.median(seconds) * 1000:10.2f} {p95 * 1000:10.2f}")
            print(f"\n{'all at once':24} {'last closed ms':>15} {'50 + 0.5 n ms':>15}")
            for count in AT_ONCE:
                last = await _many(provider, agents["OpenAIAgent"], count)
                print(f"{count:<24} {last * 1000:15.2f} {50 + 0.5 * count:15.1f}")


if __name__ == "__main__":
    asyncio.run(main())
