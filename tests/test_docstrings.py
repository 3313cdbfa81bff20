"""The examples in docstrings run, and print what they say; each public class and function has one."""

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import re
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import miniagents

ROOT = Path(__file__).parents[1]


def docstrings_with_examples() -> list[tuple[str, int, str]]:
    """The module, the line and the text of each docstring with an example, those of variables included."""
    docstrings = []
    for path in sorted((ROOT / "miniagents").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = node.value.value
                if isinstance(text, str) and ">>> " in text:
                    docstrings.append((module, node.lineno, text))
    return docstrings


EXAMPLES = [pytest.param(*found, id=f"{found[0]}:{found[1]}") for found in docstrings_with_examples()]


PACKAGES = ("miniagents", "miniagents.ext.serving", "miniagents.ext.telemetry", "miniagents.testing")
"""The packages whose names have examples here; those of models and of ready agents are in `tests/ext/llms`."""

PUBLIC = [
    pytest.param(value, id=f"{package.__name__}.{name}")
    for package in map(importlib.import_module, PACKAGES)
    for name in package.__all__
    if inspect.isfunction(value := getattr(package, name))
    or (inspect.isclass(value) and not issubclass(value, BaseException))
]
"""The public classes and functions, without the errors: `miniagents.errors` begins with their tree."""


def compiled(source: str) -> CodeType:
    """The code of one example. An expression is printed, as in `python -m asyncio`; both can await."""
    return compile(source, "<example>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)  # type: ignore[no-any-return]


async def output_of(example: doctest.Example, names: dict[str, Any]) -> str:
    """What an example prints; of an exception the last line of its traceback."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            result = eval(compiled(example.source), names)
            if inspect.iscoroutine(result):
                await result
        except Exception as error:
            if example.exc_msg is None:
                raise
            return "".join(traceback.format_exception_only(error))
    return out.getvalue()


async def run(module: str, line: int, docstring: str) -> None:
    names: dict[str, Any] = {
        **vars(miniagents),
        **vars(importlib.import_module(module)),
        "__name__": "example",
        "asyncio": asyncio,
    }
    checker = doctest.OutputChecker()
    for example in doctest.DocTestParser().get_examples(docstring, module):
        wanted = example.exc_msg or example.want
        printed = await output_of(example, names)
        assert checker.check_output(wanted, printed, doctest.ELLIPSIS), (
            f"{module}:{line}: {example.source}printed {printed!r} and not {wanted!r}"
        )


@pytest.mark.parametrize(("module", "line", "docstring"), EXAMPLES)
def test_the_example_of_a_docstring_prints_what_it_says(module: str, line: int, docstring: str) -> None:
    # An example with a top-level `await` needs a running loop; one that calls `asyncio.run` must not have one.
    check = run(module, line, docstring)
    if re.search(r"^\s*(>>>|\.\.\.) (async with|async for|await|.*= await|print\(await) ?", docstring, re.M):
        asyncio.run(check)
        return
    with pytest.raises(StopIteration):
        check.send(None)


@pytest.mark.parametrize("public", PUBLIC)
def test_a_public_class_or_function_has_an_example(public: Any) -> None:
    assert ">>> " in (public.__doc__ or "")


async def test_an_example_that_prints_something_else_is_found() -> None:
    with pytest.raises(AssertionError, match="printed '2"):
        await run("miniagents", 1, ">>> 1 + 1\n3\n")
    with pytest.raises(ZeroDivisionError):
        await run("miniagents", 1, ">>> 1 / 0\n3\n")
    with pytest.raises(AssertionError, match="printed"):
        await run(
            "miniagents", 1, ">>> 1 / 1\nTraceback (most recent call last):\nZeroDivisionError: division by zero\n"
        )
