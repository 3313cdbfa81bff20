"""Histories stay well-formed, and messages map to the providers' dictionaries and back."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import AssistantMessage, Message, MiniAgents, SystemMessage, UserMessage
from miniagents.errors import EmptyConversationError
from miniagents.ext.llms import (
    AudioMessage,
    FileMessage,
    ImageMessage,
    ReplyMessage,
    ToolCall,
    ToolResultMessage,
    from_anthropic,
    from_openai,
    to_anthropic,
    to_openai,
    well_formed,
)
from miniagents.ext.llms.history_repair import is_blank
from miniagents.ext.llms.providers.openai_mapping import native, to_responses
from miniagents.messages.frozen import FrozenDict
from miniagents.testing import Call, FakeProvider, Reply
from miniagents.testing.refusals import refused_conversation
from tests.ext.llms.apis import agent_of, each_api


def calls(*ids: str) -> ReplyMessage:
    return ReplyMessage("", tool_calls=tuple(ToolCall(id=one, name="f") for one in ids))


def result(call_id: str) -> ToolResultMessage:
    return ToolResultMessage("r", call_id=call_id, name="f")


def test_a_call_without_a_result_gets_one() -> None:
    repaired, repairs = well_formed([UserMessage("Hi"), calls("1", "2"), result("1"), UserMessage("and?")])
    assert [str(message) for message in repaired[2:]] == ["r", "cancelled: no result", "and?"]
    assert repairs == ("call '2' of f had no result: cancelled",)


def test_a_result_without_a_call_and_a_second_one_are_left_out() -> None:
    repaired, repairs = well_formed([result("0"), calls("1"), result("1"), result("1")])
    assert repaired == (calls("1"), result("1"))
    assert len(repairs) == 2


def test_a_result_follows_its_call() -> None:
    repaired, _ = well_formed([calls("1"), UserMessage("meanwhile"), result("1")])
    assert repaired == (calls("1"), result("1"), UserMessage("meanwhile"))


_ids = st.sampled_from(["a", "b", "", "a_2", "functions.f:0", "x" * 60])
_messages = st.lists(
    st.one_of(
        st.builds(UserMessage, st.just("u")),
        st.lists(_ids, min_size=1, max_size=3).map(lambda ids: calls(*ids)),
        _ids.map(result),
        st.text(max_size=5).map(
            lambda text: ReplyMessage("", tool_calls=(ToolCall(id=text, name=text, arguments=text),))
        ),
        st.builds(AssistantMessage, st.just("a")),
    ),
    max_size=12,
)


@given(_messages)
def test_whatever_comes_no_provider_refuses_it(messages: list[Message]) -> None:
    repaired, _ = well_formed(messages)
    for path, body in (
        ("/v1/chat/completions", {"messages": to_openai(repaired)}),
        ("/v1/responses", {"input": to_responses(repaired)}),
        ("/v1/messages", {"messages": to_anthropic(repaired)[1]}),
    ):
        assert refused_conversation(path, body) is None or is_blank(repaired)
    assert well_formed(repaired) == (repaired, ())


@pytest.mark.real_time
@each_api
async def test_a_broken_history_from_outside_is_repaired_and_that_is_logged(
    api: str, fake_provider: FakeProvider, log: list[dict[str, object]]
) -> None:
    fake_provider.reset("goes on")
    async with MiniAgents():
        assert str(await agent_of(api, fake_provider).inquire(["Hi", calls("1"), "Go on"])) == "goes on"
    assert any(entry["event"] == "llm.history_repaired" for entry in log)


def ids_sent(api: str, body: Mapping[str, Any]) -> list[str]:
    """The ids of the calls in a request, and that of each result after them."""
    if api == "responses":
        return [item["call_id"] for item in body["input"] if "call_id" in item]
    if api == "openai":
        found = []
        for message in body["messages"]:
            found += [call["id"] for call in message.get("tool_calls") or ()]
            found += [message["tool_call_id"]] if "tool_call_id" in message else []
        return found
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    return [block.get("id") or block["tool_use_id"] for block in blocks if block["type"] in ("tool_use", "tool_result")]


@pytest.mark.real_time
@each_api
async def test_two_calls_with_one_id_and_two_turns_with_it_are_sent_with_ids_of_their_own(
    api: str, fake_provider: FakeProvider
) -> None:
    def add(a: int) -> int:
        return a

    one, two, three = (Call("add", {"a": number}, id="x") for number in (1, 2, 3))
    fake_provider.reset(Reply(calls=(one, two)), Reply(calls=(three,)), "done")
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[add]).inquire("Hi")
    assert [str(reply) for reply in replies][1:3] == ["1", "2"]
    ids = [ids_sent(api, exchange.body) for exchange in fake_provider.exchanges]
    first, second, third = dict.fromkeys(ids[2])
    assert ids[1] == [first, second, first, second]
    assert ids[2] == [*ids[1], third, third]
    assert first == "x"


@pytest.mark.real_time
@each_api
async def test_a_foreign_conversation_is_sent_in_letters_that_each_provider_takes(
    api: str, fake_provider: FakeProvider
) -> None:
    odd = ToolCall(id="functions.f:0", name="my tool!", arguments="{broken")
    none = ToolCall(id="", name="", arguments="")
    said = ReplyMessage("", tool_calls=(odd, none))
    fake_provider.reset("goes on")
    async with MiniAgents():
        assert str(await agent_of(api, fake_provider).inquire(["Hi", said, result("functions.f:0"), "?"])) == "goes on"
    assert ids_sent(api, fake_provider.last.body) == ["functions_f_0", "call"] * 2
    sent = repr(fake_provider.last.body)
    assert "my_tool_" in sent
    assert "my tool!" not in sent
    assert "unknown" in sent


@given(st.text())
def test_arguments_are_always_a_json_object_and_good_ones_stay_as_they_are(text: str) -> None:
    import json

    repaired, repairs = well_formed([ReplyMessage("", tool_calls=(ToolCall(id="1", name="f", arguments=text),))])
    (call,) = repaired[0].tool_calls  # type: ignore[attr-defined]
    arguments = json.loads(call.arguments)
    assert isinstance(arguments, dict)
    assert arguments == ({"invalid_json": text} if text.strip() else {})
    assert repairs
    good = ReplyMessage("", tool_calls=(ToolCall(id="1", name="f", arguments='{ "a" : 1 }'),))
    assert well_formed([good])[0][0] is good


@pytest.mark.parametrize("arguments", ["[1]", "1", "null", '{"a": NaN}', "[" * 10_000, '{"a": ' * 3000, "\ud83d"])
def test_what_strict_servers_do_not_take_as_arguments_is_sent_as_text(arguments: str) -> None:
    repaired, _ = well_formed([ReplyMessage("", tool_calls=(ToolCall(id="1", name="f", arguments=arguments),))])
    assert repaired[0].tool_calls[0].arguments.startswith('{"invalid_json":')  # type: ignore[attr-defined]


@pytest.mark.real_time
@each_api
@pytest.mark.parametrize("given", [(), ("",), ("  ", "\n"), (SystemMessage(" "),)])
async def test_a_conversation_that_says_nothing_is_refused_before_it_is_sent(
    api: str, given: tuple[str | Message, ...], fake_provider: FakeProvider
) -> None:
    async with MiniAgents():
        with pytest.raises(EmptyConversationError, match=r"/agents/\w+: there is nothing to send: .* give it system="):
            await agent_of(api, fake_provider).inquire(given)
    assert fake_provider.exchanges == []


@pytest.mark.real_time
@each_api
@pytest.mark.parametrize("given", [(), ("  ",)])
async def test_a_system_prompt_alone_is_sent_as_each_api_takes_it(
    api: str, given: tuple[str, ...], fake_provider: FakeProvider
) -> None:
    fake_provider.reset("Welcome!")
    async with MiniAgents():
        assert str(await agent_of(api, fake_provider, system="Greet.").inquire(given)) == "Welcome!"
    if api == "anthropic":
        assert fake_provider.last.body["system"] == "Greet."
        assert fake_provider.last.body["messages"] == [{"role": "user", "content": "/start"}]


CONVERSATION: tuple[Message, ...] = (
    SystemMessage("Be nice."),
    UserMessage("Hi"),
    ReplyMessage("Let me see", tool_calls=(ToolCall(id="1", name="f", arguments='{"a":1}'),)),
    ToolResultMessage("one", call_id="1", name="f"),
    AssistantMessage("It is one."),
)


def test_openais_dictionaries_and_back() -> None:
    assert from_openai(to_openai(CONVERSATION)) == CONVERSATION


def test_anthropics_dictionaries_and_back() -> None:
    system, dicts = to_anthropic(CONVERSATION)
    assert from_anthropic(dicts, system=system) == CONVERSATION


def test_images_and_files_and_back() -> None:
    given = (
        UserMessage("Look"),
        ImageMessage(data=b"x", media_type="image/png"),
        ImageMessage(url="https://example.com/a.png"),
    )
    assert from_openai(to_openai(given)) == given
    assert from_anthropic(to_anthropic(given)[1]) == given
    file = (FileMessage(data=b"x", media_type="application/pdf", filename="a.pdf"),)
    assert from_openai(to_openai(file)) == file


SOUND = AudioMessage(data=b"x", media_type="audio/mpeg")
CUSTOM_CALL = native(FrozenDict(type="custom_tool_call", call_id="c1", name="f", input="x"))
CUSTOM_OUTPUT = native(FrozenDict(type="custom_tool_call_output", call_id="c1", output="y"))
SEARCH = native(FrozenDict(type="web_search_call", id="ws_1", status="completed"))


def test_sound_files_by_id_and_custom_tools_as_chat_completions_and_back() -> None:
    both = ReplyMessage("", tool_calls=(ToolCall(id="c0", name="g"),))
    given = (UserMessage("Hear"), SOUND, FileMessage(file_id="file-1"), both, CUSTOM_CALL, result("c0"), CUSTOM_OUTPUT)
    dicts = to_openai(given)

    assert dicts[0]["content"][1:] == [
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    assert [call["id"] for call in dicts[1]["tool_calls"]] == ["c0", "c1"]
    assert from_openai(dicts) == (*given[:5], ToolResultMessage("r", call_id="c0", name="g"), CUSTOM_OUTPUT)
    assert to_openai([CUSTOM_CALL])[0]["role"] == "assistant"


def test_results_of_custom_tools_come_before_what_tools_show() -> None:
    calls = ReplyMessage("", tool_calls=(ToolCall(id="c0", name="g"),))
    shown = ToolResultMessage("", call_id="c0", name="g", parts=(ImageMessage(url="https://example.com/a.png"), SOUND))
    dicts = to_openai((calls, CUSTOM_CALL, shown, CUSTOM_OUTPUT))

    assert [one["role"] for one in dicts] == ["assistant", "tool", "tool", "user"]
    assert [part["type"] for part in dicts[-1]["content"]] == ["text", "image_url", "input_audio"]


def test_sound_files_by_id_and_items_as_an_input_of_responses() -> None:
    given = (SOUND, FileMessage(file_id="file-1"), ImageMessage(file_id="file-2"), SEARCH, CUSTOM_CALL)

    assert to_responses(given) == [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}}]},
        {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]},
        {"role": "user", "content": [{"type": "input_image", "file_id": "file-2"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"},
    ]


@pytest.mark.parametrize(
    ("message", "mapping", "what"),
    [
        (SEARCH, to_openai, "take no web_search_call"),
        (ImageMessage(file_id="file-1"), to_openai, "no image by its id"),
        (FileMessage(url="https://example.com/a.pdf"), to_openai, "no file by URL"),
        (AudioMessage(url="https://example.com/a.wav"), to_openai, "by its data alone"),
        (AudioMessage(url="https://example.com/a.wav"), to_responses, "by its data alone"),
        (SEARCH, to_anthropic, "only models of openai take a part of the kind 'web_search_call'"),
        (SOUND, to_anthropic, "no sound"),
        (FileMessage(file_id="file-1"), to_anthropic, "by an id of OpenAI's"),
    ],
)
def test_what_a_provider_does_not_take_is_an_error_that_says_so(message: Any, mapping: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        mapping([message])


def test_an_attachment_has_a_url_or_data_of_a_known_type() -> None:
    with pytest.raises(ValueError, match="one of"):
        ImageMessage()
    with pytest.raises(ValueError, match="one of"):
        FileMessage(url="https://example.com/a.pdf", file_id="file-1")
    with pytest.raises(ValueError, match="media_type"):
        ImageMessage(data=b"x")


def test_arguments_that_are_no_json_go_back_to_anthropic_as_they_were_said() -> None:
    broken = ReplyMessage("", tool_calls=(ToolCall(id="1", name="f", arguments="{broken"),))
    _, dicts = to_anthropic([UserMessage("Hi"), broken, result("1")])
    assert dicts[1]["content"][0]["input"] == {"invalid_json": "{broken"}
