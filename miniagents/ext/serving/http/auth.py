"""Keys: who may use a service. Tokens are kept as digests, and compared in constant time."""

import enum
import hashlib
import hmac
import inspect
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias

from starlette.datastructures import Headers

from miniagents.actors import Caller
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.http.problems import Problem

_TOKEN = re.compile(r"[!-~]+")


class Generate(enum.Enum):
    """That a token is to be made."""

    TOKEN = "generate"


GENERATE: Final = Generate.TOKEN
"""The token is that of the environment, or else one is made and printed once."""

Authenticate: TypeAlias = Callable[[str], Awaitable[Caller | str | None] | Caller | str | None]
"""Says whose a token is, by name or with what else is known of the caller; None for nobody's. May be async."""

Auth: TypeAlias = str | Iterable[str] | Mapping[str, str] | Authenticate | Generate | None
"""A token, several, tokens by the names of their owners, an `Authenticate`, `GENERATE`, or None for none at all."""

ANYBODY = "anybody"
"""The name of everybody's key, where none is needed."""


class Keys:
    """Who may use a part of a service.

    Args:
        auth: The tokens.
        option: What the option is called, for errors.
        variable: The environment variable that has the token, where none is given.

    Attributes:
        generated: The token that was made here, or None.

    Raises:
        InvalidOptionError: A token is empty, or there is none at all.
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
        if not named or not all(isinstance(one, str) and _TOKEN.fullmatch(one) for one in named.values()):
            raise InvalidOptionError(
                f"{option}= takes tokens of visible ASCII characters; {option}=None says that nobody needs one"
            )
        self._digests = tuple((Caller(name), _digest(token)) for name, token in named.items())

    @property
    def are_needed(self) -> bool:
        """Whether a token is needed at all."""
        return self._digests is not None or self._authenticate is not None

    async def caller_of(self, headers: Headers) -> Caller | None:
        """Whose request this is; None where nobody needs a token.

        Args:
            headers: Those of the request: `Authorization: Bearer ...`, or `X-API-Key`.

        Raises:
            Problem: 401: there is no token, or it is none of ours.
        """
        if not self.are_needed:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = headers.get("x-api-key", "")
        token, found = token.strip(), None
        if self._authenticate is not None:
            found = await self._asked(self._authenticate, token) if token else None
        else:
            digest = _digest(token)
            for caller, own in self._digests or ():  # always all of them: how long it takes tells nothing
                if hmac.compare_digest(digest, own):
                    found = caller
        if found is None:
            raise Problem(401, "A valid token is needed: Authorization: Bearer <token>.", code="invalid_api_key")
        return found

    @staticmethod
    async def _asked(authenticate: Authenticate, token: str) -> Caller | None:
        said = authenticate(token)
        if inspect.isawaitable(said):
            said = await said
        if isinstance(said, str):
            said = Caller(said)
        if said is not None and not (isinstance(said, Caller) and said.name):
            raise InvalidOptionError(
                f"auth= says whose a token is: a Caller, a name or None, not a {type(said).__name__}"
            )
        return said


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
