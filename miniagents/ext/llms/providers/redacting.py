"""Redacting: what a request has as a key is shown in no error, whoever says it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "[redacted]"

_SHORTEST = 6
"""Letters. Shorter ones are no keys but place holders, and would be found within other words."""
_BEGINNING = 16
"""Letters of a key that tell it, where the rest of it was cut off."""
_SAYS_SECRET = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)


class Redactor:
    """Takes secrets out of what is shown.

    Args:
        secrets: The secrets; those of fewer than 6 letters are left out.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {
            form for one in secrets for form in (one.strip(), quote(one.strip(), safe="")) if len(form) >= _SHORTEST
        }
        # The longest first: one may be a part of another.
        self._secrets = sorted(found, key=lambda one: (-len(one), one))

    def __call__(self, value: Any) -> Any:
        """The same without secrets: a text, or whatever JSON can say."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REDACTED)
            for secret in self._secrets:
                value = _without_beginning(secret, value)
            return value
        if isinstance(value, Mapping):
            return {self(name): self(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(one) for one in value]
        return value

    def shows_in(self, error: BaseException) -> bool:
        """Whether an error, or one behind it, shows a secret."""
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            shown = f"{one} {one!r} {one.args!r} {getattr(one, '__notes__', '')} {getattr(one, 'body', '')}"
            if self(shown) != shown:
                return True
            waiting += [one.__cause__, one.__context__]
        return False


def _without_beginning(secret: str, text: str) -> str:
    """A text without a long secret that was cut off."""
    beginning = secret[:_BEGINNING]
    if len(beginning) < _BEGINNING:
        return text
    at = text.find(beginning)
    while at >= 0:
        pairs = enumerate(zip(secret, text[at:], strict=False))
        shown = next((number for number, (one, other) in pairs if one != other), min(len(secret), len(text) - at))
        text = f"{text[:at]}{REDACTED}{text[at + shown :]}"
        at = text.find(beginning, at + len(REDACTED))
    return text


def redactor_of(request: Any) -> Redactor:
    """What takes out the keys that were sent with a request of httpx; None for no request."""
    secrets: list[str] = []
    if request is not None:
        for name, value in request.headers.items():
            if _SAYS_SECRET.search(name):
                secrets += [value, *value.split()[1:]]  # "Bearer" is no secret, and what follows it is
        secrets += [value for name, value in request.url.params.multi_items() if _SAYS_SECRET.search(name)]
        secrets += [part for part in (request.url.password,) if part]
    return Redactor(secrets)
