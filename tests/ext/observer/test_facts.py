import threading
from collections.abc import Callable
from typing import Any

import pytest

from miniagents import FrozenDict, Message, TextMessage
from miniagents.ext.observer.facts import CHARACTERS, FIELDS, facts_of, fields_of, kind_of, text_of


class Order(Message):
    number: int
    tags: tuple[str, ...] = ()


def hostile() -> object:
    """An object that answers with an error, whatever is asked of it."""

    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

        def __repr__(self) -> str:
            raise AssertionError("its repr was asked for")

        __str__ = __len__ = __iter__ = __hash__ = __repr__  # type: ignore[assignment]

    return Hostile()


def masked() -> object:
    """An object whose class does the same."""

    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError(f"{name} of the class was asked for")

    class Masked(metaclass=Meta):
        pass

    return Masked()


class Keyed(Message):
    name: str

    @property
    def key(self) -> str:
        raise AssertionError("a property was asked for")

    def __repr__(self) -> str:
        raise AssertionError("its repr was asked for")


def test_the_fields_of_a_message_are_shown_with_their_types() -> None:
    facts = facts_of(Order(number=7, tags=("new",)))

    assert facts["kind"] == "Order"
    assert facts["fields"]["number"] == {"kind": "int", "value": 7}
    assert facts["fields"]["tags"] == {"kind": "tuple", "size": 1, "items": [{"kind": "str", "size": 3, "text": "new"}]}


@pytest.mark.parametrize("make", [hostile, masked])
def test_no_code_of_a_value_is_called_to_show_it(make: Callable[[], object]) -> None:
    value = make()
    kind = type.__dict__["__name__"].__get__(type(value))

    assert facts_of(value) == {"kind": kind}
    assert facts_of([value])["items"] == [{"kind": kind}]
    assert facts_of({"key": value})["fields"] == {"key": {"kind": kind}}
    assert text_of(value) is None


def test_properties_and_the_repr_of_a_message_are_not_called() -> None:
    assert facts_of(Keyed(name="ada"))["fields"]["name"]["text"] == "ada"
    assert set(fields_of(Keyed(name="ada"))) == {"name", "metadata"}


def test_what_is_no_plain_value_is_only_named() -> None:
    assert facts_of(threading.Lock()) == {"kind": "lock"}


def test_a_long_text_is_cut_and_says_how_long_it_is() -> None:
    facts = facts_of("x" * 20_000_000)

    assert facts == {"kind": "str", "size": 20_000_000, "text": "x" * CHARACTERS, "cut": True}


def test_a_collection_shows_its_first_items_and_its_size() -> None:
    facts = facts_of(list(range(FIELDS + 1)))

    assert facts["size"] == FIELDS + 1
    assert len(facts["items"]) == FIELDS
    assert facts["cut"]


def test_bytes_show_their_length_alone() -> None:
    assert facts_of(b"secret") == {"kind": "bytes", "size": 6}


def test_a_huge_number_shows_its_bits_in_the_place_of_its_digits() -> None:
    assert facts_of(2**100_000) == {"kind": "int", "size": 100_001, "cut": True}


def test_what_is_nested_too_deep_is_only_named() -> None:
    facts = facts_of([[[[1]]]])

    assert facts["items"][0]["items"][0]["items"] == [{"kind": "list", "size": 1}]


def test_data_and_texts_are_shown_as_what_they_are() -> None:
    assert text_of(TextMessage("hello")) == "hello"
    assert text_of("hello") == "hello"
    assert text_of(Order(number=1)) is None
    assert facts_of(FrozenDict(x=None))["fields"] == {"x": {"kind": "NoneType", "value": None}}
    assert kind_of(TextMessage("hello")) == "TextMessage"
