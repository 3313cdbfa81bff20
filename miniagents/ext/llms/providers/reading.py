"""Reading what providers say, without believing it: what is absent is not empty, and what cannot be read is named."""

import json
from typing import Any, Protocol

import msgspec

from miniagents.ext.llms.messages import Usage


class Unreadable(Exception):
    """What came is not what the API speaks.

    Args:
        field: The field that cannot be read, as a path: `choices[0].message.content`.
        value: What is there.
    """

    def __init__(self, field: str, value: Any) -> None:
        found = "is missing" if value is None else f"is {shortened(repr(value), 80)}"
        super().__init__(f"{field} {found}")
        self.field = field


class Failed(Exception):
    """The provider says that it failed, in an answer that looks like a success.

    Args:
        body: What it says.
        text: What is to be said where it says nothing.
        should_retry: Whether another attempt makes sense; None for what the body says.
    """

    def __init__(self, body: Any, text: str, *, should_retry: bool | None = None) -> None:
        super().__init__(text)
        self.body = body
        self.should_retry = should_retry


class Reader(Protocol):
    """Reads the answers of one API into an `Answer`; it is made for one answer.

    Attributes:
        is_done: Whether the last event of a stream has come.
    """

    @property
    def is_done(self) -> bool: ...

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Read an event of a stream.

        Args:
            kind: Its type as the stream has it, or "".
            data: What it says.

        Returns:
            The piece of text in it, or "".

        Raises:
            Unreadable: It is not what the API speaks.
            Failed: It says that the provider failed.
        """
        ...

    def whole(self, data: dict[str, Any]) -> str:
        """Read an answer that is not streamed. Returns and raises as `event`."""
        ...


def decoded(data: bytes) -> tuple[Any, bool]:
    """JSON, as providers write it.

    Returns:
        What it says, and whether its texts are sound. If not, they may have halves of letters (lone surrogates).

    Raises:
        Unreadable: It is no JSON.
    """
    try:
        return msgspec.json.decode(data), True
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # The standard library takes half a letter, and NaN, too.
        return json.loads(data.decode("utf-8", "replace")), False
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the JSON ({error})", shortened(data.decode("utf-8", "replace"), 80)) from None


def says_failure(data: dict[str, Any]) -> bool:
    """Whether an answer without content is an error that has no `error`: `{"detail": ...}`, `{"object": "error"}`."""
    return data.get("object") == "error" or bool(data.get("detail")) or isinstance(data.get("message"), str)


def an_object(value: Any, field: str) -> dict[str, Any]:
    """An object; {} for null.

    Raises:
        Unreadable: It is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(field, value)
    return value


def a_list(value: Any, field: str) -> list[Any]:
    """A list; [] for null.

    Raises:
        Unreadable: It is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(field, value)
    return value


def a_text(value: Any, field: str) -> str:
    """A text; "" for null.

    Raises:
        Unreadable: It is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(field, value)
    return value


def an_id(value: Any) -> str:
    """An id; "" for what is none."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def a_place(value: Any) -> int | None:
    """The number of a place in a list; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def arguments_in(value: Any, field: str) -> str:
    """The arguments of a tool call as JSON text: some servers send the object itself.

    Raises:
        Unreadable: They are neither.
    """
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return a_text(value, field)


def parts_of(content: Any, field: str) -> tuple[str, str]:
    """A content, as text or as a list of parts.

    Returns:
        What is text in it, and what is a refusal.

    Raises:
        Unreadable: It is neither.
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


def count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    if isinstance(value, float) and 0 < value < 2**53:  # NaN is in no range
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def usage_of(read: Any, written: Any, cached: Any, before: Usage | None) -> Usage:
    """A usage. What it does not say stays as it was said before."""
    known = before or Usage()
    total = count(read) or known.input_tokens
    return Usage(
        input_tokens=total,
        output_tokens=count(written) or known.output_tokens,
        cached_tokens=min(count(cached) or known.cached_tokens, total),
    )


def shortened(text: str, most: int) -> str:
    """A text that is no longer than so many letters."""
    return text if len(text) <= most else f"{text[:most]}..."
