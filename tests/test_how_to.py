"""The pages of docs/how-to whose blocks are no programs: tests, and the cells of a notebook."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to"


def blocks(page: str, fence: str) -> list[str]:
    """The code blocks of a page that begin with a fence, for example `python`."""
    return re.findall(rf"^```{fence}\n(.*?)^```", (HOW_TO / page).read_text(), re.S | re.M)


async def test_the_cells_of_the_notebook_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}

    for cell in blocks("jupyter.md", 'python title="a cell"'):
        outcome = eval(compile(cell, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(outcome):  # the cell has an await, as IPython finds out, too
            await outcome
        printed = capsys.readouterr().out
        assert [text for text in re.findall(r'# prints "(.*)"$', cell, re.M) if text not in printed] == []

    assert names["system"].is_running is False


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(n)) for n, block in enumerate(blocks("testing.md", "python"))]
)
def test_the_tests_of_the_page_on_testing_pass(block: str) -> None:
    names: dict[str, Any] = {"__name__": "test_page"}
    exec(compile(block, "test_page.py", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert len(tests) == 1
    tests[0]()
