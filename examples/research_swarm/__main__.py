"""`python -m examples.research_swarm`: the options are the environment variables DOCS, QUESTION, MODEL, CHAOS, JOB,
JOURNAL and NODES.

With a JOB it can be ended at any time, with Ctrl-C or `kill -9`. The next run with the same JOB goes on where it was.
"""

import logging
import os
import sys
from pathlib import Path

import structlog

from examples.models import ModelMissingError, model_of
from examples.research_swarm.documents import SUFFIXES, Library, library_of
from examples.research_swarm.screen import Screen, new_screen, printable
from examples.research_swarm.swarm import Figures, Found, Swarm
from miniagents import MiniAgent, MiniAgents
from miniagents.errors import JobConflictError, JobStuckError, JournalError, MissingDependencyError
from miniagents.ext.ray import RayCluster
from miniagents.journal import SqliteJournal

CORPUS = Path(__file__).parent / "corpus"
QUESTION = "What did presidents promise about space exploration and the moon?"


class UsageError(Exception):
    """The swarm cannot start; the text says what to do."""


def main() -> int:
    """Answer one question.

    Returns:
        The exit status: 0, 2 if the swarm could not start, or 130 if it was interrupted.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    question = os.environ.get("QUESTION") or QUESTION
    job = os.environ.get("JOB") or ""
    try:
        model = model_of(max_tokens=60)
        chaos = _chaos(os.environ.get("CHAOS") or "0")
        folder = _folder(Path(os.environ.get("DOCS") or CORPUS))
        _system(job).run(_answer(folder, question, model, chaos, job))
    except (UsageError, ModelMissingError, JobConflictError, JournalError, MissingDependencyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; JOB={job} goes on where it was" if job else "\ninterrupted", file=sys.stderr)
        return 130
    return 0


def _system(job: str) -> MiniAgents:
    journal, cluster = os.environ.get("JOURNAL") or "", _cluster(os.environ.get("NODES") or "0")
    if job:
        store = SqliteJournal(journal or "swarm.db")
        return MiniAgents(name="swarm", journal=store, durable_agents=True, cluster=cluster)
    if journal:
        raise UsageError(f"JOURNAL={journal}: needs JOB, the name under which the swarm goes on in the next run")
    return MiniAgents(name="swarm", cluster=cluster)


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
    resolved = str(folder.resolve())
    library = library_of(resolved)
    if not library.passages:
        skipped = f"; skipped: {len(library.skipped)}" if library.skipped else ""
        raise UsageError(f"DOCS={folder}: holds no text to read ({', '.join(SUFFIXES)}){skipped}")
    return resolved


async def _answer(folder: str, question: str, model: MiniAgent, chaos: float, job: str) -> None:
    system = MiniAgents.get_current()
    library = library_of(folder)
    swarm: Swarm | None = None
    with new_screen(system, lambda: swarm.usage.rate if swarm is not None else 0.0) as screen:
        screen.say(f"question: {question}")
        if system.cluster is not None:
            screen.say(f"nodes: {', '.join(node.name for node in system.nodes())}")
        screen.say(f"documents: {library.files} files, {len(library.passages)} passages")
        for name, reason in library.skipped.items():
            screen.say(f"skipped: {name}: {reason}")
        swarm = Swarm(system, folder, model, chaos, screen.say, job)
        await swarm.start()
        try:
            found = await _show(screen, swarm, question)
        except JobStuckError as error:
            screen.say(f"{error}: it is run again")
            found = await _show(screen, swarm, question, frees=True)
    _sum_up(library, found, await swarm.finish(), job)


async def _show(screen: Screen, swarm: Swarm, question: str, *, frees: bool = False) -> Found:
    """Show an answer as it comes, and return what it is made of."""
    replies = aiter(swarm.answer(question, frees=frees))
    found = await (await anext(replies))
    assert isinstance(found, Found)  # the first reply of the researcher
    screen.piece("\n")
    async for statement in replies:
        screen.piece("  * ")
        async for piece in statement:
            screen.piece(str(piece))
        screen.piece("\n")
    if not found.findings:
        screen.piece("  The documents say nothing about this.\n")
    return found


def _sum_up(library: Library, found: Found, figures: Figures, job: str) -> None:
    if found.findings:
        print("\nsources:")
        for number, source in enumerate(found.findings, 1):
            print(printable(f"  [{number}] {source.file}:{source.line}"))
    print(
        f"\n{found.queries} queries, {found.passages} passages read, {len(library.skipped)} files skipped, "
        f"{figures.crashes} crashes, {figures.restarts} restarts, {figures.tokens} tokens, "
        f"{figures.rate:.0f} tokens/s, {figures.seconds:.1f} s"
    )
    if job:
        print(f"{job}: {figures.answers} answers of the model, {figures.recorded} of them from the journal")


if __name__ == "__main__":
    sys.exit(main())
