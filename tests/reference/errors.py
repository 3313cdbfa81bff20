"""The parts of docs/reference/errors.md: the tree, and cause and cure of each error, from `miniagents.errors`."""

import ast
import inspect
import re
from collections.abc import Iterator

from miniagents import MiniAgentsError, errors
from tests.reference.markdown import cell

NAME = re.compile(r"\W*\w+(?: \(\w+\))?")
"""A name in the tree of the module, with the lines before it and the builtin behind it."""


def tree() -> str:
    """Return the drawn tree, without the words beside the names: the table has them."""
    _, _, drawn = (errors.__doc__ or "").partition("::\n\n")
    names = [NAME.match(line.removeprefix("    ")) for line in drawn.split("\n\n")[0].splitlines()]
    lines = [name[0] for name in names if name is not None]
    return "\n".join(["```text", *lines, "```", ""])


def table() -> str:
    """Return the table of all errors, in the order of the tree."""
    rows = [
        f"| [`{kind.__name__}`](api/errors.md#miniagents.{kind.__name__}) | {cause} | {cure} |"
        for kind, cause, cure in _all()
    ]
    return "\n".join(["| error | cause | cure |", "|---|---|---|", *rows, ""])


def _all() -> Iterator[tuple[type[MiniAgentsError], str, str]]:
    kinds: list[type[MiniAgentsError]] = [MiniAgentsError, *_below(MiniAgentsError)]
    for kind in kinds:
        cause, cure = cause_and_cure(kind)
        yield kind, cell(cause), cell(cure)


def _below(kind: type[MiniAgentsError]) -> Iterator[type[MiniAgentsError]]:
    """Yield the errors below one, in the order in which the module defines them."""
    order = [node.name for node in ast.parse(inspect.getsource(errors)).body if isinstance(node, ast.ClassDef)]
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    for child in sorted(children, key=lambda child: order.index(child.__name__)):
        yield child
        yield from _below(child)


def cause_and_cure(kind: type[BaseException]) -> tuple[str, str]:
    """Return what the docstring of an error says of its cause and of its cure.

    Raises:
        LookupError: The docstring has no section `Cure:`.
    """
    cause, found, rest = inspect.cleandoc(kind.__doc__ or "").partition("\n\nCure:\n")
    if not found:
        raise LookupError(f"{kind.__name__}: its docstring has no section `Cure:` after the cause")
    return cause, rest.partition("\n\n")[0]
