"""An agent that would end the process ends its request alone."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from miniagents import InteractionContext, TextMessage, miniagent
from miniagents.ext.serving import AgentApp, agent_app
from tests.ext.serving.agents import echo
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN

ENDS: dict[str, Callable[[], object]] = {
    "sys.exit": lambda: sys.exit(3),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
}
REQUESTS: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "plain": lambda name: (f"/agents/{name}", {"messages": "Hi"}),
    "chat": lambda name: ("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}]}),
    "response": lambda name: ("/v1/responses", {"model": name, "input": "Hi"}),
    "message": lambda name: (
        "/v1/messages",
        {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    ),
}


def _raise(error: BaseException) -> None:
    raise error


def app_of(end: Callable[[], object]) -> AgentApp:
    @miniagent
    async def at_once(ctx: InteractionContext) -> None:
        end()

    @miniagent
    async def afterwards(ctx: InteractionContext) -> None:
        ctx.reply("Well")
        await asyncio.sleep(1)
        end()

    @miniagent
    async def in_a_stream(ctx: InteractionContext) -> None:
        async def tokens(_: object) -> AsyncIterator[str]:
            yield "Well"
            await asyncio.sleep(1)
            end()

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    @miniagent
    async def below(ctx: InteractionContext) -> None:
        ctx.reply(at_once.inquire())

    return agent_app([at_once, afterwards, in_a_stream, below, echo], auth=TOKEN, admin_auth=None)


@pytest.mark.parametrize("conversation", [None, "one"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("name", ["at_once", "afterwards", "in_a_stream", "below"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_an_agent_that_would_end_the_process_fails_its_request_alone(
    end: Callable[[], object], name: str, request_of: Any, stream: bool, conversation: str | None, log: list[Any]
) -> None:
    async with (app := app_of(end)).lifespan():
        (path, body), (other_path, other_body) = request_of(name), request_of("echo")
        client = Client(app, path, {**body, "stream": stream, "conversation": conversation})
        neighbour = Client(app, other_path, {**other_body, "stream": stream})
        await asyncio.wait([client.asking, neighbour.asking])

    assert b"You said" in neighbour.body
    if client.status == 200:  # it had said something
        assert stream
        assert b"The agent failed." in client.body
    else:
        assert client.status == 500
        assert b"The agent failed." in client.body
    assert len([entry for entry in log if entry["event"] == "service.agent_failed"]) == 1


@pytest.mark.parametrize("name", ["at_once", "afterwards", "in_a_stream", "below"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_over_a_websocket_it_fails_its_call_alone(end: Callable[[], object], name: str) -> None:
    async with (app := app_of(end)).lifespan():
        client = Client(app, f"/agents/{name}", is_socket=True)
        client.say(type="finish")
        await client.asking

    assert client.events[-1]["error"]["code"] == "agent_failed"
    assert client.sent[-1]["code"] == 4500


@pytest.mark.parametrize("name", ["at_once", "afterwards", "in_a_stream"])
async def test_in_the_background_its_response_has_failed(name: str) -> None:
    async with (app := app_of(ENDS["sys.exit"])).lifespan():
        begun = Client(app, "/v1/responses", {"model": name, "input": "Hi", "background": True})
        await begun.asking
        await asyncio.sleep(2)
        (id,) = app._responses._store._where  # type: ignore[attr-defined]
        found = Client(app, f"/v1/responses/{id}")
        streamed = Client(app, f"/v1/responses/{id}?stream=true")
        await asyncio.wait([found.asking, streamed.asking])

    assert b'"status":"failed"' in found.body
    assert b"event: response.failed" in streamed.body
