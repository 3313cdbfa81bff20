"""Readers of providers' answers: values are checked, and a value of a wrong type raises an error with its path."""

import json
from typing import Any, Protocol

import msgspec

from miniagents.ext.llms.messages import Usage

_STANDARD = frozenset({"", "auto", "default", "standard"})
"""The names of the service tier that requests have without another wish."""


class Unreadable(Exception):
    """A part of an answer is not in the form of the API.

    Args:
        field: The path of the field: `choices[0].message.content`.
        value: The value of the field; None if it is missing.
    """

    def __init__(self, field: str, value: object) -> None:
        problem = "is missing" if value is None else f"is {shortened(repr(value), 80)}"
        super().__init__(f"{field} {problem}")
        self.field = field


class Failed(Exception):
    """An answer with a successful status reports a failure.

    Args:
        body: The body of the answer, or the error in it.
        text: The text of the error if the body has none.
        should_retry: Whether another attempt makes sense; None if the body decides.
    """

    def __init__(self, body: Any, text: str, *, should_retry: bool | None = None) -> None:
        super().__init__(text)
        self.body = body
        self.should_retry = should_retry


class Reader(Protocol):
    """A reader of one answer of one API, which fills an `Answer`.

    Attributes:
        is_done: Whether the last event of a stream was read.
    """

    @property
    def is_done(self) -> bool: ...

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Read an event of a stream.

        Args:
            kind: The type of the event in the stream, or "".
            data: The data of the event.

        Returns:
            The piece of text in the event, or "".

        Raises:
            Unreadable: The event is not in the form of the API.
            Failed: The event reports a failure of the provider.
        """
        ...

    def whole(self, data: dict[str, Any]) -> str:
        """Read an answer that is not streamed; returns and raises the same as `event`."""
        ...


def decoded(data: bytes) -> tuple[Any, bool]:
    """Decode JSON of a provider.

    Returns:
        The value, and whether its texts are sound. If not, they may have halves of letters (lone surrogates).

    Raises:
        Unreadable: The data is no JSON.
    """
    try:
        return msgspec.json.decode(data), True
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # The standard library also takes lone surrogates and NaN.
        return json.loads(data.decode("utf-8", "replace")), False
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the JSON ({error})", shortened(data.decode("utf-8", "replace"), 80)) from None


def says_failure(data: dict[str, Any]) -> bool:
    """Return whether an answer is an error without a field `error`: `{"detail": ...}`, `{"object": "error"}`."""
    return data.get("object") == "error" or bool(data.get("detail")) or isinstance(data.get("message"), str)


def an_object(value: object, field: str) -> dict[str, Any]:
    """Return an object; {} for null.

    Raises:
        Unreadable: The value is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(field, value)
    return value


def a_list(value: object, field: str) -> list[Any]:
    """Return a list; [] for null.

    Raises:
        Unreadable: The value is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(field, value)
    return value


def a_text(value: object, field: str) -> str:
    """Return a text; "" for null.

    Raises:
        Unreadable: The value is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(field, value)
    return value


def an_id(value: object) -> str:
    """Return an id; "" for other values."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def a_place(value: object) -> int | None:
    """Return the index of a place in a list; None for other values."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def arguments_in(value: object, field: str) -> str:
    """Return the arguments of a tool call as JSON text; some servers send the object itself.

    Raises:
        Unreadable: The value is neither text nor object.
    """
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return a_text(value, field)


def parts_of(content: object, field: str) -> tuple[str, str]:
    """Read a content, which is a text or a list of parts.

    Returns:
        The text, and the refusal.

    Raises:
        Unreadable: The content is something else.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    text, refusal = [], []
    for number, part in enumerate([content] if isinstance(content, dict) else a_list(content, field)):
        if isinstance(part, str):
            text.append(part)
            continue
        where = f"{field}[{number}]"
        part = an_object(part, where)
        kind = part.get("type")
        if kind == "refusal":
            refusal.append(a_text(part.get("refusal"), f"{where}.refusal"))
        elif kind in ("text", "output_text", None):
            text.append(a_text(part.get("text"), f"{where}.text"))
    return "".join(text), "".join(refusal)


def count(value: object) -> int:
    """Return a number of tokens; 0 for other values."""
    if isinstance(value, float) and 0 < value < 2**53:  # NaN fails this comparison
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def usage_of(
    read: object,
    written: object,
    cached: object,
    before: Usage | None,
    *,
    reasoning: object = None,
    cache_written: object = None,
) -> Usage:
    """Return a usage; numbers that are missing keep their earlier value.

    Args:
        read: Tokens read, cached ones included.
        written: Tokens written, those of reasoning included.
        cached: The part of the tokens read that came from the cache.
        before: The usage that is known already, or None.
        reasoning: The part of the tokens written that is reasoning.
        cache_written: The part of the tokens read that was written to the cache.
    """
    known = before or Usage()
    total, output = count(read) or known.input_tokens, count(written) or known.output_tokens
    from_cache = min(count(cached) or known.cached_tokens, total)
    return Usage(
        input_tokens=total,
        output_tokens=output,
        cached_tokens=from_cache,
        reasoning_tokens=min(count(reasoning) if reasoning else known.reasoning_tokens, output),
        cache_written_tokens=min(
            count(cache_written) if cache_written else known.cache_written_tokens, total - from_cache
        ),
    )


def tier_of(value: object) -> str | None:
    """Return the service tier that a provider names; None for the standard one, and for what is no name."""
    return value if isinstance(value, str) and value not in _STANDARD else None


def detail(usage: dict[str, Any], group: str, name: str) -> object:
    """Return a number in a group of a usage; None if there is no such group."""
    details = usage.get(group)
    return details.get(name) if isinstance(details, dict) else None


def shortened(text: str, limit: int) -> str:
    """Return the beginning of a text, up to a number of letters."""
    return text if len(text) <= limit else f"{text[:limit]}..."
