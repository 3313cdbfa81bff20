import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from miniagents import Actor, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.ext.observer import slices
from miniagents.ext.observer.texts import Texts
from miniagents.ext.observer.tree_view import GROUPED, SHOWN, TreeView
from tests.ext.observer.observed import observed


class Tiny(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        if str(message) == "fail":
            raise ValueError("a secret sk-abcdefgh1234")
        if str(message) == "wait":
            await asyncio.sleep(1000)


class Parent(Actor):
    async def on_start(self, ctx: Any) -> None:
        for number in range(3):
            ctx.spawn(Tiny, name=f"child-{number}")


@miniagent
async def helper(ctx: InteractionContext) -> None:
    ctx.reply("ok")


@asynccontextmanager
async def viewed(texts: Texts | None = None) -> AsyncIterator[tuple[MiniAgents, TreeView]]:
    async with observed() as (system, _):
        yield system, TreeView(system, texts or Texts())


def shown(view: dict[str, Any]) -> list[str]:
    return [view["rows"][key]["path"] for key in view["order"]]


async def test_the_top_is_unfolded_and_all_else_is_folded_until_it_is_asked_for() -> None:
    async with viewed() as (system, tree):
        await system.spawn(Parent, name="parent").started()

        folded = await tree.window({})
        unfolded = await tree.window({"open": ["/parent"]})
        closed = await tree.window({"open": ["-/"]})

    assert shown(folded) == ["/", "/parent"]
    assert shown(unfolded) == ["/", "/parent", "/parent/child-0", "/parent/child-1", "/parent/child-2"]
    assert [row["depth"] for row in unfolded["rows"].values()] == [0, 1, 2, 2, 2]
    assert shown(closed) == ["/"]
    assert folded["rows"][folded["order"][1]]["below"][0] == 3


async def test_a_window_has_its_rows_alone_and_the_number_of_all() -> None:
    async with viewed() as (system, tree):
        for number in range(GROUPED):
            await system.spawn(Tiny, name=f"tiny-{number}").started()

        view = await tree.window({"first": 5, "count": 3})

    assert (view["first"], view["total"]) == (5, GROUPED + 1)
    assert shown(view) == ["/tiny-4", "/tiny-5", "/tiny-6"]


async def test_more_than_twenty_siblings_of_a_kind_are_one_row_with_counts_and_the_failing_beside_it() -> None:
    async with viewed() as (system, tree):
        tiny = [system.spawn(Tiny, name=f"tiny-{number}") for number in range(GROUPED + 1)]
        await system.spawn(Parent, name="parent").started()
        tiny[7].tell(TextMessage("fail"))
        tiny[9].tell(TextMessage("wait"))
        tiny[9].tell(TextMessage("late"))
        await asyncio.sleep(1)

        view = await tree.window({})

    rows = list(view["rows"].values())
    group = rows[1]
    assert (group["name"], group["group"]) == ("Tiny", GROUPED + 1)
    assert group["counts"] == {"idle": GROUPED, "running": 1}
    assert group["mailbox"] == 1
    assert [row["path"] for row in rows[2:]] == ["/tiny-7", "/tiny-9", "/parent"]
    assert rows[2]["restarts"] == 1


async def test_twenty_siblings_of_a_kind_are_rows_of_their_own_whoever_stands_beside_them() -> None:
    async with viewed() as (system, tree):
        for number in range(GROUPED):
            system.spawn(Tiny, name=f"tiny-{number}")
        await system.spawn(Parent, name="parent").started()

        view = await tree.window({})

    assert view["total"] == 1 + GROUPED + 1


async def test_a_group_that_is_unfolded_shows_a_window_of_its_members() -> None:
    async with viewed() as (system, tree):
        for number in range(500):
            system.spawn(Tiny, name=f"tiny-{number}")
        await system.spawn(Parent, name="parent").started()

        view = await tree.window({"open": ["/*Tiny"], "first": 400, "count": 2})
        end = await tree.window({"open": ["/*Tiny"], "first": 500, "count": 10})

    assert view["total"] == 1 + 1 + 500 + 1
    assert shown(view) == ["/tiny-398", "/tiny-399"]
    assert shown(end) == ["/tiny-498", "/tiny-499", "/parent"]


async def test_few_failing_and_few_slow_members_stand_beside_a_group() -> None:
    async with viewed() as (system, tree):
        tiny = [system.spawn(Tiny, name=f"tiny-{number}") for number in range(GROUPED * 2)]
        for ref in tiny[:10]:
            ref.tell(TextMessage("fail"))
        await asyncio.sleep(1)

        view = await tree.window({})

    assert view["total"] == 2 + SHOWN


async def test_children_that_come_and_go_are_seen_in_the_next_window() -> None:
    async with viewed() as (system, tree):
        tiny = [system.spawn(Tiny, name=f"tiny-{number}") for number in range(GROUPED + 1)]
        await tiny[-1].started()
        assert (await tree.window({}))["total"] == 2

        await tiny[0].stop()
        assert (await tree.window({}))["total"] == 1 + GROUPED

        await system.spawn(Tiny, name="another").started()
        assert (await tree.window({}))["total"] == 2


async def test_kinds_are_the_classes_of_actors_the_names_of_agents_and_what_supervisors_are() -> None:
    async with viewed() as (system, tree):
        await system.pool(Tiny, size=2, name="pool")
        await helper.inquire()
        system.spawn(helper, name="named")

        view = await tree.window({"open": ["/pool", "/agents"]})

    kinds = {row["path"]: row["kind"] for row in view["rows"].values()}
    assert kinds["/"] == "system"
    assert (kinds["/pool"], kinds["/pool/1"]) == ("pool", "Tiny")
    assert (kinds["/agents"], kinds["/agents/helper"], kinds["/named"]) == ("agents in use", "helper", "helper")


async def test_the_errors_of_rows_follow_the_rule_for_texts() -> None:
    async with viewed(Texts("redacted")) as (system, tree):
        ref = system.spawn(Tiny, name="tiny")
        ref.tell(TextMessage("fail"))
        await asyncio.sleep(1)

        (row,) = [row for row in (await tree.window({}))["rows"].values() if row["path"] == "/tiny"]
        (hidden,) = [
            row
            for row in (await TreeView(system, Texts("facts")).window({}))["rows"].values()
            if row["path"] == "/tiny"
        ]

    assert row["error"] == "ValueError: a secret [redacted]"
    assert hidden["error"] == "36 characters"


async def test_the_picture_has_groups_in_the_place_of_many_and_a_bounded_number_of_circles() -> None:
    async with viewed() as (system, tree):
        for number in range(100):
            system.spawn(Tiny, name=f"tiny-{number}")
        await system.spawn(Parent, name="parent").started()

        view = await tree.sky({})

    rows = view["rows"]
    assert len(rows) == 1 + 1 + 1 + 3
    (group,) = [row for row in rows.values() if "counts" in row]
    assert (group["name"], group["size"]) == ("Tiny", 100)
    assert all(row["parent"] in rows for row in rows.values() if row["path"] != "/")


async def test_a_window_over_many_actors_lets_others_run_in_between(monkeypatch: Any) -> None:
    monkeypatch.setattr(slices, "thread_time", iter(range(1_000_000)).__next__)  # each look at the clock ends a slice
    turns = 0

    async def counting() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with viewed() as (system, tree):
        for number in range(2_000):
            system.spawn(Tiny, name=f"tiny-{number}")
        task = asyncio.create_task(counting())
        await tree.window({})
        task.cancel()

    assert turns >= 2_000 // 128
