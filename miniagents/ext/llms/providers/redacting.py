"""`Redactor`: no error shows the key of a request, whatever the provider or the SDK writes into it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "[redacted]"

_SHORTEST = 6
"""Letters of the shortest secret. Shorter ones are placeholders, and occur in other words."""
_BEGINNING = 16
"""Letters by which a key is recognized if the rest of it was cut off."""
_SAYS_SECRET = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)


class Redactor:
    """Removes secrets from texts and data.

    Args:
        secrets: The secrets; those with fewer than 6 letters are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in (secret.strip(), quote(secret.strip(), safe=""))}
        # The longest first: a secret may be a part of another.
        self._secrets = sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form))

    def __call__(self, value: Any) -> Any:
        """Return a text, or data of JSON, without the secrets."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REDACTED)
            for secret in self._secrets:
                value = _without_beginning(secret, value)
            return value
        if isinstance(value, Mapping):
            return {self(name): self(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def shows_in(self, error: BaseException) -> bool:
        """Return whether an error, its causes or its contexts show a secret."""
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            link = waiting.pop()
            if link is None or id(link) in seen:
                continue
            seen.add(id(link))
            shown = f"{link} {link!r} {link.args!r} {getattr(link, '__notes__', '')} {getattr(link, 'body', '')}"
            if self(shown) != shown:
                return True
            waiting += [link.__cause__, link.__context__]
        return False


def _without_beginning(secret: str, text: str) -> str:
    """Return a text without a long secret of which the end was cut off."""
    beginning = secret[:_BEGINNING]
    if len(beginning) < _BEGINNING:
        return text
    at = text.find(beginning)
    while at >= 0:
        pairs = enumerate(zip(secret, text[at:], strict=False))
        shown = next(
            (number for number, (expected, letter) in pairs if expected != letter), min(len(secret), len(text) - at)
        )
        text = f"{text[:at]}{REDACTED}{text[at + shown :]}"
        at = text.find(beginning, at + len(REDACTED))
    return text


def redactor_of(request: Any) -> Redactor:
    """Return the redactor of the keys in a request of httpx; None for no request."""
    secrets: list[str] = []
    if request is not None:
        for name, value in request.headers.items():
            if _SAYS_SECRET.search(name):
                secrets += [value, *value.split()[1:]]  # "Bearer" is no secret, and the word after it is
        secrets += [value for name, value in request.url.params.multi_items() if _SAYS_SECRET.search(name)]
        secrets += [part for part in (request.url.password,) if part]
    return Redactor(secrets)
