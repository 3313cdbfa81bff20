"""The wire: everything comes back as it was, and nothing that comes in can do harm."""

import enum
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miniagents import (
    AssistantMessage,
    DataMessage,
    ErrorMessage,
    Message,
    SystemMessage,
    TextMessage,
    UserMessage,
    decode,
    encode,
)
from miniagents.errors import DecodeError, MailboxFullError, RemoteError, UnencodableError
from tests.messages.test_message import scalars, values


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct, frozen=True):
    x: int
    y: int


class Leaf(Message):
    name: str
    colour: Colour = Colour.RED
    at: Point | None = None
    mode: Literal["a", "b"] = "a"


class Node(Message):
    """Its parts are annotated with the base class, and come back as what they were."""

    left: Message | None = None
    parts: tuple[Message, ...] = ()
    anything: Any = None


class Tagged(Message, tag="tests:tagged"):
    value: int = 0


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
metadata = st.dictionaries(text, scalars, max_size=2)
texts = st.builds(
    lambda cls, content, more: cls(content, metadata=more),
    st.sampled_from([TextMessage, UserMessage, SystemMessage, AssistantMessage]),
    text,
    metadata,
)
leaves = st.one_of(
    texts,
    st.builds(lambda data: DataMessage(data), st.dictionaries(text, values, max_size=3)),
    st.builds(
        Leaf,
        name=text,
        colour=st.sampled_from(Colour),
        at=st.none() | st.builds(Point, st.integers(-9, 9), st.integers(-9, 9)),
        mode=st.sampled_from(["a", "b"]),
    ),
    st.builds(Tagged, value=st.integers(-(2**63), 2**63)),
    st.builds(ErrorMessage, text),
)
messages = st.recursive(
    leaves,
    lambda inner: st.builds(
        Node, left=st.none() | inner, parts=st.lists(inner, max_size=3).map(tuple), anything=values | inner
    ),
    max_leaves=8,
)


@given(messages)
def test_what_is_encoded_comes_back_equal_and_as_the_class_it_was(message: Message) -> None:
    back = decode(encode(message))
    assert back == message
    assert type(back) is type(message)
    assert back.hash_key == message.hash_key
    assert encode(back) == encode(message)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 100_000)
@example(b"\x81\xa1a" * 5_000)
def test_garbage_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


@given(messages, st.data())
def test_truncated_bytes_are_a_decode_error(message: Message, data: st.DataObject) -> None:
    whole = encode(message)
    with pytest.raises(DecodeError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(messages, st.data())
def test_changed_bytes_are_a_message_or_a_decode_error(message: Message, data: st.DataObject) -> None:
    raw = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(raw))
    except DecodeError:
        return
    assert isinstance(decoded, Message)


def test_an_unknown_type_is_a_decode_error_that_names_it() -> None:
    raw = encode(Tagged(value=1)).replace(b"tests:tagged", b"tests:untold")
    with pytest.raises(DecodeError, match="tests:untold"):
        decode(raw)


def test_what_is_nested_too_deep_is_refused_when_it_is_made() -> None:
    deep: Any = "bottom"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(UnencodableError, match="200"):
        DataMessage({"deep": deep})


def test_typed_fields_that_nest_too_deep_are_refused_by_encode() -> None:
    node = Node()
    for _ in range(300):
        node = Node(left=node)
    with pytest.raises(UnencodableError, match="200"):
        encode(node)


def test_an_exception_of_the_builtins_is_rebuilt() -> None:
    back = decode(encode(DataMessage({"m": ErrorMessage.of(ValueError("bad"))})))
    assert str(back["m"]) == "ValueError: bad"  # type: ignore[index]


class OwnError(Exception):
    """Not one of ours, and so not rebuilt on the other side."""


class Failed(Message):
    error: Any = None


def test_only_exceptions_of_the_builtins_and_our_own_are_rebuilt() -> None:
    assert isinstance(decode(encode(Failed(error=KeyError("k")))).error, KeyError)  # type: ignore[attr-defined]
    full = MailboxFullError("full", path="/a", message=None)
    assert isinstance(decode(encode(Failed(error=full))).error, MailboxFullError)  # type: ignore[attr-defined]
    remote = decode(encode(Failed(error=OwnError("mine")))).error  # type: ignore[attr-defined]
    assert isinstance(remote, RemoteError)
    assert "OwnError" in remote.type_name
