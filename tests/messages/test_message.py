"""Messages: immutable, checked when their class is made, compared and hashed by content."""

import copy
import dataclasses
import datetime
import pickle
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import DataMessage, FrozenDict, Message, MiniAgents, TextMessage, UserMessage
from miniagents.errors import MutableFieldError, UnencodableError
from miniagents.messages import freeze, hashing
from tests.hash_seeds import printed


class Order(Message):
    number: int
    note: str = ""


class Basket(Message):
    items: tuple[Message, ...]
    extra: Any = None


@pytest.mark.parametrize(
    ("annotation", "instead"), [(list[int], "tuple"), (dict[str, int], "FrozenDict"), (set[int], "frozenset")]
)
def test_a_field_that_can_change_is_refused_when_the_class_is_made(annotation: Any, instead: str) -> None:
    with pytest.raises(MutableFieldError, match=rf"things.*{instead}"):
        type("Bad", (Message,), {"__annotations__": {"things": annotation}, "__module__": __name__})


def test_a_dataclass_that_can_change_is_refused_when_the_class_is_made() -> None:
    @dataclasses.dataclass
    class Loose:
        x: int

    with pytest.raises(MutableFieldError, match="thing"):
        type("Bad", (Message,), {"__annotations__": {"thing": Loose}, "__module__": __name__})


def test_a_subclass_cannot_be_made_mutable() -> None:
    with pytest.raises(TypeError, match="frozen"):

        class Bad(Message, frozen=False):
            x: int


def test_a_subclass_is_frozen_without_being_told() -> None:
    with pytest.raises(AttributeError):
        Order(number=1).number = 2


def test_each_message_has_a_text_and_a_class_may_have_a_field_of_that_name() -> None:
    class Label(Message):
        text: str

    assert UserMessage("Hello").text == "Hello"
    assert Order(number=1).text == str(Order(number=1))
    assert Label(text="here").text == "here"


def test_free_form_fields_are_frozen_deeply_at_construction() -> None:
    class Free(Message):
        anything: Any = None
        some: Sequence[int] = ()
        mapping: Mapping[str, Any] = FrozenDict()

    given_list = [1, {"a": [2]}]
    message = Free(anything=given_list, some=[1, 2], mapping={"k": [1]})
    given_list.append(3)
    assert message.anything == (1, FrozenDict({"a": (2,)}))
    assert message.some == (1, 2)
    assert message.mapping == FrozenDict({"k": (1,)})


def test_what_cannot_be_frozen_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="object"):
        DataMessage({"key": object()})


def test_metadata_is_added_in_a_copy() -> None:
    message = Order(number=1)
    more = message.with_metadata(source="test")
    assert more.metadata == FrozenDict({"source": "test"})
    assert message.metadata == FrozenDict()
    assert more.number == 1


def test_the_text_of_a_structured_message_is_json() -> None:
    assert str(Order(number=1, note="x")) == '{"number":1,"note":"x"}'
    assert str(TextMessage("plain")) == "plain"


def test_equal_content_has_one_hash_key_and_other_content_another() -> None:
    assert Order(number=1).hash_key == Order(number=1).hash_key
    assert Order(number=1).hash_key != Order(number=2).hash_key
    assert TextMessage("a").hash_key != UserMessage("a").hash_key
    assert len(Order(number=1).hash_key) == 64


def test_the_hash_key_tells_1_and_1_0_and_true_apart_and_equality_does_not() -> None:
    one, real, true = (DataMessage({"v": v}) for v in (1, 1.0, True))
    assert one == real == true
    assert len({one.hash_key, real.hash_key, true.hash_key}) == 3


def test_the_order_of_keys_counts_neither_in_equality_nor_in_the_hash_key() -> None:
    a, b = DataMessage({"x": 1, "y": 2}), DataMessage({"y": 2, "x": 1})
    assert a == b
    assert hash(a) == hash(b)
    assert a.hash_key == b.hash_key


def test_the_content_key_leaves_out_metadata_at_every_depth() -> None:
    plain = Basket(items=(TextMessage("a"),))
    marked = Basket(items=(TextMessage("a").with_metadata(id=1),)).with_metadata(id=2)
    assert plain.content_key == marked.content_key
    assert plain.hash_key != marked.hash_key


def test_a_shared_part_is_encoded_once_for_all_hash_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    real = hashing._sha256

    def counting(data: bytes) -> Any:
        hashed.append(data)
        return real(data)

    monkeypatch.setattr(hashing, "_sha256", counting)
    shared = TextMessage("shared")
    keys = {Basket(items=(shared, Order(number=n))).hash_key for n in range(10)}
    assert len(keys) == 10
    assert sum(b"shared" in data for data in hashed) == 1


_PROGRAM = """
import datetime, decimal, uuid
from miniagents import DataMessage, TextMessage
print(DataMessage({"b": frozenset({"x", "y", "z"}), "a": [1, 2.5, None, True, b"bytes"],
    "t": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), "d": decimal.Decimal("1.50"),
    "u": uuid.UUID(int=5), "m": TextMessage("nested")}).hash_key)
"""


# Written down once: every process, seed and Python version must arrive at it.
_KEY = "39b8b9696a9ac7520e82258a3e06ad6a16e8b06a83a9d61cd338dd74fb2c1b57"


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_the_hash_key_is_the_same_in_every_process(seed: str) -> None:
    assert printed(_PROGRAM, seed) == _KEY


async def _tokens(_: object) -> AsyncIterator[str]:
    yield "hello"


async def test_promises_share_what_is_known_beforehand_if_it_is_a_few_short_texts() -> None:
    async with MiniAgents():
        first, second, other = (
            TextMessage.promise(message_token_streamer=_tokens, model=model, alias="a") for model in ("m", "m", "n")
        )

    assert first.known_beforehand is second.known_beforehand == FrozenDict(model="m", alias="a")
    assert other.known_beforehand == FrozenDict(model="n", alias="a")


@pytest.mark.parametrize("known", [1, 1.0, True, None, b"m", ("m",), "m" * 200])
async def test_promises_do_not_share_what_else_is_known_beforehand(known: Any) -> None:
    async with MiniAgents():
        TextMessage.promise(message_token_streamer=_tokens, known=1)
        first, second = (TextMessage.promise(message_token_streamer=_tokens, known=known) for _ in range(2))

    assert first.known_beforehand is not second.known_beforehand
    assert type(first.known_beforehand["known"]) is type(known)
    assert (await first).metadata == FrozenDict(known=known)


async def test_what_is_known_beforehand_is_refused_each_time_that_the_wire_cannot_carry_it() -> None:
    async with MiniAgents():
        for _ in range(2):
            with pytest.raises(UnencodableError, match=r"known_beforehand\['model'\]"):
                TextMessage.promise(message_token_streamer=_tokens, model="\ud800")


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=12,
)


@given(values)
def test_freezing_what_is_frozen_changes_nothing(value: Any) -> None:
    frozen = freeze(value, "value")
    assert freeze(frozen, "value") == frozen
    hash(frozen)


@given(values, values)
def test_equal_values_have_equal_hashes(a: Any, b: Any) -> None:
    first, second = DataMessage({"v": a}), DataMessage({"v": b})
    assert first == DataMessage({"v": a})
    if first == second:
        assert hash(first) == hash(second)


@pytest.mark.parametrize("bad", [2**64, -(2**63) - 1, "\ud800"])
def test_what_the_wire_cannot_carry_is_refused_at_construction(bad: Any) -> None:
    with pytest.raises(UnencodableError, match="key"):
        DataMessage({"key": bad})


def test_the_hash_key_of_a_typed_field_that_the_wire_cannot_carry_is_refused_by_name() -> None:
    with pytest.raises(UnencodableError, match="number"):
        _ = Order(number=2**70).hash_key


def test_typed_values_of_the_allow_list_are_taken() -> None:
    class Everything(Message):
        at: datetime.datetime
        price: Decimal
        key: UUID
        tags: frozenset[str]
        parent: Message | None = None

    message = Everything(
        at=datetime.datetime(2026, 1, 1), price=Decimal("1.5"), key=UUID(int=1), tags=frozenset({"a"}), parent=None
    )
    assert message.price == Decimal("1.5")


def test_an_attribute_that_is_a_key_of_the_data_is_an_error_that_says_how_to_read_it() -> None:
    message = DataMessage({"key": 1})

    with pytest.raises(AttributeError, match=r"no attribute 'key'; its data is read by message\['key'\]$"):
        _ = message.key  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        _ = message.other  # type: ignore[attr-defined]
    assert not hasattr(message, "key")


def test_data_are_pickled_and_copied_even_if_a_key_has_the_name_of_a_method_of_copying() -> None:
    message = DataMessage({"__deepcopy__": 1, "__setstate__": 2, "key": 3})

    for again in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):
        assert again == message
        assert again["key"] == 3
