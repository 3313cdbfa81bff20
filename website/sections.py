"""A hook of MkDocs: a folder in the navigation stands for its pages, in the order of its index page.

An entry of the index page is a line of a list or a table that begins with a link. The words of the link are the name of
the page in the navigation. A subfolder with an index page of its own is a section within.
"""

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files

ENTRY = re.compile(r"^(?:[-*]|\d+\.|\|) +\**\[(?P<label>[^]]+)\]\((?P<target>[^)#:]+\.md)\)", re.M)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Put the pages of each folder into the navigation."""
    config.nav = _expanded(config.nav or (), files)


def _expanded(items: Iterable[Any], files: Files) -> list[Any]:
    """The entries of the navigation, with the pages of a folder in place of the folder."""
    expanded: list[Any] = []
    for item in items:
        match item:
            case dict():
                ((label, value),) = item.items()
                is_section = isinstance(value, list) or value.endswith("/")
                inside = _expanded(value if isinstance(value, list) else [value], files) if is_section else value
                expanded.append({label: inside})
            case str() if item.endswith("/"):
                expanded += _section(item, files)
            case _:
                expanded.append(item)
    return expanded


def _section(folder: str, files: Files) -> list[Any]:
    """The pages of a folder, in the order of its index page."""
    index = files.get_file_from_path(f"{folder}index.md")
    if index is None:
        raise PluginError(f"mkdocs.yml names the folder {folder}, which has no index.md: add one that lists its pages")
    section: list[Any] = [index.src_uri]
    for entry in ENTRY.finditer(index.content_string):
        uri = posixpath.normpath(folder + entry["target"])
        subfolder = f"{folder}{uri.removeprefix(folder).partition('/')[0]}/"
        is_section = files.get_file_from_path(f"{subfolder}index.md") is not None
        page = {entry["label"].replace("`", ""): _section(subfolder, files) if is_section else uri}
        if uri.startswith(folder) and page not in section:
            section.append(page)
    return section
