"""A hook of MkDocs: a diagram that is written in Mermaid is shown as a picture.

A code host draws such a diagram itself. A page of the site would have to load three megabytes of JavaScript for that,
so the pictures are drawn beforehand: `pip install mermaidx`, and `python -m website.diagrams`. The name of a picture is
a hash of its source. A diagram that has changed since then is shown as text.
"""

import hashlib
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = "images/diagrams/"
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the pictures in place of the diagrams that have one."""

    def picture(diagram: re.Match[str]) -> str:
        file = files.get_file_from_path(name_of(diagram[1]))
        if file is None:
            return diagram[0]
        return f'<img class="diagram" alt="{first_words(diagram[1])}" src="{get_relative_url(file.url, page.url)}">'

    return DIAGRAM.sub(picture, markdown)


def name_of(source: str) -> str:
    """The picture of a diagram, relative to `docs/`."""
    return f"{PICTURES}{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"


def first_words(source: str) -> str:
    """The kind of a diagram, for those who cannot see it."""
    return "A state diagram" if source.startswith("stateDiagram") else "A flow chart"


def main() -> None:
    """Draw the diagrams that have no picture, and remove pictures without a diagram."""
    from mermaidx import render

    sources = [source for page in DOCS.rglob("*.md") for source in DIAGRAM.findall(page.read_text())]
    pictures = {DOCS / name_of(source): source for source in sources}
    (DOCS / PICTURES).mkdir(exist_ok=True)
    for path in (DOCS / PICTURES).glob("*.svg"):
        if path not in pictures:
            path.unlink()
    for path, source in pictures.items():
        if not path.exists():
            path.write_text(render(source, theme="neutral").svg())
            print(path)


if __name__ == "__main__":
    main()
