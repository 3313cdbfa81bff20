"""Index the pages of a folder on three nodes, and ask for a word: `python -m examples.pipeline`.

The nodes are tasks of this process, joined by a network in memory; with `NODES=ray` each is a process of its own (needs
`miniagents[ray]`). `LOSE=node-2` loses a node of the first kind in the middle of the work. FOLDER says what is indexed,
by default the documentation, and WORD what is asked for.
"""

import os
import sys
from pathlib import Path

from examples.pipeline.pipeline import NODES, Pipeline
from miniagents import MiniAgents
from miniagents.cluster import Cluster
from miniagents.errors import MissingDependencyError
from miniagents.ext.ray import RayCluster
from miniagents.journal import MemoryJournal
from miniagents.testing.memory_platform import MemoryPlatform

DOCS = Path(__file__).parents[2] / "docs"


async def main(folder: Path, names: list[str], word: str, platform: MemoryPlatform | None, lose: str) -> None:
    """Index all pages, and print where the word stands.

    Args:
        folder: The folder of the pages.
        names: The names of the pages.
        word: The word.
        platform: The nodes in memory, if the nodes are of that kind.
        lose: The name of the node that is lost in the middle of the work, "" for none.
    """
    pipeline = await Pipeline.start(MiniAgents.get_current(), str(folder))
    await pipeline.feed(names[::2])
    if platform is not None and lose:
        platform.die(platform.node(lose))
        print(f"{lose} is lost")
    await pipeline.feed(names[1::2])
    found = await pipeline.find(word, len(names))
    print(f"{found.pages} of {len(names)} pages went over {', '.join(NODES)}")
    shown = (*found.titles[:3], "...") if len(found.titles) > 3 else found.titles
    print(f"{word!r} stands in {len(found.titles)}: {', '.join(shown)}")


def run() -> int:
    """Run the example, and return the status of the process."""
    lose = os.environ.get("LOSE", "")
    if lose and lose not in NODES:
        print(f"error: LOSE={lose}: must be one of {', '.join(NODES)}", file=sys.stderr)
        return 2
    platform = MemoryPlatform(NODES) if os.environ.get("NODES") != "ray" else None
    cluster = (
        Cluster(platform)
        if platform is not None
        else RayCluster(nodes=len(NODES), modules=["examples.pipeline.stages"])
    )
    folder, word = Path(os.environ.get("FOLDER") or DOCS).resolve(), os.environ.get("WORD") or "supervisor"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))
    try:
        MiniAgents(cluster=cluster, journal=MemoryJournal()).run(main(folder, names, word, platform, lose))
    except MissingDependencyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run())
