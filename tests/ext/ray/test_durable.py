"""Durable actors and jobs on nodes of a real Ray, whose processes are killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

from miniagents import (
    ActorStoppedError,
    InteractionContext,
    MiniAgents,
    NodeLostError,
    Placement,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.ext.ray import RayCluster
from miniagents.journal import SqliteJournal, Unacknowledged
from tests.ext.ray.clusters import until_up
from tests.ext.ray.workers import Where, Writer, asker

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

RUNS = range(int(os.environ.get("SWARM_RUNS") or 1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MiniAgents]:
    """A system on two nodes, with a journal on the disk of the driver."""
    cluster = RayCluster(nodes=2, modules=["tests.ext.ray.workers"], lease=4.0, margin=0.5, suspect_after=None)
    journal = SqliteJournal(tmp_path_factory.mktemp("durable") / "journal.db")
    async with MiniAgents(cluster=cluster, journal=journal, durable_agents=True) as system:
        yield system


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def complete(system: MiniAgents) -> None:
    """Begin each test with both nodes."""
    async with asyncio.timeout(60):
        while len(system.nodes()) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@miniagent
async def editor(ctx: InteractionContext, of: str, file: str, questions: int) -> None:
    """Has an agent of a node ask its questions, and again if that is lost."""
    while True:
        found: Any = ctx.system.lookup(f"/{of}")
        if found is not None:
            try:
                replies = await found.inquire("ask", file=file, questions=questions)
            except ActorStoppedError as error:
                if not isinstance(error.__cause__, NodeLostError):
                    raise
            else:
                ctx.reply(" ".join(map(str, replies)))
                return
        await asyncio.sleep(0.05)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def until_written(file: Path, count: int) -> None:
    """Wait until a file has so many lines."""
    while len(lines(file)) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("run", RUNS)
async def test_a_durable_actor_whose_node_is_killed_is_the_same_actor_and_handles_each_message_once(
    system: MiniAgents, tmp_path: Path, run: int
) -> None:
    file = tmp_path / "handled"
    options = SpawnOptions(durable=True, placement=Placement.SPREAD)
    writer = system.spawn(Writer, name=f"writer-{run}", file=str(file), options=options)
    place = await writer.ask(Where(), timeout=20)
    uid = writer.uid

    with system.events.subscribe() as events:
        sends = [asyncio.create_task(writer.send(TextMessage(f"{n}"), message_id=f"{n}")) for n in range(200)]
        await asyncio.wait_for(until_written(file, 50), 30)
        os.kill(place.pid, signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*sends), 60)
        await asyncio.wait_for(until_up(events, place.node), 40)
    again = await asyncio.wait_for(writer.ask(Where()), 30)
    for n in range(200):
        await writer.send(TextMessage(f"{n}"), message_id=f"{n}")
    total = await asyncio.wait_for(writer.ask(TextMessage("count")), 30)

    assert again.pid != place.pid
    assert writer.uid == uid
    assert str(total) == "200", "the state has each message once, whatever the file of effects says"
    assert system.journal is not None
    assert await system.journal.read(Unacknowledged(writer.path)) == ()
    await writer.stop()


@pytest.mark.parametrize("run", RUNS)
async def test_a_job_asks_no_recorded_answer_again_when_the_node_is_killed_on_which_it_was_given(
    system: MiniAgents, tmp_path: Path, run: int
) -> None:
    file = tmp_path / "asked"
    agent = system.spawn(asker, name=f"asker-{run}", options=SpawnOptions(placement=Placement.SPREAD))
    node = agent.node
    job = system.run_job(f"job-{run}", editor, "go", of=f"asker-{run}", file=str(file), questions=30)

    await asyncio.wait_for(until_written(file, 10), 30)
    pid = int(lines(file)[-1].split()[0])
    with system.events.subscribe() as events:
        os.kill(pid, signal.SIGKILL)
        answer = str(await asyncio.wait_for(job.answer(), 60))
        await asyncio.wait_for(until_up(events, node), 40)

    assert answer == " ".join(f"answer-{n}" for n in range(30))
    asked = [int(line.split()[1]) for line in lines(file)]
    twice = sorted(n for n in set(asked) if asked.count(n) > 1)
    # What was on its way to the journal when the process was killed may be asked again, and nothing before that.
    last_of_the_dead = max(n for line in lines(file) if int(line.split()[0]) == pid for n in [int(line.split()[1])])
    assert set(asked) == set(range(30))
    assert len(twice) <= 1
    assert all(n == last_of_the_dead for n in twice)
