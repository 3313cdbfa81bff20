"""Histories stay well-formed, and messages map to the providers' dictionaries and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import AssistantMessage, Message, MiniAgents, SystemMessage, UserMessage
from miniagents.ext.llms import (
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
from miniagents.testing import FakeProvider
from miniagents.testing.fake_provider import _unanswered_call
from tests.llms.apis import agent_of, each_api


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


_messages = st.lists(
    st.one_of(
        st.builds(UserMessage, st.just("u")),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(lambda ids: calls(*ids)),
        st.sampled_from("abc").map(result),
        st.builds(AssistantMessage, st.just("a")),
    ),
    max_size=12,
)


@given(_messages)
def test_whatever_comes_no_provider_refuses_it(messages: list[Message]) -> None:
    repaired, _ = well_formed(messages)
    assert _unanswered_call({"messages": to_openai(repaired)}) is None
    assert _unanswered_call({"messages": to_anthropic(repaired)[1]}) is None
    assert well_formed(repaired) == (repaired, ())


@pytest.mark.real_time
@each_api
async def test_a_broken_history_from_outside_is_repaired_and_that_is_logged(
    api: str, fake_provider: FakeProvider, log: list[dict[str, object]]
) -> None:
    fake_provider.reset("goes on")
    async with MiniAgents():
        assert str(await agent_of(api, fake_provider).inquire(["Hi", calls("1"), "Go on"])) == "goes on"
    assert any(entry["event"] == "a history was repaired" for entry in log)


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


def test_an_attachment_has_a_url_or_data_of_a_known_type() -> None:
    with pytest.raises(ValueError, match="not both"):
        ImageMessage()
    with pytest.raises(ValueError, match="media_type"):
        ImageMessage(data=b"x")


def test_arguments_that_are_no_json_go_back_to_anthropic_as_they_were_said() -> None:
    broken = ReplyMessage("", tool_calls=(ToolCall(id="1", name="f", arguments="{broken"),))
    _, dicts = to_anthropic([UserMessage("Hi"), broken, result("1")])
    assert dicts[1]["content"][0]["input"] == {"invalid_json": "{broken"}
