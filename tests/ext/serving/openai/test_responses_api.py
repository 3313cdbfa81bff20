"""`/v1/responses` with the official SDK of OpenAI."""

from typing import Any

import openai
import pytest

from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.serving import MemoryResponses, Served, agent_app
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, failing, soon, speller
from tests.ext.serving.openai.test_chat import client_of
from tests.ext.serving.servers import TOKEN, served

BROKEN = "data:image/png;base64,A"

pytestmark = pytest.mark.real_time


async def test_an_agent_responds() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        response = await client.responses.create(model="echo", input="Hello!", metadata={"user": "7"})
        again = await client.responses.retrieve(response.id)

    assert (response.status, response.output_text, response.metadata) == (
        "completed",
        "You said: Hello!",
        {"user": "7"},
    )
    assert again == response


async def test_a_stream_has_numbered_events_and_each_replay_gives_the_same() -> None:
    async with served(agent_app(speller, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        events = [event async for event in await client.responses.create(model="speller", input="Hi", stream=True)]
        id = events[0].response.id  # type: ignore[union-attr]
        replayed = [event async for event in await client.responses.retrieve(id, stream=True)]
        rest = [event async for event in await client.responses.retrieve(id, stream=True, starting_after=4)]

    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert replayed == events
    assert rest == events[5:]


async def test_the_sdks_own_accumulation_of_a_stream_works() -> None:
    async with (
        served(agent_app(speller, auth=TOKEN, admin_auth=None)) as url,
        client_of(url) as client,
        client.responses.stream(model="speller", input="Hello!") as stream,
    ):
        final = await stream.get_final_response()

    assert final.output_text == "Hello!"


async def test_a_stream_in_the_background_outlives_its_connection_and_is_picked_up() -> None:
    held = Held()
    async with served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        stream = await client.responses.create(model="held", input="Hi", background=True, stream=True)
        seen = []
        async for event in stream:
            seen.append(event)
            if event.type == "response.output_item.done":
                break
        await stream.close()
        id = seen[0].response.id  # type: ignore[union-attr]
        meanwhile = await client.responses.retrieve(id)
        held.let_go.set()
        rest = [
            event
            async for event in await client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number)
        ]
        whole = await client.responses.retrieve(id)

    assert meanwhile.status == "in_progress"
    assert [event.sequence_number for event in (*seen, *rest)] == list(range(len(seen) + len(rest)))
    assert [item.content[0].text for item in whole.output] == ["begun", "done"]  # type: ignore[index, union-attr]
    assert not held.cancelled.is_set()


async def test_what_runs_in_the_background_is_cancelled_with_everything_below_it() -> None:
    held = Held()
    async with served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        response = await client.responses.create(model="held", input="Hi", background=True)
        await soon(held.waiting)
        cancelled = await client.responses.cancel(response.id)
        was_cancelled = held.cancelled.is_set()
        again = await client.responses.cancel(response.id)
        events = [event async for event in await client.responses.retrieve(response.id, stream=True)]

    assert response.status == "queued"
    assert (cancelled.status, again.status, was_cancelled) == ("cancelled", "cancelled", True)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.status == "cancelled"


async def test_only_what_runs_in_the_background_can_be_cancelled() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        response = await client.responses.create(model="echo", input="Hi")
        with pytest.raises(openai.BadRequestError):
            await client.responses.cancel(response.id)


async def test_a_failure_in_the_background_is_a_failed_response_and_shows_nothing() -> None:
    async with served(agent_app(failing, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        stream = await client.responses.create(model="failing", input="Hi", background=True, stream=True)
        last = [event async for event in stream][-1]
        with pytest.raises(openai.InternalServerError) as caught:
            await client.responses.create(model="failing", input="Hi", stream=True)

    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.message == "The agent failed."
    assert "1234" not in str(caught.value)


async def test_a_response_that_is_deleted_is_gone_and_its_agent_stops() -> None:
    held = Held()
    async with served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        response = await client.responses.create(model="held", input="Hi", background=True)
        await soon(held.waiting)
        await client.responses.delete(response.id)
        assert held.cancelled.is_set()
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(response.id)


async def test_a_conversation_goes_on_from_a_previous_response() -> None:
    script = Script("I am fine.", "You asked how I am.")
    model = ScriptedModel.fork(alias="clerk", script=script)
    async with served(agent_app(model, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        first = await client.responses.create(model="clerk", input="How are you?", instructions="Be brief.")
        await client.responses.create(model="clerk", input="What did I ask?", previous_response_id=first.id)

    said = [str(message) for message in script.requests[1].messages]
    assert said == ["How are you?", "I am fine.", "What did I ask?"]
    assert [str(message) for message in script.requests[0].messages] == ["Be brief.", "How are you?"]


async def test_responses_of_other_keys_are_not_found() -> None:
    app = agent_app(echo, auth={"ann": TOKEN, "bob": "the-token-of-bob"}, admin_auth=None)
    async with served(app) as url, client_of(url) as client:
        response = await client.responses.create(model="echo", input="Hi")
        bob = client.with_options(api_key="the-token-of-bob")
        with pytest.raises(openai.NotFoundError):
            await bob.responses.retrieve(response.id)
        with pytest.raises(openai.NotFoundError):
            await bob.responses.delete(response.id)
        with pytest.raises(openai.NotFoundError):
            await bob.responses.create(model="echo", input="Hi", previous_response_id=response.id)


async def test_what_is_not_to_be_stored_is_not() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        response = await client.responses.create(model="echo", input="Hi", store=False)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(response.id)


async def test_a_full_store_forgets_what_is_finished_and_refuses_when_nothing_is() -> None:
    held = Held()
    app = agent_app([held.agent, echo], auth=TOKEN, admin_auth=None, responses=MemoryResponses(2))
    async with served(app) as url, client_of(url) as client:
        first = await client.responses.create(model="echo", input="1")
        await client.responses.create(model="held", input="2", background=True)
        await client.responses.create(model="held", input="3", background=True)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)
        with pytest.raises(openai.RateLimitError):
            await client.responses.create(model="held", input="4", background=True)
        held.let_go.set()


async def test_tools_of_the_client_work_here_too(fake_provider: FakeProvider) -> None:
    fake_provider.reset(Reply(calls=(Call("population", {"city": "Paris"}, id="call_1"),)), "2.1 million.")
    agent = OpenAIAgent.fork(alias="clerk", model="fake-1", **fake_provider.openai)
    tools: Any = [{"type": "function", "name": "population", "parameters": {"type": "object", "properties": {}}}]
    app = agent_app(Served(agent, arguments=("tools",)), auth=TOKEN, admin_auth=None)
    async with served(app) as url, client_of(url) as client:
        first = await client.responses.create(model="clerk", input="Paris?", tools=tools)
        (call,) = first.output
        assert call.type == "function_call"
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "2100000"}
        second = await client.responses.create(
            model="clerk", input=[result], tools=tools, previous_response_id=first.id
        )

    assert fake_provider.exchanges[0].body["tools"][0]["function"]["name"] == "population"
    assert [one["role"] for one in fake_provider.last.body["messages"]] == ["user", "assistant", "tool"]
    assert second.output_text == "2.1 million."


async def test_options_that_stand_elsewhere_than_in_a_chat_completion_reach_the_model(
    fake_provider: FakeProvider,
) -> None:
    fake_provider.reset("{}")
    agent = OpenAIAgent.fork(alias="clerk", model="fake-1", **fake_provider.openai)
    names = ("max_completion_tokens", "reasoning_effort", "response_format", "verbosity")
    schema = {"name": "town", "schema": {"type": "object"}, "strict": False}
    text: Any = {"format": {"type": "json_schema", **schema}, "verbosity": "low"}
    app = agent_app(Served(agent, arguments=names), auth=TOKEN, admin_auth=None)
    async with served(app) as url, client_of(url) as client:
        await client.responses.create(
            model="clerk", input="Paris?", text=text, reasoning={"effort": "low"}, max_output_tokens=99
        )
        full = fake_provider.last.body
        await client.responses.create(model="clerk", input="Paris?", text={"format": {"type": "text"}})
        bare = fake_provider.last.body

    assert {name: full.get(name) for name in names} == {
        "max_completion_tokens": 99,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "verbosity": "low",
    }
    assert {name: bare[name] for name in names if name in bare} == {"response_format": {"type": "text"}}


@pytest.mark.parametrize("text", [None, {"format": None}, {"format": 5}])
async def test_an_odd_place_of_an_option_is_no_failure_of_the_service(fake_provider: FakeProvider, text: Any) -> None:
    fake_provider.reset("Hi.")
    agent = OpenAIAgent.fork(alias="clerk", model="fake-1", **fake_provider.openai)
    app = agent_app(Served(agent, arguments=("response_format",)), auth=TOKEN, admin_auth=None)
    async with served(app) as url, client_of(url) as client:
        await client.post("/responses", cast_to=object, body={"model": "clerk", "input": "Hi", "text": text})

    assert fake_provider.last.body.get("response_format") == (5 if text == {"format": 5} else None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": BROKEN}]}]},
            "input[0].content[0]",
        ),
        ({"background": True, "store": False}, "store"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
    ],
)
async def test_a_bad_request_names_the_field(change: Any, param: str) -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, client_of(url) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post("/responses", cast_to=object, body={"model": "echo", "input": "Hi", **change})

    assert caught.value.param == param
