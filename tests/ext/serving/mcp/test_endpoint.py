"""Agents as tools over streamable HTTP, called by the SDK's own client over loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ImageContent, TextContent
from starlette.applications import Starlette
from starlette.routing import Mount

from miniagents import InteractionContext, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import ImageMessage
from miniagents.ext.mcp import McpApp
from miniagents.ext.serving import Limits, Served, agent_app
from tests.ext.serving.agents import Held, echo, failing, speller, weather
from tests.ext.serving.mcp.clients import MODES, http_client
from tests.ext.serving.servers import TOKEN, served

pytestmark = [pytest.mark.real_time, pytest.mark.parametrize("mode", MODES)]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = McpApp(echo, speller, failing, weather, painter, auth={"one": TOKEN, "two": "another-token"})
    async with served(app) as address:
        yield f"{address}/mcp"


@miniagent
async def painter(ctx: InteractionContext) -> None:
    """Paints."""
    ctx.reply("Here it is.")
    ctx.reply(ImageMessage(data=b"GIF89a", media_type="image/gif"))


async def test_agents_are_tools_with_their_descriptions_and_schemas(url: str, mode: str) -> None:
    async with http_client(url, mode, TOKEN) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert list(tools) == ["echo", "speller", "failing", "weather", "painter"]
    assert tools["echo"].description == "Says what you said."
    message = {"type": "string", "description": "The message to the agent."}
    assert tools["echo"].input_schema["properties"] == {"message": message}
    assert tools["echo"].input_schema["required"] == ["message"]
    assert tools["weather"].input_schema["properties"] == {"message": message, "city": {"type": "string"}}
    assert tools["weather"].input_schema["required"] == ["city"]


async def test_a_call_gives_the_replies_of_the_agent(url: str, mode: str) -> None:
    async with http_client(url, mode, TOKEN) as client:
        said = await client.call_tool("echo", {"message": "Hello"})
        warm = await client.call_tool("weather", {"city": "Paris"})
        painted = await client.call_tool("painter", {"message": "A house"})

    assert said.content == [TextContent(text="You said: Hello")]
    assert not said.is_error
    assert isinstance(warm.content[0], TextContent)
    assert json.loads(warm.content[0].text) == {"city": "Paris", "unit": "C", "degrees": 20}
    assert painted.content == [TextContent(text="Here it is."), ImageContent(data="R0lGODlh", mime_type="image/gif")]


async def test_the_pieces_of_a_stream_are_progress(url: str, mode: str) -> None:
    seen: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))

    async with http_client(url, mode, TOKEN) as client:
        result = await client.call_tool("speller", {"message": "abc"}, progress_callback=note)

    assert result.content == [TextContent(text="abc")]
    assert seen == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_failure_is_a_result_that_tells_nothing_of_its_inside(url: str, mode: str) -> None:
    async with http_client(url, mode, TOKEN) as client:
        result = await client.call_tool("failing", {"message": "x"})

    assert result.is_error
    assert result.content == [TextContent(text="The agent failed.")]


@pytest.mark.parametrize(
    ("tool", "arguments", "what"),
    [
        ("echo", {}, "`message` is missing"),
        ("echo", {"message": 7}, "`message` must be a text"),
        ("echo", {"message": "x", "mood": "bad"}, "mood"),
        ("weather", {"message": "x"}, "city"),
        ("weather", {"city": 7}, "city"),
    ],
)
async def test_wrong_arguments_are_a_result_that_names_the_argument(
    url: str, mode: str, tool: str, arguments: dict[str, Any], what: str
) -> None:
    async with http_client(url, mode, TOKEN) as client:
        result = await client.call_tool(tool, arguments)

    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    assert what in result.content[0].text


async def test_an_unknown_tool_is_an_error_that_names_it(url: str, mode: str) -> None:
    async with http_client(url, mode, TOKEN) as client:
        with pytest.raises(MCPError, match="There is no tool 'nobody'"):
            await client.call_tool("nobody", {})


async def test_a_cancel_of_the_client_reaches_the_agent_below_at_once(mode: str) -> None:
    held = Held()

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(await held.agent.inquire(ctx.message_promises))

    app = McpApp(outer, echo, auth=None)
    async with served(app) as address, http_client(f"{address}/mcp", mode) as client:
        call = asyncio.create_task(client.call_tool("outer", {"message": "x"}))
        await held.waiting.wait()
        call.cancel()
        await held.cancelled.wait()
        after = await client.call_tool("echo", {"message": "still here"})

    assert after.content == [TextContent(text="You said: still here")]


async def test_a_client_without_a_valid_token_gets_a_401(url: str, mode: str) -> None:
    for token in (None, "a-wrong-token"):
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        async with httpx2.AsyncClient(headers=headers) as http:
            for method in ("POST", "GET", "DELETE"):
                answer = await http.request(method, url, headers={"mcp-protocol-version": mode})
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_foreign_host_is_refused_before_the_token_is_read(url: str, mode: str) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(url, headers={"host": "evil.example.com"}, json={})
        from_page = await http.post(url, headers={"origin": "https://evil.example.com"}, json={})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "host_not_allowed")
    assert from_page.status_code == 403


async def test_a_slash_at_the_end_is_no_redirect(url: str, mode: str) -> None:
    async with http_client(f"{url}/", mode, TOKEN) as client:
        assert (await client.call_tool("echo", {"message": "x"})).content == [TextContent(text="You said: x")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"\xff\xfe not json", 400, None),
        (b"[]", 400, None),
        (b'{"jsonrpc": "2.0", "id": [], "method": 7}', 400, None),
        (b"[" * 100 + b"]" * 100, 400, "too_deep"),
        (b" " * 2000, 413, "too_large"),
    ],
)
async def test_garbage_is_refused_and_the_server_goes_on(mode: str, body: bytes, status: int, code: str | None) -> None:
    app = McpApp(echo, auth=None, limits=Limits(body=1000))
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25" if mode == "legacy" else mode,
    }
    async with served(app) as address, httpx2.AsyncClient() as http:
        answer = await http.post(f"{address}/mcp", content=body, headers=headers)
        assert answer.status_code == status
        if code is not None:  # else the protocol's own answer
            assert answer.json()["error"]["code"] == code
        async with http_client(f"{address}/mcp", mode) as client:
            assert (await client.call_tool("echo", {"message": "x"})).content == [TextContent(text="You said: x")]


async def test_the_limit_of_calls_at_once_is_that_of_the_service(mode: str) -> None:
    held = Held()
    app = McpApp(held.agent, auth=None, limits=Limits(concurrent=1))
    async with served(app) as address, http_client(f"{address}/mcp", mode) as client:
        first = asyncio.create_task(client.call_tool("held", {"message": "x"}))
        await held.waiting.wait()
        async with httpx2.AsyncClient() as http:
            assert (await http.post(f"{address}/mcp", json={})).status_code == 429
        held.let_go.set()
        assert not (await first).is_error


async def test_a_service_serves_its_agents_also_as_tools(mode: str) -> None:
    app = agent_app({"warm": Served(weather, arguments=("city", "unit"))}, auth=TOKEN, admin_auth=None)
    app.serve_mcp()
    async with served(app) as address, http_client(f"{address}/mcp", mode, TOKEN) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["warm"]
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http:
            assert (await http.get(f"{address}/agents")).status_code == 200


async def test_an_app_of_tools_has_no_other_way_to_its_agents(url: str, mode: str) -> None:
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http:
        statuses = {
            path: (await http.get(url.removesuffix("/mcp") + path)).status_code
            for path in ("/healthz", "/agents", "/interactions", "/openapi.json")
        }

    assert statuses == {"/healthz": 200, "/agents": 404, "/interactions": 404, "/openapi.json": 404}


async def test_an_app_of_tools_inside_another_app_is_no_redirect_away(mode: str) -> None:
    tools = McpApp(echo, auth=None)
    app = Starlette(routes=[Mount("/", tools)], lifespan=tools.lifespan)
    async with served(app) as address, http_client(f"{address}/mcp", mode) as client:
        assert (await client.call_tool("echo", {"message": "x"})).content == [TextContent(text="You said: x")]


async def test_two_agents_that_would_be_one_tool_are_refused(mode: str) -> None:
    app = agent_app({"a:b": echo, "a_b": weather}, auth=None, admin_auth=None)
    with pytest.raises(InvalidOptionError, match="'a_b'"):
        app.serve_mcp()


async def test_a_page_of_an_allowed_origin_may_send_the_headers_of_the_protocol(mode: str) -> None:
    page = "https://chat.example.com"
    app = McpApp(echo, auth=None, allowed_origins=[page])
    names = "mcp-method, mcp-name, mcp-protocol-version, mcp-session-id"
    headers = {"origin": page, "access-control-request-method": "POST", "access-control-request-headers": names}
    async with served(app) as address, httpx2.AsyncClient() as http:
        answer = await http.options(f"{address}/mcp", headers=headers)

    assert answer.status_code == 200
