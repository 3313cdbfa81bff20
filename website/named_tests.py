"""A hook of MkDocs: the name of a test leads to its file.

A page for each of hundreds of files would take longer to make than all others, so a file of tests is copied as text,
which a browser shows and does not save.
"""

import re
from functools import cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"`(test_\w+)`")
"""The name of a test, as pages write it."""


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a copy of each file with a test that the pages name."""
    named = {test for file in files.documentation_pages() for test in NAME.findall(file.content_string)}
    for path in sorted({_tests()[test] for test in named & _tests().keys()}):
        files.append(File.generated(config, _uri(path), abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the name of each test a link."""

    def to_its_file(test: re.Match[str]) -> str:
        path = _tests().get(test[1])
        return test[0] if path is None else f"[{test[0]}]({get_relative_url(_uri(path), page.file.src_uri)})"

    shows_code = page.file.abs_src_path is None
    return markdown if shows_code else NAME.sub(to_its_file, markdown)


@cache
def _tests() -> dict[str, str]:
    """The file of each test, relative to the root of the repository. A name that stands in several files has none."""
    paths: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("*.py"):
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.M):
            paths.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return {name: path for name, (path, *others) in paths.items() if not others}


def _uri(path: str) -> str:
    return f"repository/{path}.txt"
