"""Versions of code: equal for code that does the same, in every process and with every version of Python.

The version of a function is a hash of its source's syntax tree. A comment, a blank line or the layout changes nothing.
Default values, closure values and what the code refers to in its own package (functions, classes, constants) are part
of the version, recursively. An agent that the code calls is not: its calls have versions of their own.
"""

import ast
import builtins
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.names import name_of

_SKIPPED = frozenset({"type_comment", "kind", "type_ignores", "type_params", "decorator_list"})
"""The fields of syntax trees that change nothing, or that not every version of Python has."""


@lru_cache(maxsize=4096)
def version_of(code: Any) -> str:
    """Return the version of a function or class: 16 hexadecimal digits.

    Code of this package has one version, since agents of it are the same for a program whatever their code is.
    Code without a source (made by `exec`, or in an interactive session of an older Python) has the version of its name.

    Args:
        code: The function or class.
    """
    if str(code.__module__).startswith("miniagents."):
        return "miniagents"
    return hashlib.sha256("\n".join(_Reader(code).parts()).encode(errors="replace")).hexdigest()[:16]


class _Reader:
    """Reads code and what it refers to, each thing once.

    Args:
        code: A function or class.
    """

    def __init__(self, code: Any) -> None:
        self._code = code
        self._package = str(getattr(code, "__module__", "")).partition(".")[0]
        self._seen: set[int] = set()
        self._open: set[int] = set()

    def parts(self) -> Iterator[str]:
        """Yield what the version is made of, in an order that does not depend on the process."""
        yield from self._code_parts(self._code)

    def _code_parts(self, code: Any) -> Iterator[str]:
        code = inspect.unwrap(code) if isinstance(code, FunctionType) else code
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        yield f"{code.__qualname__}"
        tree = _tree_of(code)
        if tree is None:
            return
        yield _dumped(tree)
        if isinstance(code, FunctionType):
            for value in (*(code.__defaults__ or ()), *sorted((code.__kwdefaults__ or {}).items())):
                yield from self._value_parts(value)
        for name, value in sorted(_referred(code, tree).items()):
            yield name
            yield from self._value_parts(value)

    def _value_parts(self, value: Any) -> Iterator[str]:
        if isinstance(value, MiniAgent):
            yield f"agent {name_of(value)}"
        elif isinstance(value, MethodType):
            yield from self._value_parts(value.__func__)
        elif isinstance(value, (FunctionType, type)):
            if self._is_own(value):
                yield value.__qualname__
                yield from self._code_parts(value)
            else:
                yield f"{value.__module__}:{value.__qualname__}"
        elif isinstance(value, (set, frozenset, tuple, list, Mapping)):
            yield from self._container_parts(value)
        elif value is None or isinstance(value, (str, bytes, int, float, complex)):
            yield f"{type(value).__name__} {value!r}"
        elif value is Ellipsis:
            yield "..."
        else:
            yield f"a {type(value).__qualname__}"

    def _container_parts(self, value: Any) -> Iterator[str]:
        if id(value) in self._open:
            yield "itself"
            return
        self._open.add(id(value))
        if isinstance(value, (set, frozenset)):
            yield "set"
            yield from sorted("".join(self._value_parts(item)) for item in value)
        elif isinstance(value, (tuple, list)):
            yield type(value).__name__
            for item in value:
                yield from self._value_parts(item)
        else:
            yield "dict"
            yield from sorted(
                "=".join((*self._value_parts(key), *self._value_parts(item))) for key, item in value.items()
            )
        self._open.discard(id(value))

    def _is_own(self, code: Any) -> bool:
        return str(code.__module__).partition(".")[0] == self._package


def _tree_of(code: Any) -> ast.AST | None:
    try:
        source = textwrap.dedent(inspect.getsource(code))
        tree: ast.AST = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if isinstance(code, FunctionType) and code.__name__ == "<lambda>":
        return next((node for node in ast.walk(tree) if isinstance(node, ast.Lambda)), tree)
    return tree


def _dumped(node: Any) -> str:
    """Return a syntax tree as text, without places, and without fields that are empty."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _SKIPPED)
        inside = " ".join(f"{name}={_dumped(value)}" for name, value in fields if value is not None and value != [])
        return f"({type(node).__name__} {inside})"
    if isinstance(node, list):
        return f"[{' '.join(map(_dumped, node))}]"
    return repr(node)


def _referred(code: Any, tree: ast.AST) -> dict[str, Any]:
    """Return the values of the names that code refers to and does not make: in its closure, its module, and, by dotted
    names, in other modules."""
    known: dict[str, Any] = {}
    functions = [code] if isinstance(code, FunctionType) else list(_methods(code))
    for function in functions:
        known.update(function.__globals__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                known[name] = cell.cell_contents
            except ValueError:  # the name has no value yet
                continue
    referred: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            dotted, value = _resolved(node, known)
            if dotted is not None and not isinstance(value, ModuleType) and value is not code:
                referred[dotted] = value
    return referred


def _methods(code: Any) -> Iterator[FunctionType]:
    for value in vars(code).values():
        function = inspect.unwrap(getattr(value, "__func__", value))
        if isinstance(function, FunctionType):
            yield function


def _resolved(node: ast.AST, known: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the dotted name that a node is, and its value; None where it is no such name."""
    if isinstance(node, ast.Name):
        if node.id in known and not hasattr(builtins, node.id):
            return node.id, known[node.id]
        return None, None
    if isinstance(node, ast.Attribute):
        name, owner = _resolved(node.value, known)
        if name is not None and isinstance(owner, ModuleType) and hasattr(owner, node.attr):
            return f"{name}.{node.attr}", getattr(owner, node.attr)
    return None, None
