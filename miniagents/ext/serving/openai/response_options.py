"""Options of a request to the Responses API, as agents get them: as chat completions have them."""

from typing import Any

from miniagents.ext.serving.request_options import fields_in

_PLACES = {
    "max_completion_tokens": ("max_output_tokens",),
    "reasoning_effort": ("reasoning", "effort"),
    "response_format": ("text", "format"),
    "verbosity": ("text", "verbosity"),
}
"""Where options of chat completions stand in a request for a response."""


def options_in(body: bytes, names: frozenset[str]) -> dict[str, Any]:
    """Fields of a request for a response that agents may take as arguments.

    Tools, and what stands in another place than in a request for a chat completion, are made what they are there.

    Args:
        body: The request: JSON that is one.
        names: The arguments that agents take.
    """
    moved = {name: place for name, place in _PLACES.items() if name in names}
    given = fields_in(body, names | {place[0] for place in moved.values()})
    found = {name: given[name] for name in names if name in given}
    for name, place in moved.items():
        value = _at(given, place)
        if value is not None:
            found[name] = value
    if "response_format" in found:
        found["response_format"] = _format(found["response_format"])
    return found | {name: _nested(found[name]) for name in ("tools", "tool_choice") if name in found}


def _at(given: Any, place: tuple[str, ...]) -> Any:
    """What stands there, or None."""
    for name in place:
        given = given.get(name) if isinstance(given, dict) else None
    return given


def _format(value: Any) -> Any:
    """The format of an answer as a chat completion has it."""
    if isinstance(value, dict) and value.get("type") == "json_schema" and "json_schema" not in value:
        return {"type": "json_schema", "json_schema": {name: one for name, one in value.items() if name != "type"}}
    return value


def _nested(value: Any) -> Any:
    """Tools, or the choice of one, as a chat completion has them."""
    if isinstance(value, list):
        return [_nested(one) for one in value]
    if isinstance(value, dict) and value.get("type") == "function" and "function" not in value:
        return {"type": "function", "function": {name: one for name, one in value.items() if name != "type"}}
    return value
