"""Streams of events, to clients that take their time."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import Limits, agent_app
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.reply_reading import Reading
from miniagents.ext.serving.http.streaming import End, EventStream
from miniagents.ext.wire.sse import PING
from tests.ext.serving.agents import Held, speller
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN

PAUSES = [tenth / 10 for tenth in range(30)]


def streamed(events: AsyncGenerator[Any, None], **options: Any) -> EventStream:
    """A stream of events with the usual options, unless others are given. A failure is an event with its text."""
    usual: dict[str, Any] = {
        "problem": lambda error: Problem(500, str(error)),
        "as_event": lambda problem: problem.message.encode(),
        "limits": Limits(),
        "gone": lambda: None,
    }
    return EventStream(events, Reading().reader(), **{**usual, **options})


@pytest.mark.parametrize("pause", PAUSES)
async def test_a_ping_never_comes_inside_of_an_error(pause: float) -> None:
    @miniagent
    async def fails(ctx: InteractionContext) -> None:
        await asyncio.sleep(pause)
        raise ValueError

    limits = Limits(head_wait=0.7, ping=0.3, send_timeout=None)
    async with (app := agent_app(fails, auth=TOKEN, admin_auth=None, limits=limits)).lifespan():
        client = Client(app, "/agents/fails", {"stream": True}, slow=0.5)
        await client.asking

    assert client.overlaps == []
    if client.status == 500:
        assert json.loads(client.body)["error"]["code"] == "agent_failed"
        assert len(client.body) == int(dict(client.sent[0]["headers"])[b"content-length"])
    else:
        assert client.body.rstrip().split(b"\n\n")[-1].startswith(b"id: ")
        assert b"agent_failed" in client.body.rstrip().split(b"\n\n")[-1]


@pytest.mark.parametrize("pause", PAUSES)
async def test_events_come_in_their_order_however_slow_the_client_is(pause: float) -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b"prelude "
        await asyncio.sleep(pause)
        for number in range(5):
            yield b"%d " % number
            await asyncio.sleep(0.1)

    client = Client(
        streamed(events(), limits=Limits(head_wait=0.7, ping=0.3, send_timeout=None), prelude=1), "/", slow=0.5
    )
    await client.asking

    assert client.overlaps == []
    assert client.body.replace(PING, b"") == b"prelude 0 1 2 3 4 "
    assert [message["type"] for message in client.sent].count("http.response.start") == 1
    assert [message.get("more_body", True) for message in client.sent].index(False) == len(client.sent) - 1


async def test_an_end_is_the_last_part_of_the_response_and_nothing_comes_after_it() -> None:
    is_closed = False

    async def events() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            yield b"one "
            yield End(b"two")
            yield b"three"
        finally:
            is_closed = True

    gone: list[str] = []

    client = Client(streamed(events(), gone=lambda: gone.append("gone")), "/")
    await client.asking

    assert client.sent[1:] == [
        {"type": "http.response.body", "body": b"one ", "more_body": True},
        {"type": "http.response.body", "body": b"two", "more_body": False},
    ]
    assert (is_closed, gone) == (True, [])


async def test_events_that_fail_end_the_call_and_the_failure_is_the_last_part() -> None:
    async def events() -> AsyncGenerator[int, None]:
        yield 1
        yield 0

    gone: list[str] = []

    client = Client(
        streamed(events(), write=lambda number: b"%d " % (1 / number), gone=lambda: gone.append("gone")), "/"
    )
    await client.asking

    assert gone == ["gone"]
    assert client.sent[1:] == [
        {"type": "http.response.body", "body": b"1 ", "more_body": True},
        {"type": "http.response.body", "body": b"division by zero", "more_body": False},
    ]


async def test_an_event_that_writes_nothing_is_left_out() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b""
        yield b"one"

    client = Client(streamed(events(), write=bytes), "/")
    await client.asking

    assert [message.get("body") for message in client.sent] == [None, b"one", b""]


async def test_the_head_comes_after_a_while_whatever_the_prelude_has_said() -> None:
    @miniagent
    async def silent(ctx: InteractionContext) -> None:
        await asyncio.Event().wait()

    async with (app := agent_app(silent, auth=TOKEN, admin_auth=None, limits=Limits(head_wait=0.7))).lifespan():
        client = Client(app, "/agents/silent", {"stream": True})
        await asyncio.sleep(0.69)
        assert client.sent == []
        await asyncio.sleep(0.02)
        assert b"event: open" in client.body
        client.go()
        await client.asking


@pytest.mark.parametrize("seconds", [1.5, 0.0])
async def test_a_kept_stream_that_is_read_as_the_service_ends_leaves_no_timer(seconds: float) -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=0.0)
    async with app.lifespan():
        client = Client(app, "/agents/held", {"stream": True, "keep": 60}, slow=seconds)
        await held.waiting.wait()
    await client.asking

    loop: Any = asyncio.get_running_loop()
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []


async def test_a_client_that_takes_one_event_at_a_time_is_not_taken_for_gone() -> None:
    limits = Limits(send_timeout=1.0, ping=0.3)
    async with (app := agent_app(speller, auth=TOKEN, admin_auth=None, limits=limits)).lifespan():
        client = Client(app, "/agents/speller", {"messages": "abcdefgh", "stream": True}, slow=0.9)
        await client.asking

    assert b"event: end" in client.body


async def test_a_server_that_breaks_the_connection_in_a_way_of_its_own_is_heard() -> None:
    async def receive() -> Any:
        raise RuntimeError("the connection is in no state to be read")

    closed: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    stream = streamed(events(), gone=lambda: closed.append("gone"))

    async def send(message: Any) -> None:
        """Takes everything."""

    with pytest.raises(RuntimeError, match="in no state"):
        await stream({"type": "http"}, receive, send)
    assert closed == ["gone"]
