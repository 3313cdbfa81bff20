"""The examples in the docstrings of the public names run, and print what they say."""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import traceback
from types import CodeType
from typing import Any

import pytest

import miniagents

PUBLIC = {
    name: value
    for name in miniagents.__all__
    if inspect.isfunction(value := getattr(miniagents, name))
    or (inspect.isclass(value) and not issubclass(value, BaseException))
}
"""The public classes and functions, without the errors: `miniagents.errors` begins with their tree."""

WITHOUT = {
    name
    for name, value in PUBLIC.items()
    if value.__module__.startswith(("miniagents.actors", "miniagents.agents")) and ">>>" not in (value.__doc__ or "")
}
"""Public names without an example."""


def compiled(source: str) -> CodeType:
    """The code of one example. An expression is printed, as in `python -m asyncio`; both can await."""
    tree = ast.parse(source)
    mode = "single" if isinstance(tree.body[0], ast.Expr) else "exec"
    return compile(source, "<example>", mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


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


async def check(name: str, docstring: str) -> None:
    names: dict[str, Any] = {**vars(miniagents), "__name__": "example", "asyncio": asyncio}
    checker = doctest.OutputChecker()
    for example in doctest.DocTestParser().get_examples(docstring, name):
        wanted = example.exc_msg or example.want
        printed = await output_of(example, names)
        assert checker.check_output(wanted, printed, doctest.ELLIPSIS), (
            f"{name}: {example.source}printed {printed!r} and not {wanted!r}"
        )


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - WITHOUT))
async def test_the_example_of_a_public_name_prints_what_it_says(name: str) -> None:
    docstring = inspect.getdoc(PUBLIC[name])

    assert docstring
    assert ">>>" in docstring, f"{name} has no example"
    await check(name, docstring)


async def test_an_example_that_prints_something_else_is_found() -> None:
    with pytest.raises(AssertionError, match="printed '2"):
        await check("wrong", ">>> 1 + 1\n3\n")
    with pytest.raises(ZeroDivisionError):
        await check("wrong", ">>> 1 / 0\n3\n")
    with pytest.raises(AssertionError, match="printed"):
        await check("wrong", ">>> 1 / 1\nTraceback (most recent call last):\nZeroDivisionError: division by zero\n")
