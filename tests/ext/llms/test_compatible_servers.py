"""Answers of compatible servers that differ from OpenAI's: each is a row of the table in docs/guides/llms.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import LLMError, MalformedResponseError, ProviderUnavailableError, RateLimitedError
from miniagents.ext.llms import ReplyMessage, ToolResultMessage
from tests.ext.llms.wire import DONE, Answer, Wire, call_delta, chunk, completion, document, event, says, stream

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.real_time


def add(a: int, b: int) -> int:
    return a + b


ONE = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
TWO = {"name": "add", "arguments": '{"a": 3, "b": 4}'}
END = (chunk({}, "tool_calls"), DONE)


def calls(*calls: dict[str, Any], **more: Any) -> Answer:
    """A whole answer with calls."""
    return document(completion({"role": "assistant", "content": None, "tool_calls": list(calls), **more}, "tool_calls"))


CALLS: dict[str, Answer] = {
    "tool calls without an index": stream(
        call_delta(None, "c1", ONE["name"], ONE["arguments"]),
        call_delta(None, "c2", TWO["name"], TWO["arguments"]),
        *END,
    ),
    "all tool calls at index 0": stream(
        call_delta(0, "c1", ONE["name"], ONE["arguments"]), call_delta(0, "c2", TWO["name"], TWO["arguments"]), *END
    ),
    "an index that is a text": stream(
        call_delta("0", "c1", ONE["name"], ONE["arguments"]), call_delta("1", "c2", TWO["name"], TWO["arguments"]), *END
    ),
    "tool calls without an id": stream(
        call_delta(0, None, ONE["name"], ONE["arguments"]), call_delta(1, None, TWO["name"], TWO["arguments"]), *END
    ),
    "another id in each piece of a call": stream(
        call_delta(0, "c1", "add", '{"a": 1, '),
        call_delta(0, "c9", None, '"b": 2}'),
        call_delta(1, "c2", TWO["name"], TWO["arguments"]),
        *END,
    ),
    "arguments as an object": stream(
        call_delta(0, "c1", "add", {"a": 1, "b": 2}), call_delta(1, "c2", "add", {"a": 3, "b": 4}), *END
    ),
    "empty arguments before the real ones": stream(
        call_delta(0, "c1", "add", "{}"),
        call_delta(0, None, None, ONE["arguments"]),
        call_delta(1, "c2", TWO["name"], TWO["arguments"]),
        *END,
    ),
    "a call that comes twice": stream(
        call_delta(0, "c1", ONE["name"], ONE["arguments"]),
        call_delta(0, "c1", ONE["name"], ONE["arguments"]),
        call_delta(1, "c2", TWO["name"], TWO["arguments"]),
        *END,
    ),
    "calls that end with `stop`": stream(
        call_delta(0, "c1", ONE["name"], ONE["arguments"]),
        call_delta(1, "c2", TWO["name"], TWO["arguments"]),
        chunk({}, "stop"),
        DONE,
    ),
    "one id for all calls": calls(
        {"id": "c", "type": "function", "function": ONE}, {"id": "c", "type": "function", "function": TWO}
    ),
    "null and unknown fields everywhere": stream(
        chunk(
            {"role": "assistant", "content": None, "refusal": None, "audio": None, "colour": "red", "tool_calls": None}
        ),
        call_delta(0, "c1", ONE["name"], ONE["arguments"]),
        chunk(choices=None, usage=None, model=None),
        call_delta(1, "c2", TWO["name"], TWO["arguments"]),
        *END,
    ),
}

TEXTS: dict[str, Answer] = {
    "content in parts": stream(
        chunk({"content": [{"type": "text", "text": "all is "}, {"text": "well"}]}), chunk({}, "stop"), DONE
    ),
    "a whole answer as one event": stream(completion({"role": "assistant", "content": "all is well"}), DONE),
    "a document for a request to stream": says("chat", streamed=False),
    "no [DONE]": stream(chunk({"content": "all is well"}), chunk({}, "stop")),
    "comments and empty events": stream(
        b": ping\n\n", b"data:\n\n", chunk({"content": "all is well"}), chunk({}, "stop"), DONE
    ),
    "no usage": stream(chunk({"content": "all is well"}), chunk({}, "stop"), DONE),
    "usage that is zero": stream(
        chunk({"content": "all is well"}),
        chunk({}, "stop", usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        DONE,
    ),
    "a finish reason of its own": stream(chunk({"content": "all is well"}), chunk({}, "eos"), DONE),
    "lines that end with CR LF": Answer(
        *(event(part).replace(b"\n", b"\r\n") for part in (chunk({"content": "all is well"}), chunk({}, "stop"))),
        content_type="text/event-stream",
    ),
}

FAILURES: dict[str, tuple[Answer, type[LLMError], str]] = {
    "an error inside a 200": (
        document({"error": {"message": "too many", "code": 429}}),
        RateLimitedError,
        "too many",
    ),
    "an error in the middle of a stream": (
        stream(chunk({"content": "al"}), event(json.dumps({"error": {"message": "broken", "code": 500}}))),
        ProviderUnavailableError,
        "broken",
    ),
    "an error as `detail`": (document({"detail": "no memory"}), ProviderUnavailableError, "no memory"),
    "an error as `object`": (
        document({"object": "error", "message": "no memory", "code": 503}),
        ProviderUnavailableError,
        "no memory",
    ),
    "no finish reason": (stream(chunk({"content": "al"}), DONE), ProviderUnavailableError, "without a reason to stop"),
    "an empty answer": (stream(chunk({}, "stop"), DONE), ProviderUnavailableError, "the answer is empty"),
    "a page of HTML": (Answer(b"<html>busy</html>", content_type="text/html"), MalformedResponseError, "text/html"),
    "JSON that is cut off": (Answer(b'{"choices": [', content_type="application/json"), MalformedResponseError, "JSON"),
}  # fmt: skip


@pytest.mark.parametrize("deviation", list(CALLS))
async def test_a_compatible_servers_calls_run_once_each(deviation: str) -> None:
    async with Wire(CALLS[deviation], says("chat")) as wire, MiniAgents():
        replies = await wire.agent("chat", tools=[add]).inquire("Hi")
    results = [reply for reply in replies if isinstance(reply, ToolResultMessage)]
    assert [str(result) for result in results] == ["3", "7"]
    assert str(replies[-1]) == "all is well"
    sent = [message for message in wire.requests[1]["messages"] if message["role"] == "tool"]
    assert len({message["tool_call_id"] for message in sent}) == 2


@pytest.mark.parametrize("deviation", list(TEXTS))
async def test_a_compatible_servers_answer_is_read(deviation: str) -> None:
    async with Wire(TEXTS[deviation]) as wire, MiniAgents():
        (reply,) = await wire.agent("chat").inquire("Hi")
    assert str(reply) == "all is well"
    assert isinstance(reply, ReplyMessage)
    assert reply.usage.output_tokens > 0
    assert len(wire.requests) == 1


@pytest.mark.parametrize("deviation", list(FAILURES))
async def test_a_compatible_servers_failure_is_asked_again_and_then_told(deviation: str) -> None:
    answer, kind, words = FAILURES[deviation]
    async with Wire(answer) as wire, MiniAgents():
        with pytest.raises(kind, match=re.escape(words)):
            await wire.agent("chat").inquire("Hi")
    assert len(wire.requests) == 2  # TWICE


async def test_a_stream_for_a_request_without_one_is_read() -> None:
    async with Wire(says("chat")) as wire, MiniAgents():
        assert str(await wire.agent("chat", stream=False).inquire("Hi")) == "all is well"
    assert wire.requests[0]["stream"] is False


def test_the_table_of_the_documentation_has_the_deviations_that_are_tested() -> None:
    page = (ROOT / "docs" / "guides" / "llms.md").read_text().partition("## What compatible servers say otherwise")[2]
    table = page.partition("\n\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)[1:]
    assert rows == [*CALLS, *TEXTS, "a stream for a request without one", *FAILURES]
