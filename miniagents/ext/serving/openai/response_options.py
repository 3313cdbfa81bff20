"""The options of a request to the Responses API, as arguments of agents: in the form of chat completions."""

from typing import Any

from miniagents.ext.serving.request_options import fields_in

_PLACES = {
    "max_completion_tokens": ("max_output_tokens",),
    "reasoning_effort": ("reasoning", "effort"),
    "response_format": ("text", "format"),
    "verbosity": ("text", "verbosity"),
}
"""The places of the options of chat completions in a request for a response."""


def options_in(body: bytes, names: frozenset[str]) -> dict[str, Any]:
    """Return the fields of a request for a response that agents may take as arguments.

    Tools, and options with another place or form than in a chat completion, are converted to the form of a chat
    completion.

    Args:
        body: The request, a JSON object.
        names: The names of the arguments of all agents.
    """
    moved = {name: place for name, place in _PLACES.items() if name in names}
    fields = fields_in(body, names | {place[0] for place in moved.values()})
    options = {name: fields[name] for name in names if name in fields}
    for name, place in moved.items():
        value = _at(fields, place)
        if value is not None:
            options[name] = value
    if "response_format" in options:
        options["response_format"] = _format(options["response_format"])
    return options | {name: _nested(options[name]) for name in ("tools", "tool_choice") if name in options}


def _at(value: Any, place: tuple[str, ...]) -> Any:
    """Return the value at a place, or None."""
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _format(value: Any) -> Any:
    """Return the format of an answer in the form of a chat completion."""
    if isinstance(value, dict) and value.get("type") == "json_schema" and "json_schema" not in value:
        return {"type": "json_schema", "json_schema": {name: field for name, field in value.items() if name != "type"}}
    return value


def _nested(value: Any) -> Any:
    """Return tools, or a tool choice, in the form of a chat completion."""
    if isinstance(value, list):
        return [_nested(field) for field in value]
    if isinstance(value, dict) and value.get("type") == "function" and "function" not in value:
        return {"type": "function", "function": {name: field for name, field in value.items() if name != "type"}}
    return value
