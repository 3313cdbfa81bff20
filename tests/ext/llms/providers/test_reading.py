"""Answers as servers really send them: what is absent is not empty, and what is odd is not fatal."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import MiniAgents
from miniagents.errors import MalformedResponseError
from miniagents.ext.llms import Usage
from miniagents.ext.llms.provider import Answer as ModelAnswer
from miniagents.ext.llms.providers.chat_reader import ChatReader
from miniagents.ext.llms.providers.messages_reader import MessagesReader
from miniagents.ext.llms.providers.reading import Failed, Unreadable
from miniagents.ext.llms.providers.responses_reader import ResponsesReader
from tests.ext.llms.wire import (
    DONE,
    Answer,
    Wire,
    block,
    call_delta,
    call_item,
    chunk,
    completion,
    document,
    end,
    event,
    message,
    response,
    says,
    start,
    stream,
    text_block,
    text_item,
    tool_block,
)

pytestmark = pytest.mark.real_time

WELL = "all is well"
PARTS = [{"type": "text", "text": "all is"}, {"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": " well"}]
DELTA = {"type": "response.output_text.delta", "item_id": "m1", "output_index": 0, "content_index": 0, "delta": WELL}
SAID = {"type": "response.output_text.done", "item_id": "m1", "output_index": 0, "content_index": 0, "text": WELL}
ITEM = {"type": "response.output_item.done", "output_index": 0, "item": text_item(WELL)}
LAST = {"type": "response.completed", "response": response(text_item(WELL))}
BARE = {"type": "response.completed", "response": response()}


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


GOOD: dict[str, tuple[str, Answer]] = {
    "chat, content as parts": ("chat", stream(chunk({"content": PARTS}), chunk({}, "stop"), DONE)),
    "chat, content as one part": ("chat", stream(chunk({"content": {"text": WELL}}), chunk({}, "stop"), DONE)),
    "chat, null in place of everything": (
        "chat",
        stream(
            chunk({"role": None, "content": None, "tool_calls": None, "refusal": None, "function_call": None}),
            chunk(choices=None),
            chunk(choices=[], usage=None),
            chunk({"content": WELL}, usage=None, model=None),
            {**chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
            DONE,
        ),
    ),
    "chat, nothing but what is needed": (
        "chat",
        stream({"choices": [{"delta": {"content": WELL}}]}, {"choices": [{"finish_reason": "stop"}]}),
    ),
    "chat, a whole message in a stream": (
        "chat",
        stream({"choices": [{"message": {"content": WELL}, "finish_reason": "stop"}]}, DONE),
    ),
    "chat, reasoning beside it": (
        "chat",
        stream(chunk({"reasoning_content": "hm"}), chunk({"content": WELL}), chunk({}, "stop"), DONE),
    ),
    "chat, a document for a stream": ("chat", document(completion({"content": WELL}))),
    "whole chat, content as parts": ("chat", document(completion({"role": "assistant", "content": PARTS}))),
    "whole chat, content as texts": ("chat", document(completion({"content": ["all is", " well"]}))),
    "whole chat, no usage": ("chat", document(without(completion({"content": WELL}), "usage", "model", "id"))),
    "whole chat, null in place of everything": (
        "chat",
        document(
            completion({"content": WELL, "tool_calls": None, "refusal": None}, usage=None, model=None, error=None)
        ),
    ),
    "whole chat, usage as a list": ("chat", document(completion({"content": WELL}, usage=[]))),
    "whole chat, usage without details": (
        "chat",
        document(completion({"content": WELL}, usage={"prompt_tokens": 3, "prompt_tokens_details": 7})),
    ),
    "whole chat, a stream for a document": (
        "chat",
        stream(chunk({"content": WELL}), chunk({}, "stop"), DONE, content_type="text/plain"),
    ),
    "responses, text in output_text.done alone": ("responses", stream(SAID, BARE)),
    "responses, text in output_item.done alone": ("responses", stream(ITEM, BARE)),
    "responses, text in the last event alone": ("responses", stream(LAST)),
    "responses, text everywhere": ("responses", stream(DELTA, SAID, ITEM, LAST)),
    "responses, text everywhere, without places": (
        "responses",
        stream(*(without(one, "output_index", "content_index", "item_id") for one in (DELTA, SAID)), LAST),
    ),
    "responses, half of the text as a delta": ("responses", stream({**DELTA, "delta": "all is"}, SAID, LAST)),
    "responses, no response in the last event": ("responses", stream(DELTA, {"type": "response.completed"})),
    "responses, null in place of everything": (
        "responses",
        stream(
            {"type": "response.created", "response": None},
            {"type": "response.output_item.added", "output_index": None, "item": None},
            DELTA,
            {"type": "response.completed", "response": response(output=None, usage=None, model=None, status=None)},
        ),
    ),
    "responses, the type in the name of the event alone": (
        "responses",
        stream(
            b'event: response.output_text.delta\ndata: {"delta": "all is well"}\n\n',
            b'event: response.completed\ndata: {"response": {"status": "completed"}}\n\n',
        ),
    ),
    "whole response, no usage": ("responses", document(without(response(text_item(WELL)), "usage", "model"))),
    "whole response, content as text": (
        "responses",
        document(response({"type": "message", "content": WELL})),
    ),
    "whole response, an item of an unknown kind": (
        "responses",
        document(response({"type": "web_search_call", "id": "w"}, {"no": "type"}, text_item(WELL))),
    ),
    "anthropic, thinking without a block": (
        "anthropic",
        stream(
            start(),
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "signature_delta", "signature": "s"}},
            *text_block(WELL, 2),
            *end(),
        ),
    ),
    "anthropic, null in place of everything": (
        "anthropic",
        stream(
            {"type": "message_start", "message": None},
            *block({"type": "text", "text": None}, {"type": "text_delta", "text": WELL}),
            {"type": "content_block_delta", "index": None, "delta": None},
            {"type": "content_block_start", "index": 7, "content_block": None},
            {"type": "message_delta", "delta": None, "usage": None},
            *end(usage=None),
        ),
    ),
    "anthropic, no usage at all": (
        "anthropic",
        stream({"type": "message_start"}, *text_block(WELL), without(end()[0], "usage"), end()[1]),
    ),
    "anthropic, no block around the text": (
        "anthropic",
        stream(start(), {"type": "content_block_delta", "delta": {"text": WELL}}, *end()),
    ),
    "anthropic, events of unknown kinds": (
        "anthropic",
        stream(start(), {"type": "news"}, *block({"type": "news"}, {"type": "news_delta"}), *text_block(WELL), *end()),
    ),
    "whole message, content as text": ("anthropic", document({**message(), "content": WELL})),
    "whole message, no usage": (
        "anthropic",
        document(without(message({"type": "text", "text": WELL}), "usage", "model")),
    ),
}


@pytest.mark.parametrize("form", list(GOOD))
async def test_an_answer_is_read_in_whatever_form_it_comes(form: str) -> None:
    api, answer = GOOD[form]
    async with MiniAgents(), Wire(answer) as wire:
        replies = await wire.agent(api, stream=not form.startswith("whole")).inquire("Hi")
    assert str(replies) == WELL
    assert len(wire.requests) == 1


MISSING: dict[str, tuple[str, Answer, str]] = {
    "choices": ("chat", document(without(completion({}), "choices")), "choices is missing"),
    "choices, null": ("chat", document(completion({}, choices=None)), "choices is missing"),
    "choices, an object": ("chat", document(completion({}, choices={"a": 1})), "choices is"),
    "a choice, null": ("chat", document(completion({}, choices=[7])), r"choices\[0\] is 7"),
    "message": ("chat", document(completion(None)), r"choices\[0\].message is missing"),
    "message, a text": ("chat", document(completion("all is well")), r"choices\[0\].message is 'all"),
    "content, a number": ("chat", document(completion({"content": 7})), r"choices\[0\].message.content is 7"),
    "a part, a number": ("chat", document(completion({"content": [7]})), r"choices\[0\].message.content\[0\] is 7"),
    "a part's text": ("chat", document(completion({"content": [{"text": 7}]})), r"content\[0\].text is 7"),
    "refusal, a number": ("chat", document(completion({"refusal": 7})), r"choices\[0\].message.refusal is 7"),
    "finish_reason, a number": ("chat", document(completion({"content": "a"}, 7)), r"choices\[0\].finish_reason is 7"),
    "chunk: choices": ("chat", stream(chunk(choices=7)), "choices is 7"),
    "chunk: delta": ("chat", stream({"choices": [{"delta": 7}]}), r"choices\[0\].delta is 7"),
    "chunk: content": ("chat", stream(chunk({"content": 7})), r"choices\[0\].delta.content is 7"),
    "chunk: no object": ("chat", stream(b"data: 7\n\n"), "the answer is 7"),
    "chunk: no JSON": ("chat", stream(b"data: {oh no\n\n"), "the JSON"),
    "chunk: JSON that is too deep": ("chat", stream(b"data: " + b"[" * 100_000 + b"\n\n"), "the JSON"),
    "output": ("responses", document(without(response(), "output")), "output is missing"),
    "output, a text": ("responses", document(response(output="all is well")), "output is 'all"),
    "an item": ("responses", document(response(7)), r"output\[0\] is 7"),
    "an item's content": (
        "responses",
        document(response({"type": "message", "content": 7})),
        r"output\[0\].content is 7",
    ),
    "the status": ("responses", document(response(status=7)), "status is 7"),
    "response event: delta": ("responses", stream({**DELTA, "delta": 7}), "delta is 7"),
    "response event: text": ("responses", stream({**SAID, "text": 7}), "text is 7"),
    "response event: type": ("responses", stream({"type": 7}), "type is 7"),
    "response event: response": ("responses", stream({"type": "response.completed", "response": 7}), "response is 7"),
    "content": ("anthropic", document(without(message(), "content")), "content is missing"),
    "content, a number (anthropic)": ("anthropic", document({**message(), "content": 7}), "content is 7"),
    "a block": ("anthropic", document(message(7)), r"content\[0\] is 7"),
    "a block's text": ("anthropic", document(message({"type": "text", "text": 7})), r"content\[0\].text is 7"),
    "stop_reason": ("anthropic", document(message({"type": "text", "text": "a"}, reason=7)), "stop_reason is 7"),
    "anthropic event: delta": ("anthropic", stream(start(), {"type": "content_block_delta", "delta": 7}), "delta is 7"),
    "anthropic event: text": (
        "anthropic",
        stream(start(), *block({"type": "text"}, {"type": "text_delta", "text": 7})),
        "delta.text is 7",
    ),
    "anthropic event: message": ("anthropic", stream({"type": "message_start", "message": 7}), "message is 7"),
    "an empty body": ("chat", Answer(content_type="application/json"), "the answer is missing"),
    "half a document": ("responses", Answer(b'{"output": [', content_type="application/json"), "the JSON"),
    "a page": ("anthropic", Answer(b"<html>Bad gateway</html>", content_type="text/html"), "text/html"),
}


@pytest.mark.parametrize("form", list(MISSING))
async def test_what_cannot_be_read_is_asked_for_again_and_its_field_is_named(form: str) -> None:
    api, answer, field = MISSING[form]
    streamed = answer.headers["content-type"] == "text/event-stream"
    async with MiniAgents(), Wire(answer, says(api, streamed=streamed)) as wire:
        assert str(await wire.agent(api, stream=streamed).inquire("Hi")) == WELL
    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(MalformedResponseError, match=field):
            await wire.agent(api, stream=streamed).inquire("Hi")
    assert len(wire.requests) == 2


READERS = {"chat": ChatReader, "responses": ResponsesReader, "anthropic": MessagesReader}
EVENTS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        chunk({"role": "assistant", "content": "a", "refusal": None, "reasoning": "b"}, usage={"prompt_tokens": 3}),
        call_delta(0, "x", "add", "{}"),
        chunk({}, "stop"),
    ],
    "responses": [
        DELTA,
        SAID,
        ITEM,
        {"type": "response.refusal.delta", "delta": "a"},
        {"type": "response.refusal.done", "refusal": "a"},
        {"type": "response.output_item.added", "output_index": 0, "item": call_item("c", "add", "")},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"},
        {"type": "error", "code": "c", "message": "m"},
        {"type": "response.incomplete", "response": response(incomplete_details={"reason": "max_output_tokens"})},
        {"type": "response.failed", "response": response(status="failed", error={"code": "c", "message": "m"})},
        LAST,
    ],
    "anthropic": [
        start(),
        *text_block("a"),
        *tool_block("t", "add", "{}"),
        *block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "a"}),
        *block({"type": "thinking"}, {"type": "signature_delta", "signature": "a"}),
        *end(),
    ],
}
WHOLES: dict[str, list[dict[str, Any]]] = {
    "chat": [completion({"content": "a", "tool_calls": [{"id": "x", "function": {"name": "add", "arguments": "{}"}}]})],
    "responses": [
        response(text_item("a"), call_item("c", "add", "{}"), {"type": "reasoning", "encrypted_content": "e"})
    ],
    "anthropic": [message({"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "add", "input": {}})],
}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 7, -1, 1.5, float("nan"), True, "", "x", [], [None], [7], ["x"], {}, {"type": 7}, {"x": []}]
)


def places_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inside for place in places_in(value, (*path, key)))]


@st.composite
def spoilt(draw: st.DrawFn, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an API says, with some of it missing or of another type."""
    events = copy.deepcopy(samples)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([path for path in places_in(events) if len(path) > 1]))
        holder: Any = events
        for key in place[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[place[-1]]
        else:
            holder[place[-1]] = copy.deepcopy(draw(ODD))
    return [one for one in events if isinstance(one, dict)]


@pytest.mark.parametrize("api", list(READERS))
@given(data=st.data())
def test_whatever_is_missing_or_of_another_type_the_reader_reads_it_or_names_the_field(
    api: str, data: st.DataObject
) -> None:
    for samples, whole in ((EVENTS[api], False), (WHOLES[api], True)):
        answer = ModelAnswer()
        reader: Any = READERS[api](answer)
        try:
            for one in data.draw(spoilt(samples)):
                answer.tokens.append(reader.whole(one) if whole else reader.event("", one))
        except (Failed, Unreadable):
            continue
        assert all(isinstance(token, str) for token in answer.tokens)
        assert all(isinstance(call.arguments, str) for call in answer.tool_calls)
        assert answer.usage is None or min(answer.usage.input_tokens, answer.usage.output_tokens) >= 0
        answer.message()


@pytest.mark.parametrize("said", [-5, 0, None, "12", [3], True, float("nan"), 1e300, {"a": 1}])
async def test_numbers_of_tokens_that_are_none_count_as_not_said(said: Any) -> None:
    usage = {"prompt_tokens": said, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": said}}
    async with MiniAgents(), Wire(document(completion({"content": WELL}, usage=usage))) as wire:
        (reply,) = await wire.agent("chat", stream=False).inquire("How are you?")
    assert reply.usage.output_tokens == 2  # type: ignore[attr-defined]
    assert reply.usage == Usage(reply.usage.input_tokens, 2, 0, estimated=True)  # type: ignore[attr-defined]


async def test_a_stream_that_ends_in_the_middle_of_an_event_is_cut_and_asked_for_again() -> None:
    broken = stream(chunk({"content": "all"}), event(chunk({}, "stop"))[:-20])
    async with MiniAgents(), Wire(broken, says("chat")) as wire:
        assert str(await wire.agent("chat").inquire("Hi")) == WELL
    assert len(wire.requests) == 2
