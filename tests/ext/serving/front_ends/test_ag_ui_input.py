"""The requests of AG-UI."""

import json
from typing import Any

import pytest

from miniagents import AssistantMessage, Message, SystemMessage, UserMessage
from miniagents.ext.llms import AudioMessage, FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.serving import Limits
from miniagents.ext.serving.front_ends.ag_ui_input import parse_run
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from tests.ext.serving.front_ends.chats import ag_ui_body

LIMITS = Limits(messages=20)


def parsed(*messages: dict[str, Any], **fields: Any) -> Parsed:
    numbered = [{"id": str(number), **message} for number, message in enumerate(messages)]
    return parse_run(json.dumps(ag_ui_body(**{"messages": numbered, **fields})).encode(), LIMITS, frozenset())


def messages_of(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return parsed(*messages).messages


def test_a_conversation_has_the_roles_the_calls_and_their_results() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

    messages = messages_of(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Wait.", "toolCalls": [call]},
        {"role": "tool", "toolCallId": "c1", "content": "2"},
        {"role": "activity", "activityType": "plan", "content": {}},
        {"role": "reasoning", "content": "Hm."},
        {"role": "assistant", "content": "Two."},
    )

    assert messages == (
        SystemMessage("Be brief."),
        UserMessage("Hello!"),
        ReplyMessage("Wait.", tool_calls=(ToolCall(id="c1", name="add", arguments='{"a":1}'),)),
        ToolResultMessage("2", call_id="c1", name="add"),
        AssistantMessage("Two."),
    )


def test_a_tool_that_has_failed_says_so() -> None:
    messages = messages_of({"role": "tool", "toolCallId": "c1", "content": "", "error": "no line"})

    assert messages == (ToolResultMessage("no line", call_id="c1", is_error=True),)


def test_images_files_and_sound_are_messages_of_their_kinds() -> None:
    data = {"type": "data", "value": "R0lG", "mimeType": "image/gif"}
    pdf = {"type": "data", "value": "R0lG", "mimeType": "application/pdf"}
    sound = {"type": "data", "value": "R0lG", "mimeType": "audio/wav"}
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": data},
        {"type": "image", "source": {"type": "url", "value": "https://example.com/a.png"}},
        {"type": "document", "source": pdf},
        {"type": "document", "source": {"type": "file", "value": "file_1"}},
        {"type": "audio", "source": sound},
    ]

    result = parsed({"role": "user", "content": parts})

    assert result.messages == (
        UserMessage("Look:"),
        ImageMessage(data=b"GIF", media_type="image/gif"),
        ImageMessage(url="https://example.com/a.png"),
        FileMessage(data=b"GIF", media_type="application/pdf"),
        FileMessage(file_id="file_1"),
        AudioMessage(data=b"GIF", media_type="audio/wav"),
    )
    wanted = [(special.want, special.where) for special in result.wanted.specials]
    assert wanted == [("file_ids", "messages[0].content[4]"), ("audio", "messages[0].content[5]")]


def test_the_arguments_are_forwarded_props_and_what_is_not_empty_of_tools_context_and_state() -> None:
    tool = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    context = [{"description": "Where", "value": "Paris"}]
    user = {"role": "user", "content": "Hello!"}

    empty = parsed(user, state={}, forwardedProps=None)
    full = parsed(user, tools=[tool], context=context, state={"a": 1}, forwardedProps={"city": "Rome"})

    assert empty.fields == {}
    assert full.fields == {
        "city": "Rome",
        "tools": [{"type": "function", "function": tool}],
        "context": context,
        "state": {"a": 1},
    }
    assert (full.wanted.id, full.wanted.thread) == ("run", "thread")


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"messages": [{"id": "1", "role": "nobody"}]}, "invalid", "messages.0"),
        ({"messages": [{"id": "1", "role": "user", "content": [{"type": "image"}]}]}, "invalid", "source"),
        ({"resume": [{"interruptId": "1", "status": "resolved"}]}, "unsupported_input", "resume"),
        ({"messages": [{"id": str(n), "role": "user", "content": ""} for n in range(21)]}, "too_many_messages", "20"),
    ],
)
def test_what_cannot_be_read_is_a_problem_that_names_the_field(fields: Any, code: str, text: str) -> None:
    with pytest.raises(Problem, match=text) as caught:
        parse_run(json.dumps(ag_ui_body(**fields)).encode(), LIMITS, frozenset())

    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"type": "video", "source": {"type": "url", "value": "https://example.com/a"}}, "'video'"),
        ({"type": "audio", "source": {"type": "file", "value": "file_1"}}, "'audio'"),
        ({"type": "audio", "source": {"type": "url", "value": "https://example.com/a"}}, "data URL"),
        ({"type": "image", "source": {"type": "data", "value": "!", "mimeType": "image/gif"}}, "content"),
    ],
)
def test_content_that_no_agent_takes_names_its_place(part: dict[str, Any], text: str) -> None:
    with pytest.raises(Problem, match=text) as caught:
        parsed({"role": "user", "content": [part]})

    assert caught.value.param == "messages[0].content[0]"


def test_a_body_that_is_no_json_is_a_problem() -> None:
    with pytest.raises(Problem, match="not JSON"):
        parse_run(b'{"threadId"', LIMITS, frozenset())
