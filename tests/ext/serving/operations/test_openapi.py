"""The service's own document."""

import re
from typing import Any, cast

import pytest
from starlette.routing import Route

from miniagents.ext.serving import Limits, Served, agent_app
from tests.ext.serving.agents import echo, weather
from tests.ext.serving.servers import ADMIN, AUTH, TOKEN, in_process

pytestmark = pytest.mark.real_time


@pytest.fixture
async def document() -> Any:
    agents: dict[str, Any] = {"echo": echo, "weather": Served(weather, arguments=("city", "unit"))}
    app = agent_app(agents, auth=TOKEN, admin_auth=ADMIN, limits=Limits(messages=7, keep=9))
    async with in_process(app) as client:
        return (await client.get("/openapi.json")).json()


async def test_every_route_is_in_the_document_and_nothing_else(document: Any) -> None:
    routes = {
        (re.sub(r":int", "", route.path), method)
        for route in cast(list[Route], agent_app(echo, auth=None, admin_auth=None).routes)
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }
    named = {
        (path.replace("/agents/echo", "/agents/{name}"), method.upper())
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "delete") and "weather" not in path
    }

    assert named == routes


async def test_every_reference_leads_somewhere(document: Any) -> None:
    references: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                references.add(value["$ref"].removeprefix("#/components/schemas/"))
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(document)

    assert references - set(document["components"]["schemas"]) == set()


async def test_each_agent_has_its_own_arguments(document: Any) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["echo_request"]["required"] == []
    assert schemas["weather_request"]["required"] == ["arguments"]
    assert schemas["weather_arguments"]["properties"] == {"city": {"type": "string"}, "unit": {"type": "string"}}
    assert (schemas["weather_arguments"]["required"], schemas["weather_arguments"]["additionalProperties"]) == (
        ["city"],
        False,
    )


async def test_limits_and_models_are_told(document: Any) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["ChatRequest"]["properties"]["model"] == {"enum": ["echo", "weather"]}
    assert schemas["ChatRequest"]["properties"]["messages"]["maxItems"] == 7
    assert schemas["AgentRequest"]["properties"]["keep"]["maximum"] == 9


async def test_what_needs_a_token_says_which(document: Any) -> None:
    paths = document["paths"]

    assert paths["/agents/echo"]["post"]["security"] == [{"token": []}]
    assert paths["/interactions"]["get"]["security"] == [{"admin": []}]
    assert "security" not in paths["/readyz"]["get"]


async def test_two_agents_whose_names_differ_in_punctuation_keep_their_own_arguments() -> None:
    agents: dict[str, Any] = {"a-b": weather, "a:b": echo, "a_b": Served(weather, arguments=("city", "unit"))}
    app = agent_app(agents, auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        document = (await client.get("/openapi.json", headers=AUTH)).json()

    def arguments_of(name: str) -> Any:
        content = document["paths"][f"/agents/{name}"]["post"]["requestBody"]["content"]
        body = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        own = document["components"]["schemas"][body]["properties"]["arguments"]["$ref"].rpartition("/")[2]
        return sorted(document["components"]["schemas"][own].get("properties", ()))

    assert [arguments_of(name) for name in ("a-b", "a:b", "a_b")] == [["city"], [], ["city", "unit"]]
