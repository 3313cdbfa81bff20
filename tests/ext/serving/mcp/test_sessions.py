"""Sessions of the era before 2026-07-28, and that era without sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from miniagents.ext.mcp import McpApp
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.servers import TOKEN, served

pytestmark = pytest.mark.real_time

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}},
}
HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}


def call(id: int, tool: str) -> dict[str, object]:
    params = {"name": tool, "arguments": {"message": "x"}}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


@asynccontextmanager
async def calling(
    url: str, *, token: str | None = None, session: str | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {**HEADERS, **({"authorization": f"Bearer {token}"} if token else {})}
    if session is not None:
        headers["mcp-session-id"] = session
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        yield http


async def test_a_session_belongs_to_the_key_that_has_opened_it() -> None:
    app = McpApp(echo, auth={"one": TOKEN, "two": "another-token"})
    async with served(app) as url:
        async with calling(url, token=TOKEN) as http:
            session = (await http.post("/mcp", json=INITIALIZE)).headers["mcp-session-id"]
        statuses = []
        for token in (TOKEN, "another-token"):
            async with calling(url, token=token, session=session) as http:
                statuses.append((await http.post("/mcp", json=call(2, "echo"))).status_code)

    assert statuses == [200, 404]


async def test_a_lost_response_of_a_session_is_no_cancel() -> None:
    held = Held()
    async with served(McpApp(held.agent, auth=None)) as url:
        async with calling(url) as http:
            session = (await http.post("/mcp", json=INITIALIZE)).headers["mcp-session-id"]
        async with calling(url, session=session) as http:
            async with http.stream("POST", "/mcp", json=call(2, "held")):
                await soon(held.waiting)
            await http.post("/mcp", json=call(3, "nothing"))  # the server has seen the disconnect before this
            assert not held.cancelled.is_set()
            cancel = {"requestId": 2, "reason": "not needed"}
            await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
            await soon(held.cancelled)


async def test_without_sessions_a_closed_response_is_the_cancel() -> None:
    held = Held()
    async with served(McpApp(held.agent, auth=None, stateless=True)) as url, calling(url) as http:
        assert "mcp-session-id" not in (await http.post("/mcp", json=INITIALIZE)).headers
        async with http.stream("POST", "/mcp", json=call(2, "held")):
            await soon(held.waiting)
        await soon(held.cancelled)
