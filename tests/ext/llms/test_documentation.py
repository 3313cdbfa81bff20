"""What a model reads of docstrings and annotations."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pytest

from miniagents import InteractionContext
from miniagents.ext.llms.documentation import annotated_description, documentation_of
from miniagents.ext.llms.signatures import signature_of
from miniagents.ext.llms.tools import Tool


class Address(msgspec.Struct):
    """Where somebody lives."""

    city: str


def google(ctx: InteractionContext, sku: str, to: Address, count: int = 3) -> str:
    """Order a product.

    It comes tomorrow.

    Args:
        ctx: The context.
        sku: The stock number,
            as in the catalog.
        to (Address): The house.

        count (int, optional): How many.

    Returns:
        The number of the order.

    Note:
        Orders cannot be undone.
    """
    return ""


def numpy(ctx: InteractionContext, sku: str, to: Address, count: int = 3) -> str:
    """Order a product.

    It comes tomorrow.

    Parameters
    ----------
    ctx : InteractionContext
        The context.
    sku : str
        The stock number,
        as in the catalog.
    to : Address
        The house.

    count : int, optional
        How many.

    Returns
    -------
    str
        The number of the order.

    Notes
    -----
    Orders cannot be undone.
    """
    return ""


def sphinx(ctx: InteractionContext, sku: str, to: Address, count: int = 3) -> str:
    """Order a product.

    It comes tomorrow.

    :param ctx: The context.
    :param sku: The stock number,
        as in the catalog.
    :type sku: str
    :param Address to: The house.
    :param count: How many.
    :returns: The number of the order.

    Orders cannot be undone.
    """
    return ""


STYLES = pytest.mark.parametrize("function", [google, numpy, sphinx])


@STYLES
def test_the_schema_has_the_descriptions_of_the_docstring(function: Callable[..., object]) -> None:
    signature = signature_of(function, "order")
    assert signature.schema["properties"] == {
        "sku": {"type": "string", "description": "The stock number, as in the catalog."},
        "to": {"$ref": "#/$defs/Address", "description": "The house."},
        "count": {"type": "integer", "description": "How many.", "default": 3},
    }
    assert signature.strict_schema is not None
    properties = signature.strict_schema["properties"]
    assert properties["to"] == {"anyOf": [{"$ref": "#/$defs/Address"}], "description": "The house."}
    assert properties["count"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "How many. Default: 3",
    }


@STYLES
def test_the_description_of_the_tool_keeps_all_but_the_parameters(function: Callable[..., object]) -> None:
    description = Tool(function).spec.description
    assert description.startswith("Order a product.\n\nIt comes tomorrow.\n\n")
    assert "The number of the order." in description
    assert description.endswith("Orders cannot be undone.")
    for part in ("stock", "catalog", "house", "How many", "context", "sku", "Args", "Parameters", ":type", "\n\n\n"):
        assert part not in description


def test_a_docstring_that_ends_with_its_parameters_is_cut_there() -> None:
    def google(a: int) -> None:
        """Do it.

        Args:
            a: A number."""

    def numpy(a: int, b: int) -> None:
        """Do it.

        Parameters
        ----------
        a, b : int
            A number."""

    def sphinx(a: int) -> None:
        """Do it.

        :param a: A number."""

    for function in (google, numpy, sphinx):
        documentation = documentation_of(function)
        assert documentation.description == "Do it."
        assert documentation.parameters["a"] == "A number."
    assert documentation_of(numpy).parameters == {"a": "A number.", "b": "A number."}


def test_other_text_stays_as_it_is() -> None:
    def function(a: int) -> None:
        """Search for args: the words.

        Parameters are few.
        Example: a = 1
        """

    assert documentation_of(function).parameters == {}
    assert documentation_of(function).description == (
        "Search for args: the words.\n\nParameters are few.\nExample: a = 1"
    )


def test_without_the_parser_the_whole_docstring_is_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docstring_parser", None)
    documentation = documentation_of(google)
    assert "sku: The stock number," in documentation.description
    assert documentation.parameters == {}


def test_an_object_has_the_parameters_of_its_call_and_its_own_description() -> None:
    class Order:
        """Orders products.

        Args:
            shop: The shop.

        Attributes:
            shop: As above.
        """

        def __call__(self, shop: str) -> str:
            """Order.

            Args:
                shop: Where to order.
            """
            return shop

    documentation = documentation_of(Order())
    assert documentation.description.startswith("Orders products.")
    assert documentation.parameters == {"shop": "Where to order."}
    assert documentation_of(Order).parameters == {"shop": "The shop."}


class Doc:  # of typing_extensions
    documentation = "said elsewhere"


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        (Annotated[int, "years"], "years"),
        (Annotated[int, msgspec.Meta(ge=0, description="years")], "years"),
        (Annotated[int, "first", msgspec.Meta(ge=0), "second"], "second"),
        (Annotated[int, msgspec.Meta(ge=0)], None),
        (Annotated[int, Doc()], "said elsewhere"),
        (Annotated[int, "years"] | None, "years"),
        (Annotated[int, "years"] | Annotated[str, "name"], None),
        (int, None),
    ],
)
def test_a_description_may_stand_in_the_annotation(kind: Any, description: str | None) -> None:
    assert annotated_description(kind) == description


def test_the_annotation_goes_before_the_docstring() -> None:
    def function(age: Annotated[int, "In years."], name: Annotated[str, "As in the passport."] = "Ann") -> None:
        """Do it.

        Args:
            age: A number.
        """

    properties = signature_of(function, "function").schema["properties"]
    assert properties == {
        "age": {"type": "integer", "description": "In years."},
        "name": {"type": "string", "description": "As in the passport.", "default": "Ann"},
    }
