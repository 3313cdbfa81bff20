"""The generated parts of the pages in docs/reference: `python -m tests.reference.pages` writes them again."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.reference import errors, events, limits, options
from tests.reference.names import ROOT

REFERENCE = ROOT / "docs" / "reference"

PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "options.md": {"options": options.tables},
    "limits.md": {"limits": limits.tables},
    "errors.md": {"tree": errors.tree, "errors": errors.table},
    "events.md": {"kinds": events.table},
}
"""The parts of each page, by the names of their marks."""


def written(page: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its parts as the code has them.

    Args:
        page: The text of the page.
        parts: What makes each part, by the name of its marks.

    Raises:
        ValueError: The page lacks the marks of a part.
    """
    for name, make in parts.items():
        begin, end = f"<!-- {name}: from the code -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"there must be one {begin!r} that is ended by {end!r}")
        page = f"{before}{begin}\n{make()}\n{end}{after}"
    return page


def main() -> None:
    """Write the parts into the pages."""
    for name, parts in PAGES.items():
        path: Path = REFERENCE / name
        path.write_text(written(path.read_text(), parts))


if __name__ == "__main__":
    main()
