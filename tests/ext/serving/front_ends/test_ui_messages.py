"""The chunks of the AI SDK's UI message stream."""

from typing import Any

import pytest

from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.front_ends.chats import asked, chat_app, desk
from tests.ext.serving.servers import in_process

START = [{"type": "start", "messageId": "new"}, {"type": "start-step"}]
STEP = [{"type": "finish-step"}, {"type": "start-step"}]


def end(reason: str = "stop", **fields: Any) -> list[dict[str, Any]]:
    return [{"type": "finish-step"}, {"type": "finish", "finishReason": reason, **fields}]


def text(id: str, *pieces: str) -> list[dict[str, Any]]:
    return [
        {"type": "text-start", "id": id},
        *({"type": "text-delta", "id": id, "delta": piece} for piece in pieces),
        {"type": "text-end", "id": id},
    ]


def written(id: str, name: str, arguments: str) -> list[dict[str, Any]]:
    return [
        {"type": "tool-input-start", "toolCallId": id, "toolName": name},
        {"type": "tool-input-delta", "toolCallId": id, "inputTextDelta": arguments},
    ]


async def chunks_of(agent: str, *agents: Any, **options: Any) -> list[dict[str, Any]]:
    async with in_process(chat_app(*agents, **options)) as client:
        return await asked(client, "ai-sdk", agent, city="Paris")


async def test_a_stream_is_one_part_in_the_pieces_in_which_the_agent_says_it() -> None:
    assert await chunks_of("speller") == [*START, *text("1", "h", "i"), *end()]


async def test_several_messages_are_parts_of_one_step() -> None:
    assert await chunks_of("talker") == [*START, *text("1", "First this."), *text("2", "Then that."), *end()]


async def test_the_reasoning_of_a_model_is_a_part_of_its_own_before_the_answer() -> None:
    def thought(id: str, *pieces: str) -> list[dict[str, Any]]:
        return [
            {"type": "reasoning-start", "id": id},
            *({"type": "reasoning-delta", "id": id, "delta": piece} for piece in pieces),
            {"type": "reasoning-end", "id": id},
        ]

    assert await chunks_of("thinker") == [
        *START,
        *thought("1", "Let me ", "see."),
        *text("2", "Four."),
        *thought("3", "Let me see."),
        *end(),
    ]


async def test_images_are_files_and_data_has_the_name_of_its_class() -> None:
    data = {"city": "Paris", "unit": "C", "degrees": 20}
    image = {"type": "file", "url": "data:image/gif;base64,R0lG", "mediaType": "image/gif"}

    assert (await chunks_of("weather"))[2] == {"type": "data-DataMessage", "data": data}
    assert await chunks_of("painter") == [*START, *text("1", "Look:"), image, *end()]


@pytest.mark.parametrize(
    ("city", "output"),
    [
        ("Paris", {"type": "tool-output-available", "output": "2100000"}),
        ("Rome", {"type": "tool-output-error", "errorText": "failed: ValueError: no such city"}),
    ],
)
async def test_an_exposed_call_is_the_agents_own_and_what_follows_its_result_is_a_new_step(
    city: str, output: dict[str, Any]
) -> None:
    chunks = await chunks_of("desk", desk(city), expose="tools")

    own: dict[str, Any] = {"toolCallId": "call_1", "providerExecuted": True}
    whole = {"type": "tool-input-available", "toolName": "population", "input": {"city": city}, **own}
    usage = {"inputTokens": 30, "outputTokens": chunks[-1]["messageMetadata"]["usage"]["outputTokens"]}
    total = {"totalTokens": usage["inputTokens"] + usage["outputTokens"], "cachedInputTokens": 0}
    assert chunks == [
        *START,
        *text("1", "I", " look."),
        *written("call_1", "population", f'{{"city":"{city}"}}'),
        whole,
        {**output, **own},
        *STEP,
        *text("2", "So", " it", " is."),
        *end(messageMetadata={"usage": {**usage, **total}}),
    ]


async def test_all_that_follows_a_result_is_one_step() -> None:
    chunks = await chunks_of("reporter", expose="tools")

    after = chunks[chunks.index({"type": "finish-step"}) :]
    assert after[:-1] == [*STEP, *text("2", "First this."), *text("3", "Then that.")]


@pytest.mark.parametrize("expose", [(), ("tools",)])
async def test_a_call_that_is_left_to_the_client_can_be_executed_at_the_end(expose: tuple[str, ...]) -> None:
    ready = {"type": "tool-input-available", "toolCallId": "call_7", "toolName": "ring", "input": {"bell": 1}}

    chunks = await chunks_of("asker", expose=expose)

    assert chunks == [*START, *text("1", "Well."), *written("call_7", "ring", '{"bell": 1}'), ready, *end("tool-calls")]


async def test_a_refusal_is_a_text_and_the_reason_of_the_end() -> None:
    model = ScriptedModel.fork(alias="clerk", script=Script(Reply("", refusal="No.", reports_usage=False)))

    chunks = await chunks_of("clerk", model)

    assert chunks[2:5] == text("1", "No.")
    assert chunks[-1]["type"] == "finish"


async def test_the_answer_to_a_result_continues_the_message_with_the_call() -> None:
    part = {"type": "tool-ring", "toolCallId": "call_7", "state": "output-available", "input": {}, "output": "ok"}
    messages = [{"id": "message 5", "role": "assistant", "parts": [part]}]

    async with in_process(chat_app()) as client:
        chunks = await asked(client, "ai-sdk", "talker", messages=messages)

    assert chunks[0] == {"type": "start", "messageId": "message 5"}
