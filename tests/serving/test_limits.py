"""Limits hold, also for what goes on without its client, and for clients that do not read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgent, TextMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import AgentApp, Limits, agent_app
from miniagents.ext.serving.reading import weight
from miniagents.testing import Reply, Script, ScriptedModel
from tests.actors.actors import turns
from tests.serving.agents import Held, echo, soon
from tests.serving.clients import Client
from tests.serving.servers import TOKEN


def app_of(*agents: MiniAgent, **limits: Any) -> AgentApp:
    return agent_app(agents, auth=TOKEN, admin_auth=None, grace=0.0, limits=Limits(**limits))


async def status(app: AgentApp, path: str, body: Any) -> int:
    client = Client(app, path, body)
    await client.asking
    return client.status


# Places


async def test_what_runs_in_the_background_has_its_place_until_it_ends() -> None:
    held = Held()
    async with (app := app_of(held.agent, echo, concurrent=1)).lifespan():
        assert await status(app, "/v1/responses", {"model": "held", "input": "Hi", "background": True}) == 200
        await soon(held.waiting)
        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 429

        held.let_go.set()
        await turns()

        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 200


async def test_a_stream_that_is_kept_has_its_place_until_its_call_ends() -> None:
    held = Held()
    async with (app := app_of(held.agent, echo, concurrent=1)).lifespan():
        client = Client(app, "/agents/held", {"stream": True, "keep": 5})
        await soon(held.waiting)
        client.go()
        await client.asking
        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 429

        await asyncio.sleep(6)  # it is forgotten, and cancelled

        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 200


async def test_a_call_that_takes_its_time_to_end_has_its_place_until_then() -> None:
    @miniagent
    async def tidy(ctx: InteractionContext) -> None:
        ctx.reply("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)

    async with (app := app_of(tidy, echo, concurrent=1)).lifespan():
        client = Client(app, "/agents/tidy", {"stream": True})
        await turns(20)
        client.go()
        await client.asking
        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 429

        await asyncio.sleep(3.1)

        assert await status(app, "/agents/echo", {"messages": "Hi"}) == 200


# The size of a reply


async def flood(_: object = None) -> AsyncIterator[str]:
    while True:
        yield "x" * 1000
        await asyncio.sleep(0)


@miniagent
async def talker(ctx: InteractionContext) -> None:
    async for piece in flood():
        ctx.reply(piece)


@miniagent
async def streamer(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=flood))


@miniagent
async def handing_on(ctx: InteractionContext) -> None:
    ctx.reply(flood())


@miniagent
async def deep(ctx: InteractionContext) -> None:
    ctx.reply(streamer.inquire())


@miniagent
async def deaf(ctx: InteractionContext) -> None:
    while True:
        try:
            ctx.reply("x" * 1000)
        except Exception:
            pass
        await asyncio.sleep(0)


TALKERS = [talker, streamer, handing_on, deep, deaf]


@pytest.mark.parametrize("agent", TALKERS, ids=lambda agent: agent.alias)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("conversation", [None, "one"])
async def test_a_reply_without_end_is_ended(agent: MiniAgent, stream: bool, conversation: str | None) -> None:
    async with (app := app_of(agent, reply=100_000)).lifespan():
        client = Client(app, f"/agents/{agent.alias}", {"stream": stream, "conversation": conversation})
        await asyncio.wait([client.asking], timeout=5)
        await turns(20)

        assert b'"code":"reply_too_large"' in client.body
        assert len(client.body) < 400_000
        assert app.system.interactions() == ()


@pytest.mark.parametrize("agent", TALKERS, ids=lambda agent: agent.alias)
async def test_a_reply_without_end_is_ended_in_the_background_too(agent: MiniAgent) -> None:
    async with (app := app_of(agent, reply=100_000)).lifespan():
        await Client(app, "/v1/responses", {"model": agent.alias, "input": "Hi", "background": True}).asking
        (run,) = app._service.runs._runs.values()
        await asyncio.sleep(5)

        assert run.replies.done()
        assert run.reading.size <= 100_000
        assert app.system.interactions() == ()


async def test_a_reply_that_is_as_large_as_it_may_be_is_answered() -> None:
    text = "ü" * 500
    for less in (0, 1):
        most = 100 + weight(f"You said: {text}") - less
        async with (app := app_of(echo, reply=most)).lifespan():
            assert await status(app, "/agents/echo", {"messages": text}) == (500 if less else 200)


# Clients that do not read


@pytest.mark.parametrize("agent", [streamer, handing_on, deep], ids=lambda agent: agent.alias)
@pytest.mark.parametrize("conversation", [None, "one"])
@pytest.mark.parametrize("path", ["/agents/{}", "/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_a_client_that_does_not_read_slows_its_agent_down(
    agent: MiniAgent, conversation: str | None, path: str
) -> None:
    async with (app := app_of(agent, ahead=20_000, send_timeout=None)).lifespan():
        body: dict[str, Any] = {"stream": True, "conversation": conversation}
        messages = [{"role": "user", "content": "Hi"}]
        if path == "/v1/responses":
            body |= {"model": agent.alias, "input": "Hi"}
        elif path.startswith("/v1"):
            body |= {"model": agent.alias, "messages": messages, "max_tokens": 9}
        client = Client(app, path.format(agent.alias), body, reads=False)
        await turns(500)
        (run,) = app._service.runs._runs.values()
        size = run.reading.size
        assert 20_000 < size < 25_000
        await asyncio.sleep(100)
        assert run.reading.size == size

        client.reads()
        await turns(500)
        assert run.reading.size > 100_000
        client.go()
        await client.asking


async def test_a_websocket_that_does_not_read_slows_its_agent_down() -> None:
    async with (app := app_of(streamer, ahead=20_000)).lifespan():
        client = Client(app, "/agents/streamer", is_socket=True)
        client.say(type="open")
        await turns(20)
        client.stops_reading()
        await turns(500)
        (run,) = app._service.runs._runs.values()
        size = run.reading.size
        await turns(500)
        assert run.reading.size == size < 50_000

        client.reads()
        await turns(500)
        assert run.reading.size > 100_000
        client.go()
        await client.asking


async def test_a_model_pauses_as_well_and_that_is_no_silence_of_its_provider() -> None:
    script = Script(Reply(" ".join(["word"] * 1000), delay=0.01))
    model = ScriptedModel.fork(script=script, idle_timeout=1.0)
    async with (app := app_of(model, ahead=2_000, send_timeout=None)).lifespan():
        client = Client(app, "/agents/ScriptedModel", {"messages": "Hi", "stream": True}, reads=False)
        await asyncio.sleep(100)
        (run,) = app._service.runs._runs.values()
        assert run.reading.size < 5_000

        client.reads()
        await client.asking
        assert client.body.count(b"event: token") == 1000
        assert b"event: end" in client.body
    assert len(script.requests) == 1


async def test_what_a_client_waits_for_comes_however_much_of_what_comes_later_waits_for_it() -> None:
    @miniagent
    async def summing_up(ctx: InteractionContext) -> None:
        async def long(_: object) -> AsyncIterator[str]:
            for _ in range(100):
                yield "x" * 1000
                await asyncio.sleep(0)

        async def short(_: object) -> AsyncIterator[str]:
            yield "In short: "
            yield str(len(str(await later)))

        later = TextMessage.promise(message_token_streamer=long)
        ctx.reply([TextMessage.promise(message_token_streamer=short), later])

    async with (app := app_of(summing_up, ahead=5_000)).lifespan():
        client = Client(app, "/agents/summing_up", {"stream": True}, slow=0.01)
        await asyncio.wait([client.asking], timeout=60)

    assert b'"text":"100000"' in client.body
    assert b"event: end" in client.body


async def test_a_reader_that_reads_keeps_a_kept_stream_going_beside_one_that_does_not() -> None:
    async with (app := app_of(streamer, ahead=20_000, reply=500_000, send_timeout=None)).lifespan():
        stuck = Client(app, "/agents/streamer", {"stream": True, "keep": 60}, reads=False)
        await turns(300)
        (run,) = app._service.runs._runs.values()
        assert run.reading.size < 25_000

        reader = Client(app, f"/agents/streamer/streams/{run.id}")
        await asyncio.wait([reader.asking], timeout=60)

        assert b"reply_too_large" in reader.body
        stuck.go()
        await stuck.asking


@pytest.mark.parametrize("limit", [{"reply": 0}, {"ahead": -1}])
def test_limits_are_checked(limit: Any) -> None:
    with pytest.raises(InvalidOptionError):
        Limits(**limit)
