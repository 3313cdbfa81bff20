"""Text in the cells of Markdown tables."""

import re


def cell(text: str) -> str:
    """Return a text in one line that can stand in a cell."""
    joined = " ".join(text.split())
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", joined).replace("|", "\\|")


def code(text: str) -> str:
    """Return a text as code that can stand in a cell."""
    return f"`{text}`".replace("|", "\\|")
