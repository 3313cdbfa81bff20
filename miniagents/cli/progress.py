"""How far a command is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LINE_EVERY = 5.0  # seconds


class Progress(Protocol):
    """How far it is."""

    def __call__(self, done: int) -> None:
        """So many steps are done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show how far something is, inside `with`. A bar goes away at the end.

    Args:
        what: What is done.
        total: How many steps that takes, 1 or more.
    """
    if sys.stdout.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        # Without its own thread: that would take its share of what is measured.
        with Bar(*columns, transient=True, auto_refresh=False) as bar:
            task = bar.add_task(what, total=total)
            bar.refresh()
            yield lambda done: bar.update(task, completed=done, refresh=True)
    else:
        yield _Lines(what, total)


class _Lines:
    """A line every few seconds, and one at the end, on stderr: stdout is for results."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._next = time.monotonic() + _LINE_EVERY

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next or done == self._total:
            self._next = now + _LINE_EVERY
            print(f"{self._what}: {done:,} of {self._total:,}", file=sys.stderr, flush=True)
