"""The messages of a call of an LLM agent, repaired as they are added."""

from typing import Any

import pytest

from miniagents import MiniAgents, UserMessage
from miniagents.ext.llms import ReplyMessage, ToolCall, ToolResultMessage, conversation, well_formed
from miniagents.ext.llms.conversation import Conversation
from miniagents.ext.llms.sound import sound_message
from miniagents.messages import Message
from miniagents.testing import Call, Reply, Script, ScriptedModel


def calling(*ids: str, arguments: str = "{}") -> ReplyMessage:
    return ReplyMessage("", tool_calls=tuple(ToolCall(id=id, name="f", arguments=arguments) for id in ids))


def result(call_id: str, text: str = "done") -> ToolResultMessage:
    return ToolResultMessage(text, call_id=call_id, name="f")


def test_turns_that_are_added_are_what_repairing_the_whole_conversation_gives() -> None:
    turns = [
        (calling("1"), [result("1")]),
        (calling("1", "1"), [result("1", "a"), result("1", "b")]),
        (calling("odd id", arguments="no JSON"), [result("odd id")]),
        (calling("\ud83d", "\ud83e"), [result("\ud83d"), result("\ud83e")]),
    ]
    added = Conversation([UserMessage("Hi")])
    for reply, results in turns:
        added.add_turn(reply, results)

    whole = well_formed([UserMessage("Hi"), *(m for reply, results in turns for m in (reply, *results))])[0]
    assert added.messages == whole
    assert well_formed(added.messages) == (added.messages, ())


def test_an_id_of_the_history_is_not_given_again() -> None:
    added = Conversation([UserMessage("Hi"), calling("1"), result("1")])
    added.add_turn(calling("1"), [result("1")])

    reply, answer = added.messages[-2:]
    assert isinstance(reply, ReplyMessage)
    assert isinstance(answer, ToolResultMessage)
    assert reply.tool_calls[0].id == answer.call_id == "1_2"


def test_texts_with_halves_of_letters_are_sound_however_they_are_added() -> None:
    added = Conversation([UserMessage("\ud83d")])
    added.add(UserMessage("\ud83e"))
    added.add_turn(calling("1"), [result("1", "\ud83f")])

    assert [str(message) for message in added.messages if not isinstance(message, ReplyMessage)] == ["\ufffd"] * 3


async def look_up(number: int) -> str:
    """Look up a number."""
    return str(number)


async def test_a_turn_repairs_its_own_messages_alone_and_requests_share_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repaired: list[Message] = []

    def counted(message: Message) -> Message:
        repaired.append(message)
        return sound_message(message)

    monkeypatch.setattr(conversation, "sound_message", counted)
    script = Script(*(Reply(calls=(Call("look_up", {"number": n}),)) for n in range(10)), "ok")
    async with MiniAgents():
        await ScriptedModel.fork(script=script, tools=(look_up,)).inquire("Hi")

    requests: list[Any] = script.requests
    assert [len(request.messages) for request in requests] == [1 + 2 * turn for turn in range(11)]
    assert len(repaired) == 1 + 2 * 10
    last = requests[-1].messages
    assert all(a is b for request in requests for a, b in zip(request.messages, last, strict=False))
