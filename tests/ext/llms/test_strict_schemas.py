"""Types of all kinds as structured output, and as parameters and results of tools, with every API.

The fake provider refuses the schemas that the real APIs refuse.
"""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from miniagents import MiniAgents
from miniagents.errors import AgentArgumentError
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent, ToolResultMessage
from miniagents.ext.llms.schemas import output_type
from miniagents.testing import Call, FakeProvider, Reply
from miniagents.testing.refused_schemas import refused_schema
from tests.ext.llms.apis import agent_of, each_api


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct):
    name: str
    children: list["Node"] = []


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    name: str


class Spot(NamedTuple):
    x: int
    y: str


@dataclasses.dataclass
class Box:
    color: Color
    size: Literal["small", 7, None] = None
    spot: tuple[int, str] = (1, "a")
    tags: dict[str, int] = dataclasses.field(default_factory=dict)


class Ticket(TypedDict):
    place: int | None
    price: NotRequired[decimal.Decimal]


@attrs.define
class Hall:
    tickets: list[Ticket]
    opened: datetime.timedelta


class Pet(pydantic.BaseModel):
    kind: Literal["pet"]
    age: Annotated[int, pydantic.Field(ge=0, le=30)]
    names: Annotated[list[str], pydantic.Field(min_length=2)]
    code: Annotated[str, pydantic.Field(min_length=2, max_length=3, pattern="^a")] = "ab"
    owner: int | None = None


class Plant(pydantic.BaseModel):
    kind: Literal["plant"]
    color: Color
    marks: set[int] = set()
    extra: dict[str, list[int]] = {}
    pair: tuple[int, str] = (1, "b")


class Tree(pydantic.BaseModel):
    left: "Tree | None" = None


ID = uuid.UUID(int=5)
KINDS: dict[str, tuple[Any, str, Any]] = {
    "an enum": (Color, '"red"', Color.RED),
    "literals": (Literal["a", "b"], '"b"', "b"),
    "literals of several types": (Literal["a", 1, None], "1", 1),
    "an optional value": (int | None, "null", None),
    "a union": (bool | int | str | list[str], '["x"]', ["x"]),
    "a union of Structs": (Cat | Dog, '{"type": "Dog", "name": "Rex"}', Dog("Rex")),
    "a recursive Struct": (Node, '{"name": "a", "children": [{"name": "b"}]}', Node("a", [Node("b")])),
    "a recursive model": (Tree, '{"left": {"left": null}}', Tree(left=Tree())),
    "a union of models": (
        Annotated[Pet | Plant, pydantic.Field(discriminator="kind")],
        '{"kind": "plant", "color": "red"}',
        Plant(kind="plant", color=Color.RED),
    ),
    "a dict": (dict[str, Cat], '{"a": {"type": "Cat", "lives": 9}}', {"a": Cat(9)}),
    "a plain dict": (dict, '{"a": [1]}', {"a": [1]}),
    "a plain list": (list, "[1, null]", [1, None]),
    "any value": (Any, '{"a": 1}', {"a": 1}),
    "a tuple": (tuple[int, str], '[1, "a"]', (1, "a")),
    "a named tuple": (Spot, '[1, "a"]', Spot(1, "a")),
    "a set": (frozenset[int], "[1, 2]", frozenset({1, 2})),
    "a number in a range": (Annotated[int, msgspec.Meta(ge=1, multiple_of=2)], "4", 4),
    "a text of some length": (Annotated[str, msgspec.Meta(min_length=2, pattern="^a")], '"ab"', "ab"),
    "a list of some length": (Annotated[list[int], msgspec.Meta(min_length=3)], "[1, 2, 3]", [1, 2, 3]),
    "bytes": (bytes, '"YQ=="', b"a"),
    "a decimal": (decimal.Decimal, '"1.5"', decimal.Decimal("1.5")),
    "an id": (uuid.UUID, f'"{ID}"', ID),
    "a date": (datetime.date, '"2026-11-29"', datetime.date(2026, 11, 29)),
    "a dataclass": (
        Box,
        '{"color": "blue", "size": 7, "spot": [2, "b"], "tags": {"a": 1}}',
        Box(Color.BLUE, 7, (2, "b"), {"a": 1}),
    ),
    "a TypedDict": (Ticket, '{"place": 3, "price": "2.5"}', {"place": 3, "price": decimal.Decimal("2.5")}),
    "a class of attrs": (
        Hall,
        '{"tickets": [{"place": null}], "opened": "PT5S"}',
        Hall([{"place": None}], datetime.timedelta(seconds=5)),
    ),
    "a model of pydantic": (
        Pet,
        '{"kind": "pet", "age": 3, "names": ["a", "b"]}',
        Pet(kind="pet", age=3, names=["a", "b"]),
    ),
    "a list of models": (
        list[Plant],
        '[{"kind": "plant", "color": "red", "marks": [1]}]',
        [Plant(kind="plant", color=Color.RED, marks={1})],
    ),
}
each_kind = pytest.mark.parametrize("name", list(KINDS))


@pytest.mark.real_time
@each_api
@each_kind
async def test_every_api_takes_every_type_as_output(api: str, name: str, fake_provider: FakeProvider) -> None:
    kind, text, value = KINDS[name]
    fake_provider.reset(f'{{"value": {text}}}' if output_type(kind).wrapped else text)
    async with MiniAgents():
        (reply,) = await agent_of(api, fake_provider, output=kind, repairs=0).inquire("Hi")
    assert reply.output == value  # type: ignore[attr-defined]
    assert type(reply.output) is type(value)  # type: ignore[attr-defined]


@pytest.mark.real_time
@each_api
@each_kind
async def test_every_api_takes_every_type_as_parameter_and_as_result(
    api: str, name: str, fake_provider: FakeProvider
) -> None:
    kind, text, value = KINDS[name]
    taken: list[object] = []

    def tool(first: Any, second: Any = value) -> Any:
        taken.extend((first, second))
        return first

    tool.__annotations__ = {"first": kind, "second": kind}
    call = Call("tool", {"first": msgspec.json.decode(text)})
    fake_provider.reset(Reply(calls=(call,)), "done")
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[tool]).inquire("Hi")
    assert taken == [value, value]
    (result,) = (reply for reply in replies if isinstance(reply, ToolResultMessage))
    assert not result.is_error, result


@pytest.mark.real_time
@pytest.mark.parametrize("name", ["a recursive Struct", "a dict", "any value"])
async def test_anthropics_models_are_told_in_words_the_types_that_the_api_does_not_take(
    name: str, fake_provider: FakeProvider
) -> None:
    kind, text, value = KINDS[name]
    whole = f'{{"value": {text}}}' if output_type(kind).wrapped else text
    fake_provider.reset(f"```json\n{whole}\n```", whole)
    async with MiniAgents():
        agent = AnthropicAgent.fork(
            model="claude-haiku-4-5", system="Be brief.", output=kind, **fake_provider.anthropic
        )
        (reply,) = await agent.inquire("Hi")
    assert reply.output == value
    system = fake_provider.last.body["system"]
    assert system.startswith("Be brief.")
    assert system.endswith(msgspec.json.encode(output_type(kind).schema).decode())
    assert "output_config" not in fake_provider.last.body


def test_strict_mode_keeps_the_keywords_that_it_takes_and_says_the_others() -> None:
    output = output_type(Pet)
    strict = output.strict_schema
    assert strict is not None
    assert strict["properties"]["age"] == {"title": "Age", "type": "integer", "minimum": 0, "maximum": 30}
    code = strict["properties"]["code"]
    assert code == {
        "title": "Code",
        "type": "string",
        "pattern": "^a",
        "description": "(maxLength: 3, minLength: 2)",
    }
    assert output.schema["properties"]["code"]["minLength"] == 2  # grammars of local models take it


@pytest.mark.parametrize("name", ["a dict", "a plain dict", "a plain list", "any value", "a dataclass"])
def test_openais_strict_mode_is_off_for_free_keys_and_values_of_any_type(name: str) -> None:
    assert output_type(KINDS[name][0]).strict_schema is None
    assert output_type(Node).strict_schema is not None


def test_a_type_without_a_schema_is_refused_when_the_agent_is_made_with_the_field_and_the_agent() -> None:
    class Wolf(msgspec.Struct):
        pack: int

    class Bear(msgspec.Struct):
        den: int

    # A union without tags: nobody could tell which of them it is.
    made = msgspec.defstruct("Park", [("size", int), ("guest", Wolf | Bear)])
    for agent in (OpenAIAgent, AnthropicAgent):
        with pytest.raises(
            AgentArgumentError, match=f"agent {agent.alias}: output= .* Park.guest: If a type union contains"
        ):
            agent.fork(model="m", output=made)


def test_the_fake_provider_refuses_what_the_apis_refuse() -> None:
    def refused(path: str, schema: dict[str, Any], *, strict: bool = True) -> str | None:
        if path == "/v1/messages":
            return refused_schema(path, {"output_config": {"format": {"schema": schema}}})
        if path == "/v1/responses":
            return refused_schema(path, {"text": {"format": {"name": "o", "schema": schema, "strict": strict}}})
        function = {"name": "t", "parameters": schema, "strict": strict}
        return refused_schema(path, {"tools": [{"type": "function", "function": function}]})

    chat, responses, messages = "/v1/chat/completions", "/v1/responses", "/v1/messages"
    closed: dict[str, Any] = {"type": "object", "required": ["a"], "additionalProperties": False}
    ok = {**closed, "properties": {"a": {"type": "string", "format": "date"}}}
    assert [refused(path, ok) for path in (chat, responses, messages)] == [None] * 3
    bad: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
        ((chat, responses), {"type": "array", "items": ok}, "type 'object'"),
        ((chat, messages), {**ok, "additionalProperties": {"type": "string"}}, "additionalProperties"),
        ((chat,), {**ok, "required": []}, "required"),
        ((chat,), {**closed, "properties": {"a": {"type": "string", "format": "decimal"}}}, "decimal"),
        ((chat, responses), {**closed, "properties": {"a": {"type": "string", "minLength": 1}}}, "minLength"),
        ((chat,), {**closed, "properties": {"a": {"enum": ["x"]}}}, "'type' key"),
        ((chat,), {**closed, "properties": {"a": {"$ref": "#/$defs/A", "title": "x"}}, "$defs": {"A": ok}}, r"\$ref"),
        ((messages,), {**closed, "properties": {"a": {"type": "integer", "minimum": 1}}}, "minimum"),
        ((messages,), {**closed, "properties": {"a": {"type": "array", "items": ok, "minItems": 2}}}, "minItems"),
        ((messages,), {**closed, "properties": {"a": {}}}, "'type' key"),
        ((messages,), {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}, "recursive"),
    ]
    for paths, schema, words in bad:
        for path in paths:
            assert re.search(words, str(refused(path, schema))), (path, schema)
    assert "items" in str(refused(chat, {"type": "object", "properties": {"a": {"type": "array"}}}, strict=False))
