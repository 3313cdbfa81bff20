"""The requests of the AI SDK's chat transport."""

import json
from typing import Any

import pytest

from miniagents import AssistantMessage, Message, SystemMessage, UserMessage
from miniagents.ext.llms import AudioMessage, FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.serving import Limits
from miniagents.ext.serving.front_ends.ui_message_input import parse_chat
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from tests.ext.serving.front_ends.chats import ui_body

LIMITS = Limits(messages=20)


def parsed(*messages: tuple[str, list[dict[str, Any]]], names: frozenset[str] = frozenset(), **fields: Any) -> Parsed:
    numbered = [{"id": f"m{at}", "role": role, "parts": parts} for at, (role, parts) in enumerate(messages)]
    return parse_chat(json.dumps(ui_body(messages=numbered, **fields)).encode(), LIMITS, names)


def assistant(*parts: dict[str, Any]) -> tuple[Message, ...]:
    return parsed(("assistant", list(parts))).messages


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content, "state": "done"}


def tool(id: str, state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": id, "state": state, "input": {"a": 1}, **fields}


def call(id: str, name: str = "add") -> ToolCall:
    return ToolCall(id=id, name=name, arguments='{"a": 1}')


def test_texts_and_files_are_messages_and_parts_for_the_page_alone_are_left_out() -> None:
    image = {"type": "file", "mediaType": "image/gif", "url": "data:image/gif;base64,R0lG"}
    pdf = {"type": "file", "mediaType": "application/pdf", "url": "https://example.com/a.pdf", "filename": "a.pdf"}
    sound = {"type": "file", "mediaType": "audio", "url": "data:audio/wav;base64,R0lG"}
    user = [text("Look:"), image, pdf, sound, {"type": "data-weather", "data": {"degrees": 20}}]

    result = parsed(("system", [text("Be brief.")]), ("user", user))

    assert result.messages == (
        SystemMessage("Be brief."),
        UserMessage("Look:"),
        ImageMessage(data=b"GIF", media_type="image/gif"),
        FileMessage(url="https://example.com/a.pdf", filename="a.pdf"),
        AudioMessage(data=b"GIF", media_type="audio/wav"),
    )
    assert [(special.want, special.where) for special in result.wanted.specials] == [("audio", "messages[1].parts[3]")]


def test_a_step_is_a_reply_with_its_calls_and_then_their_results() -> None:
    messages = assistant(
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm."},
        text("I add."),
        tool("c1", "output-available", output="2"),
        tool("c2", "output-available", output={"sum": 2}),
        {"type": "step-start"},
        text("Two."),
        text("Again:"),
        tool("c3", "output-error", errorText="no line"),
    )

    assert messages == (
        ReplyMessage("I add.", tool_calls=(call("c1"), call("c2"))),
        ToolResultMessage("2", call_id="c1", name="add"),
        ToolResultMessage('{"sum": 2}', call_id="c2", name="add"),
        AssistantMessage("Two."),
        ReplyMessage("Again:", tool_calls=(call("c3"),)),
        ToolResultMessage("no line", call_id="c3", name="add", is_error=True),
    )


def test_calls_of_dynamic_tools_denied_ones_and_open_ones_are_calls() -> None:
    dynamic = {"type": "dynamic-tool", "toolName": "ring", "toolCallId": "c1", "state": "output-available"}

    messages = assistant(
        {**dynamic, "input": {"a": 1}, "output": None},
        tool("c2", "output-denied"),
        tool("c3", "input-available"),
    )

    assert messages == (
        ReplyMessage("", tool_calls=(call("c1", "ring"), call("c2"), call("c3"))),
        ToolResultMessage("null", call_id="c1", name="ring"),
        ToolResultMessage("The call was denied.", call_id="c2", name="add", is_error=True),
    )


def test_two_steps_without_a_mark_between_them_are_two_replies() -> None:
    messages = assistant(tool("c1", "output-available", output="2"), text("Two."))

    assert [type(message) for message in messages] == [ReplyMessage, ToolResultMessage, AssistantMessage]


def test_the_answer_has_the_id_of_a_last_message_of_the_assistant() -> None:
    assert parsed(("user", [text("Hello!")]), ("assistant", [text("Hi.")])).wanted.id == "m1"
    assert parsed(("user", [text("Hello!")])).wanted.id is None


def test_other_fields_of_the_body_are_arguments_if_an_agent_takes_them() -> None:
    result = parsed(("user", [text("Hello!")]), names=frozenset({"city", "id", "messages"}), city="Paris", unit="C")

    assert result.fields == {"city": "Paris"}


@pytest.mark.parametrize(
    ("role", "part", "where"),
    [
        ("user", {"type": "text"}, "messages[0].parts[0].text"),
        ("user", {"type": "file", "mediaType": "image/gif"}, "messages[0].parts[0].url"),
        ("user", {"type": "file", "mediaType": "image/gif", "url": "data:,x"}, "messages[0].parts[0]"),
        ("assistant", {"type": "tool-add", "state": "output-available"}, "messages[0].parts[0].toolCallId"),
        ("assistant", {"type": "dynamic-tool", "toolCallId": "c1"}, "messages[0].parts[0].toolName"),
    ],
)
def test_a_part_that_lacks_a_field_is_a_problem_that_names_it(role: str, part: dict[str, Any], where: str) -> None:
    with pytest.raises(Problem) as caught:
        parsed((role, [part]))

    assert (caught.value.status, caught.value.param) == (400, where)


def test_parts_count_as_messages() -> None:
    with pytest.raises(Problem, match="more than 20 messages"):
        parsed(("user", [text("Hello!")] * 21))
