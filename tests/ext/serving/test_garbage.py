"""Requests that have ended leave no reference cycles, however they ended."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import InteractionContext, TextMessage, TextToken, miniagent
from miniagents.ext.serving import AgentApp, agent_app
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.servers import TOKEN
from tests.garbage import garbage_of


async def tokens(_: object) -> AsyncIterator[TextToken]:
    for text in ("to", "ken"):
        await asyncio.sleep(0)
        yield TextToken(text)


@miniagent
async def streamer(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def echo(ctx: InteractionContext) -> None:
    ctx.reply(f"You said: {await ctx.message_promises}")


@miniagent
async def waiting(ctx: InteractionContext) -> None:
    ctx.reply("begun")
    await asyncio.Event().wait()


model = ScriptedModel.fork(alias="model", script=Script(Reply("Hello there", delay=0.01)))

HEADERS = [
    (b"host", b"localhost"),
    (b"authorization", f"Bearer {TOKEN}".encode()),
    (b"content-type", b"application/json"),
    (b"anthropic-version", b"2023-06-01"),
]


async def request(app: AgentApp, path: str, body: Any, *, leaves_after: int | None = None) -> list[Any]:
    """Make a request in the caller's own task, without a client that keeps anything.

    Args:
        app: The app.
        path: The path.
        body: The body, as JSON; None for a GET.
        leaves_after: The number of things that the client takes before it leaves; None if it stays.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET" if body is None else "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": HEADERS,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    content = b"" if body is None else json.dumps(body).encode()
    received = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Any] = []
    has_left = asyncio.Event()

    async def receive() -> Any:
        if received:
            return received.pop()
        await has_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if has_left.is_set():
            raise OSError
        sent.append(message)
        if len(sent) == leaves_after:
            has_left.set()

    if leaves_after == 0:
        asyncio.get_running_loop().call_later(0.1, has_left.set)
    await app(scope, receive, send)
    return sent


def asked(api: str, agent: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request to an agent."""
    messages = [{"role": "user", "content": "Hi"}]
    if api == "chat":
        return "/v1/chat/completions", {"model": agent, "stream": stream, "messages": messages}
    if api == "responses":
        return "/v1/responses", {"model": agent, "stream": stream, "input": "Hi", "store": False}
    if api == "anthropic":
        return "/v1/messages", {"model": agent, "stream": stream, "messages": messages, "max_tokens": 100}
    return f"/agents/{agent}", {"stream": stream, "messages": "Hi"}


def app() -> AgentApp:
    return agent_app([streamer, echo, waiting, model], auth=TOKEN, admin_auth=None)


APIS = ["native", "chat", "responses", "anthropic"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("agent", ["streamer", "echo", "model"])
@pytest.mark.parametrize("api", APIS)
async def test_a_request_leaves_no_reference_cycle(api: str, agent: str, *, stream: bool) -> None:
    served = app()
    path, body = asked(api, agent, stream=stream)

    async def once() -> None:
        assert (await request(served, path, body))[0]["status"] == 200

    async with served.lifespan():
        assert await garbage_of(once) == {}


@pytest.mark.parametrize("agent", ["streamer", "waiting", "model"])
@pytest.mark.parametrize("api", APIS)
async def test_a_client_that_leaves_its_stream_leaves_no_reference_cycle(api: str, agent: str) -> None:
    served = app()
    path, body = asked(api, agent, stream=True)

    async def once() -> None:
        await request(served, path, body, leaves_after=2)

    async with served.lifespan():
        assert await garbage_of(once) == {}


async def test_a_client_that_leaves_before_the_reply_leaves_no_reference_cycle() -> None:
    served = app()

    async def once() -> None:
        await request(served, *asked("native", "waiting", stream=False), leaves_after=0)

    async with served.lifespan():
        assert await garbage_of(once) == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/nothing", None),
        ("/healthz", None),
        ("/v1/models", None),
        ("/agents/nobody", {}),
        ("/agents/echo", {"messages": 1}),
        ("/agents/streamer", {"messages": "Hi", "conversation": "a-conversation"}),
        ("/agents/streamer", {"messages": "Hi", "stream": True, "keep": 0.001}),
    ],
)
async def test_other_requests_leave_no_reference_cycle(path: str, body: Any) -> None:
    served = app()

    async def once() -> None:
        await request(served, path, body)
        await asyncio.sleep(1)  # until a stream that was kept is dropped

    async with served.lifespan():
        assert await garbage_of(once) == {}
