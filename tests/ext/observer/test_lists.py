import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from miniagents import Actor, InteractionContext, MiniAgents, OneForOne, TextMessage, TextToken, miniagent
from miniagents.cluster import Cluster
from miniagents.ext.llms import Budget, RateLimit
from miniagents.ext.observer import WebObserver
from miniagents.ext.observer.call_views import CallViews
from miniagents.ext.observer.lists import Lists, cell_at
from miniagents.ext.observer.texts import Texts
from miniagents.journal import MemoryJournal
from miniagents.testing import Script, ScriptedModel
from miniagents.testing.memory_platform import MemoryPlatform
from tests.ext.observer.observed import observed


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        if str(message) == "fail":
            raise ValueError("a secret")
        if str(message) == "wait":
            await asyncio.sleep(1000)


@miniagent
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(f"said {await ctx.wait_for('approval', prompt='May I?')}")


@asynccontextmanager
async def listed(texts: Texts | None = None) -> AsyncIterator[tuple[MiniAgents, WebObserver, Lists]]:
    async with observed() as (system, observer):
        yield system, observer, Lists(system, observer, texts or Texts())


async def test_the_summary_counts_what_there_is() -> None:
    async with listed() as (system, observer, lists):
        await system.spawn(Faulty, name="one").started()
        await ScriptedModel.fork(script=Script("one two")).inquire("x")
        await asyncio.sleep(1)

        summary = lists.summary()

    assert (summary["actors"], summary["calls"], summary["open"], summary["texts"]) == (3, 1, 0, "full")
    assert summary["tokens"] == observer.records[1].uses.tokens > 0
    assert summary["cost"] is None  # the model has no price
    assert summary["recorder"]["bytes"] == observer.recorder.bytes > 0


async def test_what_happened_comes_the_latest_first_by_kind_and_by_place() -> None:
    async with listed() as (system, observer, lists):
        pool = await system.pool(Faulty, size=2, name="readers", strategy=OneForOne(max_restarts=None))
        pool.tell(TextMessage("fail"))
        await asyncio.sleep(1)
        observer.add("action", "/other", text="stop: is stopping", by="browser 1")

        every = await lists.happenings({})
        crashes = await lists.happenings({"kinds": ["crash"]})
        below = await lists.happenings({"path": "/readers"})
        window = await lists.happenings({"first": 1, "count": 1})

    assert [row["kind"] for row in every["rows"].values()] == ["action", "restart", "crash"]
    assert [row["text"] for row in crashes["rows"].values()] == ["a secret"]
    assert (crashes["total"], crashes["of"]) == (1, 3)
    assert [row["path"] for row in below["rows"].values()] == ["/readers/1", "/readers/1"]
    assert [row["kind"] for row in window["rows"].values()] == ["restart"]
    assert sum(every["spark"]) == 3


async def test_a_deadlock_is_shown_with_its_ring() -> None:
    async with listed() as (_, observer, lists):
        observer.add("deadlock", "/a", text="wait for each other", ring=("/a", "/b"))

        (row,) = (await lists.happenings({}))["rows"].values()

    assert row["ring"] == ("/a", "/b")


async def test_facts_show_no_text_of_a_failure() -> None:
    async with listed(Texts("facts")) as (_, observer, lists):
        observer.add("crash", "/a", text="a secret", error_type="ValueError")

        (row,) = (await lists.happenings({}))["rows"].values()

    assert (row["type"], "text" in row) == ("ValueError", False)


async def test_dead_letters_are_shown_with_their_reason_and_whether_the_receiver_lives() -> None:
    async with listed() as (system, _, lists):
        ref = system.spawn(Faulty, name="gone")
        await ref.stop()
        ref.tell(TextMessage("late"))
        ref.tell(TextMessage("later"))

        view = lists.letters({"count": 1})

    (row,) = view["rows"].values()
    assert (row["to"], row["alive"], row["reason"], row["kind"]) == ("/gone", False, "stopped", "TextMessage")
    assert (row["text"], view["total"], view["counts"]) == ("later", 2, {"stopped": 2})


async def test_limits_and_budgets_are_shown_with_who_waits() -> None:
    model = ScriptedModel.fork(
        script=Script("x"), rate_limit=RateLimit(requests_per_minute=6), budget=Budget(tokens=1_000_000)
    )
    async with listed() as (_, _, lists):
        calls = [model.inquire("x") for _ in range(3)]
        await asyncio.sleep(1)
        view = lists.allowances()
        for call in calls:
            await call

    (limit,), (budget,) = view["limits"], view["budgets"]
    assert (limit["requests_per_minute"], limit["waiting"]) == (6, 2)
    assert sum(limit["waiters"].values()) == 2
    assert budget["tokens"] == 1_000_000


async def test_what_waits_for_an_answer_and_jobs_are_shown() -> None:
    observer = WebObserver(opens=False)
    async with MiniAgents(observers=[observer], journal=MemoryJournal()) as system:
        job = system.run_job("send", asks, "go")
        while not (waits := await system.pending()):  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0.1)
        view = await Lists(system, observer, Texts()).waits()
        await system.deliver("send", waits[0].id, "yes")
        await job

    (wait,), (shown,) = view["pending"], view["jobs"]
    assert (wait["name"], wait["prompt"], wait["job"]) == ("approval", "May I?", "send")
    assert (shown["name"], shown["state"]) == ("send", "running")


async def test_an_actor_is_shown_with_its_mailbox_its_calls_and_what_happened_to_it() -> None:
    async with listed() as (system, observer, lists):
        pool = await system.pool(Faulty, size=1, name="readers", strategy=OneForOne(max_restarts=None))
        for text in ("fail", "wait", "more"):
            pool.tell(TextMessage(text))
        await asyncio.sleep(1)

        view = await lists.actor({"path": "/readers/1"}, CallViews(observer, Texts()))
        top = await lists.actor({"path": "/"}, CallViews(observer, Texts()))

    assert (view["state"], view["kind"], view["restarts"], view["mailbox"]) == ("running", "Faulty", 1, 1)
    assert view["types"] == {"TextMessage": 1}
    assert view["error"] == "ValueError: a secret"
    assert [row["kind"] for row in view["happened"]] == ["restart", "crash"]
    assert (top["kind"], top["below"][0]) == ("system", 2)


async def test_an_actor_that_has_ended_is_a_tombstone_and_an_unknown_one_no_error() -> None:
    async with listed() as (system, observer, lists):
        ref = system.spawn(Faulty, name="gone")
        await ref.ask(TextMessage("hello"))
        await ref.stop()

        view = await lists.actor({"path": "/gone"}, CallViews(observer, Texts()))
        unknown = await lists.actor({"path": "/nobody"}, CallViews(observer, Texts()))

    assert (view["state"], view["tombstone"]["facts"]) == ("ended", {"restarts": 0, "handled": 1})
    assert (unknown["state"], "tombstone" in unknown) == ("unknown", False)


async def test_the_live_text_of_an_agent_is_shown_as_it_comes_and_looking_drives_nothing() -> None:
    begun: list[int] = []

    @miniagent
    async def speaks(ctx: InteractionContext) -> None:
        async def tokens(_: object) -> AsyncIterator[TextToken]:
            for number in range(3):
                begun.append(number)
                yield TextToken(f"{number} ")
                await asyncio.sleep(10)

        message = TextMessage.promise(message_token_streamer=tokens)
        ctx.reply(message)
        await asyncio.sleep(100)

    async with listed() as (_, observer, lists):
        replies = speaks.inquire()
        await asyncio.sleep(15)
        before = list(begun)

        view = await lists.actor({"path": "/agents/speaks"}, CallViews(observer, Texts()))
        hidden = await Lists(observer.system, observer, Texts("facts")).actor(
            {"path": "/agents/speaks"}, CallViews(observer, Texts("facts"))
        )
        assert begun == before
        await replies

    (stream,) = view["streams"]
    assert (stream["text"], stream["call"]) == ("0 1 ", 1)
    assert hidden["streams"] == [{"call": 1, "name": "reply", "text": ""}]


async def test_the_nodes_of_a_cluster_are_shown() -> None:
    observer = WebObserver(opens=False)
    async with MiniAgents(observers=[observer], cluster=Cluster(MemoryPlatform(["a", "b"]))) as system:
        view = Lists(system, observer, Texts()).nodes()

    assert len(view["nodes"]) == 3
    assert {node["state"] for node in view["nodes"]} == {"driver", "up"}


async def test_without_a_cluster_there_are_no_nodes() -> None:
    async with listed() as (_, _, lists):
        assert lists.nodes() == {"nodes": []}


async def test_a_path_leads_to_the_cell_or_to_none() -> None:
    async with listed() as (system, _, _):
        await system.spawn(Faulty, name="one").started()

        assert cell_at(system, "/").path in ("", "/")
        assert cell_at(system, "/one").path == "/one"
        assert cell_at(system, "/one/two") is None
        assert cell_at(system, "/three/four") is None
