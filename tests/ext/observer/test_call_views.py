import asyncio
from typing import Any

import pytest

from miniagents import InteractionContext, PromiseCancelledError, miniagent
from miniagents.ext.observer.call_views import MOST_ROWS, CallViews, wall
from miniagents.ext.observer.calls import CallRecord
from miniagents.ext.observer.facts import CHARACTERS
from miniagents.ext.observer.texts import Texts
from miniagents.testing import Script, ScriptedModel
from tests.ext.observer.observed import observed

CALLS = 20_000


@miniagent
async def leaf(ctx: InteractionContext) -> None:
    await asyncio.sleep(1)
    ctx.reply("x" * 5_000)


@miniagent
async def fails(ctx: InteractionContext) -> None:
    raise RuntimeError("no index")


@miniagent
async def top(ctx: InteractionContext) -> None:
    ctx.reply([leaf.inquire("a"), leaf.inquire("b")])


@miniagent
async def sleeper(ctx: InteractionContext) -> None:
    await asyncio.sleep(1000)


def shown(view: Any) -> list[tuple[str, str]]:
    return [(view["rows"][key]["agent"], view["rows"][key]["status"]) for key in view["order"]]


async def test_open_interactions_come_first_and_then_the_latest() -> None:
    async with observed() as (_, observer):
        await leaf.inquire()
        with pytest.raises(RuntimeError):
            await fails.inquire()
        running = sleeper.inquire()
        await top.inquire()
        await asyncio.sleep(1)  # of virtual time

        views = CallViews(observer, Texts())
        view = await views.window({})
        failed = await views.window({"only": "failed"})
        under_way = await views.window({"only": "open"})
        of_agent = await views.window({"agent": "/agents/leaf"})
        await observer.records[3].interaction.cancel()
        with pytest.raises(PromiseCancelledError):
            await running

    assert shown(view) == [("sleeper", "running"), ("top", "done"), ("fails", "failed"), ("leaf", "done")]
    assert shown(failed) == [("fails", "failed")]
    assert (failed["total"], failed["of"]) == (1, 4)
    assert shown(under_way) == [("sleeper", "running")]
    assert shown(of_agent) == [("leaf", "done")] * 3


async def test_a_call_with_a_label_is_shown_with_it_in_the_list_and_in_the_waterfall() -> None:
    async with observed() as (_, observer):
        await leaf.inquire(label="document 7")
        await leaf.inquire()
        views = CallViews(observer, Texts())
        rows = (await views.window({}))["rows"]
        waterfall = await views.waterfall({"id": 1})

    assert [rows["1"].get("label"), rows["2"].get("label")] == ["document 7", None]
    assert waterfall is not None
    assert waterfall["rows"]["1"]["label"] == "document 7"


async def test_an_interaction_is_over_when_nothing_below_it_is_open_and_not_when_its_root_is() -> None:
    async with observed() as (_, observer):
        replies = top.inquire()
        await asyncio.sleep(0.5)
        root = observer.records[1]
        assert root.until is not None

        views = CallViews(observer, Texts())
        assert shown(await views.window({})) == [("top", "running")]
        await replies
        await asyncio.sleep(1)
        assert shown(await views.window({})) == [("top", "done")]
        view = await views.waterfall({"id": 1})

    assert view is not None
    assert view["head"]["took"] == pytest.approx(1.0, abs=0.1)


async def test_a_waterfall_has_a_window_of_the_rows_in_the_order_of_the_tree() -> None:
    model = ScriptedModel.fork(script=Script("one two"))

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        ctx.reply([top.inquire("x"), model.inquire("y")])

    async with observed() as (_, observer):
        await asks.inquire("z")
        await asyncio.sleep(1)
        views = CallViews(observer, Texts())
        whole = await views.waterfall({"id": 1})
        part = await views.waterfall({"id": 1, "first": 2, "count": 2})
        folded = await views.waterfall({"id": 1, "folded": [2]})

    assert whole is not None
    assert part is not None
    assert folded is not None
    agents = [(row["agent"], row["depth"]) for row in whole["rows"].values()]
    assert agents == [("asks", 0), ("top", 1), ("leaf", 2), ("leaf", 2), ("ScriptedModel", 1), ("scripted", 2)]
    assert (part["total"], part["order"]) == (6, whole["order"][2:4])
    assert [row["agent"] for row in folded["rows"].values()] == ["asks", "top", "ScriptedModel", "scripted"]
    assert sum(whole["causes"].values()) == pytest.approx(whole["head"]["took"], abs=1e-3)


async def test_the_numbers_of_the_whole_are_the_sums_of_its_calls() -> None:
    model = ScriptedModel.fork(script=Script("one two"))

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        ctx.reply([model.inquire("x"), model.inquire("y y y")])

    async with observed() as (_, observer):
        await asks.inquire("z")
        view = await CallViews(observer, Texts()).waterfall({"id": 1})

    assert view is not None
    own = [row["tokens"] for row in view["rows"].values() if "step" not in row]
    assert view["head"]["tokens"] == sum(own) > 0


async def test_a_call_is_shown_in_full_with_the_end_of_its_texts() -> None:
    async with observed() as (_, observer):
        await top.inquire("Begin!")
        views = CallViews(observer, Texts())
        view = await views.waterfall({"id": 1, "selected": 2})
        other = await views.waterfall({"id": 1, "selected": 99})

    assert view is not None
    assert other is not None
    selected = view["selected"]
    assert (selected["agent"], selected["parent"], selected["trace"]) == ("leaf", 1, ["leaf", "top"])
    assert selected["texts"]["output"]["size"] == 5_000
    assert selected["texts"]["output"]["from"] == 5_000 - CHARACTERS
    assert len(selected["texts"]["output"]["text"]) == CHARACTERS
    assert other["selected"]["agent"] == "top"


async def test_what_is_not_kept_is_no_error() -> None:
    async with observed() as (_, observer):
        assert await CallViews(observer, Texts()).waterfall({"id": 12_345}) is None
        assert await CallViews(observer, Texts()).waterfall({}) is None


async def test_facts_show_how_long_a_text_is_and_nothing_of_it() -> None:
    async with observed() as (_, observer):
        await leaf.inquire("a secret question")
        view = await CallViews(observer, Texts("facts")).waterfall({"id": 1})
        rows = await CallViews(observer, Texts("facts")).window({})

    assert view is not None
    assert view["selected"]["texts"] == {"input": {"size": 17}, "output": {"size": 5_000}}
    assert "secret" not in str(rows)


async def test_the_live_text_of_a_model_is_shown_as_it_comes() -> None:
    async with observed() as (_, observer):
        await ScriptedModel.fork(script=Script("one two three")).inquire("x")
        record = observer.records[1]
        (step,) = record.steps or []
        step.until = None
        view = await CallViews(observer, Texts()).waterfall({"id": 1})

    assert view is not None
    assert view["selected"]["streaming"]
    assert view["selected"]["texts"]["stream"]["text"] == "one two three"


async def test_a_large_interaction_is_asked_for_in_windows() -> None:
    class Made:
        account = None
        label = None

        def __init__(self, id: int, started: float) -> None:
            self.id = id
            self.started_at = started

    async with observed() as (_, observer):
        await leaf.inquire()
        root = observer.records[1]
        for number in range(CALLS):
            record = CallRecord(Made(number + 10, root.started), root, "leaf", "/leaf")
            record.until = root.started + 0.5
            record.close(1.0)
            observer.records[record.id] = record

        view = await CallViews(observer, Texts()).waterfall({"id": 1, "first": 15_000, "count": 10_000})

    assert view is not None
    assert view["total"] == CALLS + 1
    assert len(view["rows"]) == MOST_ROWS
    assert max(view["bins"]) == CALLS + 1


def test_a_moment_of_the_loop_is_shown_as_a_time_of_the_day() -> None:
    assert wall(90.0, 100.0) == pytest.approx(wall(100.0, 100.0) - 10.0, abs=0.1)
