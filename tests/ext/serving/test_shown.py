"""The agents' own tool calls, and their results: clients see them only where they are exposed."""

import json
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import InvalidOptionError, PromiseCancelledError, ProviderUnavailableError
from miniagents.ext.serving import AgentApp, agent_app
from miniagents.messages import Message
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


def rows(city: str) -> str:
    """Rows of somebody's database."""
    return f"secret rows of {city}"


def clerk(*replies: Any, tools: Any = (rows,)) -> Any:
    return ScriptedModel.fork(script=Script(*replies), tools=list(tools), alias="clerk")


CALL = Call("rows", {"city": "Paris"})
WITH_TOOLS = (Reply("Let me look.", calls=(CALL,)), Reply(calls=(CALL,)), "It is fine.")


def app_of(*replies: Any, tools: Any = (rows,), **options: Any) -> AgentApp:
    return agent_app({"clerk": clerk(*replies, tools=tools)}, auth=TOKEN, admin_auth=None, **options)


async def whole(app: AgentApp) -> list[Any]:
    async with app.lifespan():
        client = Client(app, "/agents/clerk", {"messages": "Hi"})
        await client.asking
    found: list[Any] = json.loads(client.body)["messages"]
    return found


async def streamed(app: AgentApp, way: str) -> list[Any]:
    async with app.lifespan():
        client = Client(app, "/agents/clerk", {"messages": "Hi", "stream": True}, is_socket=way == "WebSocket")
        if way == "WebSocket":
            client.say(type="message", content="Hi")
            client.say(type="finish")
        await client.asking
    if way == "WebSocket":
        return client.events
    return [json.loads(one.split(b"data: ")[1]) for one in client.body.split(b"\n\n") if b"data: " in one]


async def test_tool_calls_and_their_results_are_hidden() -> None:
    messages = await whole(app_of(*WITH_TOOLS))

    assert [one["text"] for one in messages] == ["Let me look.", "It is fine."]
    assert [one["kind"] for one in messages] == ["text", "text"]
    assert "secret" not in str(messages)
    assert "rows" not in str(messages)


@pytest.mark.parametrize("way", ["stream", "WebSocket"])
async def test_they_are_hidden_in_streams_too(way: str) -> None:
    events = await streamed(app_of(*WITH_TOOLS), way)

    assert [one["message"]["text"] for one in events if one["type"] == "message"] == ["Let me look.", "It is fine."]
    assert [one["index"] for one in events if one["type"] == "message"] == [0, 1]
    assert "".join(one["text"] for one in events if one["type"] == "token") == "Let me look.It is fine."
    assert {one["kind"] for one in events if one["type"] == "token"} == {"text"}
    assert "secret" not in str(events)
    assert "rows" not in str(events)


async def test_they_are_shown_with_their_kind_where_they_are_exposed() -> None:
    messages = await whole(app_of(*WITH_TOOLS, expose=("tools",)))

    kinds = [one["kind"] for one in messages]
    assert kinds == ["tool_calls", "tool_result", "tool_calls", "tool_result", "text"]
    assert messages[0]["text"] == "Let me look."
    assert messages[0]["data"]["tool_calls"][0]["name"] == "rows"
    assert messages[1]["text"] == "secret rows of Paris"


@pytest.mark.parametrize("way", ["stream", "WebSocket"])
async def test_tokens_of_exposed_results_have_their_kind(way: str) -> None:
    events = await streamed(app_of(*WITH_TOOLS, expose="tools"), way)

    results = [one for one in events if one["type"] == "token" and one["kind"] == "tool_result"]
    assert {one["index"] for one in results} == {1, 3}
    assert "".join(one["text"] for one in results) == "secret rows of Paris" * 2


@pytest.mark.parametrize("way", ["whole", "stream", "WebSocket"])
async def test_calls_that_are_the_clients_to_make_are_shown_at_the_end(way: str) -> None:
    app = app_of(Reply("Please do.", calls=(CALL,)), tools=())
    if way == "whole":
        messages = await whole(app)
    else:
        messages = [one["message"] for one in await streamed(app, way) if one["type"] == "message"]

    assert [one["kind"] for one in messages] == ["text", "tool_calls"]
    assert messages[1]["data"]["tool_calls"][0]["name"] == "rows"


async def test_the_answer_alone_is_read_in_the_process() -> None:
    async with MiniAgents():
        replies = clerk(*WITH_TOOLS).inquire("Hi")

        assert str(await replies.answer()) == "Let me look.\n\nIt is fine."
        assert len(await replies) == 5

        texts = []
        async for promise in replies.answer():
            texts.append("".join([str(token) async for token in promise]))
        assert texts == ["Let me look.", "It is fine."]


async def test_whoever_reads_the_answer_leaves_a_model_the_chance_to_begin_again() -> None:
    cut = Reply("cut in the mid", fault=Fault.CUT, fault_at=2)
    async with MiniAgents():
        assert str(await clerk(cut, "whole").inquire("Hi").answer()) == "whole"
        assert str(await clerk(cut, Reply(calls=(CALL,)), "whole").inquire("Hi").answer()) == "whole"


async def test_to_cancel_the_answer_is_to_cancel_the_call() -> None:
    held = Held()
    async with MiniAgents() as system:
        answer = held.agent.inquire().answer()
        await soon(held.waiting)

        answer.cancel("enough")

        with pytest.raises(PromiseCancelledError, match="enough"):
            await answer
        await soon(held.cancelled)
        assert system.interactions() == ()


async def test_a_failure_is_raised_by_the_answer_too() -> None:
    async with MiniAgents():
        with pytest.raises(ProviderUnavailableError):
            await clerk(*[Reply.failure(503)] * 20).inquire("Hi").answer()


async def test_messages_of_all_kinds_are_answers() -> None:
    class Table(Message):
        rows: tuple[int, ...]

    async with MiniAgents():
        assert str(await echo.inquire(Table(rows=(1, 2))).answer()) == 'You said: {"rows":[1,2]}'


def test_what_cannot_be_exposed_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="tools"):
        agent_app(echo, auth=None, admin_auth=None, expose=("secrets",))
