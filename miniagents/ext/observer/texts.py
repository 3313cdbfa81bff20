"""Texts: what of the words of users, agents and models may leave the process."""

import re
from collections.abc import Callable
from typing import Literal

from miniagents.errors import InvalidOptionError
from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

Level = Literal["facts", "redacted", "full"]
LEVELS: tuple[Level, ...] = ("facts", "redacted", "full")

Redact = Callable[[str], str]

_SECRET = re.compile(
    r"(?:sk|pk|rk|ghp|gho|xox[abp])[-_][A-Za-z0-9_-]{8,}"  # keys of APIs
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # tokens of JWT
    r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
)
_HIDDEN = "[redacted]"


def redacted(text: str) -> str:
    """Return a text without what looks like a key, a token or an address of mail.

    This is the default of the level "redacted". A pattern cannot know all secrets: give `redact=` for one's own.

    Args:
        text: The text.

    Example:
        >>> redacted("my key is sk-abcdefgh1234, write to ada@example.com")
        'my key is [redacted], write to [redacted]'
    """
    return _SECRET.sub(_HIDDEN, text)


class Texts:
    """The rule for texts: which of them leave the process, and in which form.

    Args:
        level: "facts" for no text at all, only types and lengths; "redacted" for texts without secrets; "full".
        redact: Replaces what must not be seen. It is called with each text before it leaves the process, whatever the
            level; None for `redacted` at the level "redacted", and nothing at "full".

    Raises:
        InvalidOptionError: There is no such level, or `redact` cannot be called.

    Example:
        >>> Texts("facts").of("hello"), Texts("full").of("hello")
        (None, 'hello')
    """

    def __init__(self, level: Level = "full", redact: Redact | None = None) -> None:
        if level not in LEVELS:
            raise InvalidOptionError(f'texts= is "facts", "redacted" or "full", not {level!r}')
        if redact is not None and not callable(redact):
            raise InvalidOptionError(f"redact= takes a function from text to text, not {redact!r}")
        self.level: Level = level
        self._redact = redact if redact is not None else redacted if level == "redacted" else None
        self._has_failed = False

    def lowered(self, level: Level) -> "Texts":
        """Return the rule for a page that asks for less than it may see.

        Args:
            level: The level.
        """
        return Texts(level, self._redact)

    def of(self, text: str | None) -> str | None:
        """Return a text as it may be seen; None if it may not.

        Args:
            text: The text, or None.
        """
        if text is None or self.level == "facts":
            return None
        redact = self._redact
        if redact is None:
            return text
        try:
            seen = redact(text)
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                _log.error("observer.redact_failed", error=type(error).__name__, stack=traceback_text(error))
            return None
        return seen if type(seen) is str else None
