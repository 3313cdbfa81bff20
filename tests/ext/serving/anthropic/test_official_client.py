"""The official SDK of Anthropic, with strict types, against a service: all that a program does with a model."""

import asyncio
import json
from typing import Any

import anthropic
import pydantic
import pytest

from miniagents import InteractionContext, miniagent
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.ext.serving import Served, agent_app
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, failing, soon, speller
from tests.ext.serving.anthropic.strict_client import strict_client, unknown_fields
from tests.ext.serving.servers import TOKEN, in_process, served

pytestmark = pytest.mark.real_time

HELLO: Any = [{"role": "user", "content": "Hello!"}]
TOOL: Any = {"name": "population", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
THOUGHT = {"type": "thinking", "thinking": "A city.", "signature": "sig"}
REDACTED = {"type": "redacted_thinking", "data": "xyz"}
DEMANDS: dict[str, Any] = {
    "stop_sequences": ["END"],
    "tool_choice": {"type": "any"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}},
    "container": "container_1",
    "inference_geo": "eu",
}
BETA_DEMANDS: dict[str, Any] = {
    "output_format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}},
    "mcp_servers": [{"type": "url", "name": "x", "url": "https://example.com"}],
}
HARMLESS: dict[str, Any] = {
    "stop_sequences": [],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "output_config": {"effort": "low"},
    "metadata": {"user_id": "ann"},
    "service_tier": "auto",
    "thinking": {"type": "adaptive"},
    "cache_control": {"type": "ephemeral"},
    "inference_geo": None,
    "container": None,
    "tools": [TOOL],
}


def clerk(provider: FakeProvider, *arguments: str, **options: Any) -> Served:
    """An agent that asks the provider, with what clients may give."""
    agent = AnthropicAgent.fork(alias="clerk", model="fake-1", **provider.anthropic, **options)
    return Served(agent, arguments=arguments)


def thinking_reply(*, stream: bool) -> Reply:
    """A model thinks, says something, and calls a tool."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "population", "input": {"city": "Paris"}}
    text = {"type": "text", "text": "Let me look."}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "fake-1", "stop_sequence": None}
    usage = {"input_tokens": 10, "output_tokens": 5}
    if not stream:
        whole = {**head, "content": [THOUGHT, REDACTED, text, call], "stop_reason": "tool_use", "usage": usage}
        return Reply(body=json.dumps(whole), content_type="application/json")
    empty = {"type": "thinking", "thinking": "", "signature": ""}
    blocks = [
        (empty, [{"type": "thinking_delta", "thinking": "A city."}, {"type": "signature_delta", "signature": "sig"}]),
        (REDACTED, []),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me look."}]),
        ({**call, "input": {}}, [{"type": "input_json_delta", "partial_json": '{"city":"Paris"}'}]),
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, "usage": usage}}
    ]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage})
    events.append({"type": "message_stop"})
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Reply(body=body, content_type="text/event-stream")


@pytest.mark.parametrize("is_beta", [False, True])
async def test_a_chat_of_several_turns_whole_and_streamed(is_beta: bool) -> None:
    app = agent_app([echo, speller], auth=TOKEN, admin_auth=None)
    history: Any = list(HELLO)
    async with served(app) as url, strict_client(url) as client:
        messages: Any = client.beta.messages if is_beta else client.messages
        for _ in range(2):
            whole = await messages.create(model="speller", max_tokens=99, messages=history)
            async with messages.stream(model="speller", max_tokens=99, messages=history) as stream:
                events = [event async for event in stream]
                final = await stream.get_final_message()
            said = [*history, {"role": "assistant", "content": whole.content}]
            history = [*said, {"role": "user", "content": [{"type": "text", "text": "And?"}]}]
            assert unknown_fields([whole, final, events]) == []
            assert [block.text for block in whole.content] == [block.text for block in final.content]
            assert whole.usage.service_tier == final.usage.service_tier == "standard"
            assert whole._request_id.startswith("req_")
            assert stream.request_id != whole._request_id

    assert [event.type for event in events][:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert [event.type for event in events][-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert len(whole.content[0].text) > len("Hello!Hello!And?")


async def test_the_whole_answer_has_the_fields_of_the_real_api() -> None:
    body = {"model": "echo", "max_tokens": 9, "messages": HELLO}
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = (await client.post("/v1/messages?beta=true", json=body)).json()

    assert {name: value for name, value in answer.items() if name != "id"} == {
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [{"type": "text", "text": "You said: Hello!"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "server_tool_use": None,
            "service_tier": "standard",
        },
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_loop_of_tools_gives_back_to_the_model_what_it_thought(
    fake_provider: FakeProvider, stream: bool
) -> None:
    fake_provider.reset(thinking_reply(stream=True), "2.1 million.")
    app = agent_app(clerk(fake_provider, "tools", "thinking"), auth=TOKEN, admin_auth=None)
    options: Any = {"model": "clerk", "max_tokens": 2000, "tools": [TOOL]}
    options["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    async with served(app) as url, strict_client(url) as client:

        async def ask(messages: Any) -> Any:
            if not stream:
                return await client.messages.create(messages=messages, **options)
            async with client.messages.stream(messages=messages, **options) as events:
                return await events.get_final_message()

        first = await ask(HELLO)
        call = first.content[-1]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "2100000"}
        second = await ask([*HELLO, first.to_param(), {"role": "user", "content": [result]}])

    assert first.stop_reason == "tool_use"
    assert {block.type for block in first.content} == {"thinking", "redacted_thinking", "text", "tool_use"}
    assert fake_provider.last.body["thinking"] == options["thinking"]
    called = {"type": "tool_use", "id": "toolu_1", "name": "population", "input": {"city": "Paris"}}
    text = {"type": "text", "text": "Let me look."}
    assert fake_provider.last.body["messages"][1]["content"] == [THOUGHT, REDACTED, text, called]
    assert second.content[0].text == "2.1 million."


async def test_the_thoughts_of_all_turns_are_shown_where_they_came(fake_provider: FakeProvider) -> None:
    def population(city: str) -> str:
        """How many live there."""
        return "2100000"

    fake_provider.reset(thinking_reply(stream=True), "2.1 million.", thinking_reply(stream=True), "2.1 million.")
    app = agent_app(clerk(fake_provider, tools=[population]), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        whole = await client.messages.create(model="clerk", max_tokens=99, messages=HELLO)
        async with client.messages.stream(model="clerk", max_tokens=99, messages=HELLO) as stream:
            final = await stream.get_final_message()

    for message in (whole, final):
        assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text", "text"]
        assert message.content[0].model_dump() == THOUGHT
        assert message.stop_reason == "end_turn"


async def test_the_thoughts_of_other_models_have_no_signature_and_do_not_come_back(fake_provider: FakeProvider) -> None:
    chunks = [{"reasoning_content": "A "}, {"reasoning_content": "city."}, {"content": "Paris"}]
    said = "".join(f"data: {json.dumps({'choices': [{'delta': chunk}]})}\n\n" for chunk in chunks)
    end = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    body = f"{said}data: {end}\n\ndata: [DONE]\n\n"
    fake_provider.reset(*[Reply(body=body, content_type="text/event-stream")] * 3)
    agent = OpenAIAgent.fork(alias="clerk", model="m", send_reasoning="all", **fake_provider.openai)
    async with served(agent_app(agent, auth=TOKEN, admin_auth=None)) as url, strict_client(url) as client:
        whole = await client.messages.create(model="clerk", max_tokens=9, messages=HELLO)
        async with client.messages.stream(model="clerk", max_tokens=9, messages=HELLO) as stream:
            final = await stream.get_final_message()
        again: Any = [*HELLO, final.to_param(), *HELLO]
        await client.messages.create(model="clerk", max_tokens=9, messages=again)

    for message in (whole, final):
        thought, text = (block.model_dump() for block in message.content)
        assert thought == {"type": "thinking", "thinking": "A city.", "signature": ""}
        assert text["text"] == "Paris"
    assert fake_provider.last.body["messages"][1] == {"role": "assistant", "content": "Paris"}


async def test_calls_are_the_reason_to_stop_whatever_the_model_says() -> None:
    reply = Reply("", calls=(Call("f", {}, id="1"),), stop_reason="end_turn")
    agent = ScriptedModel.fork(alias="clerk", script=Script(reply))
    app = agent_app(Served(agent, arguments=("tools",)), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        answer = await client.messages.create(model="clerk", max_tokens=9, messages=HELLO, tools=[TOOL])

    assert (answer.stop_reason, answer.content[0].type) == ("tool_use", "tool_use")


class City(pydantic.BaseModel):
    """A city."""

    name: str
    people: int


async def test_structured_output_is_parsed_whole_and_streamed(fake_provider: FakeProvider) -> None:
    fake_provider.reset('{"name": "Paris", "people": 2}', '{"name": "Paris", "people": 2}')
    app = agent_app(clerk(fake_provider, "output_config"), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        whole = await client.messages.parse(model="clerk", max_tokens=99, messages=HELLO, output_format=City)
        async with client.messages.stream(model="clerk", max_tokens=99, messages=HELLO, output_format=City) as stream:
            final = await stream.get_final_message()

    assert whole.parsed_output == final.parsed_output == City(name="Paris", people=2)
    assert fake_provider.last.body["output_config"]["format"]["type"] == "json_schema"


async def test_a_stop_sequence_is_the_models_and_named_in_the_answer(fake_provider: FakeProvider) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": "one two"}]
    said = {
        "type": "message",
        "content": content,
        "stop_reason": "stop_sequence",
        "stop_sequence": "END",
        "usage": usage,
    }
    fake_provider.reset(*[Reply(body=json.dumps(said), content_type="application/json")] * 2)
    app = agent_app(clerk(fake_provider, "stop_sequences"), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        options: Any = {"model": "clerk", "max_tokens": 99, "messages": HELLO, "stop_sequences": ["END"]}
        whole = await client.messages.create(**options)
        async with client.messages.stream(**options) as stream:
            final = await stream.get_final_message()

    assert fake_provider.last.body["stop_sequences"] == ["END"]
    for message in (whole, final):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Hm", stop_reason="max_tokens"), "max_tokens"),
        (Reply("Hm", stop_reason="length"), "max_tokens"),
        (Reply("Hm", stop_reason="model_context_window_exceeded"), "model_context_window_exceeded"),
        (Reply("Hm", stop_reason="content_filter"), "refusal"),
        (Reply("No.", stop_reason="refusal"), "refusal"),
        (Reply("Hm", stop_reason="stop"), "end_turn"),
    ],
)
async def test_a_reason_to_stop_is_one_of_anthropics(reply: Reply, reason: str) -> None:
    app = agent_app(ScriptedModel.fork(alias="clerk", script=Script(reply, reply)), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        whole = await client.messages.create(model="clerk", max_tokens=99, messages=HELLO)
        async with client.messages.stream(model="clerk", max_tokens=99, messages=HELLO) as stream:
            final = await stream.get_final_message()

    for message in (whole, final):
        assert message.stop_reason == reason
        assert (message.stop_details is not None) is (reason == "refusal")
        assert unknown_fields(message) == []


@pytest.mark.parametrize("name", [*DEMANDS, *BETA_DEMANDS])
async def test_an_option_that_changes_what_the_answer_means_is_refused_by_name(name: str) -> None:
    option = {name: {**DEMANDS, **BETA_DEMANDS}[name]}
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        for stream in (False, True):
            with pytest.raises(anthropic.BadRequestError, match=rf"'echo' takes no {name}.*\({name}\)"):
                await client.messages.create(
                    model="echo", max_tokens=9, messages=HELLO, stream=stream, extra_body=option
                )


@pytest.mark.parametrize("name", HARMLESS)
async def test_an_option_that_does_not_is_ignored(name: str) -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        answer = await client.messages.create(
            model="echo", max_tokens=9, messages=HELLO, extra_body={name: HARMLESS[name]}
        )

    assert answer.content[0].text == "You said: Hello!"  # type: ignore[union-attr]


async def test_options_reach_the_provider_of_an_agent_that_takes_them(fake_provider: FakeProvider) -> None:
    fake_provider.reset("Yes.")
    options = {**HARMLESS, **DEMANDS}
    app = agent_app(clerk(fake_provider, *options, "max_tokens"), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        await client.messages.create(model="clerk", max_tokens=9, messages=HELLO, extra_body=options)

    sent = fake_provider.last.body
    assert {name: sent.get(name) for name in (*options, "max_tokens")} == {**options, "max_tokens": 9}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_the_agent(stream: bool) -> None:
    held = Held()
    async with served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url, strict_client(url) as client:

        async def ask() -> None:
            if not stream:
                await client.messages.create(model="held", max_tokens=9, messages=HELLO)
            async with client.messages.stream(model="held", max_tokens=9, messages=HELLO) as events:
                async for _ in events:
                    pass

        asking = asyncio.create_task(ask())
        await soon(held.waiting)
        asking.cancel()
        await soon(held.cancelled)


async def test_a_failure_in_the_middle_of_a_stream_is_an_error_with_the_id_of_the_request() -> None:
    @miniagent(alias="breaking")
    async def breaking(ctx: InteractionContext) -> None:
        ctx.reply("So far so good.")
        await asyncio.sleep(0)
        raise ValueError("the password is 1234")

    async with served(agent_app(breaking, auth=TOKEN, admin_auth=None)) as url, strict_client(url) as client:
        with pytest.raises(anthropic.APIStatusError) as failed:
            async with client.messages.stream(model="breaking", max_tokens=9, messages=HELLO) as stream:
                async for _ in stream:
                    pass

    assert failed.value.type == "api_error"
    assert isinstance(failed.value.body, dict)
    assert failed.value.body["request_id"] == failed.value.request_id
    assert "1234" not in str(failed.value)


async def test_every_failure_has_the_id_of_its_request() -> None:
    app = agent_app([echo, failing], auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        errors = []
        for options in ({"model": "failing"}, {"model": "nobody"}, {"model": "echo", "max_tokens": 0}):
            with pytest.raises(anthropic.APIStatusError) as failed:
                await client.messages.create(**{"max_tokens": 9, "messages": HELLO, **options})
            errors.append(failed.value)
        with pytest.raises(anthropic.AuthenticationError) as unknown:
            await client.with_options(api_key="wrong").messages.create(model=None, max_tokens=-1, messages=[])  # type: ignore[call-overload]  # nothing is read before it

    for error in (*errors, unknown.value):
        assert isinstance(error.body, dict)
        assert error.body["request_id"] == error.request_id is not None
    assert [error.type for error in errors] == ["api_error", "not_found_error", "invalid_request_error"]


async def test_calls_that_a_client_is_to_answer_are_whole_blocks_in_a_stream(fake_provider: FakeProvider) -> None:
    calls = (Call("population", {"city": "Paris"}, id="toolu_1"), Call("population", {"city": "Rome"}, id="toolu_2"))
    fake_provider.reset(Reply("Two.", calls=calls))
    app = agent_app(clerk(fake_provider, "tools"), auth=TOKEN, admin_auth=None)
    async with (
        served(app) as url,
        strict_client(url) as client,
        client.messages.stream(model="clerk", max_tokens=9, messages=HELLO, tools=[TOOL]) as stream,
    ):
        final = await stream.get_final_message()

    assert [block.type for block in final.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"city": "Paris"}, {"city": "Rome"}]


async def test_what_no_endpoint_answers_has_the_form_of_the_client_too() -> None:
    headers = {"anthropic-version": "2023-06-01"}
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        missing = await client.post("/v1/messages/batches", json={}, headers=headers)
        wrong = await client.get("/v1/messages", headers=headers)
        others = await client.get("/v1/messages")

    for answer, status, kind in ((missing, 404, "not_found_error"), (wrong, 405, "invalid_request_error")):
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
        assert answer.json()["request_id"] == answer.headers["request-id"]
    assert wrong.headers["allow"] == "POST"
    assert (wrong.json()["type"], others.json().get("type")) == ("error", None)
