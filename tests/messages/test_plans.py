"""Plans: the compiled functions do what the code for all classes does, byte for byte and error for error."""

import datetime
import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, Optional
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miniagents import (
    AssistantMessage,
    DataMessage,
    ErrorMessage,
    FrozenDict,
    Message,
    TextMessage,
    UserMessage,
    decode,
    encode,
)
from miniagents.errors import DecodeError
from miniagents.messages import EMPTY, hashing
from miniagents.messages.codec import fields_from_wire, to_wire


class Text(str):
    """A text that msgspec does not encode."""


class Level(enum.IntEnum):
    LOW = 1


class Usage(msgspec.Struct, frozen=True):
    tokens: int
    of: Message | None = None


class Everything(Message, tag="tests:everything"):
    """A field of each common kind."""

    text: str = ""
    number: int = 0
    real: float = 0.0
    flag: bool = False
    raw: bytes = b""
    optional: str | None = None
    either: int | str | tuple[int, ...] = 0
    tags: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    some: frozenset[int] = frozenset()
    level: Level = Level.LOW
    at: datetime.datetime | None = None
    key: UUID | None = None
    usage: Usage | None = None
    data: FrozenDict[str, int] = FrozenDict()
    anything: Any = None
    part: Message | None = None
    parts: tuple[Message, ...] = ()


class KeywordOnly(Message, kw_only=True, tag="tests:keyword_only"):
    """The metadata come first here."""

    z: int = 0
    a: str = ""


class Later(Message, tag="tests:later"):
    """A class with a forward reference."""

    child: Optional["Leaf"] = None


class Leaf(TextMessage, tag="tests:leaf"):
    """A subclass of a class that may have a plan already."""

    weight: float = 1.0


class Marked(Message, tag="tests:marked"):
    """A class whose metadata are not empty by default."""

    metadata: FrozenDict[str, Any] = FrozenDict(mark=1)
    x: int = 0


class Doubled(Message, tag="tests:doubled"):
    """A class that changes its fields and refuses some."""

    x: int = 0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.x == 13:
            raise ValueError("13 is refused")
        msgspec.structs.force_setattr(self, "names", (*self.names, "end"))


Named = type(
    "Named",
    (Message,),
    {"__annotations__": {"\ufb01t": int, "x": int}, "__module__": __name__, "\ufb01t": 0, "x": 0},
    kw_only=True,
    tag="tests:named",
)
"""A class with the name of a field that source code would change: a ligature."""

CLASSES: list[Any] = [
    AssistantMessage,
    DataMessage,
    Doubled,
    ErrorMessage,
    Everything,
    KeywordOnly,
    Later,
    Leaf,
    Marked,
    Named,
    TextMessage,
    UserMessage,
]

# Constructors do not check scalar fields, so that anything may be in them.
WRONG = ("\ud800", 2**64, -(2**63) - 1, Text("x"), Text("\ud800"), Level.LOW, True, 1.5, object, b"", None, 3, ("a",))
PLAIN = (None, True, False, 0, 1, -7, 2**63, 1.0, float("nan"), "", "a", "h\u00e4llo", b"", b"\xff")


class Maker:
    """Makes random messages and data. Strategies of Hypothesis for so many fields take seconds."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.some_wrong = random.random() < 0.3

    def scalar(self, *right: object) -> Any:
        return self.random.choice(WRONG if self.some_wrong and self.random.random() < 0.2 else right or PLAIN)

    def many(self, make: Callable[[], Any], most: int = 3) -> list[Any]:
        return [make() for _ in range(self.random.randint(0, most))]

    def data(self, depth: int) -> Any:
        match self.random.randint(0, 9 if depth < 4 else 4):
            case 5:
                return self.many(lambda: self.data(depth + 1))
            case 6:
                return {self.scalar_key(): self.data(depth + 1) for _ in range(self.random.randint(0, 3))}
            case 7:
                return frozenset(self.many(lambda: self.random.choice((1, 2, "a", None))))
            case 8:
                return self.message(depth + 1)
            case 9:
                return self.random.choice((UUID(int=7), datetime.date(2026, 1, 2), Level.LOW, Usage(1), KeyError("k")))
            case _:
                return self.random.choice(PLAIN)

    def scalar_key(self) -> Any:
        return self.random.choice(("a", "b", "\u00e4", 1, 2.5, None, b"k", Level.LOW))

    def metadata(self, depth: int) -> Any:
        return {"id": self.data(depth)} if self.random.random() < 0.3 else EMPTY

    def everything(self, depth: int) -> Message:
        inner = partial(self.message, depth + 1)
        return Everything(
            text=self.scalar("a", "\u00e4", ""),
            number=self.scalar(1, 0, -5),
            real=self.scalar(1.5, 1, float("inf")),
            flag=self.scalar(True, False),
            raw=self.scalar(b"x", b""),
            optional=self.scalar("a", None),
            either=self.random.choice((1, "a", (1, 2), ())),
            tags=tuple(self.many(lambda: self.random.choice(("a", "\u00e4")), 20)),
            pair=(1, "x"),
            some=frozenset(self.many(lambda: self.random.randint(0, 9))),
            at=self.random.choice((None, datetime.datetime(2026, 1, 2))),
            key=self.random.choice((None, UUID(int=3))),
            usage=self.random.choice((None, Usage(1), Usage(2, inner()))),
            data=FrozenDict({key: 1 for key in self.many(lambda: self.random.choice("abc"))}),
            anything=self.data(depth),
            part=self.random.choice((None, inner())),
            parts=tuple(self.many(inner, 2)),
            metadata=self.metadata(depth),
        )

    def message(self, depth: int = 0) -> Message:
        match self.random.randint(0, 9 if depth < 3 else 5):
            case 0:
                return UserMessage(self.scalar("a", "\u00e4"), role=self.scalar("user", None))
            case 1:
                return ErrorMessage(self.scalar("a"), agent_trace=tuple(self.many(lambda: "agent")))
            case 2:
                return Marked(x=self.scalar(1, 2), metadata=self.metadata(depth))
            case 3:
                return Doubled(x=self.scalar(1, 2), names=("a",))
            case 4:
                return Named(x=self.scalar(1, 2))  # type: ignore[no-any-return]
            case 5:
                return KeywordOnly(z=self.scalar(1, 2), a=self.scalar("a"), metadata=self.metadata(depth))
            case 6:
                return Later(child=Leaf("a", weight=self.scalar(1.5, 2)))
            case 7:
                return DataMessage(FrozenDict(a=1), metadata={"all": self.data(depth)})
            case _:
                return self.everything(depth)


messages = st.randoms(use_true_random=True).map(lambda random: Maker(random).message())


def outcome(function: Callable[[], object]) -> object:
    """Return what a function returns, or the class and text of what it raises."""
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


def forget_keys(value: object) -> None:
    """Remove the cached keys of the messages in a value."""
    if isinstance(value, Message):
        value.__dict__.clear()
        for name in value.__struct_fields__:
            forget_keys(getattr(value, name))
    elif isinstance(value, Usage):
        forget_keys(value.of)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            forget_keys(item)
    elif isinstance(value, FrozenDict):
        for item in value.values():
            forget_keys(item)


def build_by_name(cls: Any, array: list[Any], depth: int) -> object:
    return cls(**fields_from_wire(cls, cls.__message_fields__, array[2:], depth))


@contextmanager
def no_build_plans() -> Iterator[None]:
    """Let `decode` make all messages of the classes above by the names of their fields."""
    plans = [cls.__build_plan__ for cls in CLASSES]
    for cls in CLASSES:
        cls.__build_plan__ = partial(build_by_name, cls)
    yield
    for cls, plan in zip(CLASSES, plans, strict=True):
        cls.__build_plan__ = plan


def decode_by_name(data: bytes) -> object:
    with no_build_plans():
        return outcome(lambda: decode(data))


def nested(depth: int) -> Message:
    message: Message = ErrorMessage("bottom", agent_trace=("a",))
    for _ in range(depth):
        message = Everything(part=message, tags=("a",))
    return message


@given(messages)
@example(TextMessage("a", metadata=None))  # type: ignore[arg-type]
@example(nested(197))
@example(nested(198))
@example(nested(199))
@example(nested(200))
@example(nested(201))
def test_a_plan_encodes_the_same_bytes_or_fails_with_the_same_error(message: Message) -> None:
    pack = msgspec.msgpack.encode

    assert outcome(lambda: encode(message)) == outcome(lambda: pack(to_wire(message, type(message).__name__, 0)))


@given(messages, st.sampled_from(["hash_key", "content_key"]))
@example(TextMessage("a", metadata=None), "hash_key")  # type: ignore[arg-type]
@example(nested(197), "hash_key")
@example(nested(198), "hash_key")
@example(nested(199), "hash_key")
@example(nested(200), "content_key")
@example(nested(201), "hash_key")
@example(Everything(tags=("a",) * 70_000), "hash_key")
@example(ErrorMessage("a", agent_trace=("a",) * 8), "hash_key")  # a list of 15 items
@example(ErrorMessage("a", agent_trace=("a",) * 9), "hash_key")  # of 16, which has a longer header
@example(Everything(anything=tuple(range(15))), "hash_key")
@example(Everything(anything=frozenset({TextMessage("a", metadata=FrozenDict(x=1))})), "content_key")
@example(Everything(data=FrozenDict({str(i): i for i in range(20)})), "hash_key")
def test_a_plan_makes_the_same_key_or_fails_with_the_same_error(message: Message, name: str) -> None:
    forget_keys(message)
    planned = outcome(lambda: getattr(message, name))
    forget_keys(message)

    assert planned == outcome(lambda: hashing._key(message, name, "", 0))


@given(messages)
def test_a_plan_decodes_the_same_message(message: Message) -> None:
    data = outcome(lambda: encode(message))
    if isinstance(data, bytes):
        planned, by_name = outcome(lambda: decode(data)), decode_by_name(data)

        assert type(planned) is type(by_name)
        assert repr(planned) == repr(by_name)  # unlike `==`, it tells 1 and True apart, and NaN is NaN


def junk(random: Random, depth: int = 0) -> Any:
    match random.randint(0, 9):
        case 8 if depth < 3:
            return [junk(random, depth + 1) for _ in range(random.randint(0, 3))]
        case 9 if depth < 3:
            return {"a": junk(random, depth + 1)}
        case 7:
            return [0, *random.choices(("a", "b", 1), k=random.randint(0, 3))]
        case _:
            return random.choice((*PLAIN, 2, 3, 13, "text", "tests:leaf"))


def spoil(array: list[Any], random: Random) -> None:
    """Change one thing somewhere in an array."""
    place = random.randrange(len(array))
    while isinstance(array[place], list) and array[place] and random.random() < 0.7:
        array = array[place]
        place = random.randrange(len(array))
    match random.randint(0, 3):
        case 0:
            array[place] = junk(random)
        case 1 if len(array) > 1:
            del array[place]
        case 2:
            array.insert(place, array[place])
        case _:
            array[place], array[-1] = array[-1], array[place]


@given(st.randoms(use_true_random=True))
def test_a_plan_decodes_hostile_arrays_to_the_same_message_or_error(random: Random) -> None:
    maker = Maker(random)
    maker.some_wrong = False
    array = msgspec.msgpack.decode(encode(maker.message()))
    for _ in range(random.randint(1, 3)):
        spoil(array, random)
    hostile = msgspec.msgpack.encode(array)

    assert repr(outcome(lambda: decode(hostile))) == repr(decode_by_name(hostile))


@given(st.randoms(use_true_random=True))
def test_arrays_with_the_right_names_and_any_values_decode_to_the_same_message_or_error(random: Random) -> None:
    cls: Any = random.choice(CLASSES)
    array = [2, cls.__wire_tag__]
    for name in cls.__struct_fields__:
        if name != "metadata" or random.random() < 0.5:
            array += [name, junk(random)]
    hostile = msgspec.msgpack.encode(array)

    assert repr(outcome(lambda: decode(hostile))) == repr(decode_by_name(hostile))


@pytest.mark.parametrize("head", [[], [False, "a"], [0.0, "a"], [True, "a"], ["0", "a"], [0, 1], [13], [99, "a"]])
def test_an_array_that_only_looks_like_a_tuple_is_refused_with_the_same_error(head: list[Any]) -> None:
    names = [(name, getattr(ErrorMessage("x"), name)) for name in ("content", "role")]
    array = [2, ErrorMessage.__wire_tag__, *[part for pair in names for part in pair], "agent_trace", head]
    hostile = msgspec.msgpack.encode(array)

    assert isinstance(outcome(lambda: decode(hostile)), tuple)
    assert repr(outcome(lambda: decode(hostile))) == repr(decode_by_name(hostile))


def test_values_that_are_nested_200_deep_are_encoded_decoded_and_hashed() -> None:
    message = nested(198)  # and two more: a tuple and its item

    assert decode(encode(message)) == message
    assert len(message.hash_key) == 64


@pytest.mark.parametrize("depth", [197, 198, 199, 200, 201])
def test_arrays_that_nest_up_to_the_limit_decode_to_the_same_message_or_error(depth: int) -> None:
    array: Any = [2, "miniagents:ErrorMessage", "content", "bottom", "role", None, "agent_trace", [0, "a"]]
    for _ in range(depth):
        array = [2, "tests:everything", "part", array]
    for whole in (array, [2, "tests:later", "child", array]):
        hostile = msgspec.msgpack.encode(whole)

        assert repr(outcome(lambda: decode(hostile))) == repr(decode_by_name(hostile))  # noqa: B023


@pytest.mark.parametrize(
    "head", [[0], [1, "a"], [3], [2, "tests:everything", "part"], [2, "tests:child_alone", "child"]]
)
def test_arrays_may_be_nested_200_deep(head: list[Any]) -> None:
    class ChildAlone(Message, tag="tests:child_alone"):
        child: Message | None = None

    def decoded(levels: int) -> object:
        array: Any = None
        for _ in range(levels):
            array = [*head, array]
        if head[0] == 2:
            return outcome(lambda: decode(msgspec.msgpack.encode(array)))
        return outcome(lambda: decode(msgspec.msgpack.encode([2, "tests:everything", "anything", array])))

    too_deep = (DecodeError, "nested more than 200 deep")
    most = 201 if head[0] == 2 else 200  # the outermost message is not nested
    assert isinstance(decoded(most), Message)
    assert decoded(most + 1) == too_deep


# Written down once: stored bytes and keys stay what they are.
_MESSAGE = Everything(
    text="hällo",
    number=7,
    real=1.0,
    flag=True,
    raw=b"\x00",
    either=(1, 2),
    tags=("a", "b"),
    pair=(1, "x"),
    some=frozenset({3, 1, 2}),
    at=datetime.datetime(2026, 1, 2, 3, 4, 5),
    key=UUID(int=5),
    usage=Usage(3),
    data=FrozenDict(z=1, a=2),
    anything=(None, FrozenDict({"k": (1, 2.5)})),
    part=TextMessage("nested", metadata=FrozenDict(id=1)),
    parts=(UserMessage("a"), AssistantMessage("b")),
    metadata=FrozenDict(model="m", usage=FrozenDict({"in": 1})),
)
_BYTES = (
    "dc002802b074657374733a65766572797468696e67a474657874a668c3a46c6c6fa66e756d62657207a47265616ccb3ff0000000000000"
    "a4666c6167c3a3726177c40100a86f7074696f6e616cc0a665697468657293000102a4746167739300a161a162a470616972930001a178"
    "a4736f6d659403010203a56c6576656c930cbf74657374732e6d657373616765732e746573745f706c616e733a4c6576656ca34c4f57a2"
    "61749204b3323032362d30312d30325430333a30343a3035a36b65799209c41000000000000000000000000000000005a5757361676596"
    "0dbf74657374732e6d657373616765732e746573745f706c616e733a5573616765a6746f6b656e7303a26f66c0a4646174619501a17a01"
    "a16102a8616e797468696e679300c09301a16b930001cb4004000000000000a4706172749802b66d696e696167656e74733a546578744d"
    "657373616765a7636f6e74656e74a66e6573746564a4726f6c65c0a86d657461646174619301a2696401a5706172747393009602b66d69"
    "6e696167656e74733a557365724d657373616765a7636f6e74656e74a161a4726f6c65a4757365729602bb6d696e696167656e74733a41"
    "7373697374616e744d657373616765a7636f6e74656e74a162a4726f6c65a9617373697374616e74a86d657461646174619501a56d6f64"
    "656ca16da575736167659301a2696e01"
)
_HASH_KEY = "4152bdfc283d7f98a35c621db3fbb710197213e07f634c4b661d6fb65902dbc1"
_CONTENT_KEY = "dd8a46d33a208567ad6e25883255483e902b5cf45df12eb39d47249e3f11e310"


def test_the_bytes_and_keys_of_a_message_are_those_that_are_stored() -> None:
    forget_keys(_MESSAGE)

    assert encode(_MESSAGE).hex() == _BYTES
    assert decode(bytes.fromhex(_BYTES)) == _MESSAGE
    assert (_MESSAGE.hash_key, _MESSAGE.content_key) == (_HASH_KEY, _CONTENT_KEY)


def test_a_class_gets_plans_of_its_own_and_not_those_of_its_base() -> None:
    encode(TextMessage("a"))
    decode(encode(TextMessage("a")))
    _ = TextMessage("a").hash_key

    class Child(TextMessage, tag="tests:child"):
        more: int = 0

    assert (Child.__wire_plan__, Child.__key_plan__, Child.__build_plan__) == (None, None, None)
    assert decode(encode(Child("a", more=3))) == Child("a", more=3)
    assert Child("a", more=3).hash_key != Child("a", more=4).hash_key


def test_a_class_that_replaces_another_with_its_tag_decodes_its_bytes() -> None:
    def define() -> Any:
        class Again(Message, tag="tests:again"):
            x: int = 0

        return Again

    data = encode(define()(x=3))
    decode(data)
    again = define()

    assert type(decode(data)) is again
