"""Garbage: whatever comes in over a WebSocket, or as a header of a stream, is answered, and leaves nothing behind."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message as Event

from miniagents.ext.serving import AgentApp, Limits, Served, agent_app
from miniagents.ext.serving.openai.item_input import OTHER_ITEMS
from tests.ext.serving.agents import echo, failing, speller, weather
from tests.ext.serving.servers import AUTH, TOKEN

fuzzed = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["open", "message", "finish", "cancel", "close", "", "Message"])
frames = st.one_of(
    st.fixed_dictionaries(
        {"type": kinds},
        optional={
            "content": st.text(max_size=20) | json_values,
            "role": st.sampled_from(["user", "system", "assistant", "tool"]) | json_values,
            "data": json_values,
            "arguments": json_values | st.fixed_dictionaries({"city": st.text(max_size=5) | json_values}),
            "conversation": st.sampled_from(["c1", "c2"]) | json_values,
        },
    ).map(json.dumps),
    json_values.map(json.dumps),
    st.text(max_size=30),
    st.binary(max_size=30),
    st.just("[" * 200),
)


def app() -> AgentApp:
    agents: list[Any] = [echo, speller, failing, Served(weather, arguments=("city", "unit"))]
    return agent_app(agents, auth=TOKEN, admin_auth=None, limits=Limits(messages=3, body=4096, request_timeout=60.0))


async def socket_events(app: AgentApp, name: str, sent: list[str | bytes]) -> list[Event]:
    """All that a WebSocket call sends back. The client goes away a while after it has sent everything."""
    incoming: list[Event] = [{"type": "websocket.connect"}]
    incoming += [
        {"type": "websocket.receive", **({"text": one} if isinstance(one, str) else {"bytes": one})} for one in sent
    ]
    outgoing: list[Event] = []

    async def receive() -> Event:
        if incoming:
            return incoming.pop(0)
        await asyncio.sleep(1.0)
        return {"type": "websocket.disconnect", "code": 1005}

    async def send(event: Event) -> None:
        outgoing.append(event)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": f"/agents/{name}",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *((key.encode(), value.encode()) for key, value in AUTH.items())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    async with asyncio.timeout(5):  # long before the deadline of the call: it ends since the client has gone
        await app(scope, receive, send)
    return outgoing


def in_virtual_time(work: Any) -> Any:
    from miniagents.testing import VirtualTimeLoop

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


@fuzzed
@given(name=st.sampled_from(["echo", "speller", "failing", "weather"]), sent=st.lists(frames, max_size=6))
def test_frames_of_whatever_kind_are_answered_and_leave_nothing_behind(name: str, sent: list[str | bytes]) -> None:
    async def run() -> None:
        service = app()
        async with service.lifespan():
            outgoing = await socket_events(service, name, sent)
            await asyncio.sleep(10.0)
            assert service.system.interactions() == ()
            assert service._service.gate.inside == 0
            assert service._service.turns._live == {}
        check(name, outgoing)

    in_virtual_time(run())


def check(name: str, outgoing: list[Event]) -> None:
    assert outgoing[0]["type"] == "websocket.accept"
    events = [json.loads(event["text"]) for event in outgoing if event["type"] == "websocket.send"]
    closes = [event for event in outgoing if event["type"] == "websocket.close"]
    assert len(closes) <= 1
    if closes:
        assert outgoing[-1] is closes[0]
        code = closes[0]["code"]
        assert code == 1000 or 4400 <= code < (4501 if name == "failing" else 4500)
        assert (events[-1]["type"] == "error") is (code != 1000)
    text = json.dumps(events)
    assert "Traceback" not in text
    assert "password" not in text


headers = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
event_ids = (
    headers | st.tuples(st.text(max_size=5), st.integers()).map(lambda pair: f"{pair[0]}:{pair[1]}") | st.just("")
)


@fuzzed
@given(
    event_id=event_ids | st.none(),
    timeout=headers | st.floats().map(str) | st.none(),
    conversation=headers | st.just("c1") | st.none(),
    keep=st.none() | st.floats(0, 400) | json_values,
    path=st.sampled_from(
        ["/agents/echo", "/agents/failing", "/agents/echo/streams/{stream}", "/agents/echo/streams/x"]
    ),
)
def test_headers_of_streams_of_whatever_kind_are_answered_and_leave_nothing_behind(
    event_id: str | None, timeout: str | None, conversation: str | None, keep: Any, path: str
) -> None:
    async def run() -> None:
        service = app()
        transport = httpx2.ASGITransport(app=service)
        async with (
            service.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=AUTH) as client,
        ):
            kept = await client.post("/agents/echo", json={"messages": "Hi", "stream": True, "keep": 5})
            stream = kept.text.split("id: ")[1].split(":")[0]
            given_ = {"last-event-id": event_id, "x-request-timeout": timeout, "x-conversation": conversation}
            sent: Any = {name: _encoded(value) for name, value in given_.items() if value is not None}
            async with asyncio.timeout(1000):
                if "streams" in path:
                    answer = await client.get(path.format(stream=stream), headers=sent)
                else:
                    body = {"messages": "Hi", "stream": True, **({} if keep is None else {"keep": keep})}
                    content = json.dumps(body)  # also what is no JSON: Infinity
                    answer = await client.post(
                        path, content=content, headers={**sent, "content-type": b"application/json"}
                    )
            await asyncio.sleep(500.0)
            assert service.system.interactions() == ()
            assert service._agents.kept._kept == {}
            assert service._service.turns._live == {}
        allowed = {200, 400, 404, 422} | ({500} if path == "/agents/failing" else set()) | ({504} if timeout else set())
        assert answer.status_code in allowed
        assert "Traceback" not in answer.text
        assert "password" not in answer.text
        if answer.status_code == 200 and event_id is None:
            assert answer.text.rstrip().rpartition("event: ")[2].startswith(("end", "error"))

    in_virtual_time(run())


def _encoded(value: str) -> bytes:
    return value.encode("latin-1", "replace")


@pytest.mark.parametrize("number", ["0", "1", "2", "3", "4", "999999999999999999"])
async def test_any_number_of_an_event_picks_up_a_kept_stream(number: str) -> None:
    service = app()
    transport = httpx2.ASGITransport(app=service)
    async with (
        service.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=AUTH) as client,
    ):
        whole = await client.post("/agents/echo", json={"messages": "Hi", "stream": True, "keep": 5})
        stream = whole.text.split("id: ")[1].split(":")[0]
        sent = {"last-event-id": f"{stream}:{number}"}
        rest = await client.get(f"/agents/echo/streams/{stream}", headers=sent)

    assert rest.status_code == 200
    assert whole.text.endswith(rest.text)
    assert rest.text.count("event: ") == max(whole.text.count("event: ") - int(number) - 1, 0)


ids = st.sampled_from(["{conversation}", "{item}", "{response}", "x", "%00", "\u00e9"]) | st.text(
    min_size=1, max_size=8
)
parts = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["input_text", "output_text", "refusal", "input_image", "input_file", "input_audio", "x"]
        )
    },
    optional={name: json_values for name in ("text", "refusal", "image_url", "file_id", "file_url", "file_data")}
    | {"input_audio": st.fixed_dictionaries({"data": st.text(max_size=8), "format": st.sampled_from(["wav", "ogg"])})},
)
items = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*OTHER_ITEMS, "message", "function_call", "function_call_output", "item_reference"])
        | json_values,
        "role": st.sampled_from(["user", "assistant", "system", "developer"]) | json_values,
        "content": st.text(max_size=8) | st.lists(parts, max_size=3) | json_values,
        "id": ids | json_values,
        "call_id": st.sampled_from(["c1", "c2"]) | json_values,
        "name": st.text(max_size=5) | json_values,
        "arguments": st.text(max_size=5) | json_values,
        "input": st.text(max_size=5) | json_values,
        "output": st.text(max_size=5) | st.lists(parts, max_size=3) | json_values,
    },
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "items": st.lists(items, max_size=4) | json_values,
        "metadata": st.dictionaries(st.text(max_size=70), st.text(max_size=5), max_size=20) | json_values,
        "input": st.lists(items, max_size=4) | st.text(max_size=5) | json_values,
        "conversation": ids | json_values,
        "previous_response_id": ids | json_values,
        "model": st.just("echo"),
        **{name: json_values for name in ("tools", "text", "reasoning", "temperature", "prompt", "store", "stream")},
    },
)
queries = st.dictionaries(
    st.sampled_from(["limit", "order", "after", "include", "include[]"]),
    st.sampled_from(["1", "100", "asc", "desc", "{item}", "reasoning.encrypted_content"]) | st.text(max_size=8),
    max_size=3,
)
PATHS = (
    "/v1/responses",
    "/v1/responses/{}/input_items",
    "/v1/conversations",
    "/v1/conversations/{}",
    "/v1/conversations/{}/items",
    "/v1/conversations/{}/items/{}",
)


@fuzzed
@given(data=st.data(), path=st.sampled_from(PATHS), method=st.sampled_from(["GET", "POST", "DELETE"]))
def test_items_of_whatever_kind_are_answered_and_leave_nothing_behind(data: Any, path: str, method: str) -> None:
    async def run() -> None:
        agents = Served(echo, wants=data.draw(st.sampled_from([(), ("audio", "file_ids", "items")])))
        service = agent_app(agents, auth=TOKEN, admin_auth=None, limits=Limits(messages=3, request_timeout=60.0))
        transport = httpx2.ASGITransport(app=service)
        async with (
            service.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=AUTH) as client,
        ):
            begun = await client.post("/v1/conversations", json={"items": [{"role": "user", "content": "Hi"}]})
            made = await client.post(
                "/v1/responses", json={"model": "echo", "input": "Hi", "conversation": begun.json()["id"]}
            )
            known = {
                "{conversation}": begun.json()["id"],
                "{response}": made.json()["id"],
                "{item}": made.json()["output"][0]["id"],
            }

            def filled(text: str) -> str:
                for name, value in known.items():
                    text = text.replace(name, value)
                return text

            named = [quote(filled(data.draw(ids)), safe="") for _ in range(path.count("{}"))]
            body = filled(json.dumps(data.draw(bodies))).encode()
            answer = await client.request(
                method,
                path.format(*named),
                params={name: filled(value) for name, value in data.draw(queries).items()},
                content=body if method == "POST" else None,
                headers={"content-type": "application/json"},
            )
            listed = await client.get(f"/v1/conversations/{begun.json()['id']}/items?limit=100")
            await asyncio.sleep(100.0)
            assert service.system.interactions() == ()
            assert service._service.gate.inside == 0
            assert service._service.turns._live == {}
        assert answer.status_code in {200, 400, 404, 405}
        assert listed.status_code in {200, 404}
        assert "Traceback" not in answer.text

    in_virtual_time(run())
