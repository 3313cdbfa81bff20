"""Tracebacks for logs, as text."""

import re
import traceback

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, and what changes the direction of text."""


def traceback_text(error: BaseException) -> str:
    """The traceback of an error with its causes and notes, but without the values of variables.

    Renderers of `exc_info` may show those (structlog's default console does, where rich is installed), and keys and
    prompts with them. Logs have this as `stack`, which every renderer shows as it is; so each line begins with a bar,
    and control characters are written out: the text of an error may come from anywhere, and must look like no line of
    the log, and tell the terminal nothing.
    """
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join(f"| {_CONTROLS.sub(_written_out, line)}" for line in lines)


def _written_out(found: "re.Match[str]") -> str:
    return repr(found[0])[1:-1]
