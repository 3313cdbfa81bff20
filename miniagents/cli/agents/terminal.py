"""`sane_terminal`: a terminal that is left as it was found, whatever ends a command."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_RESET = "\033[0m\033[?25h\033[?1049l\033[?1000l\033[?1003l\033[?1006l\033[?2004l"
"""Plain text, a visible cursor, the main screen, and no reports of the mouse or of pasted text."""

_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def sane_terminal() -> Iterator[None]:
    """Restore the settings of the terminal at the end of `with`, also after Ctrl-C, an error or SIGTERM."""
    try:
        import termios  # not on Windows, whose terminals keep no settings of a process
    except ImportError:
        yield
        return
    try:
        saved = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):  # no terminal
        yield
        return
    # An event loop that reads the terminal turns blocking reads off, for the shell behind it, too.
    blocking = os.get_blocking(sys.stdin.fileno())
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        os.set_blocking(sys.stdin.fileno(), blocking)
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            sys.__stdout__.write(_RESET)
            sys.__stdout__.flush()
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, saved)


def _end(_: int, __: FrameType | None) -> None:
    sys.exit(_TERMINATED)
