"""`Signature`: the parameters of a function as JSON schemas, and the decoder of its arguments."""

import inspect
import math
import sys
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, TypeAlias

import msgspec

from miniagents.agents import InteractionContext
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.documentation import annotated_description, documentation_of
from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.pydantic_types import plain_data, validated_by_pydantic
from miniagents.ext.llms.schemas import parameters_schemas
from miniagents.ext.llms.type_schemas import decode_own_types

_CONTEXT = "ctx"
"""The usual name of a context: a parameter of this name without a type hint is refused, and no model is told of it."""

Injected: TypeAlias = dict[str, type]
"""The parameters that the runtime fills, by name: with the context of the agent (`InteractionContext`), or with the
call (`ToolCall`)."""


class Signature:
    """The parameters of a tool.

    Args:
        name: The name of the tool, for errors.
        kinds: The types of the parameters that the model fills, by name.
        defaults: The defaults of the optional ones, by name.
        injected: The parameters that the runtime fills; the schemas do not have them.
        descriptions: The descriptions of parameters, by name. A description in the annotation of a type goes before.
        description: What the function does, for the model.

    Attributes:
        description: As above.
        schema: The JSON schema.
        strict_schema: The JSON schema for strict mode; None if strict mode cannot take it.
        injected: The parameters that the runtime fills.

    Raises:
        InvalidOptionError: A parameter has no JSON schema.
    """

    def __init__(
        self,
        name: str,
        kinds: dict[str, Any],
        defaults: dict[str, object],
        injected: Injected | None = None,
        *,
        descriptions: Mapping[str, str] | None = None,
        description: str = "",
    ) -> None:
        self.description = description
        self.injected: Injected = injected or {}
        self._defaults = defaults
        try:
            described = dict(descriptions or {})
            for parameter, kind in kinds.items():
                if (text := annotated_description(kind)) is not None:
                    described[parameter] = text
            kinds = {parameter: validated_by_pydantic(kind) for parameter, kind in kinds.items()}
            self._nullable = frozenset(parameter for parameter in defaults if not _takes_null(kinds[parameter]))
            defaults_as_json = {
                parameter: value
                for parameter, default in defaults.items()
                if (value := _as_json(default)) is not _UNTOLD
            }
            struct = _struct(name, kinds, defaults)
            self.schema, self.strict_schema = parameters_schemas(struct, defaults_as_json, self._nullable, described)
            if self._nullable:
                kinds = {
                    parameter: kind | None if parameter in self._nullable else kind for parameter, kind in kinds.items()
                }
                struct = _struct(name, kinds, defaults)
            self._decoder = msgspec.json.Decoder(struct, dec_hook=decode_own_types)
        except TypeError as error:
            raise InvalidOptionError(f"the tool {name}: its parameters have no JSON schema: {error}") from error

    def decode(self, text: str) -> dict[str, Any]:
        """Decode the arguments that a model wrote; null stands for the default of a parameter that takes no null.

        Raises:
            msgspec.DecodeError: The text does not fit the parameters.
        """
        decoded = self._decoder.decode(text or "{}")
        arguments = {name: getattr(decoded, name) for name in decoded.__struct_fields__}
        for name in self._nullable:
            if arguments[name] is None:
                arguments[name] = self._defaults[name]
        return arguments


def _struct(name: str, kinds: dict[str, Any], defaults: dict[str, object]) -> type[msgspec.Struct]:
    fields = [
        # A mutable default is the same object in each call, as it is for every caller of the function.
        (parameter, kind, msgspec.field(default_factory=partial(_same, defaults[parameter])))
        if parameter in defaults
        else (parameter, kind)
        for parameter, kind in kinds.items()
    ]
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _same(value: object) -> object:
    return value


def _takes_null(kind: object) -> bool:
    try:
        msgspec.json.decode(b"null", type=kind, dec_hook=decode_own_types)
    except msgspec.ValidationError:
        return False
    return True


_UNTOLD = object()


def _as_json(default: object) -> object:
    """Return a default as data that JSON can hold; `_UNTOLD` if there is none."""
    try:
        value: object = msgspec.to_builtins(default, str_keys=True, enc_hook=plain_data)
        msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _UNTOLD
    return _UNTOLD if isinstance(value, float) and not math.isfinite(value) else value


# Functions

_signatures: "weakref.WeakKeyDictionary[Any, Signature]" = weakref.WeakKeyDictionary()
"""The signatures of functions: making a schema takes longer than preparing a call."""


def signature_of(function: Callable[..., object], name: str) -> Signature:
    """Return the signature that the type hints of a function give.

    Args:
        function: The function, or any other callable.
        name: The name of the tool, for errors.

    Raises:
        InvalidOptionError: The function takes arguments by position, a type hint does not resolve, or a parameter has
            no JSON schema.
    """
    try:
        known = _signatures.get(function)
    except TypeError:  # the callable has no hash or takes no weak reference
        return _read(function, name)
    if known is None:
        known = _read(function, name)
        try:
            _signatures[function] = known
        except TypeError:
            pass
    return known


def _read(function: Callable[..., object], name: str) -> Signature:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise InvalidOptionError(f"the tool {name}: what it takes is not known: {error}: wrap it into a def") from error
    hints = _TypeHints(function)
    kinds: dict[str, Any] = {}
    defaults: dict[str, object] = {}
    injected: Injected = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidOptionError(f"the tool {name}: a model gives arguments by name, not {parameter}")
        kind = hints.resolved(parameter, name)
        filled_with = _injected_type(kind)
        if filled_with is not None:
            injected[parameter.name] = filled_with
            continue
        if parameter.annotation is parameter.empty and parameter.name == _CONTEXT:
            raise InvalidOptionError(
                f"the tool {name}: annotate its parameter {_CONTEXT} with InteractionContext, or the model would have "
                f"to give it"
            )
        kinds[parameter.name] = kind
        if parameter.default is not parameter.empty:
            defaults[parameter.name] = parameter.default
    documentation = documentation_of(function)
    return Signature(
        name,
        kinds,
        defaults,
        injected,
        descriptions=documentation.parameters,
        description=documentation.description,
    )


def injected_parameters(function: Callable[..., object], name: str) -> Injected:
    """Return the parameters of a function that the runtime fills; none if Python does not know its parameters.

    Raises:
        InvalidOptionError: A type hint does not resolve.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return {}
    hints = _TypeHints(function)
    kinds = ((parameter.name, _injected_type(hints.resolved(parameter, name))) for parameter in parameters)
    return {parameter: kind for parameter, kind in kinds if kind is not None}


def _injected_type(kind: object) -> type | None:
    """Return what a parameter of this type is filled with; None if the model fills it. `| None` changes nothing."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _injected_type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return next(filter(None, map(_injected_type, arguments)), None)
    if isinstance(kind, type):
        if issubclass(kind, InteractionContext):
            return InteractionContext
        if kind is ToolCall:
            return ToolCall
    return None


class _TypeHints:
    """The type hints of a function, in the namespace where it was written, found through wrappers and partials.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        written: Any = function
        while True:
            if isinstance(written, partial):
                written = written.func
            elif hasattr(written, "__wrapped__"):
                written = written.__wrapped__
            elif inspect.ismethod(written):
                written = written.__func__
            elif isinstance(written, type):
                written = getattr(written, "__init__")  # noqa: B009 - mypy takes no attribute for the constructor
            elif not hasattr(written, "__code__") and hasattr(type(written), "__call__"):  # noqa: B004 - its code is meant
                call = type(written).__call__
                if not hasattr(call, "__code__") and not hasattr(call, "__wrapped__"):
                    break
                written = call
            else:
                break
        module = sys.modules.get(getattr(written, "__module__", None) or "")
        self._globals = getattr(written, "__globals__", None) or vars(module or types.ModuleType("?"))
        self._locals: dict[str, Any] = {}
        code = getattr(written, "__code__", None)
        for free, cell in zip(
            getattr(code, "co_freevars", ()), getattr(written, "__closure__", None) or (), strict=False
        ):
            try:
                self._locals[free] = cell.cell_contents
            except ValueError:  # the variable has no value yet
                continue

    def resolved(self, parameter: inspect.Parameter, tool: str) -> Any:
        """Return the type of a parameter; `Any` if it has no type hint.

        Raises:
            InvalidOptionError: The type hint does not resolve.
        """
        if parameter.annotation is parameter.empty:
            return Any
        holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
        try:
            return typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)["it"]
        except Exception as error:
            raise InvalidOptionError(
                f"the tool {tool}: the type of its parameter {parameter.name}, {parameter.annotation!r}, does not "
                f"resolve: {type(error).__name__}: {error}: import it where the function is, and not under "
                f"TYPE_CHECKING alone"
            ) from error
