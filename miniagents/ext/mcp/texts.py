"""Texts of servers as they may be shown: bounded, and without characters that control a terminal."""

import re

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""Control characters but tab and newline, marks that turn the direction of a text, and invisible tags."""


def clean(text: str) -> str:
    """Return a text without characters that a reader does not see, and a terminal or a model obeys.

    Example:
        >>> clean("red: \\x1b[31mstop")
        'red: [31mstop'
    """
    return _HIDDEN.sub("", text)


def shortened(text: str, most: int = 400) -> str:
    """Return a clean text of at most `most` characters, without its middle if it is longer.

    Example:
        >>> shortened("a" * 30, most=11)
        'aaaa...aaaa'
    """
    text = clean(text)
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]}...{text[len(text) - half :]}"
