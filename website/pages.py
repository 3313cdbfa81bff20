"""A hook of MkDocs: what single pages need that Markdown cannot say on a code host as well."""

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

RANKS = {"start/": 2.0, "concepts/": 2.0, "guarantees": 0.3, "reference/api/": 0.3, "repository/": 0.3}
"""How much a page counts in the search, by the beginning of its address. Pages that list stand last."""

TWO_COLOURS = re.compile(
    r'<picture>(.*?)<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
    r'(<img[^>]* src=")([^"]+)("[^>]*>)</picture>'
)
"""A picture with dark colours in a dark browser. The site has a switch of its own, and so needs both."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give the home page its whole width, and each picture in two colours those of the site."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    for beginning, rank in RANKS.items():
        if page.file.src_uri.startswith(beginning):
            page.meta.setdefault("search", {"boost": rank})
    both = r'<picture class="only-dark">\1\3\2\5</picture><picture class="only-light">\1\3\4\5</picture>'
    return TWO_COLOURS.sub(both, markdown)
