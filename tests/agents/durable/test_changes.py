"""What changed code means for a job, before anything is run."""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import structlog

from miniagents import InteractionContext, JobConflictError, MiniAgents, miniagent
from miniagents.agents.durable.changes import changes_of, unused_rows
from miniagents.agents.job_options import Change
from miniagents.journal import MemoryJournal, Row, RowState


def a_row(id: int, parent: int, agent: str) -> Row:
    """A finished row."""
    return Row(id, parent, b"", 0, "job", agent, RowState.FINISHED, id, id, 1, (), True, b"", 0.0)


@pytest.mark.parametrize(
    ("changed", "adopts", "unused"),
    [
        ((), False, set()),
        (("writer",), False, {2, 3, 4}),
        (("writer",), True, {2}),
        (("root",), False, {1, 2, 3, 4, 5}),
        (("leaf", "other"), False, {4, 5}),
    ],
)
def test_below_a_changed_agent_nothing_is_used_unless_it_is_adopted(
    changed: tuple[str, ...], adopts: bool, unused: set[int]
) -> None:
    rows = [
        a_row(5, 1, "other"),
        a_row(4, 3, "leaf"),
        a_row(3, 2, "reader"),
        a_row(2, 1, "writer"),
        a_row(1, 0, "root"),
    ]

    assert unused_rows(rows, changed, adopts=adopts) == unused


@pytest.fixture
def app() -> Iterator[ModuleType]:
    """A module with two agents, of which one calls the other one, which then waits."""
    module = ModuleType("app_with_changes")
    sys.modules[module.__name__] = module
    define(module, version="1")
    yield module
    del sys.modules[module.__name__]


def define(module: ModuleType, *, version: str) -> None:
    """Define the agents of the module, the one that is called in some version."""

    async def reader(ctx: InteractionContext) -> None:
        ctx.reply("read")

    async def writer(ctx: InteractionContext) -> None:
        await module.reader.inquire("book")
        ctx.reply(f"{await ctx.wait_for('approval')}")

    for function, its_version in ((reader, version), (writer, "1")):
        function.__module__, function.__qualname__ = module.__name__, function.__name__
        setattr(module, function.__name__, miniagent(durable=True, version=its_version)(function))


async def waiting_job(app: Any) -> MemoryJournal:
    """A journal with a job that waits for an approval."""
    journal = MemoryJournal()
    async with MiniAgents(journal=journal, grace=0.1) as system:
        job = system.run_job("job-42", app.writer, "go", errors_as_messages=True)
        while not await system.pending():
            pass
        await system._end()
        await job
    journal.open()
    return journal


async def test_code_that_is_the_same_changes_nothing(app: ModuleType) -> None:
    changes = await changes_of(await waiting_job(app), "job-42")

    assert (changes.changed, changes.not_loaded, changes.answers, changes.waits) == ((), (), 0, ())


async def test_a_changed_agent_is_named_with_the_answers_that_are_not_used(app: ModuleType) -> None:
    journal = await waiting_job(app)
    define(app, version="2")

    changes = await changes_of(journal, "job-42")

    assert (changes.changed, changes.answers, changes.waits) == (("app_with_changes:reader#reader",), 1, ())


async def test_a_changed_agent_that_waits_is_told_with_its_wait(app: Any) -> None:
    journal = await waiting_job(app)
    app.writer = miniagent(durable=True, version="2")(app.writer.wrapped)

    changes = await changes_of(journal, "job-42")

    assert changes.changed == ("app_with_changes:writer#writer",)
    assert changes.answers == 1
    assert [wait.partition("#")[0] for wait in changes.waits] == ["approval"]
    async with MiniAgents(journal=journal) as system:
        assert await system.changes_of_job("job-42") == changes
        with pytest.raises(JobConflictError, match="and 1 recorded answers would not be used"):
            await system.run_job("job-42", app.writer, "go", on_change=Change.FAIL)


async def test_a_job_that_is_resumed_says_what_is_lost_with_the_changed_code_and_its_answer_is_not(app: Any) -> None:
    journal = await waiting_job(app)
    app.writer = miniagent(durable=True, version="2")(app.writer.wrapped)

    async with MiniAgents(journal=journal) as system:
        (wait,) = await system.pending()
        with pytest.raises(JobConflictError, match=f"and the waits {wait.id} would vanish") as refused:
            await system.run_job("job-42", app.writer, "go", on_change=Change.FAIL)
        assert refused.value.waits == (wait.id,)
        with structlog.testing.capture_logs() as logs:
            resumed = await system.resume_all()
            await asyncio.sleep(1)
        (change,) = [log for log in logs if log["event"] == "job.code_changed"]
        await system.deliver("job-42", "approval", "yes")
        assert str(await resumed["job-42"]) == "yes"

    assert (change["agents"], change["answers"], change["waits"]) == (["app_with_changes:writer#writer"], 1, [wait.id])


async def test_a_wait_that_has_its_answer_does_not_count_as_lost(app: Any) -> None:
    journal = await waiting_job(app)
    app.writer = miniagent(durable=True, version="2")(app.writer.wrapped)

    async with MiniAgents(journal=journal) as system:
        await system.deliver("job-42", "approval", "yes")
        with pytest.raises(JobConflictError, match="1 recorded answers would not be used; on_change") as refused:
            await system.run_job("job-42", app.writer, "go", on_change=Change.FAIL)
        assert refused.value.waits == ()
        assert str(await system.run_job("job-42", app.writer, "go")) == "yes"


async def test_an_agent_that_is_not_loaded_cannot_be_compared(app: Any) -> None:
    journal = await waiting_job(app)
    del app.reader

    changes = await changes_of(journal, "job-42")

    assert (changes.changed, changes.not_loaded) == ((), ("app_with_changes:reader#reader",))
