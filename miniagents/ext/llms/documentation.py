"""`Documentation`: what the docstring of a function tells a model about a tool and its parameters."""

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

_PARAMETERS = re.compile(
    r"""
    ^(?:Args|Arguments|Params|Parameters):[ \t]*\n(?:[ \t]+\S.*(?:\n|\Z)|[ \t]*\n)+  # Google
    | ^(?:Other[ ])?Parameters[ \t]*\n-{3,}[ \t]*\n  # NumPy, until the next title
      (?:(?!.*\n-{3,}[ \t]*$).*(?:\n|\Z))*?(?=\S.*\n-{3,}[ \t]*$|\Z)
    | ^:(?:param|parameter|arg|argument|key|keyword|type)[ ].*(?:\n|\Z)(?:[ \t]+\S.*(?:\n|\Z))*  # Sphinx
    """,
    re.MULTILINE | re.VERBOSE,
)
"""The part of a docstring that describes the parameters: the model reads it in the schema."""


@dataclass(frozen=True, slots=True)
class Documentation:
    """The documentation of a function.

    Attributes:
        description: The docstring, without the descriptions of parameters that `parameters` has.
        parameters: The descriptions of the parameters, by name.
    """

    description: str
    parameters: dict[str, str] = field(default_factory=dict)


def documentation_of(function: Callable[..., object]) -> Documentation:
    """Return the documentation of a function, from a docstring in the style of Google, NumPy or Sphinx.

    The parameters of a callable object are those in the docstring of its `__call__`. Without `docstring_parser`, or
    with a docstring in another style, the description is the whole docstring.

    Args:
        function: The function, or any other callable.

    Example:
        ```python
        from miniagents.ext.llms.documentation import documentation_of

        def order(product: str) -> str:
            \"\"\"Order a product.

            Args:
                product: The name in the catalog.
            \"\"\"
            return f"ordered {product}"

        print(documentation_of(order).parameters)  # {'product': 'The name in the catalog.'}
        ```
    """
    documented = function.func if isinstance(function, partial) else function
    docstring = inspect.getdoc(documented) or ""
    if inspect.isroutine(documented) or isinstance(documented, type):
        return _parsed(docstring)
    call = inspect.getdoc(getattr(type(documented), "__call__", None)) or ""  # noqa: B004 - its docstring is meant
    return Documentation(docstring, _parsed(call).parameters)


def _parsed(docstring: str) -> Documentation:
    description = _PARAMETERS.sub("", docstring)
    if description == docstring:
        return Documentation(docstring)
    try:
        import docstring_parser
    except ImportError:
        return Documentation(docstring)
    try:
        documented = docstring_parser.parse(docstring).params
    except docstring_parser.ParseError:
        return Documentation(docstring)
    parameters = {
        name.strip(" *"): " ".join(parameter.description.split())
        for parameter in documented
        if parameter.args[0] != "attribute" and parameter.description
        for name in parameter.arg_name.split(",")
    }
    if not parameters:
        return Documentation(docstring)
    return Documentation(re.sub(r"\n{3,}", "\n\n", description).strip(), parameters)


def annotated_description(kind: object) -> str | None:
    """Return the description in the annotation of a type: a string, or what has a `description` or `documentation`.

    The last one holds, as with other metadata. `msgspec.Meta(description=)`, `pydantic.Field(description=)` and `Doc`
    of `typing_extensions` are such annotations.

    Args:
        kind: The type, such as `Annotated[int, "The age in years"]`, or such a type `| None`.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        described = [text for text in map(annotated_description, arguments) if text is not None]
        return described[0] if len(described) == 1 else None
    if origin in (typing.Required, typing.NotRequired):
        return annotated_description(arguments[0])
    if origin is not Annotated:
        return None
    texts = [text for text in map(_text_of, typing.cast(Any, kind).__metadata__) if text]
    return texts[-1] if texts else annotated_description(arguments[0])


def _text_of(metadata: object) -> str | None:
    if isinstance(metadata, str):
        return metadata
    for attribute in ("description", "documentation"):
        text = getattr(metadata, attribute, None)
        if isinstance(text, str):
            return text
    return None
