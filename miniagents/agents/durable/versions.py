"""Versions of code: equal for code that does the same, in every process and with every version of Python.

The version of a function is a hash of its source's syntax tree. A comment, a blank line or the layout changes nothing.
What the code refers to is part of the version, recursively:

- A function or class of the user enters by its source. The standard library, installed packages and this package
  enter by name alone. Installed code that has the same top-level package as the agent counts as the user's.
- Another name of a module enters by the source of the statements that assign it. Its value at run time does not enter,
  since the agents may have written to it, and it may differ from process to process (the time of the start, a path).
  Where the module has no source (in a notebook), it enters like a closure value.
- Default values and closure values enter by value where they are immutable, and by type where they are not, or where a
  `nonlocal` statement rebinds the name.
- An agent that the code calls enters by name, since its calls have versions of their own.
"""

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

from miniagents.agents.agent import MiniAgent
from miniagents.agents.durable.names import main_name, module_of, name_of
from miniagents.agents.durable.sources import (
    bindings_of,
    dumped,
    is_installed,
    module_tree_of,
    rebound_names,
    tree_of,
)


@lru_cache(maxsize=4096)
def version_of(code: Any) -> str:
    """Return the version of a function or class: 16 hexadecimal digits.

    Code of this package has one version, since agents of it are the same for a program whatever their code is.
    Code without a source (made by `exec`, or in an interactive session of an older Python) has the version of its name.

    Args:
        code: The function or class.
    """
    if module_of(code).startswith("miniagents."):
        return "miniagents"
    return hashlib.sha256("\n".join(_Reader(code).parts()).encode(errors="replace")).hexdigest()[:16]


def code_key(code: Any) -> str:
    """Return the key of a function or class among arguments: its name and version.

    Args:
        code: The function or class.
    """
    return f"{module_of(code)}:{code.__qualname__} {version_of(code)}"


class _Reader:
    """Reads code and what it refers to, each thing once.

    Args:
        code: A function or class.
    """

    def __init__(self, code: Any) -> None:
        self._code = code
        self._package = module_of(code).partition(".")[0]
        self._seen: set[object] = set()
        self._bindings: dict[str, Mapping[str, list[ast.AST]] | None] = {}

    def parts(self) -> Iterator[str]:
        """Yield what the version is made of, in an order that does not depend on the process."""
        yield from self._code_parts(self._code)

    def _code_parts(self, code: Any) -> Iterator[str]:
        code = inspect.unwrap(code) if isinstance(code, FunctionType) else code
        key = id(code) if "<" in code.__qualname__ else (module_of(code), code.__qualname__, _line(code))
        if key in self._seen:
            return
        self._seen.add(key)
        yield f"{code.__qualname__}"
        tree = tree_of(code)
        if tree is None:
            return
        yield dumped(tree)
        functions = [code] if isinstance(code, FunctionType) else list(_methods(code))
        if isinstance(code, FunctionType):
            for value in (*(code.__defaults__ or ()), *sorted((code.__kwdefaults__ or {}).items())):
                yield from self._value_parts(value)
        module = sys.modules.get(code.__module__)
        names = code.__globals__ if isinstance(code, FunctionType) else vars(module) if module is not None else {}
        closure = {name: value for function in functions for name, value in _closure(function).items()}
        yield from self._reference_parts(tree, names, closure)

    def _reference_parts(self, tree: ast.AST, names: Mapping[str, Any], closure: Mapping[str, Any]) -> Iterator[str]:
        """Yield what enters for the names in a syntax tree.

        Args:
            tree: The syntax tree.
            names: The names of its module.
            closure: The names of the functions around it.
        """
        visible = {**names, **closure} if closure else names
        references: dict[str, tuple[Mapping[str, Any], str]] = {}
        for node in ast.walk(tree):
            dotted, owner, name = self._resolved(node, visible)
            references[dotted] = (owner, name)
        references.pop("", None)
        for dotted, (owner, name) in sorted(references.items(), key=lambda reference: reference[0]):
            value = owner[name]
            if isinstance(value, ModuleType):
                if not self._is_own(value.__name__):
                    yield f"{dotted} is {value.__name__}"
            else:
                inner = self._value_parts(value) if dotted in closure else self._name_parts(owner, name)
                if parts := list(inner):
                    yield from (dotted, *parts)

    def _resolved(self, node: ast.AST, names: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], str]:
        """Return the dotted name that a node is, the names of the module that it is one of, and its name in there.

        The dotted name is empty where the node is no such name, or one of a module that is not the user's. Which names
        these have may depend on what was loaded before.
        """
        if isinstance(node, ast.Name) and node.id in names:
            return node.id, names, node.id
        if isinstance(node, ast.Attribute):
            dotted, owner, name = self._resolved(node.value, names)
            module = owner[name] if dotted else None
            if isinstance(module, ModuleType) and self._is_own(module.__name__) and node.attr in vars(module):
                return f"{dotted}.{node.attr}", vars(module), node.attr
        return "", names, ""

    def _name_parts(self, names: Mapping[str, Any], name: str) -> Iterator[str]:
        """Yield what enters for a name of a module."""
        value, module = names[name], str(names.get("__name__"))
        key = (main_name() if module == "__main__" else module, name)
        if isinstance(value, MiniAgent):
            yield from self._value_parts(value)
        elif not self._is_own(module):
            yield f"{module}:{name}"
        elif key not in self._seen:
            self._seen.add(key)
            yield from self._bound_parts(names, name, value)

    def _bound_parts(self, names: Mapping[str, Any], name: str, value: Any) -> Iterator[str]:
        bindings = self._bindings_of(str(names.get("__name__")))
        if bindings is None:
            yield from self._value_parts(value)
            return
        statements = bindings.get(name) or bindings.get("*") or []
        is_assigned = any(not isinstance(statement, _DEFINITIONS) for statement in statements)
        if not is_assigned and isinstance(value, (FunctionType, type)) and self._is_own(_module_of(value)):
            yield from self._value_parts(value)
            return
        for statement in statements:
            if isinstance(statement, ast.ImportFrom):
                yield from self._imported_parts(statement, names, name)
            elif not isinstance(statement, ast.Import):
                yield dumped(statement)
                yield from self._reference_parts(statement, names, {})

    def _imported_parts(self, statement: ast.ImportFrom, names: Mapping[str, Any], name: str) -> Iterator[str]:
        dotted = "." * statement.level + (statement.module or "")
        module = importlib.util.resolve_name(dotted, names.get("__package__") or None)
        origin = vars(sys.modules[module]) if module in sys.modules else {}
        for alias in statement.names:
            original = name if alias.name == "*" else alias.name
            if name != (alias.asname or original):
                continue
            if not self._is_own(module):
                yield f"{module}:{original}"
            elif original in origin:
                yield from self._name_parts(origin, original)

    def _value_parts(self, value: Any) -> Iterator[str]:
        if isinstance(value, MiniAgent):
            yield f"agent {name_of(value)}"
        elif isinstance(value, MethodType):
            yield from self._value_parts(value.__func__)
        elif isinstance(value, (FunctionType, type)):
            if self._is_own(_module_of(value)):
                yield value.__qualname__
                yield from self._code_parts(value)
            else:
                yield f"{value.__module__}:{value.__qualname__}"
        elif isinstance(value, Enum):
            yield f"{type(value).__qualname__}.{value.name}"
        elif isinstance(value, frozenset):
            yield "frozenset"
            yield from sorted("".join(self._value_parts(item)) for item in value)
        elif isinstance(value, tuple):
            yield "tuple"
            for item in value:
                yield from self._value_parts(item)
        elif value is None or value is Ellipsis or isinstance(value, (str, bytes, int, float, complex)):
            yield f"{type(value).__name__} {value!r}"
        else:
            yield f"a {type(value).__qualname__}"

    def _bindings_of(self, module: str) -> Mapping[str, list[ast.AST]] | None:
        if module not in self._bindings:
            tree = module_tree_of(sys.modules.get(module))
            self._bindings[module] = bindings_of(tree) if tree is not None else None
        return self._bindings[module]

    def _is_own(self, module: str) -> bool:
        return module == "__main__" or module.partition(".")[0] == self._package or not is_installed(module)


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _line(code: Any) -> int:
    return code.__code__.co_firstlineno if isinstance(code, FunctionType) else 0


def _module_of(code: Any) -> str:
    return str((inspect.unwrap(code) if isinstance(code, FunctionType) else code).__module__)


def _closure(function: FunctionType) -> dict[str, Any]:
    """Return the closure values of a function, and the type in the place of one that is rebound."""
    closure: dict[str, Any] = {}
    if not function.__closure__:
        return closure
    rebound = rebound_names(function, module_tree_of(sys.modules.get(function.__module__)))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
        try:
            closure[name] = "rebound" if name in rebound else cell.cell_contents
        except ValueError:  # the name has no value yet
            continue
    return closure


def _methods(code: Any) -> Iterator[FunctionType]:
    for value in vars(code).values():
        function = inspect.unwrap(getattr(value, "__func__", value))
        if isinstance(function, FunctionType):
            yield function
