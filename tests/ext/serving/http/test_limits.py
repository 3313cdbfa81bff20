"""Limits hold, also for what goes on without its client, and for clients that do not read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgent, TextMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import AgentApp, Limits, MemoryResponses, agent_app
from miniagents.ext.serving.http.reply_reading import weight
from miniagents.testing import Reply, Script, ScriptedModel
from tests.actors.actors import turns
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


def app_of(*agents: Any, **limits: Any) -> AgentApp:
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


@miniagent
async def patient(ctx: InteractionContext) -> None:
    while True:
        await ctx.reply("x" * 1000)


@miniagent
async def above_patient(ctx: InteractionContext) -> None:
    ctx.reply(patient.inquire())


@miniagent
async def above_deaf(ctx: InteractionContext) -> None:
    ctx.reply(["Listen:", deaf.inquire()])


@miniagent
async def both(ctx: InteractionContext) -> None:
    ctx.reply(flood())
    while True:
        await ctx.reply_out_of_order("x" * 1000)


@miniagent
async def breathless(ctx: InteractionContext) -> None:
    while True:
        ctx.reply("x" * 1000)


TALKERS = [talker, streamer, handing_on, deep, deaf, patient, above_patient, above_deaf, both, breathless]
PATIENT = [streamer, handing_on, deep, patient, above_patient, both]


@pytest.mark.parametrize("agent", TALKERS, ids=lambda agent: agent.alias)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("conversation", [None, "one"])
async def test_a_reply_without_end_is_ended(agent: MiniAgent, stream: bool, conversation: str | None) -> None:
    async with (app := app_of(agent, reply=100_000)).lifespan():
        client = Client(app, f"/agents/{agent.alias}", {"stream": stream, "conversation": conversation})
        await asyncio.wait([client.asking], timeout=5)
        await turns(20)

        assert b'"code":"reply_too_large"' in client.body
        assert f"The reply of '{agent.alias}' is larger than 100000 bytes".encode() in client.body
        assert len(client.body) < 400_000
        assert app.system.interactions() == ()


@pytest.mark.parametrize("agent", TALKERS[:-1], ids=lambda agent: agent.alias)
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


@pytest.mark.parametrize("agent", PATIENT, ids=lambda agent: agent.alias)
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


# What is kept


async def test_each_key_has_its_own_room_for_responses() -> None:
    store = MemoryResponses(most=2)
    app = agent_app(echo, auth={"ann": "ann-token", "bob": "bob-token"}, admin_auth=None, responses=store)

    async def respond(token: str) -> str:
        body = {"model": "echo", "input": "Hi"}
        client = Client(app, "/v1/responses", body, headers={"authorization": f"Bearer {token}"})
        await client.asking
        return str(json.loads(client.body)["id"])

    async with app.lifespan():
        bobs = await respond("bob-token")
        anns = [await respond("ann-token") for _ in range(5)]

        assert await store.get(bobs) is not None
        assert [await store.get(id) is not None for id in anns] == [False, False, False, True, True]


async def test_large_responses_push_out_the_oldest() -> None:
    @miniagent
    async def brief(ctx: InteractionContext) -> None:
        ctx.reply("y" * 1000)

    store = MemoryResponses(size=10_000)
    app = agent_app(brief, auth=TOKEN, admin_auth=None, responses=store)
    async with app.lifespan():
        ids: list[str] = []

        async def respond(length: int, previous: str | None = None) -> list[bool]:
            body = {"model": "brief", "input": "x" * length, "previous_response_id": previous}
            client = Client(app, "/v1/responses", body)
            await client.asking
            ids.append(json.loads(client.body)["id"])
            return [await store.get(id) is not None for id in ids]

        assert await respond(1000) == [True]
        assert await respond(1000, ids[0]) == [True, True]
        assert await respond(1000, ids[1]) == [False, False, True]  # it holds what those were about
        assert await respond(1000) == [False, False, True, True]
        assert await respond(3500) == [False, False, False, True, True]


async def test_a_response_that_is_larger_than_all_may_be_stays_as_long_as_it_is_the_newest() -> None:
    store = MemoryResponses(size=1_000)
    app = agent_app(echo, auth=TOKEN, admin_auth=None, responses=store)
    async with app.lifespan():
        ids = []
        for text in ("a" * 2000, "b" * 2000):
            client = Client(app, "/v1/responses", {"model": "echo", "input": text})
            await client.asking
            ids.append(json.loads(client.body)["id"])

        assert [await store.get(id) is not None for id in ids] == [False, True]


async def test_each_key_has_its_own_room_for_kept_streams() -> None:
    app = agent_app(echo, auth={"ann": "ann-token", "bob": "bob-token"}, admin_auth=None, limits=Limits(kept=1))

    async def keep(token: str) -> int:
        body = {"messages": "Hi", "stream": True, "keep": 60}
        client = Client(app, "/agents/echo", body, headers={"authorization": f"Bearer {token}"})
        await client.asking
        return client.status

    async with app.lifespan():
        assert [await keep("ann-token"), await keep("bob-token"), await keep("ann-token")] == [200, 200, 429]
        await asyncio.sleep(61)
        assert await keep("ann-token") == 200


async def test_kept_streams_that_are_too_large_while_they_run_leave_no_room_for_others() -> None:
    held = Held()
    async with (app := app_of(held.agent, kept_bytes=1)).lifespan():
        first = Client(app, "/agents/held", {"stream": True, "keep": 60})
        await soon(held.waiting)
        assert await status(app, "/agents/held", {"stream": True, "keep": 60}) == 429
        held.let_go.set()
        await first.asking


async def test_large_kept_streams_push_out_the_oldest_that_nobody_reads() -> None:
    async with (app := app_of(echo, kept_bytes=5_000)).lifespan():
        found = []
        for _ in range(3):
            client = Client(app, "/agents/echo", {"messages": "x" * 2000, "stream": True, "keep": 60})
            await client.asking
            found.append(client.body.split(b'"stream":"')[1].split(b'"')[0].decode())

        again = [Client(app, f"/agents/echo/streams/{id}") for id in found]
        await asyncio.gather(*(client.asking for client in again))

    assert [client.status for client in again] == [404, 200, 200]


async def test_idle_instances_of_a_key_are_bounded() -> None:
    gone = []

    @miniagent
    class Clerk:
        def __init__(self) -> None:
            self.calls = 0

        async def __call__(self, ctx: InteractionContext) -> None:
            self.calls += 1
            ctx.reply(str(self.calls))

        def __del__(self) -> None:
            gone.append(self.calls)

    async with (app := app_of(Clerk, instances=2)).lifespan():

        async def say(id: str) -> str:
            client = Client(app, "/agents/Clerk", {"messages": "Hi", "conversation": id})
            await client.asking
            return str(json.loads(client.body)["messages"][0]["text"])

        assert [await say(id) for id in ("a", "b", "a", "c")] == ["1", "1", "2", "1"]
        assert len(app._service.turns._live) == 2
        assert [await say(id) for id in ("a", "c", "b")] == ["3", "2", "1"]  # b was not used for longest
        assert len(app._service.turns._live) == 2
        await asyncio.sleep(601)
        assert not app._service.turns._live
        assert not app._service.turns._idle_of


async def test_without_room_for_idle_instances_each_turn_has_a_fresh_one() -> None:
    @miniagent
    class Clerk:
        def __init__(self) -> None:
            self.calls = 0

        async def __call__(self, ctx: InteractionContext) -> None:
            self.calls += 1
            ctx.reply(str(self.calls))

    async with (app := app_of(Clerk, instances=0)).lifespan():
        for _ in range(2):
            client = Client(app, "/agents/Clerk", {"messages": "Hi", "conversation": "a"})
            await client.asking
            assert json.loads(client.body)["messages"][0]["text"] == "1"


# WebSockets


async def test_a_websocket_takes_so_much_in_all() -> None:
    async with (app := app_of(echo, socket=1_000)).lifespan():
        client = Client(app, "/agents/echo", is_socket=True)
        for _ in range(20):
            client.say(type="message", content="x" * 100)
        await client.asking

    assert client.events[-1]["error"]["code"] == "too_large"
    assert client.sent[-1]["code"] == 4413


async def test_a_websocket_that_waits_for_its_turn_takes_so_much_in_all() -> None:
    held = Held()
    async with (app := app_of(held.agent, socket=1_000)).lifespan():
        first = Client(app, "/agents/held", {"messages": "Hi", "conversation": "one"})
        await soon(held.waiting)
        client = Client(app, "/agents/held", is_socket=True)
        client.say(type="open", conversation="one")
        for _ in range(20):
            client.say(type="message", content="x" * 100)
        await client.asking
        assert client.sent[-1]["code"] == 4413
        held.let_go.set()
        await first.asking


async def test_a_websocket_that_reads_nothing_counts_as_gone() -> None:
    async with (app := app_of(streamer, send_timeout=5)).lifespan():
        client = Client(app, "/agents/streamer", is_socket=True)
        client.say(type="open")
        await turns(20)
        client.stops_reading()
        await asyncio.wait([client.asking], timeout=6)
        await turns()

        assert client.asking.done()
        assert app.system.interactions() == ()


@pytest.mark.parametrize("limit", [{"reply": 0}, {"ahead": -1}, {"kept_bytes": 0}, {"socket": 0}, {"instances": -1}])
def test_limits_are_checked(limit: Any) -> None:
    with pytest.raises(InvalidOptionError):
        Limits(**limit)
