"""`python -m examples.research_swarm`: the options are the variables DOCS, QUESTION, MODEL, CHAOS and NODES."""

import logging
import os
import sys
from pathlib import Path

import structlog

from examples.models import ModelMissingError, model_of
from examples.research_swarm.documents import SUFFIXES, library_of
from examples.research_swarm.screen import new_screen, printable
from examples.research_swarm.swarm import Swarm
from miniagents import MiniAgent, MiniAgents, MissingDependencyError
from miniagents.ext.ray import RayCluster

CORPUS = Path(__file__).parent / "corpus"
QUESTION = "What did presidents promise about space exploration and the moon?"


class UsageError(Exception):
    """The swarm cannot start; the text says what to do."""


def main() -> int:
    """Answer one question.

    Returns:
        The exit status: 0, or 2 if the swarm could not start.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    question = os.environ.get("QUESTION") or QUESTION
    try:
        model = model_of(max_tokens=60)
        chaos = _chaos(os.environ.get("CHAOS") or "0")
        folder = _folder(Path(os.environ.get("DOCS") or CORPUS))
        system = MiniAgents(name="swarm", cluster=_cluster(os.environ.get("NODES") or "0"))
        system.run(_answer(folder, question, model, chaos))
    except (UsageError, ModelMissingError, MissingDependencyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _cluster(text: str) -> RayCluster | None:
    if not text.isdigit():
        raise UsageError(f"NODES={text}: must be a number; 0 for this process alone")
    return RayCluster(nodes=int(text), modules=["examples.research_swarm.agents"]) if int(text) else None


def _chaos(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1:
        raise UsageError(f"CHAOS={text}: must be a number, 0 or more and less than 1")
    return rate


def _folder(folder: Path) -> str:
    if not folder.is_dir():
        raise UsageError(f"DOCS={folder}: is no folder")
    library = library_of(str(folder.resolve()))
    if not library.passages:
        skipped = f"; skipped: {len(library.skipped)}" if library.skipped else ""
        raise UsageError(f"DOCS={folder}: holds no text to read ({', '.join(SUFFIXES)}){skipped}")
    return str(folder.resolve())


async def _answer(folder: str, question: str, model: MiniAgent, chaos: float) -> None:
    system = MiniAgents.get_current()
    library = library_of(folder)
    pieces: list[str] = []
    swarm: Swarm | None = None
    with new_screen(system, lambda: swarm.usage.rate if swarm is not None else 0.0) as screen:
        screen.say(f"question: {question}")
        if system.cluster is not None:
            screen.say(f"nodes: {', '.join(node.name for node in system.nodes())}")
        screen.say(f"documents: {library.files} files, {len(library.passages)} passages")
        for name, reason in library.skipped.items():
            screen.say(f"skipped: {name}: {reason}")
        swarm = Swarm(system, folder, model, chaos, screen.say)
        await swarm.start()
        screen.piece("\n")
        async for statement in swarm.answer(question):
            screen.piece("  * ")
            async for piece in statement:
                pieces.append(piece)
                screen.piece(piece)
            screen.piece("\n")
        if not pieces:
            screen.piece("  The documents say nothing about this.\n")
    figures = swarm.finish()
    if figures.sources:
        print("\nsources:")
        for number, source in enumerate(figures.sources, 1):
            print(printable(f"  [{number}] {source.file}:{source.line}"))
    print(
        f"\n{figures.queries} queries, {figures.passages_read} passages read, {len(library.skipped)} files skipped, "
        f"{figures.crashes} crashes, {figures.restarts} restarts, {figures.tokens} tokens, "
        f"{figures.rate:.0f} tokens/s, {figures.seconds:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
