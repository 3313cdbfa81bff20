"""Every example in a docstring runs, and gives what it shows."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("module", "line", "text"),
    [pytest.param(*docstring, id=f"{docstring[0]}:{docstring[1]}") for docstring in docstrings_with_examples()],
)
def test_an_example_in_a_docstring_gives_what_it_shows(module: str, line: int, text: str) -> None:
    names = vars(importlib.import_module(module)).copy()
    example = doctest.DocTestParser().get_doctest(text, names, f"{module}:{line}", module, line)
    output: list[str] = []

    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=output.append)

    assert result.attempted > 0
    assert result.failed == 0, "".join(output)
