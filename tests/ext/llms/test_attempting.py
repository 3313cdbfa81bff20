"""What fails is tried again, as long as nobody has seen a token of it."""

import email.utils
import math
import time
from collections.abc import Callable

import pytest

from miniagents import Backoff, MiniAgents, RetryPolicy
from miniagents.errors import (
    AskTimeoutError,
    IncompleteResponseError,
    InvalidOptionError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    StalledError,
)
from miniagents.testing import FakeProvider, Fault, Reply
from tests.ext.llms.apis import ONCE, agent_of, each_api

pytestmark = pytest.mark.real_time

FAILURES = {
    "408": Reply.failure(408),
    "409": Reply.failure(409),
    "429": Reply.rate_limited(),
    "500": Reply.failure(500),
    "529": Reply.failure(529),
    "cut": Reply("a b c d", fault=Fault.CUT, fault_at=2),
    "error in the stream": Reply("a b c d", fault=Fault.ERROR, fault_at=2),
    "no reason to stop": Reply("a b c d", fault=Fault.END, fault_at=2),
    "no JSON": Reply("a b c d", fault=Fault.MALFORMED, fault_at=2),
    "an HTML page": Reply(body="<html>Bad gateway</html>"),
}


@each_api
@pytest.mark.parametrize("failure", list(FAILURES))
async def test_an_awaited_call_is_repeated_and_its_tokens_start_again(
    api: str, failure: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(FAILURES[failure], "all is well")
    async with MiniAgents():
        replies = agent_of(api, fake_provider).inquire("Hi")
        assert str(await replies) == "all is well"
        assert [str(token) async for promise in replies async for token in promise] == ["all", " is", " well"]
    assert len(fake_provider.exchanges) == 2


@each_api
async def test_a_failure_after_a_delivered_token_goes_to_the_reader(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("a b c d", fault=Fault.CUT, fault_at=2, delay=0.01), "all is well")
    seen = []
    async with MiniAgents():
        with pytest.raises(IncompleteResponseError):
            async for promise in agent_of(api, fake_provider).inquire("Hi"):
                async for token in promise:
                    seen.append(str(token))
    assert seen == ["a", " b"]
    assert len(fake_provider.exchanges) == 1


async def test_an_awaited_call_is_repeated_also_where_errors_are_messages(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("a b c d", fault=Fault.CUT, fault_at=2), "all is well")
    async with MiniAgents(errors_as_messages=True):
        assert str(await agent_of("openai", fake_provider).inquire("Hi")) == "all is well"


async def test_a_log_of_the_reply_delivers_no_token(fake_provider: FakeProvider, tmp_path: object) -> None:
    from miniagents.ext.agents import markdown_llm_logger_agent

    fake_provider.reset(Reply("a b c d", fault=Fault.CUT, fault_at=2), "all is well")
    logger = markdown_llm_logger_agent.fork(log_folder=str(tmp_path))
    async with MiniAgents(llm_logger_agent=logger):
        assert str(await agent_of("openai", fake_provider).inquire("Hi")) == "all is well"


@each_api
async def test_all_attempts_of_a_call_have_one_idempotency_key(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500), Reply.failure(500), "ok")
    async with MiniAgents():
        await agent_of(api, fake_provider).inquire("Hi")
        await agent_of(api, fake_provider).inquire("Hi")
    keys = [exchange.headers["idempotency-key"] for exchange in fake_provider.exchanges]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


@each_api
async def test_the_sdks_own_retries_are_off(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500))
    async with MiniAgents():
        with pytest.raises(ProviderUnavailableError):
            await agent_of(api, fake_provider, retry=ONCE).inquire("Hi")
    assert len(fake_provider.exchanges) == 1


async def test_there_are_as_many_attempts_as_the_policy_says(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500))
    policy = RetryPolicy(attempts=3, backoff=Backoff(0.001, 0.001))
    async with MiniAgents():
        with pytest.raises(ProviderUnavailableError) as raised:
            await agent_of("openai", fake_provider, retry=policy).inquire("Hi")
    assert len(fake_provider.exchanges) == 3
    assert "/agents/OpenAIAgent: 3 attempts were made" in raised.value.__notes__


@pytest.mark.parametrize(
    "headers",
    [
        lambda: {"retry-after": "0.3"},
        lambda: {"retry-after-ms": "300"},
        lambda: {"retry-after": email.utils.formatdate(time.time() + 1.5, usegmt=True)},
    ],
    ids=["seconds", "milliseconds", "date"],
)
async def test_the_provider_says_how_long_to_wait(
    headers: Callable[[], dict[str, str]], fake_provider: FakeProvider
) -> None:
    fake_provider.reset(Reply.failure(429, headers=headers()), "ok")
    async with MiniAgents():
        await agent_of("openai", fake_provider).inquire("Hi")
    first, second = fake_provider.exchanges
    assert second.received_at - first.received_at >= 0.29


async def test_a_wait_beyond_the_deadline_fails_at_once_with_the_429(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.rate_limited(60))
    async with MiniAgents():
        with pytest.raises(RateLimitedError) as raised:
            await agent_of("openai", fake_provider).inquire("Hi", timeout=30)
    assert "after the deadline" in raised.value.__notes__[0]


_IN_2099 = "Wed, 21 Oct 2099 07:28:00 GMT"


@each_api
@pytest.mark.parametrize(
    ("header", "when"), [("86400", "86400 s, until 2"), ("inf", "for ever"), (_IN_2099, "2099-10-2")]
)
async def test_a_retry_after_of_a_day_fails_at_once_and_says_when(
    api: str, header: str, when: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(Reply.rate_limited(header), "ok")
    async with MiniAgents():
        with pytest.raises(RateLimitedError, match=when) as raised:
            await agent_of(api, fake_provider).inquire("Hi")
    assert len(fake_provider.exchanges) == 1
    assert "longer than max_retry_after=60.0 s" in raised.value.__notes__[0]
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 80_000


@pytest.mark.parametrize("header", ["nan", "-5", "0", "soon", ""])
async def test_a_retry_after_that_nobody_understands_is_none(header: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.rate_limited(header), "ok")
    async with MiniAgents():
        assert str(await agent_of("openai", fake_provider).inquire("Hi")) == "ok"
    first, second = fake_provider.exchanges
    assert second.received_at - first.received_at < 1


async def test_how_long_a_provider_may_ask_to_wait_is_an_option(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(503, headers={"retry-after": "1"}), "ok")
    async with MiniAgents():
        with pytest.raises(ProviderUnavailableError):
            await agent_of("openai", fake_provider, retry=RetryPolicy(max_retry_after=0.5)).inquire("Hi")
    with pytest.raises(InvalidOptionError, match="max_retry_after"):
        RetryPolicy(max_retry_after=-1.0)
    with pytest.raises(InvalidOptionError, match="max_retry_after"):
        RetryPolicy(max_retry_after=math.nan)


@pytest.mark.parametrize(("status", "says", "attempts"), [(400, "true", 2), (500, "false", 1)])
async def test_x_should_retry_is_obeyed(status: int, says: str, attempts: int, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(status, headers={"x-should-retry": says}), "ok")
    async with MiniAgents():
        try:
            await agent_of("openai", fake_provider).inquire("Hi")
        except ProviderError:
            assert attempts == 1
    assert len(fake_provider.exchanges) == attempts


@each_api
@pytest.mark.parametrize("stream", [True, False])
async def test_a_stall_is_tried_again(api: str, stream: bool, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("a b c", fault=Fault.STALL, fault_at=1), "ok")
    async with MiniAgents():
        assert str(await agent_of(api, fake_provider, stream=stream, idle_timeout=0.1).inquire("Hi")) == "ok"
    await fake_provider.exchanges[0].ended()
    assert fake_provider.exchanges[0].was_closed_by_client


async def test_a_slow_first_byte_is_a_stall_too(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("a", fault=Fault.STALL))
    async with MiniAgents():
        with pytest.raises(StalledError, match=r"0\.1 s"):
            await agent_of("openai", fake_provider, idle_timeout=0.1, retry=ONCE).inquire("Hi")


async def test_a_provider_that_cannot_be_reached_is_told(fake_provider: FakeProvider) -> None:
    async with MiniAgents():
        with pytest.raises(ProviderUnavailableError, match="cannot be reached"):
            await agent_of("openai", fake_provider, base_url="http://127.0.0.1:9/v1", retry=ONCE).inquire("Hi")


async def test_an_answer_without_choices_is_told(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(body='{"id": "x", "choices": []}', content_type="application/json"))
    async with MiniAgents():
        with pytest.raises(MalformedResponseError, match=r"choices is \[\]"):
            await agent_of("openai", fake_provider, retry=ONCE, stream=False).inquire("Hi")


async def test_a_message_is_repeated_as_often_as_the_policy_of_an_agent_says() -> None:
    from miniagents import InteractionContext, miniagent

    calls = []

    @miniagent(retry=RetryPolicy(attempts=5, backoff=Backoff(0.001, 0.001)))
    async def flaky(ctx: InteractionContext) -> None:
        calls.append(1)
        if len(calls) < 5:
            raise ValueError("not yet")
        ctx.reply("now")

    async with MiniAgents():
        assert str(await flaky.inquire()) == "now"
    assert len(calls) == 5


async def test_a_deadline_ends_a_call_between_two_attempts(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500))
    policy = RetryPolicy(attempts=100, backoff=Backoff(0.05, 0.05))
    async with MiniAgents():
        replies = agent_of("openai", fake_provider, retry=policy).inquire("Hi", timeout=0.4)
        with pytest.raises((AskTimeoutError, ProviderUnavailableError)):
            await replies
    assert 2 <= len(fake_provider.exchanges) <= 9
