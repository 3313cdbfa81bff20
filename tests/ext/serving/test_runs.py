"""A client that goes away ends what was done for it, however deep."""

import asyncio
import json
import threading
from typing import Any

import httpx2
import pytest
import websockets
from fastapi import FastAPI, Request

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.serving import Limits, agent_app
from miniagents.testing import FakeProvider, Reply
from tests.ext.serving.agents import Held, soon
from tests.ext.serving.servers import AUTH, TOKEN, served

pytestmark = pytest.mark.real_time

CHAT = ("/v1/chat/completions", {"model": "top", "messages": [{"role": "user", "content": "Hi"}]})
RESPONSE = ("/v1/responses", {"model": "top", "input": "Hi"})
PLAIN = ("/agents/top", {"messages": "Hi"})


async def wait_for_none(system: MiniAgents) -> None:
    """Wait until no interaction is under way; the ceiling is there only so that a failure does not hang."""
    async with asyncio.timeout(10):
        await asyncio.gather(*(one.wait_stopped() for one in system.interactions()))
    assert system.interactions() == ()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "body"), [CHAT, RESPONSE, PLAIN], ids=["chat", "responses", "plain"])
async def test_a_client_that_goes_away_closes_the_models_stream_however_deep(
    fake_provider: FakeProvider, path: str, body: dict[str, Any], stream: bool
) -> None:
    asked = threading.Event()

    def slowly(_: object) -> Reply:
        asked.set()
        return Reply("word " * 1000, delay=0.05)

    fake_provider.reset(slowly)
    model = OpenAIAgent.fork(model="fake-1", **fake_provider.openai)

    @miniagent
    async def middle(ctx: InteractionContext) -> None:
        ctx.reply(model.inquire(ctx.message_promises))

    @miniagent
    async def top(ctx: InteractionContext) -> None:
        ctx.reply(middle.inquire(ctx.message_promises))

    app = agent_app(top, auth=TOKEN, admin_auth=None)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        asking = asyncio.create_task(_read(client, path, {**body, "stream": stream}))
        assert await asyncio.to_thread(asked.wait, 10)
        asking.cancel()
        await asyncio.wait([asking])
        await fake_provider.last.ended()
        await wait_for_none(app.system)

    assert fake_provider.last.was_closed_by_client
    assert fake_provider.last.tokens_sent < 1000


async def _read(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> None:
    async with client.stream("POST", path, json=body) as answer:
        async for _ in answer.aiter_bytes():
            pass


async def test_a_client_that_goes_away_while_an_agent_is_silent_is_noticed() -> None:
    @miniagent
    async def silent(ctx: InteractionContext) -> None:
        ctx.reply(held.agent.inquire())
        await asyncio.Event().wait()

    held = Held()
    app = agent_app(silent, auth=TOKEN, admin_auth=None)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        async with client.stream("POST", "/agents/silent", json={"stream": True}):
            await soon(held.waiting)
        await soon(held.cancelled)
        await wait_for_none(app.system)


async def test_a_websocket_that_is_closed_cancels_its_call() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None)
    async with served(app) as url:
        address = url.replace("http", "ws") + "/agents/held"
        async with websockets.connect(address, additional_headers=AUTH) as socket:
            await socket.send(json.dumps({"type": "message", "content": "Hi"}))
            await soon(held.waiting)
        await soon(held.cancelled)
        await wait_for_none(app.system)


async def test_a_connection_that_is_cut_cancels_its_call() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None)
    async with served(app) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /agents/held HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await soon(held.waiting)
        writer.transport.abort()
        await soon(held.cancelled)


async def test_half_a_body_starts_nothing() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None)
    async with served(app) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /agents/held HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"messages"'.encode())
        await writer.drain()
        writer.close()
        async with httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
            listed = await client.get("/interactions")

    assert listed.json() == {"interactions": []}


async def test_a_body_that_comes_too_slowly_is_a_408_and_the_connection_is_closed() -> None:
    app = agent_app(Held().agent, auth=TOKEN, admin_auth=None, limits=Limits(body_timeout=0.1))
    async with served(app) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /agents/held HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"messages"'.encode())
        async with asyncio.timeout(10):  # only so that a failure does not hang
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in answer


async def test_a_websocket_that_says_nothing_is_closed() -> None:
    app = agent_app(Held().agent, auth=TOKEN, admin_auth=None, limits=Limits(body_timeout=0.1))
    async with (
        served(app) as url,
        websockets.connect(f"{url.replace('http', 'ws')}/agents/held", additional_headers=AUTH) as socket,
        asyncio.timeout(10),
    ):
        assert json.loads(await socket.recv())["error"]["code"] == "too_slow"
        await socket.wait_closed()

    assert socket.close_code == 4408


async def test_a_client_that_reads_nothing_counts_as_gone() -> None:
    closed = asyncio.Event()

    async def flood() -> Any:
        try:
            while True:
                yield "x" * 100_000
                await asyncio.sleep(0)
        finally:
            closed.set()

    @miniagent
    async def talker(ctx: InteractionContext) -> None:
        async for piece in flood():
            ctx.reply(piece)

    app = agent_app(talker, auth=TOKEN, admin_auth=None, limits=Limits(send_timeout=0.2, ping=0.05))
    # Its end would wait for the client, which still has to read what is on the way.
    async with served(app, timeout_graceful_shutdown=0) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket has it
        head = f"POST /agents/talker HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{{"stream":true}}'.encode())
        await soon(closed)
        writer.transport.abort()


async def test_a_client_that_goes_away_is_noticed_behind_middleware_too() -> None:
    held = Held()
    agents = agent_app(held.agent, auth=TOKEN, admin_auth=None)
    app = FastAPI(lifespan=agents.lifespan)
    app.mount("/ai", agents)

    @app.middleware("http")
    async def stamped(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response

    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        for stream in (True, False):
            held.waiting.clear()
            held.cancelled.clear()
            asking = asyncio.create_task(_read(client, "/ai/agents/held", {"stream": stream}))
            await soon(held.waiting)
            asking.cancel()
            await soon(held.cancelled)
        await wait_for_none(agents.system)
