"""A hook of MkDocs: links to files outside of `docs/` lead to copies of them.

The pages are read on a code host, too, where a link such as `../../benchmarks/RESULTS.md` leads to the file. So these
links stay as they are, and the site has a copy of each file that a page links to, below `repository/`: Markdown as a
page, code as a page that shows it, and pictures as they are.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
COPIES = "repository/"
"""The folder of the site with the copies."""

LINK = re.compile(r"""(?P<before>\]\(|(?:src|srcset|href)=")(?P<target>[^)#:"\s]+)(?P<anchor>#[^)"\s]*)?(?=[)"])""")
PICTURES = {".svg", ".png", ".webp", ".gif"}
LANGUAGES = {".py": "python", ".mjs": "js", ".html": "html", ".toml": "toml", ".yml": "yaml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a copy of each file that the pages link to."""
    pages = [file.src_uri for file in files.documentation_pages()]
    while pages:
        for target in _links(pages.pop()):
            uri = _uri(target)
            if uri.startswith(COPIES) and files.get_file_from_path(uri) is None:
                files.append(_copy(target, config))
                pages.append(uri)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a page lead into the site."""
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

    return LINK.sub(in_the_site, markdown) if _path(source).is_file() else markdown


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
    code = f"~~~~~~~~ {{ .{LANGUAGES.get(path.suffix, 'text')} }}\n{path.read_text()}\n~~~~~~~~\n"
    return File.generated(config, uri, content=f"{head}\n{code}", inclusion=InclusionLevel.NOT_IN_NAV)
