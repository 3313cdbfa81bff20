"""What a command prints for people: tables, and values in one line."""

import datetime as dt
import json
import shutil
import sys
from collections.abc import Sequence

_CELL = 60
"""Characters of a cell on a terminal, at most."""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with its columns side by side.

    On a terminal long cells are cut. In a pipe they are whole.

    Args:
        heads: The heads of the columns.
        rows: The cells.

    Example:
        >>> print(table(["JOB", "STATE"], [["job-42", "running"], ["x", "failed"]]))
        JOB     STATE
        job-42  running
        x       failed
    """
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns
    cells = [[_cut(plain(cell)) if is_terminal else plain(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(line[:width] if is_terminal else line for line in lines)


def plain(value: object) -> str:
    """Return a value as text in one line. What a terminal would obey is written out, as `\\x1b`.

    Example:
        >>> print(plain("two\\nlines \\x1b[31m"))
        two lines \\x1b[31m
    """
    if value is None:
        return "-"
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        value = value["content"]
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    text = " ".join(value.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def moment(at: float | None) -> str:
    """Return a time, in seconds since the epoch, as the local one."""
    if at is None:
        return "-"
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def amount(size: int) -> str:
    """Return a number of bytes for people.

    Example:
        >>> amount(900), amount(12_345_678)
        ('900 bytes', '12.3 MB')
    """
    if size < 10_000:
        return f"{size:,} bytes"
    for unit, most in (("kB", 1e6), ("MB", 1e9)):
        if size < most:
            return f"{size / most * 1000:.1f} {unit}"
    return f"{size / 1e9:.1f} GB"


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."
