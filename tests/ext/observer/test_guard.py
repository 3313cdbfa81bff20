from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute

from miniagents.ext.observer import WebObserver
from miniagents.ext.observer.guard import allows_names
from miniagents.ext.observer.sessions import cookie_name
from tests.ext.observer.observed import ORIGIN, observed, page_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def table() -> list[tuple[str, str]]:
    """Each way into the page: the verb, or "websocket", and the path."""

    def ways(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
        for route in routes:
            if isinstance(route, WebSocketRoute):
                yield "websocket", route.path
            else:
                assert isinstance(route, Route)
                yield from ((method, route.path.replace("{name:path}", "app.js")) for method in METHODS)

    return list(ways(WebObserver(opens=False).app.routes))


WAYS = table()


async def answer_to(
    observer: WebObserver, way: tuple[str, str], headers: dict[str, str]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The status, the headers and the body of the answer to a request that a client could send."""
    kind, path = way
    websocket = kind == "websocket"
    scope: dict[str, Any] = {
        "type": "websocket" if websocket else "http",
        "http_version": "1.1",
        "method": kind,
        "scheme": "ws" if websocket else "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5000),
        "server": ("localhost", None),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    if websocket:
        del scope["method"]
    sent: list[Any] = []
    said = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])

    async def receive() -> Any:
        return next(said) if websocket else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await observer.app(scope, receive, send)
    first = sent[0]
    if first["type"] == "websocket.accept":
        return 101, list(first.get("headers", ())), b""
    return first["status"], list(first["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


async def session_of(observer: WebObserver) -> str:
    async with page_of(observer) as client:
        return f"{cookie_name(0)}={client.cookies[cookie_name(0)]}"


def test_the_table_of_routes_has_all_that_the_page_uses() -> None:
    assert {("GET", "/"), ("websocket", "/live"), ("POST", "/actions"), ("GET", "/static/app.js")} <= set(WAYS)
    assert len(WAYS) >= 43


async def statuses(observer: WebObserver, headers: dict[str, str], ways: list[tuple[str, str]] = WAYS) -> set[int]:
    """The statuses of the answers on all ways."""
    return {(await answer_to(observer, way, headers))[0] for way in ways}


async def test_no_route_answers_without_a_session() -> None:
    async with observed() as (_, observer):
        assert await statuses(observer, {"host": "localhost", **ORIGIN}) == {401}


async def test_no_route_answers_to_a_foreign_name() -> None:
    async with observed() as (_, observer):
        cookie = await session_of(observer)

        assert await statuses(observer, {"host": "evil.example", "cookie": cookie}) == {400}
        assert await statuses(observer, {"cookie": cookie}) == {400}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:81", "http://[", "file://localhost"]
)
async def test_no_route_answers_to_a_page_of_another_origin(origin: str) -> None:
    async with observed() as (_, observer):
        cookie = await session_of(observer)

        assert await statuses(observer, {"host": "localhost", "cookie": cookie, "origin": origin}) == {403}


async def test_what_changes_something_and_every_handshake_must_name_an_origin() -> None:
    changing = [way for way in WAYS if way[0] not in ("GET", "HEAD")]
    async with observed() as (_, observer):
        cookie = await session_of(observer)

        assert await statuses(observer, {"host": "localhost", "cookie": cookie}, changing) == {403}


async def test_a_session_gets_what_there_is_with_a_strict_policy() -> None:
    async with observed() as (_, observer):
        cookie = await session_of(observer)
        for way in WAYS:
            status, headers, _ = await answer_to(observer, way, {"host": "localhost", "cookie": cookie, **ORIGIN})

            assert status not in (401, 403)
            if status != 101:
                found = dict(headers)
                policy = found[b"content-security-policy"].decode()
                assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")
                assert "unsafe" not in policy
                assert found[b"referrer-policy"] == b"no-referrer"
                assert found[b"cache-control"] == b"no-store"


async def test_a_token_works_once_and_is_swapped_for_a_cookie_that_no_script_can_read() -> None:
    async with observed() as (_, observer), page_of(observer, enters=False) as client:
        token = observer.new_token()

        first = await client.get("/", params={"token": token})
        client.cookies.clear()
        second = await client.get("/", params={"token": token})

    cookie = first.headers["set-cookie"]
    assert cookie.startswith("miniagents-observer-")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict"))
    assert "Path" not in cookie  # so that it is that of the page, whatever a proxy has made of the address
    assert token not in first.text + cookie
    assert second.status_code == 401
    assert "set-cookie" not in second.headers


async def test_a_head_request_does_not_use_a_token_up() -> None:
    async with observed() as (_, observer), page_of(observer, enters=False) as client:
        token = observer.new_token()

        assert (await client.head("/", params={"token": token})).status_code == 401
        assert (await client.get("/", params={"token": token})).status_code == 200


async def test_another_browser_gets_in_by_a_link_of_one_that_is_in() -> None:
    async with observed() as (_, observer), page_of(observer) as client:
        token = (await client.post("/links", headers=ORIGIN)).json()["token"]
        async with page_of(observer, enters=False) as other:
            assert (await other.get("/", params={"token": token})).status_code == 200
            assert '<div id="app">' in (await other.get("/")).text


async def test_a_cookie_that_comes_twice_is_that_of_nobody() -> None:
    async with observed() as (_, observer):
        cookie = await session_of(observer)

        status, _, _ = await answer_to(observer, ("GET", "/"), {"host": "localhost", "cookie": f"{cookie}; {cookie}"})

    assert status == 401


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:80", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("localhost.evil.example", False),
        ("[", False),
    ],
)
def test_a_server_is_called_by_its_own_names_with_any_port(host: str, allowed: bool) -> None:
    assert allows_names(("localhost", "127.0.0.1", "::1"))(host) is allowed
