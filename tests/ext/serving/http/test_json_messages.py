"""Structured output (`output=`) is data to clients of `/agents`, and JSON in the text to those of models."""

import json
from typing import Any

import msgspec
import pytest

from miniagents import InteractionContext, MiniAgent, MiniAgents, miniagent
from miniagents.errors import OutputError
from miniagents.ext.llms import ReplyMessage
from miniagents.ext.serving import agent_app
from miniagents.ext.serving.http.reply_messages import MessageOut
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


class City(msgspec.Struct):
    name: str
    people: int = 0


PARIS = '{\r\n "name": "Paris\\n(France)",\n "people": 2}'
DATA = {"name": "Paris\n(France)", "people": 2}


def clerk(*replies: Any, output: Any = City, **options: Any) -> MiniAgent:
    return ScriptedModel.fork(alias="clerk", script=Script(*replies), output=output, **options)


async def asked(agent: MiniAgent, way: str) -> tuple[list[Any], list[Any]]:
    """What an agent answers over one way: the tokens and the messages."""
    async with (app := agent_app(agent, auth=TOKEN, admin_auth=None)).lifespan():
        body = {"messages": "Hi", "stream": way == "stream"}
        client = Client(app, f"/agents/{agent.alias}", body, is_socket=way == "WebSocket")
        if way == "WebSocket":
            client.say(type="message", content="Hi")
            client.say(type="finish")
        await client.asking
    if way == "whole":
        return [], json.loads(client.body)["messages"]
    lines = [line.removeprefix("data: ") for line in client.body.decode().split("\n") if line.startswith("data: ")]
    events = client.events if way == "WebSocket" else [json.loads(line) for line in lines]
    assert events[-1]["type"] == "end"
    return [one for one in events if one["type"] == "token"], [
        one["message"] for one in events if one["type"] == "message"
    ]


@pytest.mark.parametrize("way", ["whole", "stream", "WebSocket"])
async def test_structured_output_is_data_and_no_text(way: str) -> None:
    tokens, messages = await asked(clerk(PARIS), way)

    assert messages == [{"type": "ReplyMessage", "text": "", "role": "assistant", "kind": "data", "data": DATA}]
    assert {token["kind"] for token in tokens} == (set() if way == "whole" else {"data"})
    assert way == "whole" or "".join(token["text"] for token in tokens) == PARIS


async def test_a_type_that_is_no_object_comes_without_what_it_was_wrapped_into() -> None:
    _, (message,) = await asked(clerk('{"value":\n[1,\n2]}', output=list[int]), "stream")

    assert message["data"] == [1, 2]


async def test_structured_output_that_another_agent_hands_on_is_data_too() -> None:
    model = clerk(PARIS)

    @miniagent
    async def front(ctx: InteractionContext) -> None:
        ctx.reply(["Here it is:", model.inquire(ctx.message_promises)])

    tokens, messages = await asked(front, "stream")

    assert [message["kind"] for message in messages] == ["text", "data"]
    assert messages[1]["data"] == DATA
    assert {token["index"]: token["kind"] for token in tokens} == {0: "text", 1: "data"}


async def test_what_a_model_says_beside_its_calls_of_tools_is_text() -> None:
    def look(city: str) -> str:
        return "It is there."

    calls = Reply("Let me look.", calls=(Call("look", {"city": "Paris"}),))
    _, messages = await asked(clerk(calls, PARIS, tools=[look]), "stream")

    assert [(message["kind"], message["text"]) for message in messages] == [("text", "Let me look."), ("data", "")]


async def test_clients_of_models_get_structured_output_as_text() -> None:
    async with (app := agent_app(clerk(PARIS), auth=TOKEN, admin_auth=None)).lifespan():
        client = Client(
            app, "/v1/chat/completions", {"model": "clerk", "messages": [{"role": "user", "content": "Hi"}]}
        )
        await client.asking

    assert json.loads(client.body)["choices"][0]["message"]["content"] == PARIS


async def test_the_json_of_an_output_is_in_one_line() -> None:
    async with MiniAgents():
        (message,) = await clerk(PARIS).inquire("Hi")

    assert isinstance(message, ReplyMessage)
    assert message.output_json == b'{"name":"Paris\\n(France)","people":2}'
    assert message.output == City("Paris\n(France)", 2)


def test_a_reply_without_structured_output_has_no_json_of_it() -> None:
    with pytest.raises(OutputError, match="output="):
        ReplyMessage("{}").output_json  # noqa: B018  # it raises


def test_what_is_no_json_of_its_type_is_text() -> None:
    message = ReplyMessage("Hm.").with_metadata(output_type="of.nobody")

    assert MessageOut.of(message) == MessageOut("ReplyMessage", "Hm.", "assistant", "text")
