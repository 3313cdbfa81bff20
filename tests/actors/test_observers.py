"""The observers of a system: who is told what, and what that costs."""

import asyncio
import time
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    EventKind,
    InteractionContext,
    Message,
    MiniAgents,
    ObservedCall,
    Observer,
    TextMessage,
    miniagent,
)
from miniagents.errors import InvalidOptionError
from miniagents.ext.telemetry import instrument
from miniagents.testing import Call, Reply, Script, ScriptedModel, VirtualTimeLoop


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class TraceOfSender(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        envelope = ctx.self._cell.current
        return TextMessage(str(getattr(envelope, "trace", None)))


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


@miniagent
async def failing(ctx: InteractionContext) -> None:
    raise LookupError("nothing there")


async def add(a: int, b: int) -> int:
    return a + b


class Following:
    """Notes how a model request or a tool call goes on."""

    def __init__(self, noted: list[str], name: str) -> None:
        self.noted = noted
        self.name = name
        self.pieces = 0

    def piece(self, piece: object) -> None:
        self.pieces += 1

    def ended(self, answer: Any, error: BaseException | None) -> None:
        self.noted.append(f"{self.name} ended, pieces: {self.pieces > 0}, error: {error!r}")


class NotesCalls(Observer):
    def __init__(self) -> None:
        self.noted: list[str] = []

    def interaction_started(self, interaction: Any) -> None:
        self.noted.append(f"started {interaction.agent.alias}")

    def interaction_ended(self, interaction: Any) -> None:
        self.noted.append(f"ended {interaction.agent.alias}, error: {interaction.error!r}")


class NotesModels(Observer):
    def __init__(self) -> None:
        self.noted: list[str] = []

    def model_called(self, interaction: Any, provider: Any, request: Any) -> ObservedCall | None:
        self.noted.append("model called")
        return Following(self.noted, "model")

    def tool_called(self, interaction: Any, tool: Any, call: Any) -> ObservedCall | None:
        self.noted.append("tool called")
        return Following(self.noted, "tool")


class NotesEnds(Observer):
    def __init__(self) -> None:
        self.noted: list[str] = []

    def actor_ended(self, cell: Any) -> None:
        self.noted.append(cell.path)


class Traces(Observer):
    def __init__(self, trace: object) -> None:
        self.trace = trace

    def outer_trace(self) -> object:
        return self.trace


class Failing(Observer):
    """Overrides every hook, and each raises."""

    def outer_trace(self) -> object:
        raise RuntimeError("outer_trace")

    def actor_ended(self, cell: Any) -> None:
        raise RuntimeError("actor_ended")

    def interaction_started(self, interaction: Any) -> None:
        raise RuntimeError("interaction_started")

    def interaction_ended(self, interaction: Any) -> None:
        raise RuntimeError("interaction_ended")

    def model_called(self, interaction: Any, provider: Any, request: Any) -> ObservedCall | None:
        raise RuntimeError("model_called")

    def tool_called(self, interaction: Any, tool: Any, call: Any) -> ObservedCall | None:
        raise RuntimeError("tool_called")

    def answer_awaited(self, interaction: Any, wait: Any) -> ObservedCall | None:
        raise RuntimeError("answer_awaited")


class FailsWhileFollowing(Observer):
    def model_called(self, interaction: Any, provider: Any, request: Any) -> ObservedCall | None:
        return _FailingCall()


class _FailingCall:
    def piece(self, piece: object) -> None:
        raise RuntimeError("piece")

    def ended(self, answer: Any, error: BaseException | None) -> None:
        raise RuntimeError("ended")


@miniagent
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(await ctx.wait_for("approval"))


class NotesWaits(Observer):
    def __init__(self) -> None:
        self.noted: list[str] = []

    def answer_awaited(self, interaction: Any, wait: Any) -> ObservedCall | None:
        self.noted.append(f"{interaction.agent.alias} waits for {wait.id}")
        return Following(self.noted, "wait")


async def answered(system: MiniAgents) -> str:
    """Call an agent that waits for an answer from outside, and give it."""
    replies = asks.inquire()
    while not await system.pending():  # noqa: ASYNC110 - turns of the loop
        await asyncio.sleep(0)
    await system.deliver("", "approval", "yes")
    return str(await replies)


async def use_everything(system: MiniAgents) -> str:
    """Send a message from outside, call an agent, a model and a tool, and stop an actor."""
    echo = system.spawn(Echo, name="echo")
    echo.tell(TextMessage("a"))
    await echo.send(TextMessage("b"))
    await echo.ask(TextMessage("c"))
    await echo.stop()
    script = Script(Reply(calls=(Call("add", {"a": 1, "b": 2}),)), "three")
    return str((await ScriptedModel.fork(script=script, tools=[add]).inquire("1 + 2?"))[-1])


async def test_several_observers_at_once_are_each_told_what_they_override() -> None:
    calls, models, ends, also_calls = NotesCalls(), NotesModels(), NotesEnds(), NotesCalls()

    async with MiniAgents() as system:
        for observer in (calls, models, ends, also_calls):
            system.observers.attach(observer)
        await use_everything(system)

        assert ends.noted == ["/echo"]
    assert calls.noted == ["started ScriptedModel", "ended ScriptedModel, error: None"]
    assert also_calls.noted == calls.noted
    assert models.noted == [
        "model called",
        "model ended, pieces: True, error: None",
        "tool called",
        "tool ended, pieces: True, error: None",
        "model called",
        "model ended, pieces: True, error: None",
    ]


async def test_a_wait_for_an_answer_from_outside_is_observed_until_the_answer_is_there() -> None:
    waits = NotesWaits()

    async with MiniAgents(observers=[waits]) as system:
        await system.deliver("", "approval", "early")
        assert str(await asks.inquire()) == "early"
        assert waits.noted == []
        assert await answered(system) == "yes"

    began, ended = waits.noted
    assert began.startswith("asks waits for approval#")
    assert ended == "wait ended, pieces: False, error: None"


async def test_an_observer_beside_telemetry_is_told_as_well() -> None:
    observer = NotesCalls()

    async with MiniAgents() as system:
        with instrument(system):
            system.observers.attach(observer)
            await parrot.inquire("Hi")

            assert len(list(system.observers)) == 2
        await parrot.inquire("Hi")

    assert observer.noted == ["started parrot", "ended parrot, error: None"] * 2


async def test_an_observer_that_is_detached_is_told_nothing_more() -> None:
    observer, other = NotesCalls(), NotesCalls()

    async with MiniAgents() as system:
        system.observers.attach(observer)
        system.observers.attach(observer)
        system.observers.attach(other)
        await parrot.inquire("Hi")
        system.observers.detach(observer)
        system.observers.detach(observer)
        await parrot.inquire("Hi")

    assert len(observer.noted) == 2, "attaching an observer twice does not tell it twice"
    assert len(other.noted) == 4


async def test_an_observer_can_detach_itself_while_it_is_told() -> None:
    class Once(NotesCalls):
        def interaction_started(self, interaction: Any) -> None:
            super().interaction_started(interaction)
            interaction.system.observers.detach(self)

    once, other = Once(), NotesCalls()

    async with MiniAgents() as system:
        system.observers.attach(once)
        system.observers.attach(other)
        await parrot.inquire("Hi")
        await parrot.inquire("Hi")

    assert once.noted == ["started parrot"]
    assert len(other.noted) == 4


async def test_the_first_observer_with_a_trace_context_decides_what_a_message_from_outside_carries() -> None:
    async with ActorSystem() as system:
        reader = system.spawn(TraceOfSender)
        assert str(await reader.ask(TextMessage("?"))) == "None"

        for trace in (None, "first", "second"):
            system.observers.attach(Traces(trace))

        assert str(await reader.ask(TextMessage("?"))) == "first"


async def test_a_told_and_a_sent_message_carry_the_trace_context_too() -> None:
    traces: list[object] = []

    class Notes(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            traces.append(getattr(ctx.self._cell.current, "trace", None))

    async with ActorSystem() as system:
        system.observers.attach(Traces("outside"))
        notes = system.spawn(Notes)
        await notes.started()
        notes.tell(TextMessage("a"))
        await notes.send(TextMessage("b"))
        await notes.ask(TextMessage("c"))

    assert traces == ["outside"] * 3


async def test_a_hook_that_raises_is_logged_and_stops_neither_the_system_nor_the_other_observers(
    log: list[Any],
) -> None:
    calls, models, ends = NotesCalls(), NotesModels(), NotesEnds()

    async with MiniAgents() as system:
        for observer in (Failing(), FailsWhileFollowing(), calls, models, ends, Traces("outside")):
            system.observers.attach(observer)

        assert await use_everything(system) == "three"
        assert await answered(system) == "yes"

        assert str(await system.spawn(TraceOfSender).ask(TextMessage("?"))) == "outside"
    assert len(calls.noted) == 4
    assert len(models.noted) == 6
    assert ends.noted[0] == "/echo"
    failed = [entry for entry in log if entry["event"] == "observer.failed"]
    assert {entry["hook"] for entry in failed} == {
        "Failing.outer_trace",
        "Failing.actor_ended",
        "Failing.interaction_started",
        "Failing.interaction_ended",
        "Failing.model_called",
        "Failing.tool_called",
        "Failing.answer_awaited",
        "_FailingCall.piece",
        "_FailingCall.ended",
    }
    assert "RuntimeError('piece')" in {entry["error"] for entry in failed}


async def test_the_observers_that_a_system_is_made_with_are_told_that_it_starts_and_all_that_follows() -> None:
    started: list[Any] = []

    class Starts(NotesCalls):
        def system_started(self, system: Any) -> None:
            started.append(system)

    first, second, deaf = Starts(), NotesCalls(), Observer()
    async with MiniAgents(observers=[first, second, deaf]) as system:
        assert started == [system]
        await parrot.inquire("hello")
        assert list(system.observers) == [first, second, deaf]
    assert first.noted == second.noted != []


def test_what_is_no_observer_is_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidOptionError, match="observers="):
        MiniAgents(observers=[NotesCalls])  # the class and not an instance
    with pytest.raises(InvalidOptionError, match="attach"):
        ActorSystem().observers.attach("telemetry")  # type: ignore[arg-type]


async def test_an_observer_that_fails_is_an_event_and_the_call_goes_on(log: list[Any]) -> None:
    class FailsAtTheStart(Observer):
        def system_started(self, system: Any) -> None:
            raise RuntimeError("no port")

        def interaction_started(self, interaction: Any) -> None:
            raise RuntimeError("no space")

    async with MiniAgents(observers=[FailsAtTheStart()]) as system:
        with system.events.subscribe() as events:
            assert str(await parrot.inquire("hello")) == "hello"
        failed = [event async for event in events if event.kind is EventKind.OBSERVER_FAILED]
    assert [(event.path, event.error, event.error_type) for event in failed] == [("/", "no space", "RuntimeError")]
    assert failed[0].detail.endswith("FailsAtTheStart.interaction_started")
    assert [entry["error"] for entry in log if entry["event"] == "observer.failed"] == [
        "RuntimeError('no port')",
        "RuntimeError('no space')",
    ]


def test_an_event_has_the_time_of_day_also_where_the_loop_has_a_clock_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.5)

    async def main() -> list[float]:
        async with ActorSystem() as system:
            with system.events.subscribe() as events:
                await system.spawn(Echo).ask(TextMessage("a"))
            return [event.at async for event in events]

    loop = VirtualTimeLoop()
    try:
        times = loop.run_until_complete(main())
    finally:
        loop.close()
    assert set(times) == {1_700_000_000.5}


async def test_the_event_of_an_interaction_that_ended_has_its_tokens_its_cost_and_its_error_as_text() -> None:
    script = Script(Reply("one two three", input_tokens=1_000))
    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            await ScriptedModel.fork(script=script, model="gpt-5-mini").inquire("Hi")
            with pytest.raises(LookupError):
                await failing.inquire("Hi")
        paid, failed = [event async for event in events if event.kind is EventKind.INTERACTION_ENDED]

    assert (paid.tokens, paid.error, paid.error_type) == (1_003, None, None)
    assert paid.cost is not None
    assert paid.cost > 0
    assert (failed.tokens, failed.cost) == (0, 0.0)
    assert (failed.error, failed.error_type) == ("nothing there", "LookupError")
