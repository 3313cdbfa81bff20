"""The public names of the package, their homes in docs/reference/api, and the examples in which they are used."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import miniagents
from tests.blocks import PAGES, blocks_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "miniagents"
API = ROOT / "docs" / "reference" / "api"

BLOCK = "```python"

PACKAGES = (
    "miniagents",
    "miniagents.cluster",
    "miniagents.journal",
    "miniagents.testing",
    "miniagents.ext.a2a",
    "miniagents.ext.agents",
    "miniagents.ext.llms",
    "miniagents.ext.mcp",
    "miniagents.ext.observer",
    "miniagents.ext.ray",
    "miniagents.ext.serving",
    "miniagents.ext.telemetry",
)
"""The packages that programs import from. All names of their `__all__` are public."""

INTERNAL = {
    "miniagents.actors": "a floor: its public names are in `miniagents`",
    "miniagents.agents": "a floor: its public names are in `miniagents`",
    "miniagents.messages": "a floor: its public names are in `miniagents`",
    "miniagents.promising": "a floor: its public names are in `miniagents`",
    "miniagents.supervision": "a floor: its public names are in `miniagents`",
    "miniagents.promising.cpython": "what the package uses of CPython's internals",
    "miniagents.ext": "the ready agents, where MiniAgents 0.0.35 had them; their home is `miniagents.ext.agents`",
    "miniagents.cli": "the commands; their home is docs/reference/command-line.md",
    "miniagents.control": "how a command talks to a running system",
    "miniagents.control.system": "how a command talks to a running system",
    "miniagents.journal.operating": "what the commands do with a journal",
    "miniagents.journal.sqlite": "handed on by `miniagents.journal`",
    "miniagents.testing.journal": "handed on by `miniagents.testing`",
}
"""The packages with an `__all__` that programs do not import from, each with the reason."""

MORE = (
    "miniagents.actors.ChildCounts",
    "miniagents.actors.ChildInfo",
    "miniagents.actors.DeadLetters",
    "miniagents.actors.Events",
    "miniagents.actors.Group",
    "miniagents.actors.Timer",
    "miniagents.actors.from_thread.FromThread",
    "miniagents.actors.messaging.durable_letters.DurableLetter",
    "miniagents.actors.messaging.durable_letters.DurableLetters",
    "miniagents.actors.observing.events.Subscription",
    "miniagents.agents.system.AgentsFromThread",
    "miniagents.errors.register",
    "miniagents.errors.registered",
    "miniagents.ext.llms.approvals.Approve",
    "miniagents.journal.changes.JobChanges",
    "miniagents.journal.pending_wait.PendingWait",
    "miniagents.messages.MessageSequenceAppender",
    "miniagents.messages.register_value_type",
    "miniagents.messages.register_wire_type",
    "miniagents.supervision.DEFAULT_SUPERVISION",
    "miniagents.supervision.Strategy",
)
"""Names of floors that users meet: as the types of what calls return, or in a guide."""


class PublicName(NamedTuple):
    """A public name.

    Attributes:
        path: The name with the package that programs import it from.
        value: What it names.
    """

    path: str
    value: object

    def is_same(self, other: object) -> bool:
        """Return whether another name is for the same thing. Equal constants are different things."""
        return self.value is other and not isinstance(other, (str, int, frozenset))

    def is_error(self) -> bool:
        """Return whether the name is that of a class of exceptions."""
        return inspect.isclass(self.value) and issubclass(self.value, BaseException)


def public_names() -> list[PublicName]:
    """Return all public names, each once: by the first of the packages that has it."""
    names: list[PublicName] = []
    paths = [f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(package).__all__]
    for path in (*paths, *MORE):
        value = named(path)
        if not any(name.is_same(value) for name in names):
            names.append(PublicName(path, value))
    return names


def named(path: str) -> object:
    """Return what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def packages_with_names() -> set[str]:
    """Return the modules of the package that have an `__all__`."""
    return {
        _module_of(path)
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^__all__ = ", path.read_text(), re.M) is not None
    }


def homes() -> dict[str, list[str]]:
    """Return for each name that docs/reference/api renders the pages that do it."""
    pages = defaultdict(list)
    for page in sorted(API.glob("*.md")):
        for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M):
            pages[path].append(page.name)
    return pages


def chosen_members() -> dict[str, list[str]]:
    """Return the members that docs/reference/api names, by the class that they are rendered with.

    Some classes have more names than programs use: those that the runtime's own modules call.
    """
    entry = re.compile(
        r"^::: ([\w.]+)\n    options:\n(?: {6}members: \[(.*)\]\n)?(?: {6}inherited_members: \[(.*)\]\n)?", re.M
    )
    found = [match for page in API.glob("*.md") for match in entry.findall(page.read_text())]
    return {path: re.findall(r"\w+", f"{members} {inherited}") for path, members, inherited in found}


def used_in_examples() -> list[object]:
    """Return what the blocks of the pages and the examples of docstrings use by a name."""
    used: dict[int, object] = {}
    for value in (*_of_pages(), *_of_docstrings()):
        used[id(value)] = value
    return list(used.values())


def _of_pages() -> Iterator[object]:
    for page in PAGES:
        for block in blocks_of(page):
            yield from _imported(ast.parse(block.code))


def _imported(tree: ast.AST) -> Iterator[object]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "miniagents":
            module = importlib.import_module(str(node.module))
            yield from (getattr(module, alias.name) for alias in node.names if hasattr(module, alias.name))


def _of_docstrings() -> Iterator[object]:
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text()
        for docstring in _docstrings(ast.parse(source)) if ">>> " in source or BLOCK in source else ():
            for block in re.findall(rf"{BLOCK}\n(.*?)```", docstring, re.S):
                yield from _imported(ast.parse(textwrap.dedent(block)))
            for example in doctest.DocTestParser().get_examples(docstring):
                yield from _used_by(example, importlib.import_module(_module_of(path)))


def _docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield text


def _used_by(example: doctest.Example, module: ModuleType) -> Iterator[object]:
    tree = ast.parse(example.source)
    yield from _imported(tree)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_of_package(node)}
    if example.exc_msg is not None:
        names.add(example.exc_msg.partition(":")[0].rpartition(".")[2].strip())
    for name in names:
        for place in (module, miniagents):
            if hasattr(place, name):
                yield getattr(place, name)
                break


def _is_of_package(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("errors", "miniagents")


def _module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
