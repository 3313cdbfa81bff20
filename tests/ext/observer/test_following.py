import asyncio
import gc
import weakref
from typing import Any

import pytest

from miniagents import Actor, InteractionContext, OneForOne, RetryPolicy, SpawnOptions, TextMessage, miniagent
from miniagents.ext.observer.call_views import CallViews, status_of
from miniagents.ext.observer.lists import cell_at
from miniagents.ext.observer.texts import Texts
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.observer.observed import observed


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        if str(message) == "fail":
            raise ValueError("wrong")


@miniagent
async def leaf(ctx: InteractionContext) -> None:
    ctx.reply("leaf")


@miniagent
async def fails(ctx: InteractionContext) -> None:
    raise RuntimeError("no index")


@miniagent
async def top(ctx: InteractionContext) -> None:
    await asyncio.sleep(1)
    ctx.reply([leaf.inquire("a"), leaf.inquire("b")])


async def test_a_call_is_kept_with_those_below_it_and_what_was_said() -> None:
    async with observed() as (_, observer):
        await top.inquire("Begin!")

    (trace,) = observer.traces.values()
    root, *below = trace.records.values()
    assert (root.alias, [record.alias for record in below]) == ("top", ["leaf", "leaf"])
    assert all(record.parent is root for record in below)
    assert (root.input, below[0].input, below[0].output) == ("Begin!", "a", "leaf")
    assert root.until is not None
    assert root.until - root.started == pytest.approx(1.0, abs=0.1)
    assert not trace.is_open
    assert status_of(root) == "done"


async def test_a_failure_is_kept_as_text_and_keeps_no_frames_alive() -> None:
    class Big:
        pass

    found: list[weakref.ref[Big]] = []

    @miniagent
    async def holds(ctx: InteractionContext) -> None:
        big = Big()
        found.append(weakref.ref(big))
        raise RuntimeError("no index")

    async with observed() as (_, observer):
        with pytest.raises(RuntimeError):
            await holds.inquire()
    gc.collect()

    (record,) = observer.records.values()
    assert (record.error_type, record.error, status_of(record)) == ("RuntimeError", "no index", "failed")
    assert found[0]() is None
    (happening,) = observer.happenings.values()
    assert (happening.kind, happening.call, happening.trace) == ("crash", record.id, ("holds",))


async def test_nothing_that_has_ended_is_kept_alive_by_its_record() -> None:
    async with observed() as (system, observer):
        ref = system.spawn(leaf, name="once")
        await ref.inquire("a")
        cell = weakref.ref(cell_at(system, "/once"))
        await ref.stop()
        del ref
        await asyncio.sleep(1)
        gc.collect()

        assert observer.records[1].path == "/once"
        assert cell() is None


async def test_crashes_and_restarts_are_kept_with_the_actor_that_they_happened_to() -> None:
    async with observed() as (system, observer):
        pool = await system.pool(Faulty, size=1, name="readers", strategy=OneForOne(max_restarts=None))
        pool.tell(TextMessage("fail"))
        await asyncio.sleep(1)  # of virtual time

        crash, restart = observer.happenings.values()
        assert (crash.kind, crash.path, crash.error_type, crash.text) == ("crash", "/readers/1", "ValueError", "wrong")
        assert (restart.kind, restart.path, restart.uid) == ("restart", "/readers/1", crash.uid)


async def test_attempts_of_a_call_are_told_apart() -> None:
    tries: list[int] = []

    @miniagent(retry=RetryPolicy(on=(ValueError,), attempts=3))
    class Shaky:
        async def __call__(self, ctx: InteractionContext) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise ValueError(f"attempt {len(tries)}")
            ctx.reply("at last")

    async with observed() as (system, observer):
        ref = system.spawn(Shaky, name="shaky", options=SpawnOptions(retry=RetryPolicy(on=(ValueError,), attempts=3)))
        await ref.inquire("try")

        (record,) = observer.records.values()
        assert record.uses.attempts == 2
        assert record.errors == ["attempt 1", "attempt 2"]
        assert status_of(record) == "done"


async def test_steps_are_the_requests_to_models_and_the_calls_of_tools() -> None:
    async def weather(city: str) -> str:
        """The weather.

        Args:
            city: The city.
        """
        return f"rain in {city}"

    model = ScriptedModel.fork(
        script=Script(Reply(calls=(Call("weather", {"city": "Paris"}),)), "It rains."), tools=(weather,)
    )
    async with observed() as (_, observer):
        await model.inquire("What is the weather?")

    (record,) = observer.records.values()
    assert [(step.kind, step.name) for step in record.steps or ()] == [
        ("model", "scripted"),
        ("tool", "weather"),
        ("model", "scripted"),
    ]
    last = (record.steps or [])[-1]
    assert last.text == "It rains."
    assert last.until is not None
    assert record.uses.own_tokens > 0


async def test_the_last_facts_of_an_actor_that_has_ended_are_kept() -> None:
    async with observed() as (system, observer):
        ref = system.spawn(Faulty, name="gone")
        await ref.ask(TextMessage("hello"))
        await ref.stop()

        ended = observer.ended["/gone"]
        assert (ended.error_type, ended.facts) == ("shutdown", {"restarts": 0, "handled": 1})


async def test_texts_are_not_even_kept_at_the_level_of_facts() -> None:
    async with observed(texts="facts") as (_, observer):
        await ScriptedModel.fork(script=Script("a secret answer")).inquire("a secret question")

        (record,) = observer.records.values()
        assert (record.input, record.output) == (None, None)
        assert [step.text for step in record.steps or ()] == [None]
        assert observer.input_of(record) is None


async def test_what_the_recorder_drops_is_forgotten_everywhere() -> None:
    async with observed(budget_bytes=1_500) as (_, observer):
        for _ in range(20):
            await leaf.inquire("a")

        assert observer.recorder.bytes <= 1_500
        assert 0 < len(observer.records) < 5
        assert len(observer.traces) == len(observer.records) == len(observer.of_path["/agents/leaf"])
        assert observer.live == {}
        assert observer.recorder.dropped["call"] == 20 - len(observer.records)


async def test_calls_whose_parent_was_dropped_are_shown_in_its_place() -> None:
    async with observed() as (_, observer):
        await top.inquire("Begin!")
        (trace,) = observer.traces.values()
        trace.root.forget()

        view = await CallViews(observer, Texts()).waterfall({"id": 2})

    assert view is not None
    assert [row["agent"] for row in view["rows"].values()] == ["leaf", "leaf"]
    assert view["head"]["dropped"] == 1


async def test_a_call_that_waits_in_a_mailbox_is_waiting_until_its_code_begins() -> None:
    @miniagent
    class Slow:
        async def __call__(self, ctx: InteractionContext) -> None:
            await asyncio.sleep(10)

    async with observed() as (system, observer):
        ref = system.spawn(Slow, name="slow")
        calls = [ref.inquire("1"), ref.inquire("2")]
        await asyncio.sleep(1)

        first, second = observer.records.values()
        assert (status_of(first), status_of(second)) == ("running", "waiting")
        await asyncio.sleep(10)
        assert (status_of(first), status_of(second)) == ("done", "running")
        for call in calls:
            await call
        assert second.uses.begun is not None
        assert second.uses.begun - second.started == pytest.approx(10.0, abs=0.1)


async def test_samples_are_taken_each_second() -> None:
    async with observed() as (_, observer):
        await top.inquire("Begin!")
        await asyncio.sleep(5)

        assert 5 <= len(observer.samples) <= 8
        assert observer.samples[-1][3] == 3
