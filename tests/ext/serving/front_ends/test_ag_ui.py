"""The events of AG-UI, which the types of its own package check."""

from typing import Any

from ag_ui.core import Event
from pydantic import TypeAdapter

from tests.ext.serving.front_ends.chats import asked, chat_app, desk
from tests.ext.serving.servers import in_process

EVENT: TypeAdapter[Any] = TypeAdapter(Event)
STARTED = {"type": "RUN_STARTED", "threadId": "thread", "runId": "run", "protocolVersion": "1.0"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "thread", "runId": "run", "outcome": {"type": "success"}}


def text(id: str, *pieces: str) -> list[dict[str, Any]]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"},
        *({"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": piece} for piece in pieces),
        {"type": "TEXT_MESSAGE_END", "messageId": id},
    ]


def call(id: str, name: str, arguments: str, parent: str) -> list[dict[str, Any]]:
    return [
        {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": name, "parentMessageId": parent},
        {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": arguments},
        {"type": "TOOL_CALL_END", "toolCallId": id},
    ]


async def events_of(agent: str, *agents: Any, **options: Any) -> list[dict[str, Any]]:
    async with in_process(chat_app(*agents, **options)) as client:
        events = await asked(client, "ag-ui", agent, forwardedProps={"city": "Paris"})
    for event in events:
        EVENT.validate_python(event)
    return events


async def test_a_stream_is_one_message_in_the_pieces_in_which_the_agent_says_it() -> None:
    assert await events_of("speller") == [STARTED, *text("1", "h", "i"), FINISHED]


async def test_each_message_is_closed_before_the_next_one() -> None:
    assert await events_of("talker") == [STARTED, *text("1", "First this."), *text("2", "Then that."), FINISHED]


async def test_the_reasoning_of_a_model_is_a_message_of_its_own_before_the_answer() -> None:
    def thought(id: str, *pieces: str) -> list[dict[str, Any]]:
        return [
            {"type": "REASONING_START", "messageId": id},
            {"type": "REASONING_MESSAGE_START", "messageId": id, "role": "reasoning"},
            *({"type": "REASONING_MESSAGE_CONTENT", "messageId": id, "delta": piece} for piece in pieces),
            {"type": "REASONING_MESSAGE_END", "messageId": id},
            {"type": "REASONING_END", "messageId": id},
        ]

    assert await events_of("thinker") == [
        STARTED,
        *thought("1", "Let me ", "see."),
        *text("2", "Four."),
        *thought("3", "Let me see."),
        FINISHED,
    ]


async def test_a_message_that_is_no_text_is_a_custom_event_with_its_fields() -> None:
    data = {"city": "Paris", "unit": "C", "degrees": 20}
    image = {"url": "data:image/gif;base64,R0lG", "mediaType": "image/gif"}

    assert (await events_of("weather"))[1:-1] == [{"type": "CUSTOM", "name": "DataMessage", "value": data}]
    assert (await events_of("painter"))[4] == {"type": "CUSTOM", "name": "ImageMessage", "value": image}


async def test_an_exposed_tool_call_belongs_to_the_message_that_makes_it_and_has_its_result() -> None:
    events = await events_of("desk", desk(), expose="tools")

    result = {"type": "TOOL_CALL_RESULT", "messageId": "2", "toolCallId": "call_1", "content": "2100000"}
    usage = {"inputTokens": 30, "outputTokens": 7, "totalTokens": 37, "cachedInputTokens": 0}
    assert events == [
        STARTED,
        *text("1", "I", " look."),
        *call("call_1", "population", '{"city":"Paris"}', "1"),
        result,
        *text("3", "So", " it", " is."),
        {**FINISHED, "usage": [usage]},
    ]


async def test_a_call_that_is_left_to_the_client_comes_last_and_is_pending() -> None:
    pending = {**FINISHED, "outcome": {"type": "success", "pendingToolCallIds": ["call_7"]}}

    hidden = await events_of("asker")
    shown = await events_of("asker", expose="tools")

    assert hidden == [STARTED, *text("1", "Well."), *call("call_7", "ring", '{"bell": 1}', "2"), pending]
    assert shown == [STARTED, *text("1", "Well."), *call("call_7", "ring", '{"bell": 1}', "1"), pending]
