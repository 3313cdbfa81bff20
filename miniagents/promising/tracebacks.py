"""Tracebacks for logs, as text."""

import traceback

from miniagents.log import written_out


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error with its causes and notes, but without the values of variables.

    Renderers of `exc_info` may show the values (structlog's default console does, where rich is installed), and with
    them keys and prompts. Logs carry this text as `stack`, which every renderer shows as it is. The text of an error
    may come from anywhere, so each line begins with a bar, in order not to look like another line of the log, and
    control characters are written out, in order not to reach the terminal.
    """
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join(f"| {written_out(line)}" for line in lines)
