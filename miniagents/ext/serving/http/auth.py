"""Tokens: the callers that may use a service. Only digests of tokens are stored, and compared in constant time."""

import enum
import hashlib
import hmac
import inspect
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias

from starlette.types import Scope

from miniagents.actors import Caller
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header

_TOKEN = re.compile(r"[!-~]+")


class Generate(enum.Enum):
    """The marker for a token that the service generates."""

    TOKEN = "generate"


GENERATE: Final = Generate.TOKEN
"""The token of the environment variable, or else a new one, which is printed once."""

Authenticate: TypeAlias = Callable[[str], Awaitable[Caller | str | None] | Caller | str | None]
"""Returns the caller that a token belongs to: a `Caller`, a name, or None for an unknown token. May be async."""

Auth: TypeAlias = str | Iterable[str] | Mapping[str, str] | Authenticate | Generate | None
"""One token, several, tokens by the names of their owners, an `Authenticate`, `GENERATE`, or None for a service without
tokens."""

ANYBODY = "anybody"
"""The name of the shared key of all clients, in a service without tokens."""


class Keys:
    """The tokens for one part of a service.

    Args:
        auth: The tokens.
        option: The name of the option, for errors.
        variable: The environment variable with the token, for `GENERATE`.

    Attributes:
        generated: The token that was generated, or None.

    Raises:
        InvalidOptionError: A token is empty or has other characters than visible ASCII, or there is no token.
    """

    def __init__(self, auth: Auth, *, option: str, variable: str) -> None:
        self.generated: str | None = None
        self._digests: tuple[tuple[Caller, bytes], ...] | None = None
        self._authenticate: Authenticate | None = None
        if auth is None:
            return
        if callable(auth):
            self._authenticate = auth
            return
        named: Mapping[str, str]
        if isinstance(auth, Generate):
            token = os.environ.get(variable)
            if not token:
                token = self.generated = secrets.token_urlsafe(32)
            named = {"key-1": token}
        elif isinstance(auth, str):
            named = {"key-1": auth}
        elif isinstance(auth, Mapping):
            named = auth
        else:
            named = {f"key-{number}": token for number, token in enumerate(auth, 1)}
        if not named or not all(isinstance(token, str) and _TOKEN.fullmatch(token) for token in named.values()):
            raise InvalidOptionError(
                f"{option}= takes tokens of visible ASCII characters; for a service without tokens say {option}=None"
            )
        self._digests = tuple((Caller(name), _digest(token)) for name, token in named.items())

    @property
    def are_needed(self) -> bool:
        """Whether clients need a token."""
        return self._digests is not None or self._authenticate is not None

    async def caller_of(self, scope: Scope) -> Caller | None:
        """Return the caller of a request; None in a service without tokens.

        Args:
            scope: The request, with the header `Authorization: Bearer ...` or `X-API-Key`.

        Raises:
            Problem: 401: the token is missing or unknown.
        """
        if not self.are_needed:
            return None
        scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            token = header(scope, b"x-api-key") or ""
        token, found_caller = token.strip(), None
        if self._authenticate is not None:
            found_caller = await self._asked(self._authenticate, token) if token else None
        else:
            digest = _digest(token)
            for caller, own in self._digests or ():  # always all of them, so that the time tells nothing
                if hmac.compare_digest(digest, own):
                    found_caller = caller
        if found_caller is None:
            raise Problem(401, "A valid token is needed: Authorization: Bearer <token>.", code="invalid_api_key")
        return found_caller

    @staticmethod
    async def _asked(authenticate: Authenticate, token: str) -> Caller | None:
        caller = authenticate(token)
        if inspect.isawaitable(caller):
            caller = await caller
        if isinstance(caller, str):
            caller = Caller(caller)
        if caller is not None and not (isinstance(caller, Caller) and caller.name):
            raise InvalidOptionError(
                f"auth= must return a Caller, a name or None for a token, not a {type(caller).__name__}"
            )
        return caller


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
