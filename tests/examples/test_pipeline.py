"""The pipeline on three nodes in memory: each page is indexed once, also if a node is lost.

`test_research_swarm_nodes.py` has it on Ray, whose start takes long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.pipeline.pipeline import NODES, Pipeline
from miniagents import MiniAgents
from miniagents.cluster import Cluster
from miniagents.journal import MemoryJournal
from miniagents.testing.memory_platform import MemoryPlatform

ROOT = Path(__file__).parents[2]


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.pipeline"],
        cwd=ROOT,
        env={**os.environ, "FOLDER": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def pages(tmp_path: Path) -> list[str]:
    """The names of thirty pages."""
    names = [f"{number:02}.md" for number in range(30)]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"# Page {number:02}\n{'odd' if number % 2 else 'even'} pages")
    return names


async def test_each_stage_is_on_a_node_of_its_own(tmp_path: Path, pages: list[str]) -> None:
    async with MiniAgents(cluster=Cluster(MemoryPlatform(NODES)), journal=MemoryJournal()) as system:
        pipeline = await Pipeline.start(system, str(tmp_path))
        await pipeline.feed(pages)
        found = await pipeline.find("odd", len(pages))

        stages = {child.path: child.node for child in system.tree().children}

    assert stages == {"/index": "node-3", "/parser": "node-2", "/fetcher": "node-1"}
    assert found.titles == tuple(f"Page {number:02}" for number in range(1, 30, 2))


@pytest.mark.parametrize("lose", NODES)
async def test_each_page_is_indexed_once_whatever_node_is_lost(tmp_path: Path, pages: list[str], lose: str) -> None:
    platform = MemoryPlatform(NODES)
    async with MiniAgents(cluster=Cluster(platform), journal=MemoryJournal()) as system:
        pipeline = await Pipeline.start(system, str(tmp_path))
        await pipeline.feed(pages[:15])
        platform.die(platform.node(lose))
        await pipeline.feed(pages[15:])
        found = await pipeline.find("pages", len(pages))

    assert found.titles == tuple(f"Page {number:02}" for number in range(30))


async def test_pages_that_are_ordered_again_are_not_indexed_again(tmp_path: Path, pages: list[str]) -> None:
    async with MiniAgents(cluster=Cluster(MemoryPlatform(NODES)), journal=MemoryJournal()) as system:
        pipeline = await Pipeline.start(system, str(tmp_path))
        await pipeline.feed([*pages, *pages])
        found = await pipeline.find("pages", len(pages))

    assert found.titles == tuple(f"Page {number:02}" for number in range(30))


def test_it_prints_where_the_word_stands_and_ends_although_a_node_is_lost(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.md").write_text(f"# {name.upper()}\none word")

    done = run(tmp_path, WORD="word", LOSE="node-2")

    assert done.returncode == 0, done.stderr
    assert "node-2 is lost\n" in done.stdout
    assert "3 of 3 pages went over node-1, node-2, node-3\n'word' stands in 3: A, B, C\n" in done.stdout


def test_a_node_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, LOSE="node-7")

    assert (done.stderr, done.returncode) == ("error: LOSE=node-7: must be one of node-1, node-2, node-3\n", 2)
