"""The official client of Anthropic, as strict as it can be: an answer that is not what its types say is an error."""

from collections.abc import Iterable
from typing import Any

import anthropic
from pydantic import BaseModel

from tests.ext.serving.servers import TOKEN


def strict_client(url: str, **options: Any) -> anthropic.AsyncAnthropic:
    """A client that takes no answer with a field missing, or of another type."""
    return anthropic.AsyncAnthropic(
        base_url=url, api_key=TOKEN, max_retries=0, _strict_response_validation=True, **options
    )


def unknown_fields(value: Any, where: str = "") -> list[str]:
    """The fields of an answer that the client's types do not have, at whatever depth."""
    if isinstance(value, BaseModel):
        found = [f"{where}.{name}" for name in value.model_extra or ()]
        for name in type(value).model_fields:
            found += unknown_fields(getattr(value, name), f"{where}.{name}")
        return found
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)):
        return [one for number, inner in enumerate(value) for one in unknown_fields(inner, f"{where}[{number}]")]
    return []
