"""Types of pydantic in the place of types of msgspec: pydantic's own schemas and validation, behind msgspec's hooks.

Nothing here imports pydantic before a type of a program is pydantic's, and so has imported it.
"""

import functools
import sys
import typing
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    import pydantic

_PACKAGES = ("pydantic", "annotated_types")


class _Valid(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec asks whether the hook has returned an instance: the adapter has seen to that


class _Validated(metaclass=_Valid):
    """A custom type for msgspec, in the place of a type that pydantic validates."""

    adapter: "ClassVar[pydantic.TypeAdapter[Any]]"


def validated_by_pydantic(kind: Any) -> Any:
    """Return a type for msgspec that pydantic validates; the same type if nothing in it is pydantic's.

    A type that mixes models with types that pydantic does not know, such as a Struct, stays as it is: msgspec validates
    it, and pydantic the models in it.

    Args:
        kind: The type, such as a model, a list of models, a union of them, or `Annotated[int, pydantic.Field(ge=0)]`.
    """
    if not _uses_pydantic(kind):
        return kind
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(kind)
    except pydantic.errors.PydanticSchemaGenerationError:
        return kind
    return _Valid(getattr(kind, "__name__", "validated"), (_Validated,), {"adapter": adapter})


def schema_by_pydantic(kind: Any) -> dict[str, Any] | None:
    """Return the JSON schema of a type that pydantic validates, with its own `$defs`; None for another type.

    Raises:
        TypeError: pydantic has no schema for the type, or a type hint of a model does not resolve.
    """
    adapter = _adapter_of(kind)
    if adapter is None:
        return None
    import pydantic

    try:
        return adapter.json_schema()
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(error.message) from error


def decoded_by_pydantic(kind: Any, value: object) -> object:
    """Validate plain data by pydantic, as JSON. For a type that pydantic does not validate, the data stay as they are.

    Raises:
        ValueError: The value does not fit. The text says what is wrong with which fields, without links.
    """
    adapter = _adapter_of(kind)
    if adapter is None:
        return value
    import pydantic

    try:
        return adapter.validate_json(msgspec.json.encode(value))
    except pydantic.ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError("; ".join(map(_told, problems))) from error


def plain_data(value: Any) -> object:
    """Return a model of pydantic as plain data: the `enc_hook` for values of these types.

    Raises:
        TypeError: The value is no model.
    """
    if _uses_pydantic(type(value)) and hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__qualname__} is no data for JSON")


def _told(problem: Any) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"])
    return f"{problem['msg']} - at `${path}`" if path else str(problem["msg"])


def _uses_pydantic(kind: Any) -> bool:
    if "pydantic" not in sys.modules:
        return False
    if isinstance(kind, type) and (
        hasattr(kind, "__pydantic_validator__") or hasattr(kind, "__get_pydantic_core_schema__")
    ):
        return True
    packages = (type(metadata).__module__.partition(".")[0] for metadata in getattr(kind, "__metadata__", ()))
    return any(package in _PACKAGES for package in packages) or any(map(_uses_pydantic, typing.get_args(kind)))


def _adapter_of(kind: Any) -> "pydantic.TypeAdapter[Any] | None":
    if isinstance(kind, type) and issubclass(kind, _Validated):
        return kind.adapter
    return _adapter(kind) if _uses_pydantic(kind) else None


@functools.lru_cache(256)
def _adapter(kind: Any) -> "pydantic.TypeAdapter[Any]":
    import pydantic

    return pydantic.TypeAdapter(kind)
