"""Models of pydantic as outputs, as parameters of tools, and as their results."""

import subprocess
import sys
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from miniagents import MiniAgents
from miniagents.errors import AgentArgumentError, InvalidOptionError, OutputError
from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.llms.schemas import output_type
from miniagents.ext.llms.signatures import signature_of
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str = pydantic.Field(description="The whole name.", min_length=2)
    born: date
    children: list["Person"] = []

    @pydantic.field_validator("name")
    @classmethod
    def _has_a_capital(cls, name: str) -> str:
        if name[0].islower():
            raise ValueError("a name begins with a capital letter")
        return name


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    owner: Person


@pydantic.dataclasses.dataclass
class Place:
    latitude: Annotated[float, pydantic.Field(ge=-90, le=90)]


class Household(msgspec.Struct):
    head: Person
    pets: list[Cat] = []


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
ANN = '{"name": "Ann", "born": "1990-01-02", "children": []}'
ann = Person(name="Ann", born=date(1990, 1, 2))


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(_references, schema.values()))


@pytest.mark.real_time
@each_api
async def test_an_answer_is_a_model_of_pydantic(api: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(ANN)
    async with MiniAgents():
        (reply,) = await agent_of(api, fake_provider, output=Person).inquire("Who?")
    assert reply.output == ann  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[Person], f'{{"value": [{ANN}]}}', [ann]),
        (Person | None, '{"value": null}', None),
        (Cat | Dog, '{"value": {"kind": "cat", "lives": 9}}', Cat(kind="cat", lives=9)),
        (Pet, f'{{"value": {{"kind": "dog", "owner": {ANN}}}}}', Dog(kind="dog", owner=ann)),
        (Place, '{"latitude": 4.5}', Place(4.5)),
        (Household, f'{{"head": {ANN}, "pets": []}}', Household(ann)),
        (tuple[Household, Person], f'{{"value": [{{"head": {ANN}}}, {ANN}]}}', (Household(ann), ann)),
        (pydantic.HttpUrl, '{"value": "https://a.org/"}', pydantic.HttpUrl("https://a.org/")),
    ],
)
def test_outputs_are_validated_by_pydantic_and_their_schemas_are_whole_and_strict(
    kind: object, text: str, value: object
) -> None:
    output = output_type(kind)
    assert output.decode(text) == value
    assert output.strict_schema is not None
    assert {f"#/$defs/{name}" for name in output.schema.get("$defs", {})} >= _references(output.schema)
    assert "oneOf" not in str(output.schema)
    assert str(output.schema).count("'$defs'") == ("$defs" in output.schema)


def test_the_schema_has_what_pydantic_says() -> None:
    name = output_type(Person).schema["properties"]["name"]
    assert name["description"] == "The whole name."
    assert name["minLength"] == 2


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Person, '{"name": "ann", "born": "1990-01-02"}', "a name begins with a capital letter - at `$.name`"),
        (Person, '{"name": "Ann", "born": "soon"}', "at `$.born`"),
        (Person, '{"name": "Ann", "born": "1990-01-02", "children": [{}]}', "at `$.children[0].name`"),
        (Household, '{"head": {"name": "ann", "born": "1990-01-02"}}', "- at `$.name` - at `$.head`"),
        (pydantic.PositiveInt, '{"value": 0}', "greater than 0"),
        (Place, '{"latitude": 91}', "less than or equal to 90"),
    ],
)
def test_what_pydantic_refuses_is_told_with_its_place(kind: object, text: str, problem: str) -> None:
    with pytest.raises(OutputError) as raised:
        output_type(kind).decode(text)
    assert problem in str(raised.value)
    assert "https://" not in str(raised.value)


def test_two_models_of_one_name_keep_their_own_definitions() -> None:
    def model(kind: type) -> Any:
        inner = pydantic.create_model("Inner", value=(kind, ...))
        return pydantic.create_model("Outer", inner=(inner, ...))

    number, text = model(int), model(str)

    def both(a: number, b: text) -> None:  # type: ignore[valid-type]
        pass

    schema = signature_of(both, "both").schema
    kinds = [
        schema["$defs"][schema["properties"][name]["properties"]["inner"]["$ref"].removeprefix("#/$defs/")]
        for name in ("a", "b")
    ]
    assert [kind["properties"]["value"]["type"] for kind in kinds] == ["integer", "string"]


async def test_a_tool_takes_models_and_returns_them() -> None:
    def marry(
        first: Person, others: list[Person], age: Annotated[int, pydantic.Field(ge=18, description="Years.")] = 18
    ) -> list[Person]:
        assert isinstance(first, Person)
        return [first, *others]

    person = msgspec.json.decode(ANN)
    calls = (
        Call("marry", {"first": person, "others": [person]}),
        Call("marry", {"first": person, "others": [], "age": 17}),
    )
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script(Reply(calls=calls), "done"), tools=[marry])
        replies = await agent.inquire("Hi")
    results = [str(reply) for reply in replies[1:3]]
    assert msgspec.json.decode(results[0]) == [person, person]
    assert "greater than or equal to 18 - at `$.age`" in results[1]
    age = signature_of(marry, "marry").schema["properties"]["age"]
    assert age == {"type": "integer", "minimum": 18, "description": "Years.", "default": 18}


def test_a_model_may_be_optional_and_its_default_is_told() -> None:
    cat = Cat(kind="cat", lives=9)

    def stroke(cat: Cat = cat) -> None:
        pass

    signature = signature_of(stroke, "stroke")
    assert signature.schema["properties"]["cat"]["default"] == {"kind": "cat", "lives": 9}
    assert signature.decode('{"cat": null}') == {"cat": cat}
    assert signature.decode('{"cat": {"kind": "cat", "lives": 1}}') == {"cat": Cat(kind="cat", lives=1)}


def test_a_model_with_a_hint_that_does_not_resolve_is_refused() -> None:
    class Lost(pydantic.BaseModel):
        where: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    def find(lost: Lost) -> None:
        pass

    def find_all(lost: list[Lost]) -> None:
        pass

    for function in (find, find_all):
        with pytest.raises(InvalidOptionError, match="the tool find"):
            signature_of(function, "find")
    with pytest.raises(AgentArgumentError, match="output="):
        OpenAIAgent.fork(model="gpt-5-mini", output=list[Lost])


def test_pydantic_is_not_imported_where_no_type_is_its_own() -> None:
    program = """
import sys
from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.llms.schemas import output_type
from miniagents.ext.llms.signatures import signature_of

def add(a: int, b: list[int] = []) -> int: ...

signature_of(add, "add").decode('{"a": 1}')
output_type(dict[str, int]).decode('{"value": {"a": 1}}')
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
