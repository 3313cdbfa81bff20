"""LLM agents against a provider that is a real server: requests, streams, replies."""

import sys
from typing import Any

import pytest

from miniagents import (
    AssistantMessage,
    InteractionContext,
    MiniAgent,
    MiniAgents,
    RetryPolicy,
    Sendable,
    SystemMessage,
    UserMessage,
    gather,
    miniagent,
)
from miniagents.errors import (
    AuthenticationError,
    ContextOverflowError,
    InvalidOptionError,
    InvalidRequestError,
    MissingDependencyError,
    MissingKeyError,
    QuotaExceededError,
)
from miniagents.ext.llms import (
    AnthropicAgent,
    Budget,
    FileMessage,
    ImageMessage,
    OpenAIAgent,
    RateLimit,
    openai_embedding_agent,
)
from miniagents.testing import Call, FakeProvider, Fault, Reply
from tests.ext.llms.apis import QUICK, agent_of, each_api

pytestmark = pytest.mark.real_time


@each_api
async def test_a_reply_streams_token_by_token(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset("Hello, brave world!")
    async with MiniAgents():
        tokens = []
        async for promise in agent_of(api, fake_provider).inquire("Hi"):
            async for token in promise:
                tokens.append(str(token))
    assert tokens == ["Hello,", " brave", " world!"]


@each_api
async def test_model_and_alias_are_known_before_the_first_token(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset("Hello")
    async with MiniAgents():
        agent = agent_of(api, fake_provider, alias="greeter")
        async for promise in agent.inquire("Hi"):
            assert promise.known_beforehand["model"] == agent.arguments["model"]
            assert promise.known_beforehand["agent_alias"] == "greeter"


@each_api
@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_says_what_it_cost_and_why_it_ended(api: str, stream: bool, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("one two three", input_tokens=50, cached_tokens=20))
    async with MiniAgents() as system:
        (reply,) = await agent_of(api, fake_provider, stream=stream).inquire("Hi")
    assert isinstance(reply, AssistantMessage)
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (50, 3, 20)  # type: ignore[attr-defined]
    assert not reply.usage.estimated  # type: ignore[attr-defined]
    assert reply.stop_reason == ("end_turn" if api == "anthropic" else "stop")  # type: ignore[attr-defined]
    assert reply.request_id == "req_00000001"  # type: ignore[attr-defined]
    assert reply.agent_alias == agent_of(api, fake_provider).alias  # type: ignore[attr-defined]
    assert system.interactions() == ()


@each_api
async def test_parameters_of_the_api_go_to_it(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    async with MiniAgents():
        await agent_of(api, fake_provider, temperature=0, top_p=0.5, metadata={"a": "b"}, max_tokens=9).inquire("Hi")
    body = fake_provider.last.body
    assert (body["temperature"], body["top_p"], body["metadata"]) == (0, 0.5, {"a": "b"})
    assert body["max_output_tokens" if api == "responses" else "max_tokens"] == 9


@each_api
async def test_what_the_sdk_does_not_take_and_what_the_runtime_takes_for_itself_go_through_api_options(
    api: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset("ok").more_fields = ("description",)
    async with MiniAgents():
        await agent_of(api, fake_provider, api_options={"timeout": 5, "description": "d"}).inquire("Hi")
    assert fake_provider.last.body["description"] == "d"
    assert "timeout" not in fake_provider.last.body


async def test_system_prompts_come_first_whatever_their_place(fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    async with MiniAgents():
        await agent_of("openai", fake_provider, system="A").inquire(["Hi", SystemMessage("B")])
        await agent_of("anthropic", fake_provider, system="A").inquire(["Hi", SystemMessage("B")])
    openai, anthropic = (exchange.body for exchange in fake_provider.exchanges)
    assert [(m["role"], m["content"]) for m in openai["messages"]] == [("system", "A"), ("system", "B"), ("user", "Hi")]
    assert anthropic["system"] == "A\n\nB"
    assert anthropic["messages"] == [{"role": "user", "content": "Hi"}]


async def test_anthropic_gets_a_first_user_message_merged_roles_and_nothing_blank(fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    async with MiniAgents():
        await agent_of("anthropic", fake_provider).inquire([AssistantMessage("a"), "  ", "b", UserMessage("c")])
    assert fake_provider.last.body["messages"] == [
        {"role": "user", "content": "/start"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b\n\nc"},
    ]


async def test_images_and_files_are_content_parts(fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    given: list[Sendable] = [
        "Look:",
        ImageMessage(data=b"\x89PNG", media_type="image/png"),
        FileMessage(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
    ]
    async with MiniAgents():
        for api in ("openai", "responses", "anthropic"):
            await agent_of(api, fake_provider).inquire(given)
    chat, responses, anthropic = (exchange.body for exchange in fake_provider.exchanges)
    (message,) = chat["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "file"]
    assert message["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert [item["content"][0]["type"] for item in responses["input"][1:]] == ["input_image", "input_file"]
    (message,) = anthropic["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image", "document"]


@each_api
async def test_a_length_stop_is_told(api: str, fake_provider: FakeProvider) -> None:
    reason = "max_tokens" if api == "anthropic" else "length"
    fake_provider.reset(Reply("cut o", stop_reason=reason))
    async with MiniAgents():
        (reply,) = await agent_of(api, fake_provider).inquire("Hi")
    assert reply.stop_reason == reason  # type: ignore[attr-defined]


@each_api
async def test_a_refusal_is_told(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(refusal="I will not."))
    async with MiniAgents():
        (reply,) = await agent_of(api, fake_provider).inquire("Hi")
    assert reply.refusal == "I will not."  # type: ignore[attr-defined]


@each_api
@pytest.mark.parametrize(
    ("reply", "error", "advice"),
    [
        (Reply.failure(400, error="bad thing"), InvalidRequestError, "bad thing"),
        (Reply.failure(401), AuthenticationError, "check the API key"),
        (Reply.failure(403), AuthenticationError, "may not use this model"),
        (Reply.failure(404), InvalidRequestError, "check model= and base_url="),
        (Reply.failure(402), QuotaExceededError, "billing"),
        (Reply.failure(429, "insufficient_quota"), QuotaExceededError, "billing"),
        (Reply.failure(400, error="prompt is too long: 9 > 8"), ContextOverflowError, "shorten the conversation"),
    ],
)
async def test_what_cannot_get_better_fails_at_once_with_what_to_do(
    api: str, reply: Reply, error: type[Exception], advice: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(reply)
    async with MiniAgents():
        with pytest.raises(error, match=advice) as raised:
            await agent_of(api, fake_provider).inquire("Hi")
    assert len(fake_provider.exchanges) == 1
    assert raised.value.path.startswith("/agents/")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("api", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")])
async def test_a_missing_key_is_told_at_the_call(
    api: str, variable: str, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    async with MiniAgents():
        agent = agent_of(api, fake_provider, api_key=None)
        with pytest.raises(MissingKeyError, match=variable):
            await agent.inquire("Hi")


async def test_a_missing_model_is_told(fake_provider: FakeProvider) -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="model="):
            await OpenAIAgent.fork(**fake_provider.openai).inquire("Hi")


async def test_the_key_is_shown_nowhere(fake_provider: FakeProvider, log: list[object]) -> None:
    fake_provider.reset(Reply.failure(500), "ok")
    async with MiniAgents() as system:
        agent = agent_of("openai", fake_provider, api_key="sk-very-secret")
        replies = agent.inquire("Hi")
        seen = [repr(agent), repr(agent.arguments), repr(replies), repr(system.tree())]
        seen.append(repr(await replies))
    assert "very-secret" not in "".join(seen) + repr(log)
    assert fake_provider.last.path == "/v1/chat/completions"


async def test_forks_with_different_keys_are_different_agents(fake_provider: FakeProvider) -> None:
    one, other, same = (agent_of("openai", fake_provider, api_key=key) for key in ("a", "b", "a"))
    assert one != other
    assert one == same


async def test_an_error_is_told_once_at_its_place(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(400))
    async with MiniAgents():
        replies = await agent_of("openai", fake_provider).inquire("Hi", errors_as_messages=True)
    assert len(replies) == 1
    assert str(replies[0]).endswith("check the options and messages")


async def test_each_request_is_logged_without_its_prompt(
    fake_provider: FakeProvider, log: list[dict[str, object]]
) -> None:
    fake_provider.reset("the answer")
    async with MiniAgents():
        await agent_of("openai", fake_provider).inquire("the prompt")
    (entry,) = [one for one in log if one["event"] == "llm.call"]
    assert entry["actor"] == "/agents/OpenAIAgent"
    assert (entry["model"], entry["input_tokens"], entry["output_tokens"], entry["retries"]) == ("gpt-5-mini", 2, 2, 0)
    assert "the prompt" not in repr(log)
    assert "the answer" not in repr(log)


async def test_the_lines_about_a_model_tell_which_call_of_which_agent_it_was_asked_for(
    fake_provider: FakeProvider, log: list[dict[str, Any]]
) -> None:
    model = agent_of("openai", fake_provider)

    @miniagent
    async def researcher(ctx: InteractionContext, number: int) -> None:
        ctx.log.info("asks", number=number)
        ctx.reply(model.inquire(f"question {number}"))

    fake_provider.reset(*["an answer"] * 3)
    async with MiniAgents():
        await gather(*[researcher.inquire(number=number) for number in range(3)])

    asking = {entry["interaction"]: entry["number"] for entry in log if entry["event"] == "asks"}
    calls = [entry for entry in log if entry["event"] == "llm.call"]
    assert sorted(asking[call["parent"]] for call in calls) == [0, 1, 2]
    assert len({call["interaction"] for call in calls} | set(asking)) == 6
    assert not any("parent" in entry for entry in log if entry["event"] == "asks")


async def test_embeddings_of_each_message_or_of_all_together(fake_provider: FakeProvider) -> None:
    async with MiniAgents():
        agent = openai_embedding_agent.fork(model="text-embedding-3-small", **fake_provider.openai)
        one = await agent.inquire(["a", "b"])
        two = await agent.inquire(["a", "b"], batch_mode=True)
    assert fake_provider.exchanges[0].body["input"] == ["a\n\nb"]
    assert (len(one), len(two)) == (1, 2)
    assert len(two[0].embedding) == 8
    assert two[0].model == "text-embedding-3-small"


async def test_a_client_of_the_users_own_is_used_and_left_open(fake_provider: FakeProvider) -> None:
    from openai import AsyncOpenAI

    fake_provider.reset("ok")
    async with AsyncOpenAI(**fake_provider.openai) as client:
        async with MiniAgents():
            await OpenAIAgent.fork(model="m", async_client=client).inquire("Hi")
        assert not client.is_closed()


async def test_a_stream_can_be_replayed_by_many(fake_provider: FakeProvider) -> None:
    fake_provider.reset("a b c")
    async with MiniAgents():
        replies = agent_of("openai", fake_provider).inquire("Hi")
        first = [str(token) async for promise in replies async for token in promise]
        second = [str(token) async for promise in replies async for token in promise]
    assert first == second == ["a", " b", " c"]
    assert len(fake_provider.exchanges) == 1


async def test_a_cut_answer_that_was_not_whole_is_never_taken_for_one(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply("a b c d", fault=Fault.END, fault_at=2), "whole")
    async with MiniAgents():
        assert str(await agent_of("openai", fake_provider).inquire("Hi")) == "whole"


async def test_equal_forks_share_one_actor_also_with_tools_types_and_policies(fake_provider: FakeProvider) -> None:
    def tool() -> str:
        """A tool."""
        return ""

    def fork() -> object:
        return agent_of("openai", fake_provider, tools=[tool], output=list[int], retry=RetryPolicy(attempts=2))

    assert fork() == fork()
    assert fork() != agent_of("openai", fake_provider, tools=[tool], output=list[str], retry=RetryPolicy(attempts=2))


async def test_options_may_also_be_given_with_the_call(fake_provider: FakeProvider) -> None:
    def tool() -> str:
        """A tool."""
        return "from the tool"

    fake_provider.reset(Reply(calls=(Call("tool"),)), "done")
    async with MiniAgents():
        replies = await agent_of("openai", fake_provider).inquire("Hi", tools=[tool], temperature=1)
    assert [str(reply) for reply in replies][1:] == ["from the tool", "done"]
    assert fake_provider.last.body["temperature"] == 1


async def test_the_deadline_that_is_left_is_the_sdks_timeout(fake_provider: FakeProvider) -> None:
    fake_provider.reset("ok")
    async with MiniAgents():
        await agent_of("openai", fake_provider).inquire("Hi", timeout=7)
        await agent_of("anthropic", fake_provider).inquire("Hi", timeout=7)
    for exchange in fake_provider.exchanges:
        assert 6 < float(exchange.headers["x-stainless-read-timeout"]) <= 7


async def test_more_than_one_choice_is_refused(fake_provider: FakeProvider) -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="n= must be 1"):
            await agent_of("openai", fake_provider, n=2).inquire("Hi")


@pytest.mark.parametrize(
    ("agent", "package", "extra"),
    [
        (OpenAIAgent.fork(model="m", api_key="k"), "openai", "openai"),
        (AnthropicAgent.fork(model="m", api_key="k"), "anthropic", "anthropic"),
    ],
)
async def test_a_missing_sdk_is_told_with_the_extra_to_install(
    agent: MiniAgent, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    async with MiniAgents():
        with pytest.raises(MissingDependencyError, match=rf"miniagents\[{extra}\]"):
            await agent.inquire("Hi")


async def test_embeddings_are_tried_again_limited_and_paid_for(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply.failure(500), Reply.rate_limited(), "ok")
    limit, budget = RateLimit(requests_per_minute=60_000), Budget(tokens=1000)
    async with MiniAgents():
        agent = openai_embedding_agent.fork(
            model="text-embedding-3-small", retry=QUICK, rate_limit=limit, budget=budget, **fake_provider.openai
        )
        assert len(await agent.inquire(["a", "b"], batch_mode=True, dimensions=4)) == 2
    assert [one.status for one in fake_provider.exchanges] == [500, 429, 200]
    assert fake_provider.last.body["dimensions"] == 4
    assert limit.in_flight == 0
    assert budget.spent.tokens == 2
