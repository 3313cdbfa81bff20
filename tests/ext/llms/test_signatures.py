"""What a model is told of the parameters of a tool."""

import functools
import math
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest

from miniagents import InteractionContext, MiniAgents
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.signatures import signature_of
from miniagents.messages import FrozenDict
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api


class Point(msgspec.Struct):
    x: int
    y: int = 0


def search(query: str, limit: int = 10, order: Literal["new", "old"] = "new", tags: list[str] | None = None) -> str:
    """Searches."""
    return f"{query} {limit} {order} {tags}"


@pytest.mark.real_time
@each_api
async def test_a_parameter_with_a_default_may_be_left_out_and_the_default_is_told(
    api: str, fake_provider: FakeProvider
) -> None:
    left_out = Call("search", {"query": "a"})
    null = Call("search", {"query": "b", "limit": None, "order": None, "tags": None})
    fake_provider.reset(Reply(calls=(left_out, null)), "done")
    async with MiniAgents():
        replies = await agent_of(api, fake_provider, tools=[search]).inquire("Hi")
    assert [str(reply) for reply in replies[1:3]] == ["a 10 new None", "b 10 new None"]
    (tool,) = fake_provider.exchanges[0].body["tools"]
    schema = tool["input_schema"] if api == "anthropic" else tool.get("function", tool)["parameters"]
    properties = schema["properties"]
    if api == "anthropic":
        assert schema["required"] == ["query"]
        assert [properties[name]["default"] for name in ("limit", "order", "tags")] == [10, "new", None]
        assert properties["limit"]["type"] == "integer"
    else:
        assert tool.get("function", tool)["strict"] is True
        assert schema["required"] == ["query", "limit", "order", "tags"]
        assert properties["limit"] == {
            "anyOf": [{"type": "integer"}, {"type": "null"}],
            "description": "Default: 10",
        }
        assert properties["order"]["anyOf"] == [{"type": "string", "enum": ["new", "old"]}, {"type": "null"}]
        assert properties["tags"]["anyOf"] == [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]
        assert "default" not in str(properties).replace("'description': 'Default", "")


def test_null_is_a_value_where_the_type_takes_it() -> None:
    def tool(a: int | None = 5, b: Any = 6, c: int = 7) -> None: ...

    assert signature_of(tool, "t").decode('{"a": null, "b": null, "c": null}') == {"a": None, "b": None, "c": 7}
    assert signature_of(tool, "t").decode("{}") == {"a": 5, "b": 6, "c": 7}


def test_a_description_stands_beside_the_default() -> None:
    def tool(a: Annotated[int, msgspec.Meta(description="How many.", ge=1)] = 3) -> None: ...

    signature = signature_of(tool, "t")

    assert signature.schema["properties"]["a"] == {
        "type": "integer",
        "description": "How many.",
        "minimum": 1,
        "default": 3,
    }
    assert signature.strict_schema is not None
    assert signature.strict_schema["properties"]["a"]["description"] == "How many. Default: 3"
    assert signature.decode('{"a": null}') == {"a": 3}
    with pytest.raises(msgspec.ValidationError):
        signature.decode('{"a": 0}')


@pytest.mark.parametrize("default", [object(), math.inf, math.nan, print])
def test_a_default_that_json_cannot_say_is_not_told_and_is_used(default: Any) -> None:
    def tool(a: float = default) -> None: ...

    signature = signature_of(tool, "t")

    assert signature.schema["properties"]["a"] == {"type": "number"}
    assert signature.schema["required"] == []
    assert signature.decode("{}")["a"] is default


def test_a_default_that_is_a_list_is_told_and_is_the_functions_own() -> None:
    def tool(a: list[int] = [1]) -> None: ...  # noqa: B006 - such functions are there

    assert signature_of(tool, "t").schema["properties"]["a"]["default"] == [1]
    assert signature_of(tool, "t").decode("{}")["a"] is tool.__defaults__[0]  # type: ignore[index]


@pytest.mark.parametrize("kind", [Point, list[Point], dict[str, int], Any, list[Any], Point | None])
def test_what_strict_mode_cannot_take_is_not_said_to_be_strict(kind: Any) -> None:
    def tool(a: kind) -> None: ...

    assert signature_of(tool, "t").strict_schema is None


def test_a_nested_field_with_a_default_may_be_left_out() -> None:
    def tool(point: Point) -> None: ...

    signature = signature_of(tool, "t")

    assert signature.schema["$defs"]["Point"]["required"] == ["x"]
    assert signature.schema["$defs"]["Point"]["properties"]["y"]["default"] == 0
    assert signature.decode('{"point": {"x": 1}}') == {"point": Point(1, 0)}


def test_a_free_dict_is_decoded() -> None:
    def tool(a: FrozenDict[str, Any]) -> None: ...

    assert signature_of(tool, "t").decode('{"a": {"b": 1}}') == {"a": FrozenDict({"b": 1})}


# Where the hints come from


def compiled(code: str) -> Callable[..., Any]:
    """A function of a module whose annotations are postponed."""
    module = types.ModuleType("compiled")
    sys.modules["compiled"] = module
    exec("from __future__ import annotations\n" + code, vars(module))
    function: Callable[..., Any] = vars(module)["tool"]
    return function


_HIDDEN = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from miniagents import InteractionContext
    from decimal import Decimal
"""


@pytest.mark.parametrize(
    ("code", "parameter", "hint"),
    [
        (f"{_HIDDEN}\ndef tool(ctx: InteractionContext, city: str): ...", "ctx", "InteractionContext"),
        (f"{_HIDDEN}\ndef tool(city: str, price: Decimal): ...", "price", "Decimal"),
        ("def tool(a: list[Missing]): ...", "a", "Missing"),
        ("def tool(a: 'no such'): ...", "a", "no such"),
    ],
)
def test_a_hint_that_does_not_resolve_is_told_with_the_parameter(code: str, parameter: str, hint: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"the tool t: .* {parameter}, .*{hint}.* does not resolve"):
        signature_of(compiled(code), "t")


def test_the_hint_of_the_result_is_of_no_matter() -> None:
    assert signature_of(compiled("def tool(a: int) -> Missing: ..."), "t").schema["required"] == ["a"]


def test_postponed_hints_resolve_where_the_function_was_written() -> None:
    code = "from miniagents import InteractionContext\ndef tool(ctx: InteractionContext, a: int): ..."
    signature = signature_of(compiled(code), "t")

    assert signature.injected == {"ctx": InteractionContext}
    assert signature.schema["properties"] == {"a": {"type": "integer"}}


def test_a_postponed_hint_may_name_what_the_function_closes_over() -> None:
    code = "def outer():\n  class Own: pass\n  Own = int\n  def tool(a: Own): return Own\n  return tool\ntool = outer()"
    assert signature_of(compiled(code), "t").schema["properties"] == {"a": {"type": "integer"}}


class Callable_:
    def __call__(self, ctx: InteractionContext, a: int) -> None: ...

    def method(self, ctx: InteractionContext, a: int) -> None: ...


def plain(ctx: InteractionContext, a: int, b: int = 0) -> None: ...


@functools.wraps(plain)
def wrapped(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [Callable_(), Callable_().method, wrapped, plain, functools.partial(plain, b=2), functools.partial(wrapped)],
)
def test_wrappers_partials_methods_and_callable_objects_keep_their_hints(function: Any) -> None:
    signature = signature_of(function, "t")

    assert signature.injected == {"ctx": InteractionContext}
    assert signature.schema["properties"]["a"] == {"type": "integer"}
    assert "ctx" not in signature.schema["properties"]


@pytest.mark.parametrize("kind", [InteractionContext | None, Annotated[InteractionContext, "mine"]])
def test_a_context_may_be_optional_or_annotated(kind: Any) -> None:
    def tool(context: kind = None) -> None: ...

    assert signature_of(tool, "t").injected == {"context": InteractionContext}


def test_a_context_without_a_type_goes_to_no_model() -> None:
    with pytest.raises(InvalidOptionError, match="annotate its parameter ctx with InteractionContext"):
        signature_of(lambda ctx, city: None, "t")


def test_what_python_does_not_know_the_parameters_of_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="what it takes is not known"):
        signature_of(max, "t")


async def test_a_tool_without_parameters_has_an_empty_schema() -> None:
    script = Script("ok")
    async with MiniAgents():
        await ScriptedModel.fork(script=script, tools=[lambda: None]).inquire("Hi")
    (tool,) = script.requests[0].tools
    assert tool.schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert tool.strict_schema == tool.schema
