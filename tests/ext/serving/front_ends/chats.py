"""A service for chat front ends, and the requests of their clients."""

import json
from typing import Any

import httpx2

from miniagents import InteractionContext, TextToken, miniagent
from miniagents.ext.llms import ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.parts import PartToken, ReasoningMessage, ReasoningToken
from miniagents.ext.serving import AgentApp, Served, agent_app
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.serving.agents import breaking, echo, failing, speller, talker, weather
from tests.ext.serving.servers import ADMIN, TOKEN


@miniagent
async def ringer(ctx: InteractionContext) -> None:
    """Calls a tool, and fails."""
    ctx.reply(ReplyMessage("Wait.", tool_calls=(ToolCall(id="call_9", name="ring"),)))
    raise ValueError("no answer")


@miniagent
async def reporter(ctx: InteractionContext) -> None:
    """Calls a tool, says two things about its result, and fails."""
    ctx.reply(ReplyMessage("", tool_calls=(ToolCall(id="call_3", name="ring"),)))
    ctx.reply(ToolResultMessage("rung", call_id="call_3", name="ring"))
    ctx.reply("First this.")
    ctx.reply("Then that.")
    raise ValueError("no more")


@miniagent
async def painter(ctx: InteractionContext) -> None:
    """Paints."""
    ctx.reply("Look:")
    ctx.reply(ImageMessage(data=b"GIF", media_type="image/gif"))


@miniagent
async def thinker(ctx: InteractionContext) -> None:
    """Thinks, and answers."""

    async def tokens(_: dict[str, Any]) -> Any:
        yield ReasoningToken("Let me ")
        yield ReasoningToken("see.")
        yield PartToken(THOUGHT)
        yield TextToken("Four.")

    ctx.reply(ReplyMessage.promise(message_token_streamer=tokens))
    ctx.reply(THOUGHT)


@miniagent
async def asker(ctx: InteractionContext) -> None:
    """Leaves a call to the client."""
    ctx.reply(ReplyMessage("Well.", tool_calls=(ToolCall(id="call_7", name="ring", arguments='{"bell": 1}'),)))


THOUGHT = ReasoningMessage(content="Let me see.", api="chat", item={"reasoning_content": "Let me see."})


async def population(city: str) -> str:
    """Say how many people live in a city."""
    if city != "Paris":
        raise ValueError("no such city")
    return "2100000"


def desk(city: str = "Paris") -> Any:
    """An agent with a tool of its own, which it asks about a city."""
    call = Call("population", {"city": city}, id="call_1")
    script = Script(Reply("I look.", calls=(call,), input_tokens=10), Reply("So it is.", input_tokens=20))
    return ScriptedModel.fork(alias="desk", script=script, tools=[population])


def chat_app(*agents: Any, **options: Any) -> AgentApp:
    """The service."""
    weather_of = Served(weather, arguments=("city",))
    agents = agents or (echo, speller, failing, talker, breaking, ringer, reporter, painter, thinker, asker, weather_of)
    return agent_app(agents, auth=TOKEN, admin_auth=ADMIN, front_ends=("ag-ui", "ai-sdk"), **options)


def ag_ui_body(text: str = "hi", **fields: Any) -> dict[str, Any]:
    """A request of AG-UI."""
    messages = [{"id": "1", "role": "user", "content": text}]
    return {"threadId": "thread", "runId": "run", "messages": messages, "tools": [], "context": [], **fields}


def ui_body(text: str = "hi", **fields: Any) -> dict[str, Any]:
    """A request of the AI SDK's transport."""
    messages = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": text}]}]
    return {"id": "chat", "messages": messages, "trigger": "submit-message", **fields}


BODIES: Any = {"ag-ui": ag_ui_body, "ai-sdk": ui_body}


def events_in(body: str | bytes) -> list[dict[str, Any]]:
    """The events of a stream, without `[DONE]`; ids of parts are their numbers."""
    text = body if isinstance(body, str) else body.decode()
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    for event in events:
        for name in ("id", "messageId", "parentMessageId"):
            value = event.get(name, "")
            event |= {name: "new" if value.startswith("msg_") else value.rpartition("-")[2]} if value else {}
    return events


async def asked(client: httpx2.AsyncClient, protocol: str, agent: str, **fields: Any) -> list[dict[str, Any]]:
    """The events of an answer."""
    response = await client.post(f"/agents/{agent}/{protocol}", json=BODIES[protocol](**fields))
    assert response.status_code == 200, response.text
    return events_in(response.text)
