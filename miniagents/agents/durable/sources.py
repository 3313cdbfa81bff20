"""Source code as syntax trees: of functions and classes, and of the names of a module."""

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_SKIPPED = frozenset({"type_comment", "kind", "type_ignores", "type_params", "decorator_list"})
"""The fields of syntax trees that change nothing, or that not every version of Python has."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""The names of the folders that installed packages lie in."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def tree_of(code: Any) -> ast.AST | None:
    """Return the syntax tree of a function or class; None if it has no source.

    Of a lambda, it is that of all lambdas that begin on its line.
    """
    is_lambda = isinstance(code, FunctionType) and code.__name__ == "<lambda>"
    module = module_tree_of(sys.modules.get(code.__module__)) if is_lambda else None
    if module is not None:
        line = code.__code__.co_firstlineno
        lambdas: list[ast.expr] = [
            node for node in ast.walk(module) if isinstance(node, ast.Lambda) and node.lineno == line
        ]
        return ast.Tuple(elts=lambdas, ctx=ast.Load())
    try:
        source = inspect.getsource(code)
        is_indented = source[:1].isspace()
        body = ast.parse(f"if 1:\n{source}" if is_indented else source).body
        return body[0].body[0] if isinstance(body[0], ast.If) and is_indented else body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


def module_tree_of(module: ModuleType | None) -> ast.Module | None:
    """Return the syntax tree of a module; None if it has no source."""
    try:
        return _parsed(inspect.getsource(module)) if module is not None else None
    except (OSError, TypeError, SyntaxError):
        return None


@lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@lru_cache(maxsize=64)
def bindings_of(tree: ast.Module) -> Mapping[str, list[ast.AST]]:
    """Return the statements by which each name of a module gets its value, without those in functions and classes.

    The statements `from ... import *` stand under the name "*".
    """
    bindings: dict[str, list[ast.AST]] = {}
    for node in _outside_of_scopes(tree):
        for name in _bound_names(node):
            bindings.setdefault(name, []).append(node)
    return bindings


def _outside_of_scopes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _outside_of_scopes(child)


def _bound_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (name for target in node.targets for name in _target_names(target))
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For, ast.AsyncFor)):
        yield from _target_names(node.target)
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield from (name for item in node.items if item.optional_vars for name in _target_names(item.optional_vars))


def _target_names(target: ast.AST) -> Iterator[str]:
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred)):
        target = target.value
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from _target_names(item)


def rebound_names(code: FunctionType, tree: ast.Module | None) -> set[str]:
    """Return the names that `nonlocal` statements rebind in the functions around some code.

    Args:
        code: The function whose surroundings are looked at.
        tree: The syntax tree of its module, if there is one.
    """
    line = code.__code__.co_firstlineno
    around = (node for node in (tree.body if tree else ()) if node.lineno <= line <= (node.end_lineno or 0))
    return {
        name for node in around for inner in ast.walk(node) if isinstance(inner, ast.Nonlocal) for name in inner.names
    }


def dumped(node: Any) -> str:
    """Return a syntax tree as text, without places, and without fields that are empty.

    The items of a set of constants are sorted, since their order changes nothing.
    """
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _SKIPPED)
        inside = [f"{name}={dumped(value)}" for name, value in fields if value is not None and value != []]
        if isinstance(node, ast.Set) and all(isinstance(item, ast.Constant) for item in node.elts):
            inside = sorted(map(dumped, node.elts))
        return f"({type(node).__name__} {' '.join(inside)})"
    if isinstance(node, list):
        return f"[{' '.join(map(dumped, node))}]"
    return repr(node)


def is_installed(module: str) -> bool:
    """Return whether a module is of the standard library, of an installed package, or of this package.

    A package that is installed as editable counts as code of the user.

    Args:
        module: The name of the module.
    """
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if top == "miniagents" or file is None:
        return top == "miniagents" or top in sys.stdlib_module_names
    path = Path(file)
    return not _INSTALLED.isdisjoint(path.parts) or any(path.is_relative_to(folder) for folder in _library_folders())


@lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
