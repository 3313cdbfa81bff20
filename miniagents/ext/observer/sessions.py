"""Sessions: a token that works once is swapped for a cookie."""

import hashlib
import secrets
from collections.abc import Iterable

COOKIE = "miniagents-observer"
_BYTES = 32
_MOST = 1_000
"""The number of sessions, and of links that were not used, after which the oldest ends."""


class Sessions:
    """The browsers that may look. Tokens and cookies are kept as hashes alone.

    Example:
        >>> sessions = Sessions()
        >>> token = sessions.new_token()
        >>> cookie = sessions.swap(token)
        >>> sessions.has(cookie), sessions.swap(token) is None
        (True, True)
    """

    def __init__(self) -> None:
        self._tokens: dict[bytes, None] = {}
        self._sessions: dict[bytes, str] = {}
        self._count = 0

    def new_token(self) -> str:
        """Return a token that one browser can swap for a session."""
        return _new(self._tokens, None)

    def swap(self, token: str) -> str | None:
        """Swap a token for a session.

        Args:
            token: The token.

        Returns:
            The value of the cookie; None if the token is not known, or was used.
        """
        key = _hash(token)
        if key not in self._tokens:
            return None
        del self._tokens[key]
        self._count += 1
        return _new(self._sessions, f"browser {self._count}")

    def has(self, cookie: str | None) -> bool:
        """Return True if a cookie is that of a session."""
        return cookie is not None and _hash(cookie) in self._sessions

    def name_of(self, cookie: str) -> str:
        """Return the name of a session, for the record of actions."""
        return self._sessions[_hash(cookie)]


def cookie_name(port: int) -> str:
    """Return the name of the cookie: with the port, since cookies do not tell ports apart.

    Args:
        port: The port of the server.
    """
    return f"{COOKIE}-{port}"


def cookie_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """Return the value of a cookie; None if there is none, or more than one.

    Args:
        headers: The headers of the request.
        name: The name of the cookie.
    """
    values = []
    for header, value in headers:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, content = part.strip().partition("=")
                if key == name:
                    values.append(content)
    return values[0] if len(values) == 1 else None


def _new(table: dict[bytes, str] | dict[bytes, None], value: str | None) -> str:
    secret = secrets.token_urlsafe(_BYTES)
    table[_hash(secret)] = value  # type: ignore[assignment]
    if len(table) > _MOST:
        del table[next(iter(table))]
    return secret


def _hash(secret: str) -> bytes:
    """The hash by which a secret is looked up: how long that takes tells nothing of the secret itself."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
