"""What a function takes, as a model is told of it, and how its arguments are decoded."""

import inspect
import math
import sys
import types
import typing
import weakref
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec

from miniagents.agents import InteractionContext
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.schemas import decode_own_types, parameters_schemas

_CONTEXT = "ctx"
"""How contexts are called everywhere: a parameter of this name that has no type is a slip, and goes to no model."""


class Signature:
    """The parameters of a tool.

    Args:
        name: What the tool is called in errors.
        kinds: The types of the parameters that the model gives, by name.
        defaults: The defaults of those that may be left out.
        contexts: The parameters that get the agent's context.

    Attributes:
        schema: The JSON schema.
        strict_schema: The one for strict mode, or None.
        contexts: The parameters that get the agent's context.

    Raises:
        InvalidOptionError: A parameter has no schema.
    """

    def __init__(
        self, name: str, kinds: dict[str, Any], defaults: dict[str, Any], contexts: tuple[str, ...] = ()
    ) -> None:
        self.contexts = contexts
        self._defaults = defaults
        try:
            self._nullable = frozenset(one for one in defaults if not _takes_null(kinds[one]))
            told = {one: said for one, value in defaults.items() if (said := _told(value)) is not _UNTOLD}
            fields = _fields(kinds, defaults)
            asked = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
            self.schema, self.strict_schema = parameters_schemas(asked, told, self._nullable)
            if self._nullable:
                kinds = {one: kind | None if one in self._nullable else kind for one, kind in kinds.items()}
                asked = msgspec.defstruct(name, _fields(kinds, defaults), kw_only=True, forbid_unknown_fields=True)
            self._decoder = msgspec.json.Decoder(asked, dec_hook=decode_own_types)
        except TypeError as error:
            raise InvalidOptionError(f"the tool {name}: its parameters have no JSON schema: {error}") from error

    def decode(self, text: str) -> dict[str, Any]:
        """The arguments that a model wrote; null is the default of what takes no null.

        Raises:
            msgspec.DecodeError: They do not fit.
        """
        decoded = self._decoder.decode(text or "{}")
        given = {name: getattr(decoded, name) for name in decoded.__struct_fields__}
        for name in self._nullable:
            if given[name] is None:
                given[name] = self._defaults[name]
        return given


def _fields(kinds: dict[str, Any], defaults: dict[str, Any]) -> list[Any]:
    return [
        # A default that may change is the same object each time, as it is for every caller of the function.
        (name, kind, msgspec.field(default_factory=partial(_same, defaults[name])))
        if name in defaults
        else (name, kind)
        for name, kind in kinds.items()
    ]


def _same(value: Any) -> Any:
    return value


def _takes_null(kind: Any) -> bool:
    try:
        msgspec.json.decode(b"null", type=kind, dec_hook=decode_own_types)
    except msgspec.ValidationError:
        return False
    return True


_UNTOLD = object()


def _told(default: Any) -> Any:
    """A default as JSON says it; `_UNTOLD` where it cannot."""
    try:
        told = msgspec.to_builtins(default, str_keys=True)
        msgspec.json.encode(told)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _UNTOLD
    return _UNTOLD if isinstance(told, float) and not math.isfinite(told) else told


# Functions

_signatures: "weakref.WeakKeyDictionary[Any, Signature]" = weakref.WeakKeyDictionary()
"""Those of functions: a schema takes longer to make than a call to be prepared."""


def signature_of(function: Callable[..., Any], name: str) -> Signature:
    """The signature of a function, as its type hints say.

    Args:
        function: The function, or anything else that can be called.
        name: What it is called in errors.

    Raises:
        InvalidOptionError: It takes arguments by place, a type hint does not resolve, or a parameter has no schema.
    """
    try:
        known = _signatures.get(function)
    except TypeError:  # it cannot be hashed or referred to weakly
        return _read(function, name)
    if known is None:
        known = _read(function, name)
        try:
            _signatures[function] = known
        except TypeError:
            pass
    return known


def _read(function: Callable[..., Any], name: str) -> Signature:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise InvalidOptionError(f"the tool {name}: what it takes is not known: {error}: wrap it into a def") from error
    names = _Names(function)
    kinds: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    contexts: list[str] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidOptionError(f"the tool {name}: a model gives arguments by name, not {parameter}")
        kind = names.resolved(parameter, name)
        if _is_context(kind):
            contexts.append(parameter.name)
            continue
        if parameter.annotation is parameter.empty and parameter.name == _CONTEXT:
            raise InvalidOptionError(
                f"the tool {name}: annotate its parameter {_CONTEXT} with InteractionContext, or the model would have "
                f"to give it"
            )
        kinds[parameter.name] = kind
        if parameter.default is not parameter.empty:
            defaults[parameter.name] = parameter.default
    return Signature(name, kinds, defaults, tuple(contexts))


def _is_context(kind: Any) -> bool:
    """Whether a parameter of this type is the agent's context: the type, or None beside it."""
    if typing.get_origin(kind) is Annotated:
        return _is_context(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return any(_is_context(one) for one in typing.get_args(kind))
    return isinstance(kind, type) and issubclass(kind, InteractionContext)


def _closed_over(function: Any) -> tuple[str, ...]:
    return getattr(getattr(function, "__code__", None), "co_freevars", ())


class _Names:
    """The names that the type hints of a function may use: those where it was written, through wrappers and partials.

    Args:
        function: The function.
    """

    def __init__(self, function: Any) -> None:
        written = function
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
            except ValueError:  # it has no value yet
                continue

    def resolved(self, parameter: inspect.Parameter, tool: str) -> Any:
        """The type of a parameter; any where it has none.

        Raises:
            InvalidOptionError: Its hint means nothing here.
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
