"""Agents in routes of one's own: errors of ours are answers, and a promise is a stream of events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from miniagents import InteractionContext, MiniAgent, MiniAgents, TextMessage, TextToken, miniagent
from miniagents.errors import (
    ActorStoppedError,
    AnswerRefusedError,
    BudgetExceededError,
    InvalidOptionError,
    MailboxFullError,
    MiniAgentsError,
    ProviderUnavailableError,
    RateLimitedError,
)
from miniagents.ext.llms.sound import sound
from miniagents.ext.serving import AgentApp, Limits, agent_app, sse
from miniagents.ext.serving.http.access_log import AccessLog
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.wire.sse import PING, EventDecoder
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.actors.actors import turns
from tests.ext.serving.agents import Held, echo, failing, soon, speller
from tests.ext.serving.clients import Client
from tests.ext.serving.http.test_limits import TALKERS, streamer
from tests.ext.serving.native.test_fuzz import in_virtual_time
from tests.ext.serving.servers import TOKEN, served
from tests.ext.serving.test_leaving import AGENTS as LEAVING
from tests.ext.serving.test_leaving import TURNS, assert_nothing_left, goes, is_cut


def app_of(route: Any, agents: AgentApp | None = None, path: str = "/route") -> FastAPI:
    """A FastAPI app with one route of its own."""
    app = FastAPI(exception_handlers=(agents or agent_app(echo, auth=None, admin_auth=None)).exception_handlers)
    app.get(path, response_model=None)(route)
    return app


def raising(error: BaseException) -> Any:
    async def route() -> Any:
        raise error

    return route


def events_in(body: bytes) -> list[Any]:
    decoder = EventDecoder()
    read = decoder.feed(body) + decoder.end()
    events = [json.loads(data) for _, data in read]
    assert [kind for kind, _ in read] == [event["type"] for event in events]
    return events


# Errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (MailboxFullError("/a: full"), 429, "mailbox_full"),
        (ActorStoppedError("/a: stopped"), 503, "unavailable"),
        (BudgetExceededError("/a: spent"), 402, "budget_exceeded"),
        (RateLimitedError("/a: later", retry_after=7.0), 429, "rate_limit_exceeded"),
        (ProviderUnavailableError("/a: down"), 502, "model_failed"),
        (AnswerRefusedError("the wait has an answer", reason="taken", by="ann"), 409, "taken"),
        (AnswerRefusedError("nothing waits for that", reason="unknown"), 404, "wait_not_found"),
        (Problem(413, "too large", code="too_large"), 413, "too_large"),
        (MiniAgentsError("/a: the password is 1234"), 500, "agent_failed"),
    ],
)
@pytest.mark.parametrize("framework", [FastAPI, Starlette])
async def test_our_errors_have_their_status_in_routes_of_ones_own(
    error: Exception, status: int, code: str, framework: Any
) -> None:
    async def route(request: Request) -> Response:
        raise error

    handlers = agent_app(echo, auth=None, admin_auth=None).exception_handlers
    client = Client(framework(routes=[Route("/route", route)], exception_handlers=handlers), "/route")
    await client.asking

    assert client.status == status
    failure = json.loads(client.body)["error"]
    assert failure["code"] == code
    assert "1234" not in failure["message"]
    if isinstance(error, RateLimitedError):
        assert dict(client.sent[0]["headers"])[b"retry-after"] == b"7"


async def test_other_errors_of_a_route_stay_its_own() -> None:
    client = Client(app_of(raising(fastapi.HTTPException(418, {"a": "teapot"}))), "/route")
    await client.asking
    assert (client.status, json.loads(client.body)) == (418, {"detail": {"a": "teapot"}})

    client = Client(app_of(raising(ValueError("mine"))), "/route")
    with pytest.raises(ValueError, match="mine"):
        await client.asking


async def test_what_starlette_answers_in_the_app_of_agents_has_our_form_still() -> None:
    async with (agents := agent_app(echo, auth=None, admin_auth=None)).lifespan():
        client = Client(agents, "/nowhere")
        await client.asking

    assert (client.status, "error" in json.loads(client.body)) == (404, True)
    assert HTTPException not in agents.exception_handlers


async def test_texts_are_shown_where_the_app_shows_them() -> None:
    agents = agent_app(echo, auth=None, admin_auth=None, shows_errors=True)
    client = Client(app_of(raising(MiniAgentsError("/a: this is why")), agents), "/route")
    await client.asking

    assert json.loads(client.body)["error"]["message"] == "MiniAgentsError: /a: this is why"


async def test_the_log_says_which_agent_it_was_and_why() -> None:
    with capture_logs() as logs:
        await Client(app_of(raising(MiniAgentsError("why", path="/shop/clerk"))), "/route").asking

    (entry,) = logs
    assert (entry["actor"], entry["error"]) == ("/shop/clerk", "MiniAgentsError('why')")


@pytest.mark.parametrize("accepts", [True, False])
async def test_our_errors_end_a_websocket_of_ones_own(accepts: bool) -> None:
    app = FastAPI(exception_handlers=agent_app(echo, auth=None, admin_auth=None).exception_handlers)

    @app.websocket("/route")
    async def route(socket: WebSocket) -> None:
        if accepts:
            await socket.accept()
        raise MailboxFullError("/a: full")

    client = Client(app, "/route", is_socket=True)
    await client.asking

    if accepts:
        assert client.events[-1]["error"]["code"] == "mailbox_full"
        assert client.sent[-1]["code"] == 4429
    else:
        assert client.sent[0]["status"] == 429


# Streams


def direct(promise: Any, **options: Any) -> Any:
    return sse(promise, **options)


def wrapped(promise: Any, **options: Any) -> Any:
    return StreamingResponse(sse(promise, **options), media_type="text/event-stream")


WAYS = pytest.mark.parametrize("way", [direct, wrapped])


async def streamed(make: Any, way: Any, **options: Any) -> Client:
    async with MiniAgents():

        async def route() -> Any:
            return way(make(), **options)

        client = Client(app_of(route), "/route")
        await client.asking
    return client


@WAYS
async def test_a_promise_is_a_stream_of_the_events_of_its_call(way: Any) -> None:
    client = await streamed(lambda: speller.inquire("ab"), way)

    opened, *events = events_in(client.body)
    assert dict(client.sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert (opened["type"], opened["stream"]) == ("open", None)
    assert opened["interaction"] >= 1
    message = {"type": "TextMessage", "text": "ab", "role": None, "kind": "text"}
    assert events == [
        {"type": "token", "index": 0, "text": "a", "kind": "text"},
        {"type": "token", "index": 0, "text": "b", "kind": "text"},
        {"type": "message", "index": 0, "message": message},
        {"type": "end", "usage": {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cost": 0.0}},
    ]


TOKENS = ["\n", "\r", "\r\n", "\n\n", "", " ", "data: x\n\n", "\u2028", "\x00", "a\n\nevent: error\ndata: b"]


@WAYS
@pytest.mark.parametrize("token", TOKENS)
async def test_a_token_arrives_whole_whatever_is_in_it(way: Any, token: str) -> None:
    async def tokens(_: object) -> AsyncIterator[TextToken]:
        for text in (token, "x", token):
            yield TextToken(text)

    @miniagent
    async def speaks(ctx: InteractionContext) -> None:
        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    events = events_in((await streamed(speaks.inquire, way)).body)

    assert [one["text"] for one in events if one["type"] == "token"] == [text for text in (token, "x", token) if text]
    assert [one["message"]["text"] for one in events if one["type"] == "message"] == [f"{token}x{token}"]


@WAYS
async def test_one_message_and_an_answer_are_streams_too(way: Any) -> None:
    for make in (lambda: echo.inquire("Hi").answer(), lambda: echo.inquire("Hi").as_single_text_promise()):
        events = events_in((await streamed(make, way)).body)

        assert [one["type"] for one in events] == ["open", "token", "message", "end"]
        assert events[1]["text"] == "You said: Hi"


@WAYS
async def test_models_below_are_metered_and_tools_are_hidden_unless_they_are_exposed(way: Any) -> None:
    def look() -> str:
        return "rows"

    for expose, kinds in (((), ["text"]), (("tools",), ["tool_calls", "tool_result", "text"])):
        model = ScriptedModel.fork(script=Script(Reply(calls=(Call("look"),)), "Fine."), tools=[look])
        events = events_in((await streamed(lambda: model.inquire("Hi"), way, expose=expose)).body)  # noqa: B023

        assert [one["message"]["kind"] for one in events if one["type"] == "message"] == kinds
        assert events[-1]["usage"]["output_tokens"] > 0


def test_what_cannot_be_exposed_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="secrets"):
        sse(None, expose=("secrets",))  # type: ignore[arg-type]


async def test_what_fails_before_anything_was_said_has_its_status() -> None:
    client = await streamed(failing.inquire, direct)

    assert client.status == 500
    assert json.loads(client.body)["error"]["code"] == "agent_failed"
    assert b"1234" not in client.body


async def test_what_fails_in_a_response_of_another_kind_is_its_last_event() -> None:
    client = await streamed(failing.inquire, wrapped)

    assert client.status == 200
    assert [one["type"] for one in events_in(client.body)] == ["open", "error"]
    assert b"1234" not in client.body


@WAYS
@pytest.mark.parametrize("ending", [ValueError("the password is 1234"), SystemExit(3), RateLimitedError("/a: later")])
async def test_what_fails_in_the_middle_is_the_last_event(way: Any, ending: BaseException) -> None:
    @miniagent
    async def breaks(ctx: InteractionContext) -> None:
        ctx.reply("So")
        await asyncio.sleep(1)
        raise ending

    client = await streamed(breaks.inquire, way)

    *_, message, failure = events_in(client.body)
    assert message["message"]["text"] == "So"
    assert failure["type"] == "error"
    assert failure["error"]["code"] == (
        "rate_limit_exceeded" if isinstance(ending, MiniAgentsError) else "agent_failed"
    )
    assert b"1234" not in client.body


@WAYS
async def test_a_client_may_see_the_text_of_an_error(way: Any) -> None:
    client = await streamed(failing.inquire, way, shows_errors=True)

    assert b"ValueError: the password is 1234" in client.body


@WAYS
async def test_a_silent_stream_is_kept_open(way: Any) -> None:
    @miniagent
    async def slow(ctx: InteractionContext) -> None:
        ctx.reply("So")
        await asyncio.sleep(40)
        ctx.reply("then")

    client = await streamed(slow.inquire, way)

    assert PING in client.body
    assert [one["type"] for one in events_in(client.body)] == ["open", "token", "message", "token", "message", "end"]


@WAYS
@pytest.mark.parametrize("view", ["replies", "answer"])
@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_client_that_goes_away_cancels_the_call(way: Any, view: str, version: str) -> None:
    held = Held()

    async def route() -> Any:
        replies = held.agent.inquire()
        return way(replies if view == "replies" else replies.answer())

    async with MiniAgents() as system:
        client = Client(app_of(route), "/route", version=version)
        await soon(held.waiting)
        client.go()

        await asyncio.wait([client.asking], timeout=60)  # a response that does not listen finds out by the next ping
        await soon(held.cancelled)
        assert system.interactions() == ()


@WAYS
async def test_a_call_goes_on_without_its_client_where_that_is_said(way: Any) -> None:
    held = Held()
    kept: list[Any] = []

    async def route() -> Any:
        kept.append(held.agent.inquire())
        return way(kept[0], cancels=False)

    async with MiniAgents():
        client = Client(app_of(route), "/route", version="2.3")
        await soon(held.waiting)
        client.go()
        await client.asking
        held.let_go.set()

        assert str(await kept[0]) == "begun\n\ndone"


@WAYS
async def test_two_clients_may_read_one_promise(way: Any) -> None:
    shared: list[Any] = []

    async def route() -> Any:
        if not shared:
            shared.append(speller.inquire("abc"))
        return way(shared[0])

    async with MiniAgents():
        app = app_of(route)
        first, second = Client(app, "/route"), Client(app, "/route")
        await asyncio.wait([first.asking, second.asking])
        late = Client(app, "/route")
        await late.asking

    assert first.body.count(b"event: token") == 3
    assert first.body.split(b"event: token")[1:] == second.body.split(b"event: token")[1:]
    assert late.body.split(b"event: token")[1:] == second.body.split(b"event: token")[1:]


@WAYS
@pytest.mark.parametrize("view", ["replies", "answer"])
async def test_a_client_that_does_not_read_slows_the_agent_down(way: Any, view: str) -> None:
    promises: list[Any] = []
    limits = Limits(ahead=20_000, send_timeout=None)

    async def route() -> Any:
        promises.append(streamer.inquire())
        return way(promises[0] if view == "replies" else promises[0].answer(), limits=limits)

    async with MiniAgents():
        client = Client(app_of(route), "/route", version="2.3")
        await turns(20)
        client.stops_reading()
        await turns(500)
        (message,) = promises[0].pieces
        size = len(message.pieces)
        assert size < 50
        await turns(500)
        assert len(message.pieces) == size

        client.reads()
        await turns(500)
        assert len(message.pieces) > 100
        client.go()
        await client.asking


@WAYS
@pytest.mark.parametrize("agent", TALKERS, ids=lambda agent: agent.alias)
@pytest.mark.parametrize("view", ["replies", "answer"])
async def test_a_reply_without_end_is_ended(way: Any, agent: MiniAgent, view: str) -> None:
    async def route() -> Any:
        replies = agent.inquire()
        return way(replies if view == "replies" else replies.answer(), limits=Limits(reply=100_000))

    async with MiniAgents() as system:
        client = Client(app_of(route), "/route")
        await client.asking
        await turns(20)

        assert b'"code":"reply_too_large"' in client.body
        assert f"The reply of '{agent.alias}' is larger".encode() in client.body
        assert system.interactions() == ()


async def test_what_a_route_leaves_to_do_is_done_after_the_stream() -> None:
    done: list[str] = []

    async def route(later: BackgroundTasks) -> Any:
        later.add_task(done.append, "done")
        return sse(echo.inquire("Hi"))

    async with MiniAgents():
        client = Client(app_of(route), "/route")
        await client.asking

    assert b"event: end" in client.body
    assert done == ["done"]


async def test_a_response_can_have_headers_of_its_own() -> None:
    async def route() -> Any:
        response = sse(echo.inquire("Hi"))
        response.headers["x-own"] = "1"
        return response

    async with MiniAgents():
        client = Client(app_of(route), "/route")
        await client.asking

    assert dict(client.sent[0]["headers"])[b"x-own"] == b"1"


@WAYS
@pytest.mark.parametrize("leave", [goes, is_cut])
@pytest.mark.parametrize("agent", LEAVING, ids=lambda agent: agent.alias)
async def test_a_client_leaves_nothing_at_whatever_turn_it_goes(way: Any, leave: Any, agent: MiniAgent) -> None:
    async with MiniAgents() as system:

        async def route() -> Any:
            return way(agent.inquire("Hi"))

        app = app_of(route)
        for after in TURNS:
            client = Client(app, "/route", version="2.3")
            await turns(after)

            leave(client)

            await asyncio.wait([client.asking], timeout=60)
            await turns(20)
            assert client.asking.done(), after
            assert system.interactions() == (), after
            await asyncio.sleep(100)  # forks are passivated
            assert_nothing_left()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_response_that_only_sends_cancels_the_call_of_a_client_that_has_gone(reads: bool) -> None:
    async def route() -> Any:
        return wrapped(streamer.inquire())

    async with MiniAgents() as system:
        client = Client(app_of(route), "/route", version="2.4")
        await turns(30)
        if not reads:
            client.stops_reading()
            await turns(30)
        client.go()

        with pytest.raises(ClientDisconnect):
            await client.asking
        await turns(20)
        assert system.interactions() == ()


@WAYS
async def test_a_call_that_goes_on_after_its_stream_broke_off_is_cancelled(way: Any) -> None:
    cancelled = asyncio.Event()

    @miniagent
    async def goes_on(ctx: InteractionContext) -> None:
        ctx.reply(["So", failing.inquire()])
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    client = await streamed(goes_on.inquire, way)

    assert events_in(client.body)[-1]["error"]["code"] == "agent_failed"
    assert cancelled.is_set()


@WAYS
async def test_what_came_before_its_stream_counts_too(way: Any) -> None:
    @miniagent
    async def talks_on(ctx: InteractionContext) -> None:
        ctx.reply("x" * 70_000)
        await asyncio.sleep(1)
        ctx.reply("x" * 70_000)

    async with MiniAgents():

        async def route() -> Any:
            replies = talks_on.inquire()
            await turns(20)
            return way(replies, limits=Limits(reply=100_000))

        client = Client(app_of(route), "/route")
        await client.asking

    assert events_in(client.body)[-1]["error"]["code"] == "reply_too_large"


async def test_a_client_that_reads_keeps_a_promise_going_beside_one_that_does_not() -> None:
    promises: list[Any] = []

    async def route() -> Any:
        if not promises:
            promises.append(streamer.inquire())
        return sse(promises[0], limits=Limits(ahead=20_000, send_timeout=None))

    async with MiniAgents():
        app = app_of(route)
        clients = []
        for _ in range(2):
            clients.append(Client(app, "/route", version="2.3"))
            await turns(20)
        for client in clients:
            client.stops_reading()
        await turns(200)
        (message,) = promises[0].pieces
        size = len(message.pieces)
        await turns(200)
        assert len(message.pieces) == size < 100

        clients[1].reads()
        await turns(200)
        assert len(message.pieces) > 200
        for client in clients:
            client.go()
        await asyncio.wait([client.asking for client in clients])


async def test_all_who_read_a_promise_see_what_its_models_used() -> None:
    promises: list[Any] = []
    model = ScriptedModel.fork(script=Script("Fine."))

    async def route() -> Any:
        if not promises:
            promises.append(model.inquire("Hi"))
        return sse(promises[0])

    async with MiniAgents():
        app = app_of(route)
        clients = [Client(app, "/route") for _ in range(2)]
        await asyncio.wait([client.asking for client in clients])

    used = [events_in(client.body)[-1]["usage"]["output_tokens"] for client in clients]
    assert used[0] == used[1] > 0


odd = st.sampled_from('\r\n :"\\\ud83d\ude00\u2028\x00datevn😀')
texts = st.text(st.characters(), max_size=12) | st.text(odd, max_size=12)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=st.lists(texts, max_size=6), size=st.integers(1, 40))
def test_whatever_an_agent_says_arrives_whole_however_the_bytes_are_cut(pieces: list[str], size: int) -> None:
    @miniagent
    async def speaks(ctx: InteractionContext) -> None:
        async def tokens(_: object) -> AsyncIterator[TextToken]:
            for piece in pieces:
                yield TextToken(piece)

        ctx.reply([TextMessage.promise(message_token_streamer=tokens), *pieces])

    async def body() -> bytes:
        async with MiniAgents():
            return b"".join([piece async for piece in sse(speaks.inquire())])

    raw, decoder = in_virtual_time(body()), EventDecoder()
    cut = [raw[at : at + size] for at in range(0, len(raw), size)]
    events = [json.loads(data) for chunk in cut for _, data in decoder.feed(chunk)]

    messages = [one["message"]["text"] for one in events if one["type"] == "message"]
    tokens = [(one["index"], one["text"]) for one in events if one["type"] == "token"]
    assert messages == [sound("".join(pieces)), *map(sound, pieces)]
    assert ["".join(text for at, text in tokens if at == index) for index in range(len(messages))] == messages
    assert all(text for _, text in tokens)
    assert events[-1]["type"] == "end"


@pytest.mark.parametrize("path", ["/agents/halves", "/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
async def test_letters_that_come_in_halves_break_no_reply(path: str, stream: bool) -> None:
    @miniagent
    async def halves(ctx: InteractionContext) -> None:
        async def tokens(_: object) -> AsyncIterator[TextToken]:
            for piece in ("\ud83d", "\ude00 and ", "\ud83d"):
                yield TextToken(piece)

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    async with (agents := agent_app(halves, auth=TOKEN, admin_auth=None)).lifespan():
        body: Any = {"model": "halves", "stream": stream, "max_tokens": 9}
        body["input" if path == "/v1/responses" else "messages"] = [{"role": "user", "content": "Hi"}]
        if path == "/agents/halves":
            body = {"messages": "Hi", "stream": stream}
        client = Client(agents, path, body)
        await client.asking

    assert client.status == 200
    assert "😀" in client.body.decode()
    assert "\ufffd" in client.body.decode()
    assert b"failed" not in client.body


# A call that is awaited


def awaiting(agents: AgentApp, agent: MiniAgent) -> FastAPI:
    app = FastAPI(lifespan=agents.lifespan, exception_handlers=agents.exception_handlers)

    @app.get("/route")
    async def route(request: Request) -> str:
        return str(await agents.answer(request, agent.inquire("Hi").answer()))

    @app.post("/route")
    async def with_body(request: Request, question: dict[str, str]) -> str:
        return str(await agents.answer(request, agent.inquire(question["text"])))

    return app


@pytest.mark.real_time
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_call_that_a_route_awaits_is_cancelled_when_the_client_of_a_real_server_goes(method: str) -> None:
    held = Held()
    app = awaiting(agent_app(held.agent, auth=None, admin_auth=None), held.agent)
    async with served(app) as url, httpx2.AsyncClient() as client:
        body = {"text": "Hi"} if method == "POST" else None
        asking = asyncio.create_task(client.request(method, f"{url}/route", json=body))
        await soon(held.waiting)
        asking.cancel()

        await soon(held.cancelled)


async def test_the_route_of_a_client_that_has_gone_ends_without_an_error() -> None:
    held = Held()
    async with (agents := agent_app(held.agent, auth=None, admin_auth=None)).lifespan():
        app = awaiting(agents, held.agent)
        app.exception_handlers.pop(MiniAgentsError)  # not needed for that
        with capture_logs() as logs:
            client = Client(AccessLog(app), "/route", version="2.3")
            await soon(held.waiting)
            client.go()
            await client.asking

        assert held.cancelled.is_set()
        assert [entry["status"] for entry in logs] == [499]
        assert agents.system.interactions() == ()


async def test_a_route_that_awaits_a_call_answers_with_its_replies_or_its_failure() -> None:
    async with (agents := agent_app([echo, failing], auth=None, admin_auth=None)).lifespan():
        answers = []
        for agent in (echo, failing):
            client = Client(awaiting(agents, agent), "/route", {"text": "Hi"})
            try:
                await client.asking
            except ValueError as error:
                answers.append(repr(error))
            else:
                answers.append(json.loads(client.body))

    assert answers[0] == "You said: Hi"
    assert answers[1].startswith("ValueError(")


async def test_a_call_that_a_route_awaits_is_cut_off_when_the_service_stops() -> None:
    held = Held()
    agents = agent_app(held.agent, auth=None, admin_auth=None, grace=0.0)
    async with agents.lifespan():
        client = Client(awaiting(agents, held.agent), "/route")
        await soon(held.waiting)
    await client.asking

    assert (client.status, json.loads(client.body)["error"]["code"]) == (503, "stopping")


async def test_a_call_is_cancelled_with_the_task_of_the_request_that_awaits_it() -> None:
    held = Held()
    async with (agents := agent_app(held.agent, auth=None, admin_auth=None)).lifespan():
        client = Client(awaiting(agents, held.agent), "/route")
        await soon(held.waiting)
        client.asking.cancel()

        await soon(held.cancelled)
