"""Garbage at Anthropic's endpoints: whatever comes is answered in their form, never with a 500, and leaves nothing."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniagents.ext.serving import AgentApp, Limits, Served, agent_app
from tests.ext.serving.agents import echo, speller
from tests.ext.serving.anthropic.test_blocks import FOUND, IMAGE, KNOWN_TO_ALL, ONLY_ANTHROPICS, SEARCHED
from tests.ext.serving.native.test_fuzz import in_virtual_time, json_values
from tests.ext.serving.servers import AUTH, TOKEN

JSON = {"content-type": "application/json"}
fuzzed = settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))

whole_blocks: Any = [*KNOWN_TO_ALL.values(), *ONLY_ANTHROPICS.values(), SEARCHED, FOUND, IMAGE]
names = st.sampled_from(["type", "text", "source", "content", "tool_use_id", "id", "name", "input", "data", "title"])
kinds = st.sampled_from([*(block["type"] for block in whole_blocks), "tool_result", "tool_use", "thinking", "base64"])


@st.composite
def broken_blocks(draw: st.DrawFn) -> Any:
    """A block that is right, but for one thing."""
    block = json.loads(json.dumps(draw(st.sampled_from(whole_blocks))))
    place = block
    while isinstance(place, dict) and draw(st.booleans()):
        inner = [one for one in place.values() if isinstance(one, dict)]
        if not inner:
            break
        place = inner[0]
    name = draw(st.sampled_from(sorted(place)) | names)
    if draw(st.booleans()):
        place.pop(name, None)
    else:
        place[name] = draw(json_values | kinds | st.sampled_from(whole_blocks))
    return block


blocks = st.sampled_from(whole_blocks) | broken_blocks()
contents = st.text(max_size=10) | st.lists(
    blocks
    | st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.text(max_size=3)},
        optional={"content": st.lists(blocks, max_size=2) | json_values, "is_error": json_values},
    )
    | st.fixed_dictionaries({"type": kinds}, optional={"text": json_values, "id": json_values, "input": json_values}),
    max_size=3,
)
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": contents | json_values}
)
bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["echo", "speller", "passing"]) | json_values,
        "max_tokens": st.just(9) | json_values,
        "messages": st.lists(turns, max_size=3) | json_values,
    },
    optional={
        "system": contents | json_values,
        "stream": st.booleans() | json_values,
        "tools": json_values | st.just([{"name": "f"}]),
        "stop_sequences": json_values,
        "tool_choice": json_values | st.just({"type": "any"}),
        "output_config": json_values,
        "container": json_values,
        "mcp_servers": json_values,
        "conversation": st.sampled_from(["c1", "c2"]) | json_values,
    },
)


def app() -> AgentApp:
    agents: dict[str, Any] = {"echo": echo, "speller": speller, "passing": Served(echo, wants=("blocks",))}
    return agent_app(agents, auth=TOKEN, admin_auth=None, limits=Limits(messages=3, request_timeout=60.0))


def client_of(service: AgentApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=service), base_url="http://localhost", headers=AUTH)


@fuzzed
@given(body=bodies | json_values, path=st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]))
def test_bodies_of_whatever_kind_are_answered_and_leave_nothing_behind(body: Any, path: str) -> None:
    async def run() -> None:
        service = app()
        async with service.lifespan(), client_of(service) as client:
            answer = await client.post(path, content=json.dumps(body), headers=JSON)
            assert service.system.interactions() == ()
            assert service._service.gate.inside == 0
        assert answer.status_code in (200, 400, 404), answer.text
        assert answer.headers["request-id"].startswith("req_")
        if answer.status_code != 200:
            said = answer.json()
            assert (said["type"], said["request_id"]) == ("error", answer.headers["request-id"])
            assert said["error"]["message"]
        assert "event: error" not in answer.text
        assert "Traceback" not in answer.text

    in_virtual_time(run())


@fuzzed
@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "after_id", "before_id", "lifecycle", "lifecycle[]", "beta"]),
        st.sampled_from(["echo", "speller", "1", "0", "true", "active", "retired"]) | st.text(max_size=8),
    ),
    version=st.none() | st.just("2023-06-01") | st.text("0123456789-x", max_size=5),
    name=st.none() | st.sampled_from(["echo", "nobody"]) | st.text("abc%/.", min_size=1, max_size=8),
)
def test_queries_of_whatever_kind_are_answered(query: dict[str, str], version: str | None, name: str | None) -> None:
    async def run() -> None:
        service = app()
        async with service.lifespan(), client_of(service) as client:
            headers = {} if version is None else {"anthropic-version": version}
            path = "/v1/models" if name is None else f"/v1/models/{name.replace('%', '%25')}"
            answer = await client.get(path, params=query, headers=headers)
        assert answer.status_code in (200, 400, 404), answer.text

    in_virtual_time(run())


def test_the_garbage_is_also_taken_where_it_is_right() -> None:
    """The strategies find bodies that are right, too, or they would test the refusals alone."""
    found: set[int] = set()

    @fuzzed
    @given(body=bodies)
    def look(body: Any) -> None:
        async def run() -> None:
            service = app()
            async with service.lifespan(), client_of(service) as client:
                found.add((await client.post("/v1/messages", content=json.dumps(body), headers=JSON)).status_code)

        in_virtual_time(run())

    look()
    assert {200, 400} <= found
