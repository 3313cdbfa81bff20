"""Scripts in a durable system: known by their replies, in each process."""

from types import SimpleNamespace
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import JobConflictError, LLMError
from miniagents.journal import MemoryJournal
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.hash_seeds import printed

_PROGRAM = "from tests.testing.test_script import a_script; print(a_script().journal_key)"


def _said(request: Any) -> str:
    return f"You said {request}"


def a_script() -> Script:
    return Script(Reply(calls=(Call("pay", {"names": {"ann", "bob", "cat"}}),)), Reply(iter(["a", "b"])), _said, "done")


def test_the_key_of_a_script_is_the_same_in_each_process() -> None:
    keys = {printed(_PROGRAM, seed) for seed in ("1", "2")}

    assert keys == {a_script().journal_key}


def test_each_reply_is_in_the_key_of_a_script_whether_it_was_sent_or_not() -> None:
    script = a_script()
    key = script.journal_key
    script.next("request")

    assert script.journal_key == key
    others = {Script("done").journal_key, Script("other").journal_key, Script(Reply("done", delay=1)).journal_key}
    assert len({key, script.then("more").journal_key, *others}) == 5


def pay() -> str:
    """Pay."""
    return "paid"


_process = SimpleNamespace(number=1)


def _turn(request: Any) -> Reply:
    """Call the tool, and answer its result in the second process only."""
    if len(request.messages) == 1:
        return Reply(calls=(Call("pay", id="call-1"),))
    return Reply("It is paid.") if _process.number == 2 else Reply.failure(400)


async def test_a_request_of_a_scripted_model_is_answered_from_the_journal_in_the_next_process() -> None:
    _process.number = 1
    journal, scripts = MemoryJournal(), (Script(_turn), Script(_turn))
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        with pytest.raises(LLMError):
            await mini.run_job("clerk", ScriptedModel.fork(script=scripts[0], tools=[pay]), "Pay.")
    _process.number = 2
    async with MiniAgents(journal=journal, durable_agents=True) as mini:
        replies = mini.run_job("clerk", ScriptedModel.fork(script=scripts[1], tools=[pay]), "Pay.")
        assert str(await replies.answer()) == "It is paid."

    assert [len(script.requests) for script in scripts] == [2, 1]


async def test_another_script_under_the_name_of_a_job_is_a_conflict() -> None:
    async with MiniAgents(journal=MemoryJournal(), durable_agents=True) as mini:
        await mini.run_job("greet", ScriptedModel, "Hi", script=Script("Hello!"))
        with pytest.raises(JobConflictError, match="live arguments"):
            await mini.run_job("greet", ScriptedModel, "Hi", script=Script("Good day!"))
