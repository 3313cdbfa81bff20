"""Tool calls as servers really send them: without places, with the same one, twice, as objects, in pieces and whole."""

from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import MalformedResponseError
from miniagents.ext.llms.calls import ToolCalls
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
    message,
    response,
    says,
    start,
    stream,
    tool_block,
)

pytestmark = pytest.mark.real_time

ADD = {"name": "add", "arguments": {"a": 1}}


def chat(*events: dict[str, Any], reason: str = "tool_calls") -> Answer:
    return stream(*events, chunk({}, reason), DONE)


def whole_chat(*calls: dict[str, Any], reason: str = "tool_calls") -> Answer:
    given = [{"id": f"x{number}", "type": "function", "function": call} for number, call in enumerate(calls)]
    return document(completion({"role": "assistant", "content": None, "tool_calls": given}, reason))


def claude(*blocks: list[dict[str, Any]], reason: str = "tool_use") -> Answer:
    return stream(start(), *(one for events in blocks for one in events), *end(reason))


def added(item: dict[str, Any], **where: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", **({"output_index": 0} | where), "item": item}


def done(item: dict[str, Any], **where: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", **({"output_index": 0} | where), "item": item}


def piece(text: Any, **where: Any) -> dict[str, Any]:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "item_id": "fc1", **({"output_index": 0} | where), "delta": text}


def arguments(text: Any, **where: Any) -> dict[str, Any]:
    kind = "response.function_call_arguments.done"
    return {"type": kind, "item_id": "fc1", **({"output_index": 0} | where), "arguments": text}


def completed(*output: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": response(*output)}


EMPTY, FULL = call_item("c1", "add", ""), call_item("c1", "add", '{"a": 1}')
NOWHERE = {"output_index": None}

ONE: dict[str, tuple[str, Answer]] = {
    "chat, as the API does": (
        "chat",
        chat(call_delta(0, "x", "add", ""), call_delta(0, None, None, '{"a"'), call_delta(0, None, None, ": 1}")),
    ),
    "chat, no index": ("chat", chat(call_delta(None, "x", "add", '{"a"'), call_delta(None, None, None, ": 1}"))),
    "chat, an index at first alone": ("chat", chat(call_delta(3, "x", "add", '{"a"'), call_delta(arguments=": 1}"))),
    "chat, an index as text": ("chat", chat(call_delta("0", "x", "add", '{"a"'), call_delta(0, arguments=": 1}"))),
    "chat, no id": ("chat", chat(call_delta(0, None, "add", '{"a": 1}'))),
    "chat, id and name in every piece": (
        "chat",
        chat(call_delta(0, "x", "add", '{"a"'), call_delta(0, "x", "add", ": 1}")),
    ),
    "chat, another id in every piece": (
        "chat",
        chat(call_delta(0, "x", "add", '{"a"'), call_delta(0, "y", None, ": 1}")),
    ),
    "chat, the whole call twice": ("chat", chat(*[call_delta(0, "x", "add", '{"a": 1}')] * 2)),
    "chat, an object": ("chat", chat(call_delta(0, "x", "add", {"a": 1}))),
    "chat, an empty object and then pieces": (
        "chat",
        chat(call_delta(0, "x", "add", {}), call_delta(0, None, None, '{"a": 1}')),
    ),
    "chat, an empty object as text and then pieces": (
        "chat",
        chat(call_delta(0, "x", "add", "{}"), call_delta(0, None, None, '{"a": 1}')),
    ),
    "chat, with the end in the same chunk": (
        "chat",
        stream({**call_delta(0, "x", "add", '{"a": 1}')} | {"usage": None}, chunk(None, "tool_calls"), DONE),
    ),
    "chat, function_call": ("chat", chat(chunk({"function_call": {"name": "add", "arguments": '{"a": 1}'}}))),
    "whole chat, an object": ("chat", whole_chat(ADD)),
    "whole chat, text": ("chat", whole_chat({"name": "add", "arguments": '{"a": 1}'})),
    "whole chat, function_call": (
        "chat",
        document(completion({"content": None, "function_call": ADD}, "function_call")),
    ),
    "responses, as the API does": (
        "responses",
        stream(added(EMPTY), piece('{"a"'), piece(": 1}"), arguments('{"a": 1}'), done(FULL), completed(FULL)),
    ),
    "responses, arguments in arguments.done alone": (
        "responses",
        stream(added(EMPTY), arguments('{"a": 1}'), completed(EMPTY)),
    ),
    "responses, arguments in output_item.done alone": ("responses", stream(added(EMPTY), done(FULL), completed())),
    "responses, the call in output_item.done alone": ("responses", stream(done(FULL), completed())),
    "responses, the call in the last event alone": ("responses", stream(completed(FULL))),
    "responses, whole from the beginning, and in pieces": (
        "responses",
        stream(added(FULL), piece('{"a"'), piece(": 1}"), completed()),
    ),
    "responses, whole from the beginning": ("responses", stream(added(FULL), completed())),
    "responses, begun, and continued in pieces": (
        "responses",
        stream(added({**EMPTY, "arguments": '{"a"'}), piece(": 1}"), completed()),
    ),
    "responses, an object": ("responses", stream(added(EMPTY), done({**FULL, "arguments": {"a": 1}}), completed())),
    "responses, no places": (
        "responses",
        stream(
            added(EMPTY, **NOWHERE), piece('{"a": 1}', **NOWHERE), arguments('{"a": 1}', **NOWHERE), completed(FULL)
        ),
    ),
    "responses, other places at the end": (
        "responses",
        stream(
            added(EMPTY, output_index=5),
            piece('{"a": 1}', output_index=5),
            done(FULL, output_index=5),
            completed(FULL),
        ),
    ),
    "whole response, an object": ("responses", document(response({**FULL, "arguments": {"a": 1}}))),
    "whole response, text": ("responses", document(response(FULL))),
    "anthropic, as the API does": ("anthropic", claude(tool_block("t1", "add", '{"a"', ": 1}"))),
    "anthropic, whole from the beginning": ("anthropic", claude(tool_block("t1", "add", given={"a": 1}))),
    "anthropic, whole from the beginning, and in pieces": (
        "anthropic",
        claude(tool_block("t1", "add", '{"a"', ": 1}", given={"a": 1})),
    ),
    "anthropic, no places": ("anthropic", claude(tool_block("t1", "add", '{"a"', ": 1}", index=None))),
    "anthropic, the input as text": ("anthropic", claude(tool_block("t1", "add", given='{"a": 1}'))),
    "whole message": (
        "anthropic",
        document(message({"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}})),
    ),
    "whole message, the input as text": (
        "anthropic",
        document(message({"type": "tool_use", "id": "t", "name": "add", "input": '{"a": 1}'})),
    ),
}

TWO: dict[str, tuple[str, Answer]] = {
    **{
        f"chat, the index is always {index}": (
            "chat",
            chat(call_delta(index, "x1", "add", '{"a": 1}'), call_delta(index, "x2", "add", '{"a": 2}')),
        )
        for index in (0, 1, None)
    },
    "chat, the same index, in pieces": (
        "chat",
        chat(
            call_delta(0, "x1", "add", '{"a"'),
            call_delta(0, None, None, ": 1}"),
            call_delta(0, "x2", "add", '{"a"'),
            call_delta(0, None, None, ": 2}"),
        ),
    ),
    "chat, the same index, interleaved": (
        "chat",
        chat(
            call_delta(0, "x1", "add", '{"a"'),
            call_delta(0, "x2", "add", '{"a"'),
            call_delta(0, "x1", None, ": 1}"),
            call_delta(0, "x2", None, ": 2}"),
        ),
    ),
    "chat, the same index, and no ids": (
        "chat",
        chat(call_delta(0, None, "add", '{"a": 1}'), call_delta(0, None, "add", '{"a": 2}')),
    ),
    "chat, the same id": ("chat", chat(call_delta(0, "x", "add", '{"a": 1}'), call_delta(1, "x", "add", '{"a": 2}'))),
    "chat, the same id and index": (
        "chat",
        chat(call_delta(0, "x", "add", '{"a": 1}'), call_delta(0, "x", "add", '{"a": 2}')),
    ),
    "chat, places out of order": (
        "chat",
        chat(call_delta(1, "x2", "add", '{"a": 2}'), call_delta(0, "x1", "add", '{"a": 1}')),
    ),
    "whole chat": ("chat", whole_chat(ADD, {"name": "add", "arguments": '{"a": 2}'})),
    "responses, the same place": (
        "responses",
        stream(
            added(EMPTY),
            piece('{"a": 1}'),
            done(FULL),
            added(call_item("c2", "add", "")),
            piece('{"a": 2}'),
            done(call_item("c2", "add", '{"a": 2}')),
            completed(),
        ),
    ),
    "responses, the same id": (
        "responses",
        stream(
            added(EMPTY),
            piece('{"a": 1}'),
            done(FULL),
            added(call_item("c1", "add", ""), output_index=1),
            piece('{"a": 2}', output_index=1),
            done(call_item("c1", "add", '{"a": 2}'), output_index=1),
            completed(FULL, call_item("c1", "add", '{"a": 2}')),
        ),
    ),
    "whole response, the same id": ("responses", document(response(FULL, call_item("c1", "add", '{"a": 2}')))),
    "responses, the second in the last event alone": (
        "responses",
        stream(added(EMPTY), piece('{"a": 1}'), completed(FULL, call_item("c2", "add", '{"a": 2}'))),
    ),
    "anthropic, the same place": (
        "anthropic",
        claude(tool_block("t1", "add", '{"a": 1}'), tool_block("t2", "add", '{"a": 2}')),
    ),
    "anthropic, the same place and id": (
        "anthropic",
        claude(tool_block("t1", "add", '{"a": 1}'), tool_block("t1", "add", '{"a": 2}')),
    ),
    "anthropic, no places": (
        "anthropic",
        claude(tool_block("t1", "add", '{"a": 1}', index=None), tool_block("t2", "add", '{"a": 2}', index=None)),
    ),
}


@pytest.mark.parametrize("form", [*ONE, *(f"{name} (two)" for name in TWO)])
async def test_a_call_runs_once_with_its_arguments_in_whatever_form_it_comes(form: str) -> None:
    wanted = [1, 2] if form.endswith(" (two)") else [1]
    api, answer = TWO[form.removesuffix(" (two)")] if wanted == [1, 2] else ONE[form]
    ran: list[int] = []

    def add(a: int) -> int:
        ran.append(a)
        return a

    is_whole = answer.headers["content-type"] != "text/event-stream"
    async with MiniAgents(), Wire(answer, says(api, "done", streamed=not is_whole)) as wire:
        replies = await wire.agent(api, tools=[add], stream=not is_whole).inquire("add")

    assert sorted(ran) == wanted
    assert str(replies[-1]) == "done"
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    ("api", "answer", "field"),
    [
        ("chat", chat(call_delta(0, "x", "add", [1])), r"choices\[0\].delta.tool_calls\[0\].function.arguments"),
        ("chat", chat(call_delta(0, "x", 7, "{}")), r"choices\[0\].delta.tool_calls\[0\].function.name"),
        ("chat", chat(chunk({"tool_calls": {"a": 1}})), r"choices\[0\].delta.tool_calls"),
        ("chat", chat(chunk({"tool_calls": [7]})), r"choices\[0\].delta.tool_calls\[0\]"),
        ("chat", chat(call_delta(0, "x", None, "{}")), "the name of tool call 0"),
        (
            "chat",
            whole_chat({"name": "add", "arguments": 7}),
            r"choices\[0\].message.tool_calls\[0\].function.arguments",
        ),
        ("chat", whole_chat({"name": None, "arguments": "{}"}), "the name of tool call 0"),
        ("responses", stream(added({**EMPTY, "name": 7}), completed()), "item.name"),
        ("responses", stream(added(EMPTY), piece([1]), completed()), "delta"),
        ("responses", stream(added(EMPTY), arguments([1]), completed()), "arguments"),
        ("responses", document(response({**FULL, "arguments": [1]})), r"output\[0\].arguments"),
        ("anthropic", claude(tool_block("t1", 7, "{}")), "content_block.name"),  # type: ignore[arg-type]
        ("anthropic", claude(block({"type": "tool_use", "id": "t1"})), "the name of tool call 0"),
        ("anthropic", document(message({"type": "tool_use", "name": "add", "input": [1]})), r"content\[0\].input"),
    ],
)
async def test_a_call_that_cannot_be_read_is_asked_for_again_and_its_field_is_named(
    api: str, answer: Answer, field: str
) -> None:
    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(MalformedResponseError, match=field):
            await wire.agent(api, stream=answer.headers["content-type"] == "text/event-stream").inquire("add")
    assert len(wire.requests) == 2


def test_calls_are_in_the_order_of_their_places() -> None:
    calls = ToolCalls()
    for place in (2, 0, 1):
        calls.piece(place, f"id{place}", f"tool{place}", "{}")

    assert [call.name for call in calls.all()] == ["tool0", "tool1", "tool2"]


def test_a_call_without_an_id_gets_one_that_no_other_has() -> None:
    calls = ToolCalls()
    calls.piece(0, "", "a", "{}")
    calls.piece(1, "", "b", "{}")

    assert len({call.id for call in calls.all()}) == 2
