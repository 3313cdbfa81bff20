"""Answers as the official SDK of OpenAI has them: each field of the type that it declares, and none besides."""

from collections.abc import Collection
from typing import Any, TypeVar

import openai
from pydantic import TypeAdapter

T = TypeVar("T")

KNOWN = frozenset({"store"})
"""What the API itself sends, and the SDK does not declare."""


def strict(kind: type[T] | Any, body: bytes | str, more: Collection[str] = KNOWN) -> T:
    """An answer, checked.

    Args:
        kind: The type that the SDK has for it.
        body: The answer.
        more: Fields that it may have although the SDK does not declare them.

    Raises:
        AssertionError: There are other fields.
        pydantic.ValidationError: A field is of another type.
    """
    found: T = TypeAdapter(kind).validate_json(body, strict=True)
    _walk(found, frozenset(more), kind)
    return found


def _walk(value: Any, more: frozenset[str], where: Any) -> None:
    if isinstance(value, openai.BaseModel):
        extra = set(value.model_extra or ()) - more
        assert not extra, f"{where}: {type(value).__name__} has {sorted(extra)}"
        for name in type(value).model_fields:
            _walk(getattr(value, name), more, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for one in value:
            _walk(one, more, where)
