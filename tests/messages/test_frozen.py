"""Freezing: what is accepted is shared where it can be, and what is refused is named with its place."""

import collections
import enum
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given

from miniagents import DataMessage, FrozenDict, TextMessage, decode
from miniagents.errors import DecodeError, NotSendableError, UnencodableError
from miniagents.messages import EMPTY, freeze
from tests.messages.test_message import values


class Name(enum.StrEnum):
    ADA = "ada"


class Text(str):
    """A text that could carry more than its letters."""


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ("\ud800", "data: "),
        ({"a": [1, {"b": 2**64}]}, "data['a'][1]['b']: an integer of 65 bits"),
        ({"a": (0, "\ud800")}, "data['a'][1]: "),
        ({"a": {"\ud800": 1}}, "key of data['a']: "),
        ({2**70: 1}, "key of data: an integer of 71 bits"),
        ({"a": frozenset({2**70})}, "data['a']{...}: an integer of 71 bits"),
        ([Text("fine"), Text("\ud800")], "data[1]: "),
        (collections.deque([1, 2**70]), "data[1]: an integer of 71 bits"),
    ],
)
def test_a_value_that_the_wire_cannot_carry_is_refused_with_its_place(data: Any, place: str) -> None:
    with pytest.raises(UnencodableError) as caught:
        freeze(data, "data")

    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (object(), "data: a object cannot be part of a message"),
        ([1, {"b": [object()]}], "data[1]['b'][0]: a object cannot be part of a message"),
        (MappingProxyType({3: object()}), "data[3]: a object cannot be part of a message"),
        (
            {"a": {("x",): 1}},
            "data['a']: a key of free-form data is a str, a number, bytes or None, not tuple (('x',))",
        ),
    ],
)
def test_a_value_that_is_no_free_form_data_is_refused_with_its_place(data: Any, place: str) -> None:
    with pytest.raises(NotSendableError) as caught:
        freeze(data, "data")

    assert str(caught.value).startswith(place)


def test_the_place_of_a_value_that_is_nested_too_deep_is_cut() -> None:
    data: Any = ()
    for _ in range(250):
        data = [data]

    with pytest.raises(UnencodableError) as caught:
        freeze(data, "data")

    assert str(caught.value) == f"data{'[0]' * 65}[...: nested more than 200 deep"


def test_data_may_be_nested_200_deep() -> None:
    data: Any = 1
    for _ in range(200):
        data = [data]

    assert freeze(data, "data") == freeze(freeze(data, "data"), "data")
    with pytest.raises(UnencodableError):
        freeze([data], "data")


@given(values)
def test_frozen_data_are_returned_as_they_are(value: Any) -> None:
    frozen = freeze(value, "value")

    assert freeze(frozen, "value") is frozen


def test_an_unfrozen_part_of_a_frozen_dict_is_frozen_and_its_other_parts_are_shared() -> None:
    part = freeze({"x": [1, 2]}, "part")

    frozen = freeze(FrozenDict(part=part, loose=[{"y": 1}]), "data")

    assert frozen == FrozenDict(part=part, loose=(FrozenDict(y=1),))
    assert frozen["part"] is part


def test_subclasses_of_scalars_become_plain_and_enums_stay() -> None:
    frozen = freeze({Text("key"): Text("value"), Name.ADA: Name.ADA, True: False}, "data")

    assert [(type(key), type(value)) for key, value in frozen.items()] == [(str, str), (Name, Name), (bool, bool)]


def test_a_dict_that_is_frozen_may_be_changed_afterwards() -> None:
    data = {"a": 1}
    frozen = freeze(data, "data")
    data["a"] = 2

    assert frozen == {"a": 1}


def test_metadata_that_are_a_frozen_dict_are_shared_between_messages() -> None:
    metadata = FrozenDict(a=1)

    assert TextMessage("a", metadata=metadata).metadata is TextMessage("b", metadata=metadata).metadata


def test_a_dict_without_keys_becomes_the_empty_one() -> None:
    assert freeze({}, "data") is EMPTY
    assert freeze(FrozenDict(a=FrozenDict()), "data")["a"] is EMPTY


def test_the_views_of_a_frozen_dict_are_those_of_a_dict() -> None:
    frozen = FrozenDict(b=1, a=2)

    assert (list(frozen.keys()), list(frozen.values()), list(frozen.items())) == (
        ["b", "a"],
        [1, 2],
        [("b", 1), ("a", 2)],
    )
    assert frozen.keys() & {"a"} == {"a"}


def test_a_frozen_dict_that_is_nested_too_deep_in_other_data_is_refused() -> None:
    inner: Any = {"bottom": 1}
    for _ in range(150):
        inner = {"down": inner}
    inner = freeze(inner, "inner")
    outer: Any = inner
    for _ in range(49):
        outer = [outer]

    assert freeze(outer, "data") == freeze(freeze(outer, "data"), "data")
    with pytest.raises(UnencodableError, match="nested more than 200 deep"):
        freeze([outer], "data")


def test_decoded_data_are_checked_as_data_that_are_sent_are() -> None:
    for data in ([1, [0, "key"], 1], [1, "x", [1, [0, "key"], 1]]):
        hostile = msgspec.msgpack.encode([2, "miniagents:DataMessage", "data", data])

        with pytest.raises(DecodeError, match="a key of free-form data is"):
            decode(hostile)


def test_decoded_data_that_are_nested_too_deep_in_other_data_are_refused() -> None:
    data: Any = [1, "a", 1]
    for _ in range(199):
        data = [1, "a", data]
    decoded = decode(msgspec.msgpack.encode([2, "miniagents:DataMessage", "data", data]))

    assert isinstance(decoded, DataMessage)
    assert freeze(decoded.data, "data") is decoded.data
    with pytest.raises(UnencodableError, match="nested more than 200 deep"):
        freeze([decoded.data], "data")
