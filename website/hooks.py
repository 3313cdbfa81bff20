"""Hooks of MkDocs: sections are ordered by their index pages, and links to files outside of `docs/` lead to copies.

The pages are read on a code host, too, where a link such as `../../benchmarks/RESULTS.md` leads to the file. So these
links stay as they are, and the site has a copy of each file that a page links to, below `repository/`: Markdown as a
page, code as a page that shows it, and pictures as they are. The name of a test leads to the file of the test, as text.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
COPIES = "repository/"
"""The folder of the site with the copies of files that do not belong to `docs/`."""

LINK = re.compile(r"""(?P<before>\]\(|(?:src|srcset|href)=")(?P<target>[^)#:"\s]+)(?P<anchor>#[^)"\s]*)?(?=[)"])""")
ENTRY = re.compile(r"^(?:[-*]|\d+\.|\|) +\**\[(?P<label>[^]]+)\]\((?P<target>[^)#:]+\.md)\)", re.M)
"""A line of an index page that begins with a link, in a list or in a table."""

TEST = re.compile(r"`(test_\w+)`")
"""The name of a test, as pages write it."""

TWO_COLOURS = re.compile(
    r'<picture>(.*?)<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
    r'(<img[^>]* src=")([^"]+)("[^>]*>)</picture>'
)
"""A picture with dark colours in a dark browser. The site has a switch of its own, and so needs both."""

PICTURES = {".svg", ".png", ".webp", ".gif"}
LANGUAGES = {".py": "python", ".mjs": "js", ".html": "html", ".toml": "toml", ".yml": "yaml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add copies of the files that the pages link to, and put the pages of each folder into the navigation."""
    pages = [file.src_uri for file in files.documentation_pages()]
    while pages:
        for target in _links(pages.pop()):
            uri = _uri(target)
            if uri.startswith(COPIES) and files.get_file_from_path(uri) is None:
                files.append(_copy(target, config))
                pages.append(uri)
    for test in _named_tests(files):
        path, uri = str(ROOT / _tests()[test]), _uri_of_test(test)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=path))
    config.nav = _expanded(config.nav or (), files)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a page lead into the site, and its pictures follow the colours of the site."""
    source = page.file.src_uri

    def in_the_site(link: re.Match[str]) -> str:
        target = _in_repository(source, link["target"])
        file = None if target is None else files.get_file_from_path(_uri(target))
        if file is None:
            return link[0]
        # MkDocs itself follows the links of Markdown; those of HTML are taken as they stand.
        in_markdown = link["before"] == "]("
        address = get_relative_url(file.src_uri, source) if in_markdown else get_relative_url(file.url, page.url)
        return f"{link['before']}{address}{link['anchor'] or ''}"

    def to_its_file(test: re.Match[str]) -> str:
        # A page for each of hundreds of files would take longer to make than all others.
        known = test[1] in _tests()
        return f"[{test[0]}]({get_relative_url(_uri_of_test(test[1]), source)})" if known else test[0]

    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    if not _path(source).is_file():
        return markdown
    both = r'<picture class="only-dark">\1\3\2\5</picture><picture class="only-light">\1\3\4\5</picture>'
    return TEST.sub(to_its_file, TWO_COLOURS.sub(both, LINK.sub(in_the_site, markdown)))


@cache
def _tests() -> dict[str, str]:
    """The file of each test, relative to the root of the repository. A name that stands in several files has none."""
    tests: dict[str, str] = {}
    again: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name in set(re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.M)):
            if tests.setdefault(name, path.relative_to(ROOT).as_posix()) != path.relative_to(ROOT).as_posix():
                again.add(name)
    return {name: path for name, path in tests.items() if name not in again}


def _uri_of_test(test: str) -> str:
    """The copy of the file of a test. As text, it is shown by a browser and not saved."""
    return f"{COPIES}{_tests()[test]}.txt"


def _named_tests(files: Files) -> Iterator[str]:
    """The tests that the pages of the documentation name."""
    for file in files.documentation_pages():
        if _path(file.src_uri).is_file():
            yield from (test for test in TEST.findall(_path(file.src_uri).read_text()) if test in _tests())


def _links(uri: str) -> Iterator[str]:
    """The files that a page of the site links to, relative to the root of the repository."""
    if _path(uri).is_file() and uri.endswith(".md"):
        for link in LINK.finditer(_path(uri).read_text()):
            target = _in_repository(uri, link["target"])
            if target is not None:
                yield target


def _in_repository(uri: str, link: str) -> str | None:
    """The file that a link leads to, relative to the root of the repository; None if there is no such file."""
    path = (_path(uri).parent / link).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_file() and path.is_relative_to(ROOT) else None


def _path(uri: str) -> Path:
    """The file of the repository that a page of the site is made of. A page that shows code has none."""
    return ROOT / uri.removeprefix(COPIES) if uri.startswith(COPIES) else ROOT / "docs" / uri


def _uri(target: str) -> str:
    """The page or picture of the site that shows a file of the repository."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    as_it_is = PurePosixPath(target).suffix in {".md", *PICTURES}
    return f"{COPIES}{target}" if as_it_is else f"{COPIES}{target}.md"


def _copy(target: str, config: MkDocsConfig) -> File:
    """A file of the site that shows a file of the repository."""
    path, uri = ROOT / target, _uri(target)
    if path.suffix in {".md", *PICTURES}:
        return File.generated(config, uri, abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV)
    head = f"---\ntitle: {path.name}\nsearch:\n  exclude: true\n---\n\n# {target}\n"
    code = f'~~~~~~~~ {{ .{LANGUAGES.get(path.suffix, "text")} linenums="1" }}\n{path.read_text()}\n~~~~~~~~\n'
    return File.generated(config, uri, content=f"{head}\n{code}", inclusion=InclusionLevel.NOT_IN_NAV)


def _expanded(items: Iterable[Any], files: Files) -> list[Any]:
    """The entries of the navigation, with the pages of a folder in place of the folder."""
    expanded: list[Any] = []
    for item in items:
        match item:
            case dict():
                ((label, value),) = item.items()
                is_section = isinstance(value, list) or value.endswith("/")
                inside = _expanded(value if isinstance(value, list) else [value], files) if is_section else value
                expanded += [{label: inside}] if inside else []  # a folder without pages is left out
            case str() if item.endswith("/"):
                expanded += _section(item, files)
            case _:
                expanded.append(item)
    return expanded


def _section(folder: str, files: Files) -> list[Any]:
    """The pages of a folder in the order of its index page; without an index page, in the order of their names."""
    index = f"{folder}index.md"
    if files.get_file_from_path(index) is None:
        return sorted(uri for uri in files.src_uris if uri.startswith(folder) and uri.endswith(".md"))
    section: list[Any] = [index]
    for entry in ENTRY.finditer(_path(index).read_text()):
        uri = _uri(target) if (target := _in_repository(index, entry["target"])) is not None else ""
        subfolder = f"{folder}{uri.removeprefix(folder).partition('/')[0]}/"
        page: Any = {entry["label"].replace("`", ""): uri}
        if files.get_file_from_path(f"{subfolder}index.md") is not None:
            page = {entry["label"]: _section(subfolder, files)}
        if uri.startswith(folder) and page not in section:
            section.append(page)
    return section
