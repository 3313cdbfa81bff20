"""`GivenSchema`: the parameters of a tool whose JSON schema is given, and not made from type hints."""

from collections.abc import Mapping
from typing import Any

import msgspec

from miniagents.errors import InvalidOptionError


class GivenSchema:
    """The parameters of a tool, as a JSON schema describes them.

    Names are checked, values are not: whoever gave the schema checks them. A name that is no property is refused unless
    the schema has `additionalProperties` or `patternProperties`, so that a model reaches no parameter that the schema
    does not show.

    Args:
        name: The name of the tool, for errors.
        schema: The JSON schema of an object. It is copied.

    Attributes:
        schema: The schema.
        strict_schema: None: providers' strict modes do not take every schema.

    Raises:
        InvalidOptionError: `schema` is not the JSON schema of an object.
    """

    strict_schema: None = None

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        try:
            copied = msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, Any])
        except (TypeError, msgspec.MsgspecError) as error:
            raise InvalidOptionError(f"the tool {name}: schema= is no JSON object: {error}") from error
        if copied.setdefault("type", "object") != "object" or not isinstance(copied.get("properties", {}), dict):
            raise InvalidOptionError(f"the tool {name}: schema= must describe an object, not {schema!r}")
        copied.setdefault("properties", {})
        self.schema = copied
        self._required: tuple[str, ...] = tuple(copied.get("required", ()))
        self._is_open = bool(copied.get("additionalProperties") or copied.get("patternProperties"))

    def decode(self, text: str) -> dict[str, Any]:
        """Decode the arguments that a model wrote.

        Raises:
            msgspec.DecodeError: The text is no JSON object, a required argument is missing, or an argument is unknown.
        """
        arguments = msgspec.json.decode(text or "{}", type=dict[str, Any])
        for name in self._required:
            if name not in arguments:
                raise msgspec.ValidationError(f"Object missing required field `{name}`")
        for name in arguments:
            if name not in self.schema["properties"] and not self._is_open:
                raise msgspec.ValidationError(f"Object contains unknown field `{name}`")
        return arguments
