"""Spans: which there are, whose children they are, and what they say."""

import asyncio
import importlib.metadata
import json
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode

import miniagents
from miniagents import (
    Actor,
    ActorContext,
    Backoff,
    DataMessage,
    InteractionContext,
    Message,
    MiniAgents,
    RetryPolicy,
    TextMessage,
    miniagent,
)
from miniagents.errors import AskTimeoutError, PromiseCancelledError
from miniagents.ext.llms import openai_embedding_agent
from miniagents.ext.telemetry import Telemetry, instrument, trace_context
from miniagents.testing import Call, FakeProvider, Fault, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api
from tests.ext.telemetry.seen import Seen, attributes_of


@miniagent
async def writer(ctx: InteractionContext) -> None:
    """Writes."""
    ctx.reply(f"written: {await ctx.message_promises}")


class Desk(Actor):
    """A lean actor between two agents."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return TextMessage(str(await writer.inquire(str(message))))


@miniagent
async def editor(ctx: InteractionContext) -> None:
    desk = ctx.system.lookup("/desk")
    assert desk is not None
    ctx.reply(await desk.ask(TextMessage("please")))


@miniagent
async def publisher(ctx: InteractionContext) -> None:
    ctx.reply(editor.inquire())


@miniagent
async def failing(ctx: InteractionContext) -> None:
    raise ValueError("the secret of the customer")


@miniagent
async def sleeping(ctx: InteractionContext) -> None:
    await asyncio.sleep(3600)


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


async def test_spans_name_the_version_of_the_code_also_where_no_package_is_installed(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    async with MiniAgents() as system:
        seen.instrument(system)
        await writer.inquire("x")

    (span,) = seen.spans
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.version == miniagents.__version__


async def test_a_trace_crosses_three_agents_and_a_lean_actor(seen: Seen) -> None:
    async with MiniAgents() as system:
        system.spawn(Desk, name="desk")
        seen.instrument(system)
        with seen.tracer.start_as_current_span("GET /"):
            replies = publisher.inquire()
        assert str(await replies) == "written: please"

    assert seen.tree() == {
        "GET /": None,
        "invoke_agent publisher": "GET /",
        "invoke_agent editor": "invoke_agent publisher",
        "invoke_agent writer": "invoke_agent editor",
    }
    assert len({span.context.trace_id for span in seen.spans if span.context}) == 1


async def test_a_lean_actor_that_is_asked_from_outside_belongs_to_the_span_of_its_caller(seen: Seen) -> None:
    async with MiniAgents() as system:
        desk = system.spawn(Desk, name="desk")
        seen.instrument(system)
        with seen.tracer.start_as_current_span("ask"):
            await desk.ask(TextMessage("a"))
        with seen.tracer.start_as_current_span("tell"):
            desk.tell(TextMessage("b"))
        with seen.tracer.start_as_current_span("send"):
            await desk.send(TextMessage("c"))

    parents = {span.context.span_id: span.name for span in seen.spans if span.context}
    written = [span for span in seen.spans if span.name == "invoke_agent writer"]
    assert sorted(parents[span.parent.span_id] for span in written if span.parent) == ["ask", "send", "tell"]


async def test_spans_of_a_lean_actors_own_belong_to_the_message_in_hand(seen: Seen) -> None:
    class Looks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            assert not trace.get_current_span().get_span_context().is_valid
            with seen.tracer.start_as_current_span("look up", context=trace_context()):
                assert trace_context() == trace.set_span_in_context(trace.get_current_span())

    async with MiniAgents() as system:
        looks = system.spawn(Looks)
        seen.instrument(system)
        with seen.tracer.start_as_current_span("GET /"):
            await looks.ask(TextMessage("a"))

    assert seen.tree()["look up"] == "GET /"


async def test_what_an_agent_does_is_below_its_span_and_its_own_spans_are_parents_too(seen: Seen) -> None:
    @miniagent
    async def careful(ctx: InteractionContext) -> None:
        with seen.tracer.start_as_current_span("step"):
            ctx.reply(await writer.inquire("a"))

    async with MiniAgents() as system:
        seen.instrument(system)
        await careful.inquire()

    assert seen.tree() == {
        "invoke_agent careful": None,
        "step": "invoke_agent careful",
        "invoke_agent writer": "step",
    }


async def test_a_lazy_call_belongs_to_the_span_that_made_it_not_to_the_one_that_awaits_it(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        with seen.tracer.start_as_current_span("made"):
            replies = writer.inquire("a", start_soon=False)
        with seen.tracer.start_as_current_span("awaited"):
            await replies

    assert seen.tree()["invoke_agent writer"] == "made"


async def test_a_plain_message_to_an_agent_is_an_interaction_of_its_senders_trace(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        ref = system.spawn(writer, name="writer")
        with seen.tracer.start_as_current_span("ask"):
            answer = await ref.ask(DataMessage({"a": 1}))
        assert "written" in str(answer)

    assert seen.tree()["invoke_agent writer"] == "ask"


async def test_an_interaction_says_which_agent_where_and_which_number(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        await writer.inquire("a")

    span = seen.span("invoke_agent writer")
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "miniagents",
        "gen_ai.agent.name": "writer",
        "gen_ai.agent.description": "Writes.",
        "miniagents.actor.path": "/agents/writer",
        "miniagents.interaction.id": 1,
    }


async def test_an_interaction_lasts_until_its_replies_are_whole(seen: Seen) -> None:
    @miniagent
    async def slow(ctx: InteractionContext) -> None:
        await asyncio.sleep(3)
        ctx.reply("at last")

    @miniagent
    async def hands_on(ctx: InteractionContext) -> None:
        ctx.reply(slow.inquire())  # it returns at once

    async with MiniAgents() as system:
        seen.instrument(system)
        await hands_on.inquire()

    span = seen.span("invoke_agent hands_on")
    assert span.end_time is not None
    assert span.start_time is not None
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(3)


async def test_an_error_is_recorded_by_its_class_in_every_agent_that_it_passes_through(seen: Seen) -> None:
    @miniagent
    async def above(ctx: InteractionContext) -> None:
        ctx.reply(failing.inquire())

    async with MiniAgents() as system:
        seen.instrument(system)
        with pytest.raises(ValueError, match="secret"):
            await above.inquire()

    for name in ("invoke_agent failing", "invoke_agent above"):
        span = seen.span(name)
        assert attributes_of(span)["error.type"] == "ValueError"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()


@miniagent
class Cautious:
    """An agent of a class, whose crash replaces its instance."""

    async def __call__(self, ctx: InteractionContext) -> None:
        raise AskTimeoutError("no")


async def test_an_error_that_arrives_as_a_message_is_an_error_all_the_same(seen: Seen) -> None:
    async with MiniAgents(errors_as_messages=True) as system:
        seen.instrument(system)
        assert "secret" in str(await failing.inquire())

    assert attributes_of(seen.span("invoke_agent failing"))["error.type"] == "ValueError"


async def test_attempts_of_an_agent_are_one_interaction(seen: Seen) -> None:
    attempts: list[int] = []

    @miniagent(retry=RetryPolicy(attempts=3))
    async def third_time_lucky(ctx: InteractionContext) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError
        ctx.reply("ok")

    async with MiniAgents() as system:
        seen.instrument(system)
        assert str(await third_time_lucky.inquire()) == "ok"

    assert seen.span("invoke_agent third_time_lucky").status.status_code is StatusCode.UNSET


async def test_an_error_of_our_own_or_of_a_library_is_recorded_with_its_module(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        with pytest.raises(AskTimeoutError):
            await Cautious.inquire()  # type: ignore[attr-defined]

    assert attributes_of(seen.span("invoke_agent Cautious"))["error.type"] == "miniagents.errors.AskTimeoutError"


async def test_a_cancellation_is_recorded_as_one_all_the_way_down(seen: Seen) -> None:
    script = Script(Reply("never", fault=Fault.STALL))

    @miniagent
    async def above(ctx: InteractionContext) -> None:
        ctx.reply(ScriptedModel.fork(script=script).inquire("Hi"))

    async with MiniAgents() as system:
        seen.instrument(system)
        replies = above.inquire()
        await asyncio.sleep(1)
        replies.cancel("the client went away")
        with pytest.raises(PromiseCancelledError):
            await replies

    assert [(span.name, attributes_of(span).get("error.type")) for span in seen.spans] == [
        ("invoke_agent above", "cancelled"),
        ("invoke_agent ScriptedModel", "cancelled"),
        ("chat scripted", "cancelled"),
    ]
    assert all(span.status.status_code is StatusCode.ERROR for span in seen.spans)
    assert "went away" not in str([span.to_json() for span in seen.spans])


async def test_a_deadline_and_the_end_of_the_system_end_spans_too(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        with pytest.raises(AskTimeoutError):
            await sleeping.inquire(timeout=1.0)
    with pytest.raises(KeyError):
        async with MiniAgents() as system:
            seen.instrument(system)
            replies = sleeping.inquire()
            await asyncio.sleep(1)
            raise KeyError
    assert isinstance(replies.exception(), PromiseCancelledError)

    kinds = [attributes_of(span)["error.type"] for span in seen.spans]
    assert sorted(kinds) == ["cancelled", "miniagents.errors.AskTimeoutError"]


async def test_a_model_call_and_a_tool_call_are_children_of_their_agent(seen: Seen) -> None:
    script = Script(Reply(calls=(Call("add", {"a": 1, "b": 2}, id="call_7"),)), Reply("three", input_tokens=20))
    async with MiniAgents() as system:
        seen.instrument(system)
        model = ScriptedModel.fork(script=script, tools=[add], temperature=0.5, max_tokens=100, stop=["."], seed=7)
        await model.inquire("Hi")

    agent, first, tool, second = seen.spans
    assert [span.name for span in seen.spans] == [
        "invoke_agent ScriptedModel",
        "chat scripted",
        "execute_tool add",
        "chat scripted",
    ]
    assert agent.context is not None
    assert all(span.parent and span.parent.span_id == agent.context.span_id for span in (first, tool, second))
    assert (first.kind, tool.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert attributes_of(second) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": (".",),
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "scripted",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.0,
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 1,
    }
    assert attributes_of(tool) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.call.id": "call_7",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Adds.",
        "gen_ai.agent.name": "ScriptedModel",
    }


async def test_what_a_tool_does_is_below_its_span_in_a_thread_too(seen: Seen) -> None:
    def blocking() -> str:
        with seen.tracer.start_as_current_span("query"):
            return "rows"

    script = Script(Reply(calls=(Call("writer", {"message": "a"}), Call("blocking"))), "done")
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=script, tools=[writer, blocking]).inquire("Hi")

    tree = seen.tree()
    assert tree["query"] == "execute_tool blocking"
    assert tree["invoke_agent writer"] == "execute_tool writer"
    assert tree["execute_tool blocking"] == "invoke_agent ScriptedModel"


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (Call("fails"), "ZeroDivisionError"),
        (Call("hangs"), "TimeoutError"),
        (Call("fails", '{"not": "its argument"}'), "msgspec.ValidationError"),
    ],
)
async def test_a_tool_that_fails_says_how(tool: Call, expected: str, seen: Seen) -> None:
    async def fails() -> float:
        return 1 / 0

    async def hangs() -> None:
        await asyncio.sleep(3600)

    script = Script(Reply(calls=(tool,)), "well")
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=script, tools=[fails, hangs], tool_timeout=5.0).inquire("Hi")

    span = seen.span(f"execute_tool {tool.name}")
    assert attributes_of(span)["error.type"] == expected
    assert span.status.status_code is StatusCode.ERROR
    assert seen.span("invoke_agent ScriptedModel").status.status_code is StatusCode.UNSET


async def test_a_tool_that_is_cut_off_ends_its_span_in_its_own_context(
    seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs() -> None:
        await asyncio.sleep(3600)

    script = Script(Reply(calls=(Call("hangs"), Call("sleeping", {"message": "a"}))), "well")
    async with MiniAgents() as system:
        seen.instrument(system)
        replies = ScriptedModel.fork(script=script, tools=[hangs, sleeping]).inquire("Hi")
        await asyncio.sleep(1)
        replies.cancel()

    kinds = {span.name: attributes_of(span).get("error.type") for span in seen.spans}
    assert (
        kinds["execute_tool hangs"] == kinds["execute_tool sleeping"] == kinds["invoke_agent sleeping"] == "cancelled"
    )
    assert caplog.records == []


async def test_a_tool_that_does_not_exist_has_no_span(seen: Seen) -> None:
    script = Script(Reply(calls=(Call("made_up_by_the_model"),)), "well")
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=script, tools=[add]).inquire("Hi")

    assert "made_up_by_the_model" not in str([span.to_json() for span in seen.spans])


async def test_every_attempt_is_a_span_and_the_pause_between_them_is_in_none(seen: Seen) -> None:
    script = Script(Reply.rate_limited(), Reply("ok", delay=2.0))
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=script, retry=RetryPolicy(backoff=Backoff(60.0, 60.0))).inquire("Hi")

    first, second = [span for span in seen.spans if span.name == "chat scripted"]
    assert attributes_of(first)["error.type"] == "miniagents.errors.RateLimitedError"
    assert "error.type" not in attributes_of(second)
    assert first.end_time == first.start_time
    assert second.start_time is not None
    assert second.end_time is not None
    assert (second.end_time - second.start_time) / 1e9 == pytest.approx(2)
    assert attributes_of(second)["gen_ai.response.time_to_first_chunk"] == pytest.approx(2)


async def test_estimated_tokens_are_not_reported(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=Script(Reply("words words", reports_usage=False))).inquire("Hi")

    assert "gen_ai.usage.input_tokens" not in attributes_of(seen.span("chat scripted"))
    assert seen.points("gen_ai.client.token.usage") == []


@pytest.mark.real_time
@each_api
async def test_a_real_request_says_whom_it_went_to(api: str, fake_provider: FakeProvider, seen: Seen) -> None:
    fake_provider.reset(Reply("Hello", input_tokens=3))
    async with MiniAgents() as system:
        seen.instrument(system)
        await agent_of(api, fake_provider).inquire("Hi")

    (span,) = [span for span in seen.spans if span.name.startswith("chat ")]
    found = attributes_of(span)
    assert found["gen_ai.provider.name"] == ("anthropic" if api == "anthropic" else "openai")
    assert found["server.address"] == "127.0.0.1"
    assert f":{found['server.port']}" in fake_provider.url
    assert found["gen_ai.usage.input_tokens"] == 3


async def test_every_attribute_of_a_span_is_one_of_the_conventions_or_our_own(seen: Seen) -> None:
    known = {
        value
        for module in (gen_ai_attributes, error_attributes, server_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    script = Script(Reply(calls=(Call("add", {"a": 1, "b": 2}), Call("add", "broken"))), Reply("ok", cached_tokens=1))
    async with MiniAgents() as system:
        seen.instrument(system, capture_content=True)
        await ScriptedModel.fork(script=script, tools=[add], top_k=3, output=int, repairs=0).inquire(
            "Hi", errors_as_messages=True
        )

    used = {name for span in seen.spans for name in attributes_of(span)}
    assert {name for name in used - known if not name.startswith("miniagents.")} == set()
    assert len(used) > 20


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A conversation in which everything is a secret."""
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)

    async def converse(seen: Seen, capture_content: bool | None = None) -> str:
        def whisper(word: str) -> str:
            """Whispers."""
            return f"secret result of {word}"

        script = Script(
            Reply("secret reply", calls=(Call("whisper", {"word": "secret argument"}, id="call_7"),)), "secret end"
        )
        async with MiniAgents() as system:
            seen.instrument(system, capture_content)
            model = ScriptedModel.fork(script=script, tools=[whisper], system="secret instructions")
            await model.inquire("secret prompt")
            with pytest.raises(ValueError, match="secret"):
                await failing.inquire("secret question")
            failed = failing.inquire()
            failed.cancel("secret reason")
            with pytest.raises(PromiseCancelledError):
                await failed
        return str([span.to_json() for span in seen.spans])

    return converse


async def test_nothing_of_what_is_said_is_recorded(said: Any, seen: Seen) -> None:
    assert "secret" not in await said(seen)


async def test_what_is_said_is_recorded_for_those_who_ask(
    said: Any, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await said(seen, capture_content=True)
    for word in ("prompt", "reply", "argument", "result", "end", "instructions", "question", "of the customer"):
        assert f"secret {word}" in text, word
    first = next(span for span in seen.spans if span.name == "chat scripted")
    call = {"type": "tool_call", "id": "call_7", "name": "whisper", "arguments": {"word": "secret argument"}}
    assert json.loads(attributes_of(first)["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "secret reply"}, call],
            "finish_reason": "tool_calls",
        }
    ]

    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    by_environment = Seen()
    async with MiniAgents() as system:
        by_environment.instrument(system)
        await ScriptedModel.fork(script=Script("hidden")).inquire("Hi")
    assert "hidden" in str([span.to_json() for span in by_environment.spans])


async def test_uninstrument_ends_it_and_open_spans_with_it(seen: Seen) -> None:
    async with MiniAgents() as system:
        with seen.instrument(system) as telemetry:
            with pytest.raises(RuntimeError, match="instrumented already"):
                seen.instrument(system)
            replies = sleeping.inquire()
            await asyncio.sleep(1)
        telemetry.uninstrument()
        await writer.inquire("a")
        replies.cancel()

    assert [span.name for span in seen.spans] == ["invoke_agent sleeping"]
    assert not list(system.observers)


async def test_telemetry_that_fails_is_logged_and_stops_nobody(seen: Seen, log: list[Any]) -> None:
    async with MiniAgents() as system:
        telemetry = seen.instrument(system)
        telemetry._tracer = None  # type: ignore[assignment]
        replies = await ScriptedModel.fork(
            script=Script(Reply(calls=(Call("add", {"a": 1, "b": 2}),)), "ok"), tools=[add]
        ).inquire("Hi")
        assert str(replies[-1]) == "ok"

    assert {entry["event"] for entry in log if entry["log_level"] == "error"} == {"observer.failed"}


async def test_without_providers_nothing_is_recorded_and_all_goes_on() -> None:
    async with MiniAgents() as system:
        instrument(system)
        assert str(await ScriptedModel.fork(script=Script("ok")).inquire("Hi")) == "ok"


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from miniagents import MiniAgents\nfrom miniagents.errors import MissingDependencyError\n"
        "from miniagents.ext.telemetry import instrument, trace_context\n"
        "for call in (lambda: instrument(MiniAgents()), trace_context):\n"
        "    try: call()\n"
        "    except MissingDependencyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.count("pip install 'miniagents[telemetry]'") == 2


@pytest.mark.real_time
async def test_embeddings_are_an_operation_of_their_own(fake_provider: FakeProvider, seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        await openai_embedding_agent.fork(model="text-embedding-3-small", **fake_provider.openai).inquire("Hi")

    (span,) = [span for span in seen.spans if span.name == "embeddings text-embedding-3-small"]
    found = attributes_of(span)
    assert found["gen_ai.operation.name"] == "embeddings"
    assert found["gen_ai.usage.input_tokens"] > 0
    assert "gen_ai.request.max_tokens" not in found


@pytest.mark.real_time
async def test_a_call_from_another_thread_belongs_to_the_span_of_that_thread(seen: Seen) -> None:
    def elsewhere(system: MiniAgents) -> None:
        with seen.tracer.start_as_current_span("in a thread"):
            system.from_thread.inquire(writer, "a").result(timeout=10)

    async with MiniAgents() as system:
        seen.instrument(system)
        await asyncio.to_thread(elsewhere, system)

    assert seen.tree()["invoke_agent writer"] == "in a thread"


async def test_telemetry_among_the_observers_of_a_system_sees_it_from_its_start(seen: Seen) -> None:
    telemetry = Telemetry(tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider)
    async with MiniAgents(observers=[telemetry]):
        await writer.inquire("a")
        assert seen.points("miniagents.actors") != []

    assert "invoke_agent writer" in seen.tree()
    telemetry.uninstrument()
