"""What tools give back, and what becomes of those that end, hang or never begin."""

import argparse
import asyncio
import dataclasses
import datetime as dt
import decimal
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from miniagents import InteractionContext, Message, MiniAgents, TextMessage, UserMessage, miniagent
from miniagents.actors.threads import DaemonExecutor, use_daemon_threads
from miniagents.ext.llms import ImageMessage, ToolResultMessage
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api
from tests.ext.llms.test_tools import add, results_of, script_of


@dataclasses.dataclass
class Row:
    x: int


class Plain:
    pass


class WithText:
    def __str__(self) -> str:
        return 'a "table"'


class Dumped:
    def model_dump(self, *, mode: str) -> dict[str, str]:
        return {"mode": mode}


class Note(Message):
    text: str


async def later(result: Any = "awaited") -> Any:
    return result


def generator() -> Iterator[Any]:
    yield "one "
    yield None
    yield "two"


async def agenerator() -> AsyncIterator[Any]:
    yield "one "
    yield "two"


async def _given(result: Any) -> str:
    def tool() -> Any:
        return result() if callable(result) else result

    (text,) = await results_of(script_of(Call("tool")), tool)
    return text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "(no result)"),
        ("", ""),
        (2**70, str(2**70)),
        (decimal.Decimal("1.5"), "1.5"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        ({"a": [Row(1), {2}], (1, 2): decimal.Decimal(3)}, '{"a":[{"x":1},[2]],"(1, 2)":"3"}'),
        (Note("a").with_metadata(secret=1), '{"text":"a"}'),
        ([TextMessage("a")], '[{"content":"a","role":null}]'),
        (WithText, 'a "table"'),
        ([WithText()], '["a \\"table\\""]'),
        (Dumped, '{"mode":"json"}'),
        (later, "awaited"),
        (lambda: later(later()), "awaited"),
        (generator, "one two"),
        (agenerator, "one two"),
        (lambda: later(generator()), "one two"),
        (lambda: later(agenerator()), "one two"),
        (lambda: map(Row, (1, 2)), '{"x":1}\n{"x":2}\n'),
        (lambda: iter(()), ""),
    ],
)
async def test_a_result_reaches_the_model_as_text(result: Any, text: str) -> None:
    assert await _given(result) == text


@pytest.mark.parametrize("result", [Plain, lambda: [Plain()], lambda: {"a": Plain()}, lambda: [later()]])
async def test_a_result_that_is_neither_text_nor_data_is_refused(result: Callable[[], Any]) -> None:
    given = await _given(result)
    assert given.startswith("failed: ValueError: the tool returned ")
    assert "neither text nor data" in given
    assert " at 0x" not in given


async def test_an_async_generator_streams_to_whoever_listens() -> None:
    go_on = asyncio.Event()

    async def streamer() -> AsyncIterator[str]:
        yield "first"
        await go_on.wait()
        yield " second"

    async with MiniAgents():
        replies = aiter(ScriptedModel.fork(script=script_of(Call("streamer")), tools=[streamer]).inquire("Hi"))
        await anext(replies)
        tokens = aiter(await anext(replies))
        assert str(await anext(tokens)) == "first"
        go_on.set()
        assert str(await anext(tokens)) == " second"
        await anext(replies)


async def test_a_generator_is_closed_when_its_time_is_over() -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "more"
                await asyncio.sleep(1)
        finally:
            closed.append("closed")

    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script_of(Call("endless")), tools=[endless], tool_timeout=3).inquire(
            "Hi"
        )
    assert str(replies[1]).endswith("\nfailed: TimeoutError: it took longer than 3 s (tool_timeout)")
    assert closed == ["closed"]


@pytest.mark.real_time
@pytest.mark.parametrize("is_async", [True, False])
async def test_an_iterator_without_an_end_stops_with_its_call(is_async: bool) -> None:
    seen: list[int] = []

    def numbers() -> Iterator[str]:
        while True:
            seen.append(1)
            yield "x"

    async def wrapper() -> Iterator[str]:
        return numbers()

    tool: Any = wrapper if is_async else numbers
    async with MiniAgents():
        agent = ScriptedModel.fork(script=script_of(Call(tool.__name__)), tools=[tool], tool_timeout=0.05)
        replies = await agent.inquire("Hi")
    assert "it took longer than 0.05 s" in str(replies[1])[-100:]
    threads = [one for one in threading.enumerate() if one.name == "tools"]
    for thread in threads:
        thread.join(10)
    count = len(seen)
    await asyncio.sleep(0.01)
    assert len(seen) == count


# What would end the program


@pytest.mark.real_time
@each_api
@pytest.mark.parametrize("kind", ["sync", "async", "agent", "generator", "async generator", "approve"])
@pytest.mark.parametrize("error", [SystemExit(2), GeneratorExit("bye"), StopIteration(1)])
async def test_whatever_a_tool_raises_ends_its_call_alone(
    api: str, kind: str, error: BaseException, fake_provider: FakeProvider
) -> None:
    def sync_tool() -> None:
        raise error

    async def async_tool() -> None:
        raise error

    @miniagent
    async def agent_tool(ctx: InteractionContext) -> None:
        raise error

    def generator_tool() -> Iterator[str]:
        yield "a"
        raise error

    async def agenerator_tool() -> AsyncIterator[str]:
        yield "a"
        raise error

    tool: Any = {
        "sync": sync_tool,
        "async": async_tool,
        "agent": agent_tool,
        "generator": generator_tool,
        "async generator": agenerator_tool,
    }.get(kind, lambda: None)
    name = getattr(tool, "__name__", "tool").replace("<lambda>", "lambda")
    fake_provider.reset(
        Reply(calls=(Call(name, {"message": "x"} if kind == "agent" else {}), Call("add", {"a": 1}))), "ok"
    )
    options: dict[str, Any] = {}
    if kind == "approve":
        options["approve"] = lambda call: sync_tool() if call.name != "add" else True
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[tool, add], **options).inquire("Hi", timeout=20)
    _, result, other, last = replies
    assert isinstance(result, ToolResultMessage)
    assert result.is_error
    assert "failed: " in str(result)
    assert type(error).__name__ in str(result)
    assert (str(other), str(last)) == ("2", "ok")


async def test_what_a_parser_of_arguments_does_ends_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    def parse() -> None:
        argparse.ArgumentParser(prog="p").parse_args(["--no-such"])

    (result,) = await results_of(script_of(Call("parse")), parse)
    assert result == "failed: SystemExit: 2 (it ends the call of the tool, and nothing else)"


async def test_ctrl_c_is_the_programs_and_no_result() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    async with MiniAgents():
        replies = ScriptedModel.fork(script=script_of(Call("interrupted")), tools=[interrupted]).inquire("Hi")
        with pytest.raises(KeyboardInterrupt):
            await replies


# Threads


class Gate:
    """A tool that hangs until it opens."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def hang(self) -> str:
        self.opened.wait(20)
        return "late"


@pytest.fixture
def gate() -> Any:
    made = Gate()
    yield made
    made.opened.set()


@pytest.mark.real_time
async def test_tools_that_hang_do_not_keep_others_from_running(gate: Gate, log: list[dict[str, Any]]) -> None:
    def quick() -> str:
        return "quick"

    def answer(request: Any) -> Reply | str:
        if request.messages[-1].role == "tool":
            return "done"
        return Reply(calls=(Call(str(request.messages[-1])),))

    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script(answer), tools=[gate.hang, quick], tool_timeout=0.1)
        for replies in [agent.inquire("hang") for _ in range(200)]:
            assert "it took longer than 0.1 s" in str((await replies)[1])
        assert str((await agent.inquire("quick", tool_timeout=5.0))[1]) == "quick"
        named = [one for one in log if one["event"] == "llm.tool_thread_runs_on"]
        assert named[-1]["running"].startswith("hang (")
        gate.opened.set()


@pytest.mark.real_time
async def test_a_call_for_which_no_thread_was_free_says_what_they_run(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miniagents.ext.llms import tools

    monkeypatch.setattr(tools, "DaemonExecutor", functools.partial(DaemonExecutor, 2))
    ran: list[int] = []

    def never() -> None:
        ran.append(1)

    async with MiniAgents():
        both = ScriptedModel.fork(script=script_of(Call("hang"), Call("hang")), tools=[gate.hang]).inquire("Hi")
        await asyncio.sleep(0.05)
        script = script_of(Call("never"))
        replies = await ScriptedModel.fork(script=script, tools=[never], tool_timeout=0.05).inquire("Hi")
        gate.opened.set()
        await both
    assert str(replies[1]) == (
        "failed: TimeoutError: it took longer than 0.05 s (tool_timeout): no thread was free for it: they run hang (2)"
    )
    assert ran == []


@pytest.mark.real_time
async def test_a_system_that_ends_names_the_tools_that_it_leaves_behind(gate: Gate, log: list[dict[str, Any]]) -> None:
    use_daemon_threads(asyncio.get_running_loop(), DaemonExecutor(grace=0.05))
    async with MiniAgents():
        await ScriptedModel.fork(script=script_of(Call("hang")), tools=[gate.hang], tool_timeout=0.05).inquire("Hi")
    (left,) = [one for one in log if one["event"] == "shutdown.threads_left"]
    assert (left["executor"], left["calls"]) == ("tools", "hang")


@pytest.mark.parametrize("is_error", [False, True])
async def test_a_tool_that_returns_a_result_message_gives_its_parts_and_says_whether_it_has_failed(
    is_error: bool,
) -> None:
    parts = (UserMessage("look:"), ImageMessage(data=b"1", media_type="image/png"))

    async def look() -> ToolResultMessage:
        return ToolResultMessage("look: an image", parts=parts, is_error=is_error)

    script = script_of(Call("look", id="call-1"))
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, tools=[look]).inquire("Hi")

    result = ToolResultMessage("look: an image", call_id="call-1", name="look", parts=parts, is_error=is_error)
    assert replies.index(result) == 1
    assert result in script.requests[1].messages
