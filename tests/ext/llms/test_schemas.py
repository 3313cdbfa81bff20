"""Structured output."""

import dataclasses
import enum
import itertools
from typing import Annotated, Generic, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import Message, MiniAgents, decode, encode
from miniagents.errors import OutputError
from miniagents.ext.llms import partial_outputs
from miniagents.ext.llms.schemas import output_type
from miniagents.testing import FakeProvider, Fault, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api


class Person(msgspec.Struct):
    name: str
    age: int
    children: list["Person"] = []


class Guest(msgspec.Struct):
    name: str
    age: int = 0


class Order(Message):
    number: int
    items: tuple[str, ...] = ()


GOOD = '{"name": "Ann", "age": 34, "children": []}'


@pytest.mark.real_time
@each_api
async def test_the_answer_has_the_type_that_was_asked_for(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset('{"name": "Ann", "age": 34}')
    async with MiniAgents():
        (reply,) = await agent_of(api, fake_provider, output=Guest).inquire("Who?")
    assert reply.output == Guest("Ann", 34)  # type: ignore[attr-defined]
    body = fake_provider.last.body
    formats = {
        "openai": lambda: body["response_format"]["json_schema"],
        "responses": lambda: body["text"]["format"],
        "anthropic": lambda: body["output_config"]["format"],
    }
    schema = formats[api]()["schema"]
    assert schema["required"] == ["name", "age"]
    assert schema["additionalProperties"] is False
    assert "$ref" not in schema


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (int | str, '{"value": "x"}', "x"),
        (Order, '{"number": 1, "items": ["a"]}', Order(number=1, items=("a",))),
        (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
    ],
)
async def test_types_that_are_no_objects_are_wrapped_and_unwrapped(kind: object, text: str, value: object) -> None:
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=Script(text), output=kind).inquire("Hi")
    assert reply.output == value


async def test_an_answer_that_does_not_fit_is_sent_back() -> None:
    script = Script("not JSON", '{"name": "Ann", "age": "old"}', GOOD)
    async with MiniAgents():
        replies = await ScriptedModel.fork(script=script, output=Person).inquire("Who?")
    assert [reply.output for reply in replies] == [Person("Ann", 34)]
    assert "Expected `int`, got `str` - at `$.age`" in str(script.requests[2].messages[-1])


async def test_after_all_repairs_the_error_says_what_was_said() -> None:
    script = Script("never JSON")
    async with MiniAgents():
        with pytest.raises(OutputError, match="malformed") as raised:
            await ScriptedModel.fork(script=script, output=Person, repairs=2).inquire("Who?")
    assert len(script.requests) == 3
    assert raised.value.text == "never JSON"


async def test_an_answer_that_was_seen_stays_and_the_repaired_one_follows_it() -> None:
    script = Script(Reply("not JSON", delay=0.1), GOOD)
    async with MiniAgents():
        replies = ScriptedModel.fork(script=script, output=Person).inquire("Who?")
        texts = ["".join([str(token) async for token in promise]) async for promise in replies]
        assert texts == ["not JSON", GOOD]
        assert (await replies)[-1].output == Person("Ann", 34)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply('{"name": "An', stop_reason="length"), "cut off"),
        (Reply(refusal="I will not say."), "refused"),
        (Reply("", stop_reason="content_filter"), "refused"),
    ],
)
async def test_what_asking_again_does_not_mend_is_told_at_once(reply: Reply, what: str) -> None:
    script = Script(reply)
    async with MiniAgents():
        with pytest.raises(OutputError, match=what):
            await ScriptedModel.fork(script=script, output=Person).inquire("Who?")
    assert len(script.requests) == 1


async def test_partial_output_can_be_watched() -> None:
    script = Script(Reply(['{"name": "An', 'n", "age": 3', "4", ', "children": []}'], delay=0.1))
    seen = []
    async with MiniAgents():
        async for promise in ScriptedModel.fork(script=script, output=Person).inquire("Who?"):
            seen += [partial async for partial in partial_outputs(promise)]
    assert seen[0] == {"name": "An"}
    assert seen[-1] == {"name": "Ann", "age": 34, "children": []}


async def test_the_output_is_no_field_and_survives_the_wire() -> None:
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=Script(GOOD), output=Person).inquire("Who?")
    again = decode(encode(reply))
    assert again == reply
    assert again.output == Person("Ann", 34)
    assert "output" not in type(reply).__struct_fields__


async def test_a_message_without_structured_output_says_so() -> None:
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=Script("text")).inquire("Hi")
    with pytest.raises(OutputError, match="give the agent output="):
        _ = reply.output


async def test_a_broken_stream_is_tried_again_before_the_output_is_looked_at() -> None:
    script = Script(Reply(GOOD, fault=Fault.CUT, fault_at=1), GOOD)
    async with MiniAgents():
        (reply,) = await ScriptedModel.fork(script=script, output=Person).inquire("Who?")
    assert reply.output == Person("Ann", 34)


_numbers = itertools.count()  # msgspec does not tell classes apart that have one name
_types = st.recursive(
    st.sampled_from([int, str, bool, float, None]),
    lambda inner: st.one_of(
        inner.map(lambda t: list[t]),  # type: ignore[valid-type]
        inner.map(lambda t: t | str if t is not None else str),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda ts: msgspec.defstruct(f"Made{next(_numbers)}", [(f"f{i}", t) for i, t in enumerate(ts)])
        ),
    ),
    max_leaves=6,
)


@given(_types)
def test_every_schema_is_an_object_with_all_keys_required(kind: object) -> None:
    try:
        made = output_type(kind)
    except TypeError:
        return  # msgspec itself does not take it: a union of two structs, for one
    assert made.schema["type"] == "object"

    def check(schema: object) -> None:
        if isinstance(schema, list):
            for item in schema:
                check(item)
        elif isinstance(schema, dict):
            if schema.get("type") == "object" and "properties" in schema:
                assert schema["required"] == list(schema["properties"])
                assert schema["additionalProperties"] is False
            for value in schema.values():
                check(value)

    check(made.schema)


class Fruit(enum.Enum):
    PEAR = "pear"
    PLUM = "plum"


class Basket(TypedDict):
    fruit: Annotated[Fruit, "What is in it."]
    owner: NotRequired[Annotated[str, "Whose it is."]]


@dataclasses.dataclass
class Cart:
    baskets: Annotated[list[Basket], "From front to back."]
    fruit: Fruit = Fruit.PEAR


@attrs.define
class Shop:
    carts: Annotated[list[Cart], "All of them."]
    floors: Annotated[int, msgspec.Meta(description="With the cellar.")] = attrs.field(
        default=1, validator=attrs.validators.ge(1)
    )
    branches: list["Shop"] = attrs.field(factory=list)


class Street(msgspec.Struct, rename="camel"):
    first_shop: Annotated[Shop | None, "At the corner."]


CARTS = '"carts": [{"baskets": [{"fruit": "plum"}], "fruit": "pear"}]'
shop = Shop([Cart([{"fruit": Fruit.PLUM}])], branches=[Shop([], floors=2)])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Basket, '{"fruit": "pear", "owner": "Ann"}', {"fruit": Fruit.PEAR, "owner": "Ann"}),
        (Cart, '{"baskets": [], "fruit": "plum"}', Cart([], Fruit.PLUM)),
        (Shop, f'{{{CARTS}, "branches": [{{"carts": [], "floors": 2}}]}}', shop),
        (Street, '{"firstShop": null}', Street(None)),
    ],
)
def test_typed_dicts_dataclasses_and_classes_of_attrs_are_outputs(kind: object, text: str, value: object) -> None:
    assert output_type(kind).decode(text) == value
    assert output_type(kind).strict_schema is not None


def test_a_class_of_attrs_validates_its_fields() -> None:
    with pytest.raises(OutputError, match="'floors' must be >= 1: 0"):
        output_type(Shop).decode('{"carts": [], "floors": 0}')


def test_the_annotations_of_fields_are_their_descriptions() -> None:
    schema = output_type(Street).schema
    assert schema["properties"]["firstShop"]["description"] == "At the corner."
    definitions = schema["$defs"]
    told = {
        f"{name}.{field}": value["description"]
        for name, definition in definitions.items()
        for field, value in definition.get("properties", {}).items()
        if "description" in value
    }
    assert told == {
        "Shop.carts": "All of them.",
        "Shop.floors": "With the cellar.",
        "Cart.baskets": "From front to back.",
        "Basket.fruit": "What is in it.",
        "Basket.owner": "Whose it is.",
    }
    assert definitions["Cart"]["properties"]["fruit"] == {"$ref": "#/$defs/Fruit"}
    assert definitions["Basket"]["properties"]["fruit"]["anyOf"] == [{"$ref": "#/$defs/Fruit"}]


T = TypeVar("T")


class Box(msgspec.Struct, Generic[T]):
    inside: Annotated[T, "What it holds."]


def test_generic_classes_and_annotations_without_a_hash_have_schemas() -> None:
    schema = output_type(dict[str, Box[int]]).schema
    (box,) = schema["$defs"].values()
    assert box["properties"] == {"inside": {"type": "integer", "description": "What it holds."}}
    assert output_type(Annotated[int, ["no hash"]]).schema["properties"]["value"] == {"type": "integer"}
