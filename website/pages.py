"""A hook of MkDocs: what single pages need that Markdown cannot say on a code host as well."""

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

LISTS = ("reference/api/", "repository/")
"""Pages that list. In the search they stand behind those that explain."""

TWO_COLOURS = re.compile(
    r'<picture>(.*?)<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
    r'(<img[^>]* src=")([^"]+)("[^>]*>)</picture>'
)
"""A picture with dark colours in a dark browser. The site has a switch of its own, and so needs both."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give the home page its whole width, and each picture in two colours those of the site."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    if page.file.src_uri.startswith(LISTS):
        page.meta.setdefault("search", {"boost": 0.3})
    both = r'<picture class="only-dark">\1\3\2\5</picture><picture class="only-light">\1\3\4\5</picture>'
    return TWO_COLOURS.sub(both, markdown)
