"""Who may use a service: tokens, hosts, origins."""

import json
from typing import Any

import httpx2
import pytest
import websockets

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import agent_app
from tests.ext.serving.agents import echo
from tests.ext.serving.servers import ADMIN, ADMIN_AUTH, AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

CLIENT_PATHS = [
    ("GET", "/openapi.json"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/echo"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/agents"),
    ("POST", "/agents/echo"),
    ("GET", "/agents/echo/streams/x"),
]
ADMIN_PATHS = [("GET", "/interactions"), ("DELETE", "/interactions/1")]


@pytest.mark.parametrize(("method", "path"), [*CLIENT_PATHS, *ADMIN_PATHS])
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"])
async def test_nothing_is_told_without_a_token_on_loopback_either(method: str, path: str, given: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=ADMIN)) as client:
        answer = await client.request(method, path, headers={b"authorization": given.encode("latin-1")})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
async def test_operations_need_the_admins_token_and_agents_that_of_a_client(method: str, path: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=ADMIN)) as client:
        as_client = await client.request(method, path)
        as_admin = await client.request(method, path, headers=ADMIN_AUTH)
        call = await client.post("/agents/echo", json={}, headers=ADMIN_AUTH)

    assert (as_client.status_code, call.status_code) == (401, 401)
    assert as_admin.status_code in (200, 404)


async def test_health_needs_no_token() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=ADMIN), authorization="") as client:
        answers = [await client.get("/healthz"), await client.get("/readyz")]

    assert [one.json()["status"] for one in answers] == ["ok", "ready"]


async def test_a_key_also_comes_as_clients_of_anthropic_send_it() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=ADMIN), authorization="") as client:
        answer = await client.post("/agents/echo", json={}, headers={"x-api-key": TOKEN})

    assert answer.status_code == 200


async def test_tokens_are_made_and_printed_once(capsys: pytest.CaptureFixture[str], log: list[Any]) -> None:
    app = agent_app(echo)
    async with in_process(app):
        printed = capsys.readouterr()
    lines = printed.err.splitlines()
    tokens = [line.rpartition(" ")[2] for line in lines]
    async with in_process(app, authorization=f"Bearer {tokens[0]}") as client:
        call = await client.post("/agents/echo", json={})
        listed = await client.get("/interactions", headers={"authorization": f"Bearer {tokens[1]}"})
        wrong = await client.get("/interactions")

    assert [line.rpartition(" ")[0] for line in lines] == [
        "miniagents: the token of this service is",
        "miniagents: the admin token of this service is",
    ]
    assert printed.out == capsys.readouterr().err == ""
    assert len(set(tokens)) == 2
    assert all(len(token) >= 43 for token in tokens)
    assert [one.status_code for one in (call, listed, wrong)] == [200, 200, 401]
    assert not any(token in str(log) for token in tokens)


async def test_a_token_of_the_environment_is_used_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINIAGENTS_TOKEN", TOKEN)
    monkeypatch.setenv("MINIAGENTS_ADMIN_TOKEN", ADMIN)
    async with in_process(agent_app(echo)) as client:
        answers = [await client.get("/agents"), await client.get("/interactions", headers=ADMIN_AUTH)]

    assert [one.status_code for one in answers] == [200, 200]
    assert capsys.readouterr().err == ""


async def test_no_token_at_all_is_an_explicit_choice() -> None:
    async with in_process(agent_app(echo, auth=None, admin_auth=None), authorization="") as client:
        answers = [await client.post("/agents/echo", json={}), await client.get("/interactions")]

    assert [one.status_code for one in answers] == [200, 200]


@pytest.mark.parametrize("auth", ["", " ", [], {}, ["good", ""], "two words", "tökén", b"bytes"])
def test_a_token_that_no_header_can_carry_is_refused(auth: Any) -> None:
    with pytest.raises(InvalidOptionError, match="auth="):
        agent_app(echo, auth=auth)


@pytest.mark.parametrize("path", ["/openapi.json", "/agents", "/nowhere"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", ""])
async def test_a_name_that_was_rebound_to_this_machine_is_refused(path: str, host: str) -> None:
    async with in_process(agent_app(echo, auth=None, admin_auth=None)) as client:
        answer = await client.get(path, headers={"host": host})

    assert answer.status_code == 400
    assert "echo" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000", "[::1]"])
async def test_names_of_loopback_are_allowed(host: str) -> None:
    async with in_process(agent_app(echo, auth=None, admin_auth=None)) as client:
        answer = await client.get("/agents", headers={"host": host})

    assert answer.status_code == 200


async def test_other_names_are_allowed_one_by_one() -> None:
    app = agent_app(echo, auth=None, admin_auth=None, allowed_hosts=["*.example.com"])
    async with in_process(app) as client:
        allowed = await client.get("/agents", headers={"host": "agents.example.com"})
        other = await client.get("/agents", headers={"host": "localhost"})

    assert (allowed.status_code, other.status_code) == (200, 400)


OTHERS = ["http://evil.example", "null", "https://localhost.evil.example", "http://localhost:1", "file://", "http://["]


@pytest.mark.parametrize("origin", OTHERS)
async def test_pages_of_other_origins_are_refused(origin: str) -> None:
    async with in_process(agent_app(echo, auth=None, admin_auth=None)) as client:
        answer = await client.post("/agents/echo", json={}, headers={"origin": origin})
        listed = await client.get("/interactions", headers={"origin": origin})

    assert (answer.status_code, listed.status_code) == (403, 403)
    assert answer.json()["error"]["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in answer.headers


async def test_pages_of_its_own_origin_and_of_those_that_are_allowed_may_use_it() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None, allowed_origins=["https://chat.example.com"])
    async with in_process(app) as client:
        own = await client.post("/agents/echo", json={}, headers={"origin": "http://localhost"})
        friend = await client.post("/agents/echo", json={}, headers={"origin": "https://chat.example.com"})
        stranger = await client.post("/agents/echo", json={}, headers={"origin": "https://evil.example.com"})
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
        preflight = await client.options(
            "/agents/echo", headers={"origin": "https://chat.example.com", "authorization": "", **asks}
        )

    assert [one.status_code for one in (own, friend, stranger, preflight)] == [200, 200, 403, 200]
    assert friend.headers["access-control-allow-origin"] == "https://chat.example.com"
    assert preflight.headers["access-control-allow-origin"] == "https://chat.example.com"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_form_could_send_is_no_request(kind: str) -> None:
    async with in_process(agent_app(echo, auth=None, admin_auth=None)) as client:
        statuses = [
            (await client.post(path, content=b"{}", headers={"content-type": kind})).status_code
            for path in ("/agents/echo", "/v1/chat/completions", "/v1/responses")
        ]

    assert statuses == [415, 415, 415]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({**AUTH, "origin": "http://evil.example"}, 403),
        ({**AUTH, "origin": "null"}, 403),
        ({**AUTH, "host": "evil.example"}, 400),
    ],
)
async def test_a_websocket_is_refused_in_the_same_way(headers: dict[str, str], status: int) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.get("/agents/echo", headers={**upgrade, **headers})

    assert answer.status_code == status


async def test_a_websocket_of_its_own_origin_is_taken() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url:
        address = url.replace("http", "ws") + "/agents/echo"
        async with websockets.connect(address, additional_headers={**AUTH, "origin": url}) as socket:
            await socket.send(json.dumps({"type": "finish"}))
            assert json.loads(await socket.recv())["type"] == "open"
