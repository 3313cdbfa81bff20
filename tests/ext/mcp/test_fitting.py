"""Names and schemas of a server, made fit for the APIs of models."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents.ext.mcp.fitting import UnfitSchemaError, fit_names, fit_schema

NAMES = st.text(st.sampled_from("ab._/ é"), max_size=80)


@given(st.lists(NAMES, unique=True, max_size=8), st.sampled_from(["", "p_"]))
def test_every_name_gets_one_of_its_own_that_all_apis_take(names: list[str], prefix: str) -> None:
    fit = fit_names(names, prefix)

    assert list(fit) == names
    assert len(set(fit.values())) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in fit.values())


@given(st.lists(NAMES, unique=True, max_size=8), st.randoms())
def test_names_do_not_depend_on_the_order_of_the_tools(names: list[str], random: Any) -> None:
    shuffled = random.sample(names, len(names))

    assert fit_names(names) == fit_names(shuffled)


def test_a_name_that_fits_is_kept_also_beside_one_that_becomes_the_same() -> None:
    fit = fit_names(["a.b", "a_b", "c.d", "x" * 70])

    assert fit["a_b"] == "a_b"
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", fit["a.b"])
    assert fit["c.d"] == "c_d"
    assert re.fullmatch(r"x{55}_[0-9a-f]{8}", fit["x" * 70])


def test_a_union_of_objects_becomes_one_object_that_requires_what_all_require() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]},
            {"$ref": "#/$defs/other"},
        ],
        "$defs": {"other": {"properties": {"a": {"type": "integer"}, "c": {}}, "required": ["a"]}},
    }

    fit = fit_schema(schema)

    assert fit.schema == {
        "$defs": schema["$defs"],
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {}, "c": {}},
        "required": ["a"],
    }


def test_all_parts_of_an_intersection_are_required() -> None:
    fit = fit_schema({"required": ["a"], "allOf": [{"properties": {"a": {}, "b": {}}, "required": ["b"]}]})

    assert fit.schema == {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}


def test_properties_with_other_characters_are_renamed_and_named_back() -> None:
    fit = fit_schema(
        {"type": "object", "properties": {"file name": {}, "x": True, "y.z": {}}, "required": ["file name"]}
    )

    assert fit.schema["properties"] == {"file_name": {}, "x": {}, "y.z": {}}
    assert fit.schema["required"] == ["file_name"]
    assert fit.arguments({"file_name": "a", "x": 1}) == {"file name": "a", "x": 1}


def test_two_properties_that_would_share_a_name_stay_two() -> None:
    fit = fit_schema({"properties": {"a b": {}, "a_b": {}, "a/b": {}}})

    assert len(fit.schema["properties"]) == 3
    assert {fit.renamed.get(name, name) for name in fit.schema["properties"]} == {"a b", "a_b", "a/b"}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string"}, "schema of 'string', and not of an object"),
        ({"type": "object", "properties": {"a": {"$ref": "https://a/b.json"}}}, "another document"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "without an end"),
        ({"$ref": "#/$defs/a"}, "leads nowhere"),
        ({"anyOf": [True]}, "it is True"),
        (deep(100), "nested more than 64 deep"),
    ],
)
def test_a_schema_that_no_api_takes_is_refused(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnfitSchemaError, match=problem):
        fit_schema(schema)
