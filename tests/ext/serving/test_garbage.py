"""Requests that have ended leave no reference cycles, however they ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import InteractionContext, TextMessage, TextToken, miniagent
from miniagents.ext.serving import AgentApp, agent_app
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.direct import request
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
