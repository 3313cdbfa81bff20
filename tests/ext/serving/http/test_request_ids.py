"""Each answer has a request id, and the log, the spans and the error that belong to it have the same one."""

import json
import re
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import websockets

from miniagents import EventKind, InteractionContext, miniagent
from miniagents.ext.serving import agent_app
from miniagents.ext.telemetry import instrument, log_events
from tests.ext.serving.agents import echo, failing
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served
from tests.ext.telemetry.seen import Seen

pytestmark = pytest.mark.real_time

MADE = re.compile(r"req_[0-9a-f]{24}")
FOREIGN = {"origin": "http://evil.example"}
FRIEND = {"origin": "https://chat.example.com"}


@miniagent
async def inner(ctx: InteractionContext) -> None:
    ctx.log.info("inside")
    raise ValueError("no")


@miniagent
async def outer(ctx: InteractionContext) -> None:
    await inner.inquire()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/agents", {}, 200),
        ("GET", "/healthz", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/agents", {}, 405),
        ("GET", "/agents", {"authorization": "Bearer wrong"}, 401),
        ("GET", "/agents", {"host": "evil.example"}, 400),
        ("GET", "/agents", FOREIGN, 403),
        ("POST", "/agents/echo", {"content-type": "text/plain"}, 415),
        ("OPTIONS", "/agents", {**FRIEND, "access-control-request-method": "GET"}, 200),
        ("OPTIONS", "/agents", {**FRIEND, "access-control-request-method": "PATCH"}, 400),
    ],
)
async def test_every_answer_has_an_id_of_its_own_and_every_error_says_it(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None, allowed_origins=["https://chat.example.com"])
    async with in_process(app) as client:
        answers = [await client.request(method, path, headers=headers) for _ in range(2)]

    assert [one.status_code for one in answers] == [status, status]
    ids = [one.headers["x-request-id"] for one in answers]
    assert all(MADE.fullmatch(id) for id in ids)
    assert ids[0] != ids[1]
    assert [one.headers["request-id"] for one in answers] == ids
    if status >= 400 and method != "OPTIONS":
        assert [one.json()["request_id"] for one in answers] == ids


VALID = ["a", "req_1", "0f8fad5b-d9cb-469f-a165-70867728950e", "a/b+c==", "me@here:1.2_3", "x" * 128]
INVALID = ["", "a b", "x" * 129, "a\tb", "<script>", "a\\nb", "tökén", "a,b", "{}", '"a"']


@pytest.mark.parametrize("id", VALID)
async def test_a_valid_id_of_the_client_is_taken_over(id: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/nobody", json={}, headers={"x-request-id": id})

    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == (id, id)


@pytest.mark.parametrize("id", INVALID)
async def test_an_invalid_one_is_not(id: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.get("/agents", headers=[(b"x-request-id", id.encode()), *_encoded(AUTH)])
        twice = [(b"x-request-id", b"one"), (b"x-request-id", b"two"), *_encoded(AUTH)]
        doubtful = await client.get("/agents", headers=twice)

    assert MADE.fullmatch(answer.headers["x-request-id"])
    assert MADE.fullmatch(doubtful.headers["x-request-id"])


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/agents/outer", {"messages": "Hi"}),
        ("/agents/outer", {"messages": "Hi", "stream": True}),
        ("/agents/outer", {"messages": "Hi", "conversation": "c1"}),
        ("/v1/chat/completions", {"model": "outer", "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/messages", {"model": "outer", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/responses", {"model": "outer", "input": "Hi"}),
    ],
)
async def test_log_events_spans_and_the_error_have_the_id_of_the_request(
    path: str, body: dict[str, Any], log: list[Any]
) -> None:
    seen = Seen()
    app = agent_app(outer, auth=TOKEN, admin_auth=None)
    with instrument(app.system, tracer_provider=seen.tracer_provider):
        async with in_process(app) as client:
            log_events(app.system)
            with app.system.events.subscribe() as events:
                answer = await client.post(path, json=body, headers={"x-request-id": "the-one"})
        told = [event async for event in events]

    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "the-one"
    lines = {entry["event"]: entry.get("request_id") for entry in log}
    assert lines["inside"] == lines["service.agent_failed"] == "the-one"
    assert lines["actor.crashed"] == "the-one"
    assert {event.request_id for event in told if event.kind is EventKind.CRASH} == {"the-one"}
    spans = [span for span in seen.spans if span.name.startswith("invoke_agent")]
    assert [span.attributes["miniagents.request.id"] for span in spans if span.attributes] == ["the-one"] * 2


async def test_a_replay_tells_of_the_failure_with_the_id_of_the_request_that_began_the_call() -> None:
    @miniagent
    async def half(ctx: InteractionContext) -> None:
        ctx.reply("begun")
        raise ValueError("no")

    async with in_process(agent_app(half, auth=TOKEN, admin_auth=None)) as client:
        first = await client.post(
            "/agents/half", json={"stream": True, "keep": 60}, headers={"x-request-id": "the-first"}
        )
        stream = re.search(r'"stream":"([^"]+)"', first.text)
        assert stream is not None
        again = await client.get(f"/agents/half/streams/{stream[1]}", headers={"x-request-id": "the-second"})

    assert again.headers["x-request-id"] == "the-second"
    assert '"request_id":"the-first"' in first.text
    assert again.text == first.text


async def test_a_websocket_has_one_too_accepted_or_not() -> None:
    async with served(agent_app(failing, auth=TOKEN, admin_auth=None)) as url:
        address = url.replace("http", "ws") + "/agents/failing"
        headers = {**AUTH, "x-request-id": "the-one"}
        async with websockets.connect(address, additional_headers=headers) as socket:
            await socket.send(json.dumps({"type": "finish"}))
            events = [json.loads(await socket.recv()) for _ in range(2)]
            assert socket.response is not None
            accepted = socket.response.headers["x-request-id"]
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(address, additional_headers={"x-request-id": "the-other"})

    assert (accepted, events[-1]["request_id"]) == ("the-one", "the-one")
    assert refused.value.response.headers["x-request-id"] == "the-other"


async def test_outside_of_a_request_there_is_none(log: list[Any]) -> None:
    app = agent_app(outer, auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        await client.get("/agents")  # in the same task
        with pytest.raises(ValueError, match="no"):
            await outer.inquire()

    assert [entry["event"] for entry in log] == ["inside"]
    assert "request_id" not in log[0]


async def test_the_official_sdks_read_it() -> None:
    headers = {"x-request-id": "the-one"}
    async with served(agent_app([echo, failing], auth=TOKEN, admin_auth=None)) as url:
        options: dict[str, Any] = {"api_key": TOKEN, "max_retries": 0, "default_headers": headers}
        hello: Any = [{"role": "user", "content": "Hi"}]
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", **options) as client:
            chat = await client.chat.completions.create(model="echo", messages=hello)
            with pytest.raises(openai.InternalServerError) as of_openai:
                await client.chat.completions.create(model="failing", messages=hello)
        async with anthropic.AsyncAnthropic(base_url=url, **options) as claude:
            said = await claude.messages.create(model="echo", max_tokens=9, messages=hello)
            with pytest.raises(anthropic.InternalServerError) as of_anthropic:
                await claude.messages.create(model="failing", max_tokens=9, messages=hello)

    assert (chat._request_id, said._request_id) == ("the-one", "the-one")
    assert (of_openai.value.request_id, of_anthropic.value.request_id) == ("the-one", "the-one")


def sent_by_sdks() -> set[str]:
    """The names of all headers that the official SDKs send to a service, as a browser asks for them."""
    found: set[str] = set()

    def answer(request: httpx2.Request) -> httpx2.Response:
        found.update(name.lower() for name in request.headers)
        return httpx2.Response(503, json={"error": {"message": "no"}})

    hello: Any = [{"role": "user", "content": "Hi"}]
    transport = httpx2.MockTransport(answer)
    options: dict[str, Any] = {"api_key": "k", "max_retries": 1, "http_client": httpx2.Client(transport=transport)}
    more: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "x"}, "timeout": 1.0}
    with openai.OpenAI(base_url="http://localhost/v1", organization="o", project="p", **options) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="m", messages=hello, **more)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.with_raw_response.create(model="m", messages=hello)
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="m", input="Hi")
    options["http_client"] = httpx2.Client(transport=transport)
    with anthropic.Anthropic(base_url="http://localhost", **options) as claude:
        with pytest.raises(anthropic.InternalServerError):
            claude.messages.create(model="m", max_tokens=1, messages=hello, **more)
        with (
            pytest.raises(anthropic.InternalServerError),
            claude.messages.stream(model="m", max_tokens=1, messages=hello),
        ):
            pass
        with pytest.raises(anthropic.InternalServerError):
            claude.beta.messages.create(model="m", max_tokens=1, messages=hello, betas=["x"])
    return found


BY_THE_BROWSER = {"accept", "accept-encoding", "connection", "content-length", "host"}
"""Headers that a browser sets itself, or lets any page set."""

OF_NODE = {
    *("accept-language", "authorization", "content-type", "user-agent", "openai-organization", "openai-project"),
    *("anthropic-beta", "anthropic-dangerous-direct-browser-access", "anthropic-version", "x-api-key"),
    *("x-stainless-arch", "x-stainless-helper", "x-stainless-helper-method", "x-stainless-lang", "x-stainless-os"),
    *("x-stainless-package-version", "x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version"),
    *("x-stainless-timeout", "idempotency-key"),
}
"""What openai 6.49, @anthropic-ai/sdk 1.14 and the Vercel AI SDK's providers send, from a page too."""


async def test_a_page_of_an_allowed_origin_may_send_what_the_official_sdks_send_and_read_what_they_read() -> None:
    headers = sent_by_sdks()
    assert {"x-stainless-lang", "x-stainless-retry-count", "anthropic-version", "openai-project"} <= headers
    wanted = ", ".join(sorted((headers | OF_NODE) - BY_THE_BROWSER))
    app = agent_app(echo, auth=TOKEN, admin_auth=None, allowed_origins="https://chat.example.com")
    asks = {"access-control-request-method": "POST", "access-control-request-headers": wanted}
    async with in_process(app) as client:
        allowed = await client.options("/v1/messages", headers={**FRIEND, **asks})
        foreign = await client.options("/v1/messages", headers={**FOREIGN, **asks})
        odd = {**asks, "access-control-request-headers": "x-something-else"}
        other = await client.options("/v1/messages", headers={**FRIEND, **odd})
        answer = await client.post("/agents/nobody", json={}, headers=FRIEND)

    assert (allowed.status_code, allowed.text) == (200, "OK")
    assert (foreign.status_code, other.status_code) == (403, 400)
    assert answer.headers["access-control-allow-origin"] == FRIEND["origin"]
    exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
    assert exposed == {"mcp-session-id", "x-request-id", "request-id", "retry-after", "x-should-retry"}
