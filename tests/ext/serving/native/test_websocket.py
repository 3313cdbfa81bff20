"""`/agents/{name}` as a WebSocket: full duplex."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from miniagents import DataMessage, InteractionContext, miniagent
from miniagents.ext.serving import Limits, agent_app
from tests.ext.serving.agents import Held, echo, failing, soon, speller, weather
from tests.ext.serving.servers import AUTH, TOKEN, served

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def socket_of(agent: Any, name: str, **options: Any) -> AsyncIterator[websockets.ClientConnection]:
    app = agent_app(agent, auth=TOKEN, admin_auth=None, **options)
    async with (
        served(app) as url,
        websockets.connect(f"{url.replace('http', 'ws')}/agents/{name}", additional_headers=AUTH) as socket,
    ):
        yield socket


async def say(socket: websockets.ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def rest_of(socket: websockets.ClientConnection) -> list[Any]:
    """All events until the socket is closed."""
    found = []
    try:
        async for frame in socket:
            found.append(json.loads(frame))
    except websockets.ConnectionClosedError:
        pass
    return found


async def test_replies_come_while_messages_still_go_in() -> None:
    async with socket_of(echo, "echo") as socket:
        for text in ("one", "two"):
            await say(socket, type="message", content=text)
            while (event := json.loads(await socket.recv()))["type"] != "message":
                pass
            assert event["message"]["text"] == f"You said: {text}"
        await say(socket, type="finish")
        rest = await rest_of(socket)

    assert [event["type"] for event in rest] == ["end"]
    assert socket.close_code == 1000


async def test_tokens_come_as_they_are_said() -> None:
    async with socket_of(speller, "speller") as socket:
        await say(socket, type="message", content="Hi")
        await say(socket, type="finish")
        events = await rest_of(socket)

    assert [event["type"] for event in events] == ["open", "token", "token", "message", "end"]
    assert [event["text"] for event in events[1:3]] == ["H", "i"]


async def test_messages_have_roles_or_data() -> None:
    got: list[Any] = []

    @miniagent
    async def clerk(ctx: InteractionContext) -> None:
        got.extend(await ctx.message_promises)

    async with socket_of(clerk, "clerk") as socket:
        await say(socket, type="message", content="Be brief.", role="system")
        await say(socket, type="message", data={"a": 1})
        await say(socket, type="finish")
        await rest_of(socket)

    assert got[0].role == "system"
    assert got[1] == DataMessage({"a": 1})


async def test_arguments_come_first() -> None:
    async with socket_of(weather, "weather") as socket:
        await say(socket, type="open", arguments={"city": "Paris"})
        await say(socket, type="finish")
        events = await rest_of(socket)

    assert next(e for e in events if e["type"] == "message")["message"]["data"]["city"] == "Paris"


async def test_a_client_cancels_its_call() -> None:
    held = Held()
    async with socket_of(held.agent, "held") as socket:
        await say(socket, type="open")
        await soon(held.waiting)
        await say(socket, type="cancel")
        events = await rest_of(socket)

    assert held.cancelled.is_set()
    assert events[-1]["error"]["code"] == "cancelled"
    assert socket.close_code == 4409


async def test_a_failure_is_the_last_event_and_the_code_has_its_status() -> None:
    async with socket_of(failing, "failing") as socket:
        await say(socket, type="finish")
        events = await rest_of(socket)

    assert events[-1] == {
        "type": "error",
        "error": {"message": "The agent failed.", "type": "server_error", "param": None, "code": "agent_failed"},
        "request_id": events[-1]["request_id"],
    }
    assert socket.close_code == 4500


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        (["{"], 400),
        (["5"], 422),
        (["[]"], 422),
        (["{}"], 422),
        (['{"type": "shout"}'], 422),
        (['{"type": "message"}'], 422),
        (['{"type": "message", "content": 5}'], 422),
        (['{"type": "open", "arguments": {"city": "Paris"}}'], 422),
        (['{"type": "open"}', '{"type": "open"}'], 400),
        (['{"type": "open"}', "{"], 400),
        (['{"type": "open"}', b"\x00\x01"], 400),
        ([b"{}"], 400),
        (['{"type": "message", "data": {"a": [[[[[[]]]]]]}}'], 400),
        (['{"type": "message", "content": "a"}'] * 4, 400),
        (['{"type": "message", "content": "' + "a" * 2000 + '"}'], 413),
        (['{"type": "finish"}', '{"type": "message", "content": "a"}'], 400),
    ],
)
async def test_what_is_no_frame_ends_the_call(frames: list[Any], status: int) -> None:
    held = Held()
    limits = Limits(messages=3, depth=5, body=1000)
    async with socket_of(held.agent, "held", limits=limits) as socket:
        for frame in frames:
            await socket.send(frame)
        events = await rest_of(socket)

    assert events[-1]["type"] == "error"
    assert socket.close_code == 4000 + status
    if held.waiting.is_set():
        await soon(held.cancelled)


async def test_a_deadline_ends_the_call() -> None:
    held = Held()
    async with socket_of(held.agent, "held", limits=Limits(request_timeout=0.01)) as socket:
        await say(socket, type="open")
        await rest_of(socket)

    assert socket.close_code == 4504


async def test_an_unknown_agent_is_a_404_before_the_handshake() -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with socket_of(echo, "nobody"):
            pass

    assert caught.value.response.status_code == 404


async def test_open_sockets_count_among_the_requests_of_their_key() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, limits=Limits(concurrent=1))
    async with served(app) as url:
        address = f"{url.replace('http', 'ws')}/agents/held"
        async with websockets.connect(address, additional_headers=AUTH) as socket:
            await say(socket, type="open")
            await soon(held.waiting)
            with pytest.raises(websockets.InvalidStatus) as caught:
                await asyncio.wait_for(websockets.connect(address, additional_headers=AUTH), 10)
    assert caught.value.response.status_code == 429
