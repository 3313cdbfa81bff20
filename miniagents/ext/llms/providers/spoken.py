"""`spoken_text`: the readable text in the result of a hosted tool."""

from collections.abc import Mapping
from typing import Any

_FIELDS = ("text", "logs", "stdout", "stderr", "content", "source", "output", "message", "error_code")


def spoken_text(value: Any) -> str:
    """Return the readable text in the result of a hosted tool; "" if it is encrypted.

    Args:
        value: The result, or a part of it: a text, a list, a dict.

    Example:
        >>> print(spoken_text([{"type": "web_search_result", "title": "Louvre", "url": "https://louvre.fr"}]))
        Louvre (https://louvre.fr)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "\n".join(filter(None, map(spoken_text, value)))
    if not isinstance(value, Mapping):
        return ""
    if value.get("type") == "text" and isinstance(value.get("data"), str):
        return str(value["data"])
    address = value.get("url") or value.get("filename")
    head = f"{value.get('title') or address} ({address})" if isinstance(address, str) else ""
    texts = [head, *(spoken_text(value[field]) for field in _FIELDS if field in value)]
    return "\n".join(filter(None, texts))
