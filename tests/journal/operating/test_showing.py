"""What is in encoded bytes, as JSON for people."""

import datetime as dt
import enum
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from miniagents import Message, TextMessage
from miniagents.journal.operating import showing
from miniagents.journal.operating.showing import shown
from miniagents.messages import DataMessage, encode


class Colour(enum.Enum):
    RED = "red"


class Form(Message, tag="tests:Form"):
    colour: Colour
    price: Decimal
    day: dt.date
    raw: bytes
    inner: Message
    words: frozenset[str]


def test_a_message_is_shown_with_its_type_and_fields_whatever_they_are() -> None:
    form = Form(
        colour=Colour.RED,
        price=Decimal("1.50"),
        day=dt.date(2026, 1, 2),
        raw=b"12345",
        inner=TextMessage("hi"),
        words=frozenset({"a"}),
    )

    value = shown(encode(form))

    assert value["type"] == "tests:Form"
    assert value["colour"].endswith("Colour.RED")
    assert (value["price"], value["day"], value["raw"]) == ("1.50", "2026-01-02", "<5 bytes>")
    assert value["inner"]["content"] == "hi"
    assert value["words"] == ["a"]


def test_no_code_of_a_class_runs_to_show_a_message_of_it() -> None:
    ran: list[str] = []

    class Loud(Message, tag="tests:Loud"):
        text: str

        def __post_init__(self) -> None:
            ran.append("made")

        def __str__(self) -> str:
            ran.append("str")
            return self.text

    body = encode(Loud(text="x"))
    ran.clear()

    assert shown(body) == {"type": "tests:Loud", "text": "x"}
    assert ran == []


def test_a_message_of_an_unknown_type_is_shown() -> None:
    body = msgspec.msgpack.encode([2, "somewhere:Else", "answer", 42])

    assert shown(body) == {"type": "somewhere:Else", "answer": 42}


def test_long_texts_many_items_and_deep_nesting_are_cut() -> None:
    data: Any = {"text": "x" * 10_000, "items": list(range(500)), "keys": {str(n): n for n in range(500)}}
    deep: Any = "bottom"
    for _ in range(30):
        deep = [deep]

    value = shown(encode(DataMessage({**data, "deep": deep})), text=100)["data"]

    assert value["text"] == "x" * 100 + "... <10,000 characters>"
    assert len(value["items"]) == showing.ITEMS + 1
    assert value["items"][-1] == "<400 more>"
    assert value["keys"]["..."] == "<400 more>"
    assert "bottom" not in json.dumps(value["deep"])


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"bob", "bob"),
        (b"", ""),
        (b"\xff\xfe", "<2 bytes>"),
        (msgspec.msgpack.encode([]), "<list>"),
        (msgspec.msgpack.encode([2]), []),
        (msgspec.msgpack.encode([[1]]), []),
        (msgspec.msgpack.encode([{}, 1]), [1]),
        (msgspec.msgpack.encode([99, "x"]), ["x"]),
        (msgspec.msgpack.encode([2, ["odd"], "a"]), {"type": []}),
        (b"\x91" * 100_000, "<100,000 bytes>"),
        (msgspec.msgpack.encode([1, "key", {"a": 1}]), {"key": "<dict>"}),
    ],
)
def test_whatever_the_bytes_are_they_are_shown(body: bytes, value: Any) -> None:
    assert shown(body) == value
