"""The site of the documentation: it builds without a warning, reaches nothing outside, and its links lead somewhere."""

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import unquote, urljoin, urlsplit

import pytest

pytest.importorskip("material", reason="the site is built by mkdocs-material (extra `docs`)")
pytest.importorskip("mkdocstrings", reason="the reference is made by mkdocstrings (extra `docs`)")

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import diagrams

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOADED = {"src", "srcset", "poster", "data"}
"""The attributes by which an element loads an address; a link is only followed by a click."""


class Html(HTMLParser):
    """What a page of the site links to, in its text and anywhere, what it loads, its anchors, and its paragraphs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.links_of_the_text: list[str] = []
        self.loads: list[str] = []
        self.classes: set[str] = set()
        self.anchors: set[str] = {""}
        self.paragraphs: list[str] = []
        self._in_paragraph = False
        self._in_text = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.classes |= set(values.get("class", "").split())
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
            self.links_of_the_text += [values["href"]] if self._in_text else []
        self._in_text = self._in_text or tag == "article"
        if tag == "link":
            self.loads.append(values["href"])
        self.loads += [values[name] for name in LOADED & set(values)]
        self._in_paragraph = tag == "p" or (self._in_paragraph and tag not in {"li", "td", "code", "a"})
        if tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_paragraph = self._in_paragraph and tag != "p"
        self._in_text = self._in_text and tag != "article"

    def handle_data(self, data: str) -> None:
        if self._in_paragraph:
            self.paragraphs[-1] += data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker builds, and the others wait for it
        if not folder.exists():
            build(folder)
    return folder


def build(folder: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(unfinished)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    unfinished.rename(folder)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Html]:
    return {path.relative_to(site).as_posix(): Html(path.read_text()) for path in site.rglob("*.html")}


def test_each_page_of_the_documentation_is_a_page_of_the_site(pages: dict[str, Html]) -> None:
    expected = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}

    assert expected - set(pages) == set()


def test_each_page_of_the_documentation_is_in_the_navigation(pages: dict[str, Html]) -> None:
    linked = {urljoin("guides/index.html", link) for link in pages["guides/index.html"].links}
    linked |= {urljoin("guarantees.html", link) for link in pages["guarantees.html"].links}
    expected = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}

    assert expected - linked == set()


def test_each_page_of_the_documentation_is_at_most_two_clicks_from_the_home_page(pages: dict[str, Html]) -> None:
    reached = {"index.html"}
    for _ in range(2):
        links = {urljoin(page, link) for page in reached for link in pages[page].links_of_the_text}
        reached |= {link.partition("#")[0] for link in links} & set(pages)
    expected = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}

    assert expected - reached == set()


def test_the_site_loads_nothing_from_elsewhere(site: Path, pages: dict[str, Html]) -> None:
    styles = {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.css")}
    addresses = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)")

    assert {name: foreign for name, html in pages.items() if (foreign := _foreign(html.loads))} == {}
    assert {name: foreign for name, text in styles.items() if (foreign := addresses.findall(text))} == {}
    # The theme's script would fetch the library that draws these from a public host.
    assert [name for name, html in pages.items() if "mermaid" in html.classes] == []


def _foreign(addresses: list[str]) -> list[str]:
    return [address for address in addresses if urlsplit(address).netloc]


def test_each_link_of_the_site_leads_to_a_page_and_an_anchor_that_exist(site: Path, pages: dict[str, Html]) -> None:
    dead = [
        f"{name}: {link}"
        for name, html in pages.items()
        if name != "404.html"  # its links begin at the root of a server
        for link in [*html.links, *html.loads]
        if not urlsplit(link).scheme and not _exists(name, link, site, pages)
    ]

    assert dead == []


def _exists(page: str, link: str, site: Path, pages: dict[str, Html]) -> bool:
    target = urlsplit(urljoin(page, link))
    path = unquote(target.path)
    if path in pages:
        return unquote(target.fragment) in pages[path].anchors
    return (site / path).is_file() and not target.fragment


def test_lists_and_tables_are_not_left_as_text(pages: dict[str, Html]) -> None:
    marks = re.compile(r"^(?:[-*] |\d+\. |\|)", re.M)
    left = [f"{name}: {text}" for name, html in pages.items() for text in html.paragraphs if marks.search(text)]

    assert left == [], "they need an empty line before them, and four spaces for what is inside of an item"


def test_the_search_finds_the_pages_without_a_server_and_not_the_copies_of_code(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.js").read_text().removeprefix("var __index = "))
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}

    assert {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")} - places == set()
    assert [place for place in places if place.endswith(".py.html")] == []


def test_a_link_to_a_file_of_the_repository_leads_to_a_page_that_shows_it(site: Path, pages: dict[str, Html]) -> None:
    links = pages["contributing/glossary.html"].links

    assert "../repository/miniagents/promising/promise.py.html" in links
    assert "class" in (site / "repository/miniagents/promising/promise.py.html").read_text()


def test_a_diagram_that_has_a_picture_is_shown_as_a_picture_and_another_one_as_text() -> None:
    page, config = cast(Page, SimpleNamespace(url="contributing/page.html")), MkDocsConfig()
    known, new = "flowchart TD\n  a --> b\n", "flowchart TD\n  b --> c\n"
    files = Files([File(diagrams.name_of(known), "docs", "site", use_directory_urls=False)])

    shown = diagrams.on_page_markdown(f"```mermaid\n{known}```\n\n```mermaid\n{new}```\n", page, config, files)

    assert f'src="../{diagrams.name_of(known)}">\n\n```mermaid\n{new}```\n' in shown
    assert known not in shown


def test_a_picture_in_two_colours_follows_the_colours_of_the_site(pages: dict[str, Html]) -> None:
    assert {"images/observer-dark.webp", "images/observer-light.webp"} <= set(pages["index.html"].loads)
    assert {"only-dark", "only-light"} <= pages["index.html"].classes


def test_the_name_of_a_test_leads_to_the_file_of_the_test(site: Path, pages: dict[str, Html]) -> None:
    links = pages["guarantees.html"].links

    assert "repository/tests/supervision/test_supervisor_suite.py.txt" in links
    text = (site / "repository/tests/supervision/test_supervisor_suite.py.txt").read_text()
    assert "def test_children_are_administered_with_otps_answers_and_errors" in text


def test_the_pages_of_a_folder_stand_in_the_order_of_its_index(pages: dict[str, Html]) -> None:
    written = re.findall(r"^- \[[^]]+\]\(([^)]+)\.md\)", (DOCS / "guides" / "index.md").read_text(), re.M)

    assert _in_order(f"{name}.html" for name in written) == _in_order(pages["guides/index.html"].links)


def _in_order(links: Iterator[str] | list[str]) -> list[str]:
    pages = [link for link in links if re.fullmatch(r"[\w-]+\.html", link) and link != "index.html"]
    return list(dict.fromkeys(pages))
