"""Tracebacks for logs, as text."""

import re
import traceback

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters of terminals, and those that change the direction of text."""


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error with its causes and notes, but without the values of variables.

    Renderers of `exc_info` may show the values (structlog's default console does, where rich is installed), and with
    them keys and prompts. Logs carry this text as `stack`, which every renderer shows as it is. The text of an error
    may come from anywhere, so each line begins with a bar, in order not to look like another line of the log, and
    control characters are written out, in order not to reach the terminal.
    """
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join(f"| {_CONTROLS.sub(_written_out, line)}" for line in lines)


def _written_out(match: "re.Match[str]") -> str:
    return repr(match[0])[1:-1]
