"""Tools that the provider runs: their blocks are streamed, kept, and sent back, and are no calls of own tools."""

from collections.abc import Mapping
from typing import Any

import pytest

from miniagents import MiniAgents, UserMessage
from miniagents.errors import MaxTurnsError
from miniagents.ext.llms import (
    Citation,
    HostedToolCall,
    HostedToolResult,
    NativeMessage,
    PartToken,
    ReplyMessage,
    ToolCall,
    ToolResultMessage,
    to_anthropic,
)
from tests.ext.llms.recorded_replies import (
    ANNOTATION,
    CITED,
    CODE,
    CODE_RESULT,
    COMPUTER,
    FAILED_SEARCH,
    FILE_SEARCH,
    INTERPRETER,
    MCP_CALL,
    MCP_ITEM,
    MCP_RESULT,
    SEARCH,
    SEARCH_RESULT,
    TOOL_USE,
    WEB_SEARCH,
    of_anthropic,
    of_responses,
    text,
    words_item,
)
from tests.ext.llms.wire import Wire, completion, document, says

pytestmark = pytest.mark.real_time

STREAMS = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
HOSTED: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


def population(city: str) -> int:
    """How many people live in a city."""
    return 2_100_000


def reply_of(replies: Any) -> ReplyMessage:
    (reply,) = [message for message in replies if isinstance(message, ReplyMessage)]
    return reply


OF_ANTHROPIC: dict[str, tuple[list[Mapping[str, Any]], list[str]]] = {
    "web search": (
        [text("I look. "), SEARCH, SEARCH_RESULT, CITED],
        ['web_search({"query":"Louvre"})', "Visit the Louvre (https://www.louvre.fr/en/visit)"],
    ),
    "a search that fails": (
        [SEARCH, FAILED_SEARCH, text("Nothing.")],
        ['web_search({"query":"Louvre"})', "max_uses_exceeded"],
    ),
    "code execution": ([CODE, CODE_RESULT, text("42.")], ['code_execution({"code":"print(6 * 7)"})', "42\n"]),
    "a server of MCP": ([MCP_CALL, MCP_RESULT, text("Hi.")], ['echo({"text":"hi"})', "hi, hi"]),
}


@STREAMS
@pytest.mark.parametrize("kind", list(OF_ANTHROPIC))
async def test_the_blocks_of_anthropics_tools_are_parts_and_go_back_unchanged(kind: str, streamed: bool) -> None:
    blocks, told = OF_ANTHROPIC[kind]
    async with Wire(of_anthropic(*blocks, streamed=streamed), says("anthropic")) as wire, MiniAgents():
        agent = wire.agent("anthropic", tools=[population, HOSTED], stream=streamed)
        replies = agent.inquire("Hi")
        tokens = [token async for promise in replies async for token in promise]
        await agent.inquire([UserMessage("Hi"), *await replies, UserMessage("Sure?")])

    reply = reply_of(await replies)
    call, result = (part for part in reply.parts if not isinstance(part, Citation))
    assert isinstance(call, HostedToolCall)
    assert isinstance(result, HostedToolResult)
    assert [str(call), str(result), result.name] == [*told, call.name]
    assert result.call_id == call.id
    assert result.is_error is (kind == "a search that fails")
    assert [token.part for token in tokens if isinstance(token, PartToken)] == list(reply.parts)
    assert "".join(map(str, tokens)) == reply.content
    assert reply.tool_calls == ()
    assert wire.requests[0]["tools"][1] == HOSTED
    assert wire.requests[1]["messages"][1] == {"role": "assistant", "content": blocks}


OF_OPENAI: dict[str, tuple[Mapping[str, Any], list[str]]] = {
    "web search": (WEB_SEARCH, ['web_search({"action":{"type":"search","query":"Louvre opening hours"}})']),
    "file search": (
        FILE_SEARCH,
        ['file_search({"queries":["opening hours"]})', "visit.md (visit.md)\nOpen until 6 pm."],
    ),
    "code interpreter": (INTERPRETER, ['code_interpreter({"code":"print(6 * 7)"})', "42\n"]),
    "a server of MCP": (MCP_ITEM, ['echo({"text":"hi"})', "hi, hi"]),
    "computer use": (COMPUTER, ['computer({"action":{"type":"click","x":1,"y":2,"button":"left"}})']),
}


@STREAMS
@pytest.mark.parametrize("kind", list(OF_OPENAI))
async def test_the_items_of_openais_tools_are_parts_and_go_back_unchanged(kind: str, streamed: bool) -> None:
    item, told = OF_OPENAI[kind]
    words = words_item("It is open until 6 pm.", ANNOTATION)
    async with Wire(of_responses(item, words, streamed=streamed), says("responses")) as wire, MiniAgents():
        agent = wire.agent("responses", tools=[population, {"type": "web_search"}], stream=streamed)
        replies = agent.inquire("Hi")
        tokens = [token async for promise in replies async for token in promise]
        await agent.inquire([UserMessage("Hi"), *await replies, UserMessage("Sure?")])

    reply = reply_of(await replies)
    *parts, citation = reply.parts
    assert [str(part) for part in parts] == told
    assert str(citation) == "[Visit the Louvre](https://www.louvre.fr/en/visit)"
    assert reply.citations == (citation,)
    assert [token.part for token in tokens if isinstance(token, PartToken)] == list(reply.parts)
    assert reply.tool_calls == ()
    assert wire.requests[0]["tools"][1] == {"type": "web_search"}
    assert wire.requests[1]["input"][1:3] == [item, words]


@STREAMS
async def test_a_call_that_the_user_has_to_carry_out_is_an_answer_without_text(streamed: bool) -> None:
    async with Wire(of_responses(COMPUTER, streamed=streamed), says("responses")) as wire, MiniAgents():
        agent = wire.agent("responses", tools=[{"type": "computer"}], stream=streamed)
        replies = await agent.inquire("Click.")
        shot = {"type": "computer_call_output", "call_id": "call_02", "output": {"type": "computer_screenshot"}}
        await agent.inquire([*replies, NativeMessage(api="openai", item=shot)])

    assert reply_of(replies).is_aside
    assert wire.requests[1]["input"] == [COMPUTER, shot]


async def test_the_citations_of_a_chat_completion_are_parts() -> None:
    fields = {name: value for name, value in ANNOTATION.items() if name != "type"}
    said = {"content": "Open.", "annotations": [{"type": "url_citation", "url_citation": fields}]}
    async with Wire(document(completion(said)), says("chat")) as wire, MiniAgents():
        agent = wire.agent("chat", stream=False)
        (reply,) = await agent.inquire("Hi")
        await wire.agent("chat").inquire([reply, "Sure?"])

    assert isinstance(reply, ReplyMessage)
    assert [str(citation) for citation in reply.citations] == ["[Visit the Louvre](https://www.louvre.fr/en/visit)"]
    assert wire.requests[1]["messages"][0] == {"role": "assistant", "content": "Open."}


@pytest.mark.parametrize("reader", ["chat", "responses"])
async def test_the_readable_results_of_anthropics_tools_are_text_for_other_models(reader: str) -> None:
    answer = of_anthropic(CODE, CODE_RESULT, text("So it is."), streamed=True)
    async with Wire(answer, says(reader)) as wire, MiniAgents():
        replies = await wire.agent("anthropic").inquire("6 * 7?")
        await wire.agent(reader).inquire([*replies, "Sure?"])

    said = wire.requests[1]["messages" if reader == "chat" else "input"][0]
    assert said == {"role": "assistant", "content": "[code_execution]\n42\n\n\nSo it is."}


PAUSED = [text("I search. "), SEARCH]


async def test_a_paused_turn_goes_on_with_its_own_blocks() -> None:
    first = of_anthropic(*PAUSED, streamed=True, reason="pause_turn", container={"id": "container_1"})
    second = of_anthropic(SEARCH_RESULT, CITED, streamed=True)
    async with Wire(first, second, says("anthropic")) as wire, MiniAgents():
        agent = wire.agent("anthropic", tools=[HOSTED])
        replies = await agent.inquire("Hi")
        await agent.inquire([UserMessage("Hi"), *replies, UserMessage("Sure?")])

    assert "".join(map(str, replies)) == "I search. It is open until 6 pm."
    assert wire.requests[1]["messages"][1] == {"role": "assistant", "content": PAUSED}
    assert wire.requests[1]["container"] == "container_1"
    assert wire.requests[2]["messages"][1]["content"] == [*PAUSED, SEARCH_RESULT, CITED]
    assert "container" not in wire.requests[2]


async def test_a_turn_that_is_always_paused_comes_to_an_end() -> None:
    async with Wire(of_anthropic(*PAUSED, streamed=True, reason="pause_turn")) as wire, MiniAgents():
        with pytest.raises(MaxTurnsError):
            await wire.agent("anthropic", tools=[HOSTED], max_turns=3).inquire("Hi")

    assert len(wire.requests) == 3


def test_a_hosted_call_without_a_result_is_left_out_when_the_conversation_goes_on() -> None:
    whole = ReplyMessage("I search. ", metadata=_blocks(*PAUSED))
    _, (_, said, _) = to_anthropic([UserMessage("Hi"), whole, UserMessage("And?")])
    assert said == {"role": "assistant", "content": "I search. "}

    empty = ReplyMessage("", metadata=_blocks(SEARCH))
    _, turns = to_anthropic([UserMessage("Hi"), empty, UserMessage("And?")])
    assert [turn["role"] for turn in turns] == ["user", "user"]


def test_a_result_without_its_call_is_left_out() -> None:
    _, (_, said) = to_anthropic([UserMessage("Hi"), ReplyMessage("Hm.", metadata=_blocks(SEARCH_RESULT, text("Hm.")))])

    assert said == {"role": "assistant", "content": "Hm."}


def _blocks(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    return {"blocks": {"api": "anthropic", "items": blocks}}


async def test_calls_of_a_tool_in_the_providers_words_are_left_to_the_caller() -> None:
    shell = {"type": "bash_20250124", "name": "bash"}
    call = {"type": "tool_use", "id": "toolu_02", "name": "bash", "input": {"command": "ls"}}
    answer = of_anthropic(TOOL_USE, call, streamed=True, reason="tool_use")
    async with Wire(answer, says("anthropic")) as wire, MiniAgents():
        agent = wire.agent("anthropic", tools=[population, shell])
        reply, result = await agent.inquire("Hi")
        mine = ToolResultMessage("a.txt", call_id="toolu_02", name="bash")
        await agent.inquire([UserMessage("Hi"), reply, result, mine])

    assert isinstance(reply, ReplyMessage)
    assert [type(one) for one in reply.tool_calls] == [ToolCall, ToolCall]
    assert str(result) == "2100000"
    results = wire.requests[1]["messages"][2]["content"]
    assert [block["content"] for block in results] == ["2100000", "a.txt"]


async def test_a_compaction_of_the_provider_goes_back_as_it_came() -> None:
    compaction = {"type": "compaction", "content": "They spoke of Paris.", "signature": "sig"}
    async with Wire(of_anthropic(compaction, text("Yes."), streamed=False), says("anthropic")) as wire, MiniAgents():
        replies = await wire.agent("anthropic", stream=False).inquire("Hi")
        await wire.agent("anthropic").inquire(["Hi", *replies, "Sure?"])

    assert wire.requests[1]["messages"][1]["content"] == [compaction, text("Yes.")]
