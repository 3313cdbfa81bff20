"""`/v1/messages` with the official SDK of Anthropic."""

from typing import Any

import anthropic
import pytest

from miniagents.ext.llms import AnthropicAgent, Budget
from miniagents.ext.serving import Served, agent_app
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.serving.agents import echo, failing, speller
from tests.ext.serving.servers import TOKEN, served

pytestmark = pytest.mark.real_time

HELLO: Any = [{"role": "user", "content": "Hello!"}]


def client_of(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key=TOKEN, max_retries=0)


async def test_an_agent_answers_whole_and_as_a_stream() -> None:
    async with served(agent_app(speller, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        whole = await client.messages.create(model="speller", max_tokens=100, messages=HELLO)
        async with client.messages.stream(model="speller", max_tokens=100, messages=HELLO) as stream:
            pieces = [text async for text in stream.text_stream]
            final = await stream.get_final_message()

    assert pieces == [*"Hello!"]
    for message in (whole, final):
        assert [(block.type, block.text) for block in message.content] == [("text", "Hello!")]  # type: ignore[union-attr]
        assert (message.stop_reason, message.model) == ("end_turn", "speller")


async def test_each_message_of_an_agent_is_a_block() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        messages: Any = [*HELLO, {"role": "assistant", "content": "Hi!"}]
        async with client.messages.stream(model="echo", max_tokens=9, messages=messages, system="Be brief.") as stream:
            final = await stream.get_final_message()

    said = [block.text for block in final.content]  # type: ignore[union-attr]
    assert said == ["You said: Be brief.", "You said: Hello!", "You said: Hi!"]


async def test_the_usage_of_all_models_below_a_call_is_reported() -> None:
    script = Script(Reply("one two", input_tokens=10, cached_tokens=4))
    model = ScriptedModel.fork(alias="clerk", script=script)
    async with served(agent_app(model, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        whole = await client.messages.create(model="clerk", max_tokens=100, messages=HELLO)
        async with client.messages.stream(model="clerk", max_tokens=100, messages=HELLO) as stream:
            final = await stream.get_final_message()

    for usage in (whole.usage, final.usage):
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (6, 2, 4)


async def test_tools_of_the_client_reach_the_model_and_its_calls_come_back(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(calls=(Call("population", {"city": "Paris"}, id="toolu_1"),)), "2.1 million.")
    agent = AnthropicAgent.fork(alias="clerk", model="fake-1", **fake_provider.anthropic)
    app = agent_app(Served(agent, arguments=("tools",)), auth=TOKEN, admin_auth=None)
    tools: Any = [
        {"name": "population", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    ]
    async with served(app) as url, client_of(url) as client:
        async with client.messages.stream(model="clerk", max_tokens=100, messages=HELLO, tools=tools) as stream:
            first = await stream.get_final_message()
        (call,) = first.content
        assert call.type == "tool_use"
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "2100000"}
        history: Any = [
            *HELLO,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}],
            },
            {"role": "user", "content": [result]},
        ]
        second = await client.messages.create(model="clerk", max_tokens=100, messages=history, tools=tools)

    assert (first.stop_reason, call.id, call.input) == ("tool_use", "toolu_1", {"city": "Paris"})
    assert fake_provider.last.body["tools"] == tools
    assert fake_provider.last.body["messages"][-1]["content"][0]["content"] == "2100000"
    assert second.content[0].text == "2.1 million."  # type: ignore[union-attr]


async def test_a_thread_is_refused_and_the_sdk_sends_the_whole_conversation() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        with pytest.raises(anthropic.BadRequestError) as refused:
            await client.beta.messages.create(
                model="echo", max_tokens=9, messages=HELLO, thread={"type": "continue", "previous_message_id": "msg_1"}
            )
        thread = client.beta.messages.thread(
            model="echo", max_tokens=9, unsupported_request_behavior="continue_unthreaded"
        )
        await thread.send({"role": "user", "content": "Hello!"})
        second = await thread.send({"role": "user", "content": "And now?"})

    body: Any = refused.value.body
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert body["error"]["details"] == details
    said = [block.text for block in second.content]  # type: ignore[union-attr]
    assert said == ["You said: Hello!", "You said: You said: Hello!", "You said: And now?"]


async def test_failures_have_anthropics_form() -> None:
    spent = ScriptedModel.fork(alias="spent", script=Script("Hi."), budget=Budget(tokens=0))
    app = agent_app([echo, failing, spent], auth=TOKEN, admin_auth=None)
    async with served(app) as url, client_of(url) as client:
        messages: Any = [{"role": "nobody", "content": "Hi"}]
        with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]"):
            await client.messages.create(model="echo", max_tokens=1, messages=messages)
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client.messages.create(model="nobody", max_tokens=1, messages=HELLO)
        with pytest.raises(anthropic.InternalServerError) as failed:
            async with client.messages.stream(model="failing", max_tokens=1, messages=HELLO) as stream:
                await stream.get_final_message()
        with pytest.raises(anthropic.APIStatusError) as unpaid:
            await client.messages.create(model="spent", max_tokens=1, messages=HELLO)
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="wrong").messages.create(model="echo", max_tokens=1, messages=HELLO)

    assert missing.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "There is no agent 'nobody'."},
        "request_id": missing.value.request_id,
    }
    assert "1234" not in str(failed.value)
    assert unpaid.value.status_code == 402
