"""The access log: each request is one event, with the id that its answer has."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send

from miniagents.ext.serving import AgentApp, agent_app
from miniagents.ext.serving.http.access_log import AccessLog
from tests.ext.serving.agents import echo
from tests.ext.serving.servers import AUTH, TOKEN

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[4]


def app_of(**options: Any) -> AgentApp:
    return agent_app(echo, auth=TOKEN, admin_auth=None, **options)


def requests_in(log: Sequence[Any]) -> list[Any]:
    return [entry for entry in log if entry["event"] == "service.request"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/agents", AUTH, 200),
        ("GET", "/agents", {}, 401),
        ("GET", "/agents", {**AUTH, "host": "evil.example"}, 400),
        ("GET", "/nowhere", AUTH, 404),
    ],
)
async def test_each_request_is_logged_with_its_status_and_the_id_of_its_answer(
    method: str, path: str, headers: dict[str, str], status: int, log: list[Any]
) -> None:
    transport = httpx2.ASGITransport(app=AccessLog(app_of()), client=("10.0.0.7", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.request(method, path, headers=headers)

    (entry,) = requests_in(log)
    assert 0.0 <= entry.pop("seconds") < 60.0
    assert entry == {
        "event": "service.request",
        "log_level": "info",
        "method": method,
        "path": path,
        "status": status,
        "request_id": answer.headers["x-request-id"],
        "client": "10.0.0.7:1234",
    }


async def test_the_path_is_encoded_and_the_query_is_left_out(log: list[Any]) -> None:
    transport = httpx2.ASGITransport(app=AccessLog(app_of()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.get("/a%0Ab%1B[31m?token=secret")

    (entry,) = requests_in(log)
    assert entry["path"] == "/a%0Ab%1B%5B31m"
    assert "secret" not in str(entry)


def test_a_websocket_is_logged_with_the_status_of_its_handshake(log: list[Any]) -> None:
    with TestClient(AccessLog(app_of())) as client:
        with client.websocket_connect("/agents/echo", headers={**AUTH}) as socket:
            socket.send_text('{"type": "cancel"}')
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/agents/echo"):
            pass

    accepted, refused = requests_in(log)
    assert (accepted["method"], accepted["path"], accepted["status"]) == ("WEBSOCKET", "/agents/echo", 101)
    assert (refused["method"], refused["path"], refused["status"]) == ("WEBSOCKET", "/agents/echo", 401)
    assert accepted["request_id"].startswith("req_")
    assert accepted["request_id"] != refused["request_id"]


SCOPE = {"type": "http", "method": "GET", "path": "/"}


async def ran(app: Any, scope: Scope) -> list[Message]:
    """Answer one request of an app, and return what the app has sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await AccessLog(app)(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]  # nothing comes in
    return sent


async def test_the_seconds_last_until_the_end_of_a_stream(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal now
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            now += 0.5
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        assert requests_in(log) == []

    sent = await ran(stream, SCOPE)

    (entry,) = requests_in(log)
    assert entry["seconds"] == 1.5
    assert (entry["status"], entry["request_id"], entry["client"]) == (200, None, None)
    assert len(sent) == 4


async def test_an_app_that_raises_is_logged_as_a_500(log: list[Any]) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ran(broken, SCOPE)

    assert [entry["status"] for entry in requests_in(log)] == [500]


async def test_a_request_without_an_answer_is_logged_without_a_status(log: list[Any]) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ran(silent, SCOPE), 0.01)

    assert [entry["status"] for entry in requests_in(log)] == [None]


async def test_a_websocket_that_is_closed_instead_of_accepted_is_a_403(log: list[Any]) -> None:
    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 1000})

    await ran(closing, {"type": "websocket", "path": "/"})

    assert [entry["status"] for entry in requests_in(log)] == [403]


@pytest.mark.parametrize("is_logged", [True, False])
def test_the_command_logs_requests_unless_it_is_told_not_to(is_logged: bool) -> None:
    command = [sys.executable, "-m", "miniagents.ext.serving.command", "tests.ext.serving.agents:echo", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIAGENTS_TOKEN": TOKEN}
    pipe = subprocess.PIPE
    options = [] if is_logged else ["--no-access-log"]
    with subprocess.Popen([*command, *options], env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "running on" in line)
            url = line.split("running on ")[1].split(" ")[0]
            httpx2.get(f"{url}/agents", headers={**AUTH, "x-request-id": "my-own"})
            process.send_signal(signal.SIGTERM)
            _, output = process.communicate(timeout=30)
        finally:
            process.kill()

    lines = [line for line in output.splitlines() if "/agents" in line]
    assert len(lines) == is_logged
    for line in lines:
        assert "service.request" in line
        assert "request_id=my-own" in line
        assert "status=200" in line
