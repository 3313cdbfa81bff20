"""What `dir` shows of a system."""

import re
from pathlib import Path
from typing import Any

import pytest

from miniagents import ActorRef, ActorSystem, InteractionContext, MiniAgents
from miniagents.actors.api import FOR_THE_RUNTIME

ROOT = Path(__file__).parents[2]


def shown(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


@pytest.mark.parametrize("system", [ActorSystem, MiniAgents, ActorSystem(), MiniAgents()], ids=repr)
def test_dir_shows_what_programs_use_and_not_what_the_runtime_uses(system: Any) -> None:
    assert {"run", "spawn", "supervise", "pool", "tree", "lookup", "from_thread", "schedule"} <= shown(system)
    assert shown(system).isdisjoint(FOR_THE_RUNTIME)


def test_dir_of_a_programs_own_subclass_shows_its_own_names() -> None:
    class Shop(MiniAgents):
        opening = 9

        def sell(self) -> None:
            """Sell."""

    assert {"opening", "sell", "run_job"} <= shown(Shop()) & shown(Shop)


@pytest.mark.parametrize("kind", [ActorSystem, MiniAgents, ActorRef, InteractionContext])
def test_each_method_that_dir_shows_has_a_docstring_and_a_place_in_the_docs(kind: type) -> None:
    docs = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    for name in shown(kind):
        described = getattr(kind, name)
        if callable(described) or isinstance(described, property):
            assert described.__doc__, name
            assert re.search(rf"[`.]{name}\b", docs) or f"::: miniagents.{kind.__name__}" in docs, name


def test_the_names_for_the_runtime_are_there() -> None:
    system: Any = MiniAgents()
    assert [name for name in sorted(FOR_THE_RUNTIME) if not hasattr(system, name)] == []
