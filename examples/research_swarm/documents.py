"""Documents: reading the files of a folder, and cutting them into passages that can be cited."""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

SUFFIXES = (".txt", ".md", ".py", ".html", ".pdf")

_PASSAGE_WORDS = 90


@dataclass(frozen=True)
class Line:
    """One line of a document. Lines are numbered from 1; those of a PDF through all its pages."""

    number: int
    text: str


@dataclass(frozen=True)
class Passage:
    """Consecutive lines of a document."""

    file: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


@dataclass
class Library:
    """All passages of a folder, and the skipped files with the reasons."""

    passages: list[Passage] = field(default_factory=list)
    files: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def journal_key(self) -> str:
        """A hash of all passages: a job goes on with these documents only."""
        return hashlib.sha256(repr(self.passages).encode()).hexdigest()


class UnreadableError(Exception):
    """A file cannot be read as text; the text of the error has the reason."""


def read_folder(folder: Path) -> Library:
    """Read every document below a folder.

    Args:
        folder: The folder. Files with other suffixes than `SUFFIXES` are ignored.

    Returns:
        The passages, in the order of the file names. Unreadable files are skipped and listed.
    """
    library = Library()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        name = str(path.relative_to(folder))
        try:
            lines = _read(path)
        except (OSError, UnreadableError) as error:
            library.skipped[name] = str(error)
            continue
        library.files += 1
        library.passages += _passages(name, lines)
    return library


@cache
def library_of(folder: str) -> Library:
    """Return the documents below a folder. Each process reads them once."""
    return read_folder(Path(folder))


def _read(path: Path) -> list[Line]:
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        texts = _read_pdf(path)
    else:
        raw = path.read_bytes()
        if b"\0" in raw:
            raise UnreadableError("binary")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise UnreadableError("not UTF-8") from None
        texts = text.splitlines()
        if suffix == ".html":
            texts = _html_lines(text, len(texts))
    return [Line(number, text.strip()) for number, text in enumerate(texts, 1) if text.strip()]


def _read_pdf(path: Path) -> list[str]:
    from pypdf import PdfReader

    try:
        return [line for page in PdfReader(path).pages for line in page.extract_text().splitlines()]
    except Exception as error:  # pypdf raises many kinds of exceptions for a broken PDF
        raise UnreadableError(f"no readable PDF: {error}") from error


class _Text(HTMLParser):
    """Collects the text of an HTML page, line by line."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.lines = [""] * (lines + 1)
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            for offset, text in enumerate(data.splitlines()):
                self.lines[min(self.getpos()[0] - 1 + offset, len(self.lines) - 1)] += text


def _html_lines(text: str, lines: int) -> list[str]:
    parser = _Text(lines)
    parser.feed(text)
    return parser.lines


def _passages(name: str, lines: list[Line]) -> list[Passage]:
    passages: list[Passage] = []
    current: list[Line] = []
    words = 0
    for line in lines:
        current.append(line)
        words += len(line.text.split())
        if words >= _PASSAGE_WORDS:
            passages.append(Passage(name, tuple(current)))
            current, words = [], 0
    if current:
        passages.append(Passage(name, tuple(current)))
    return passages
