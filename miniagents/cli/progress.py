"""The progress of a command: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LINE_EVERY = 5.0  # seconds


class Progress(Protocol):
    """Reports the progress."""

    def __call__(self, done: int) -> None:
        """Report the number of steps that are done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show the progress of some work, inside `with`. A bar disappears at the end.

    Args:
        what: A name for the work.
        total: The number of steps, 1 or more.

    Example:
        >>> with progress("counting", total=3) as done:
        ...     done(3)
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
        # Without a thread of its own, which would slow down the measured program.
        with Bar(*columns, transient=True, auto_refresh=False) as bar:
            task = bar.add_task(what, total=total)
            bar.refresh()
            yield lambda done: bar.update(task, completed=done, refresh=True)
    else:
        yield _Lines(what, total)


class _Lines:
    """A line every few seconds and one at the end, on stderr, since stdout is for results."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._next = time.monotonic() + _LINE_EVERY

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next or done == self._total:
            self._next = now + _LINE_EVERY
            print(f"{self._what}: {done:,} of {self._total:,}", file=sys.stderr, flush=True)
