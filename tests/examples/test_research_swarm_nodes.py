"""The research swarm, and the pipeline, on three nodes of a real Ray: the results are those of one process, whatever a
node does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")
pytest.importorskip("bm25s", reason="bm25s is not installed: pip install 'miniagents[examples]'")

from examples.pipeline.pipeline import Pipeline
from examples.research_swarm.agents import Finding
from examples.research_swarm.swarm import Found, Swarm
from miniagents import ActorInfo, EventKind, InteractionContext, MiniAgents, miniagent
from miniagents.ext.ray import RayCluster
from miniagents.journal import SqliteJournal
from tests.ext.ray.clusters import until_up

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

CORPUS = str(Path(__file__).parents[2] / "examples" / "research_swarm" / "corpus")
QUESTION = "What did presidents promise about space exploration and the moon?"


PROMPTS: list[str] = []


@miniagent
async def model(ctx: InteractionContext) -> None:
    """A model that repeats the last line of what it is asked."""
    prompt = str(await ctx.message_promises)
    PROMPTS.append(prompt)
    ctx.reply(prompt.rpartition("\n")[2])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[MiniAgents, RayCluster]]:
    """A system on three nodes, with a journal."""
    nodes = RayCluster(
        nodes=3,
        modules=["examples.research_swarm.agents"],
        lease=4.0,
        margin=0.5,
        suspect_after=None,  # it is no reader that kills the nodes
    )
    journal = SqliteJournal(tmp_path_factory.mktemp("swarm") / "swarm.db")
    async with MiniAgents(cluster=nodes, journal=journal, durable_agents=True) as system:
        yield system, nodes


async def citations(
    system: MiniAgents, say: Callable[[str], None], chaos: float = 0.0, job: str = ""
) -> tuple[Finding, ...]:
    """Let a swarm answer, and return its sources. Nothing of the swarm is left afterwards."""
    swarm = Swarm(system, CORPUS, model, chaos, say, job)
    try:
        await swarm.start()
        found, *_ = await swarm.answer(QUESTION)
        assert isinstance(found, Found)
        await swarm.finish()
        return found.findings
    finally:
        for child in system.tree().children:
            ref: Any = system.lookup(child.path)
            await ref.stop()


async def complete(system: MiniAgents) -> None:
    """Wait until all nodes are in: one may be lost because the machine is busy."""
    while len(system.nodes()) < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def of_one_process() -> tuple[Finding, ...]:
    """The citations of a swarm in one process."""

    async def answer() -> tuple[Finding, ...]:
        async with MiniAgents() as system:
            return await citations(system, lambda line: None)

    return asyncio.run(answer())


def readers(info: ActorInfo) -> set[str]:
    """The nodes of the readers."""
    found = {child.node for child in info.children if "/readers/" in child.path}
    return found.union(*(readers(child) for child in info.children))


def kill_runtime(cluster: RayCluster, name: str) -> None:
    for pid in processes_of(cluster, name):
        os.kill(pid, signal.SIGKILL)


def kill_raylet(cluster: RayCluster, name: str) -> None:
    own = cluster._ray_launcher.own
    assert own is not None
    os.kill(own.raylets[name], signal.SIGKILL)


def stop_runtime(cluster: RayCluster, name: str) -> None:
    for pid in processes_of(cluster, name):
        os.kill(pid, signal.SIGSTOP)


def processes_of(cluster: RayCluster, name: str) -> list[int]:
    """The process of a node; none if it is lost just now."""
    lives = cluster._ray_launcher._lives.items()
    return [life.pid for node, life in lives if node.name == name and life.pid is not None]


async def test_readers_are_spread_over_the_nodes_and_the_citations_are_those_of_one_process(
    of_one_process: tuple[Finding, ...], cluster: tuple[MiniAgents, RayCluster]
) -> None:
    system, _ = cluster
    await asyncio.wait_for(complete(system), 60)
    nodes: set[str] = set()

    sources = await citations(system, lambda line: nodes.update(readers(system.tree())), chaos=0.3)

    assert nodes == {"node-1", "node-2", "node-3"}
    assert len(sources) == 4
    assert sources == of_one_process


@pytest.mark.parametrize("run", range(int(os.environ.get("SWARM_RUNS") or 1)))
@pytest.mark.parametrize("lose", [kill_runtime, kill_raylet, stop_runtime])
async def test_a_node_that_is_lost_while_its_readers_are_called_changes_nothing_of_the_citations(
    of_one_process: tuple[Finding, ...],
    cluster: tuple[MiniAgents, RayCluster],
    lose: Callable[[RayCluster, str], None],
    run: int,
) -> None:
    system, nodes = cluster

    def say(line: str) -> None:
        if line.startswith("searchers:"):  # said before the readers are called
            lose(nodes, f"node-{1 + run % 3}")

    await asyncio.wait_for(complete(system), 60)
    with system.events.subscribe() as events:
        found = await asyncio.wait_for(citations(system, say), 60)
        seen = await asyncio.wait_for(until_up(events, f"node-{1 + run % 3}"), 40)

    assert found == of_one_process
    assert (seen[0], seen[-1]) == (EventKind.NODE_LOST, EventKind.NODE_UP)


@pytest.mark.parametrize("run", range(int(os.environ.get("SWARM_RUNS") or 1)))
async def test_a_job_asks_its_model_nothing_twice_although_a_node_is_lost_and_although_it_is_run_again(
    of_one_process: tuple[Finding, ...], cluster: tuple[MiniAgents, RayCluster], run: int
) -> None:
    system, nodes = cluster
    name = f"node-{1 + run % 3}"
    PROMPTS.clear()

    def say(line: str) -> None:
        if line.startswith("searchers:"):
            kill_runtime(nodes, name)

    await asyncio.wait_for(complete(system), 60)
    with system.events.subscribe() as events:
        found = await asyncio.wait_for(citations(system, say, job=f"job-{run}"), 60)
        await asyncio.wait_for(until_up(events, name), 40)
    again = await asyncio.wait_for(citations(system, lambda line: None, job=f"job-{run}"), 60)

    assert found == again == of_one_process
    assert len(PROMPTS) == len(set(PROMPTS)) > 1


async def test_each_page_of_the_pipeline_is_indexed_once_although_the_process_of_its_parser_is_killed(
    cluster: tuple[MiniAgents, RayCluster], tmp_path: Path
) -> None:
    system, nodes = cluster
    await asyncio.wait_for(complete(system), 60)
    names = [f"{number}.md" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text(f"# Page {name}\nabout supervision")

    pipeline = await Pipeline.start(system, str(tmp_path))
    with system.events.subscribe() as events:
        await pipeline.feed(names[:10])
        kill_runtime(nodes, "node-2")
        await pipeline.feed(names[10:])
        found = await asyncio.wait_for(pipeline.find("supervision", len(names)), 60)
        await asyncio.wait_for(until_up(events, "node-2"), 40)

    assert found.titles == tuple(sorted(f"Page {name}" for name in names))
