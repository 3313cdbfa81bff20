"""Tracebacks for logs, as text."""

import traceback


def traceback_text(error: BaseException) -> str:
    """The traceback of an error with its causes and notes, but without the values of variables.

    Renderers of `exc_info` may show those (structlog's default console does, where rich is installed), and keys and
    prompts with them. Logs have this as `stack`, which every renderer shows as it is.
    """
    return "".join(traceback.format_exception(error)).rstrip()
