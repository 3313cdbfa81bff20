import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
import websockets

from miniagents import Actor, ActorSystem, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext import observer as package
from miniagents.ext.observer import WebObserver
from tests.ext.observer.observed import observed, page_of

pytestmark = [pytest.mark.real_time]


class Quiet(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        pass


@miniagent
async def hello(ctx: InteractionContext) -> None:
    ctx.reply("Hello!")


@asynccontextmanager
async def entered(observer: WebObserver) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        assert (await client.get(observer.new_link())).status_code == 200
        yield client


async def test_a_system_prints_its_link_once_it_has_started_and_the_page_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    observer = WebObserver()
    async with MiniAgents(observers=[observer]):
        link = capsys.readouterr().err.strip().removeprefix("miniagents: see the agents at ")
        assert link.startswith(f"{observer.url}?token=")
        async with httpx2.AsyncClient() as client:
            assert (await client.get(link)).status_code == 200
            page = await client.get(str(observer.url))
            assert '<div id="app">' in page.text
            assert (await client.get(f"{observer.url}static/vendor/preact/preact.js")).status_code == 200
            assert (await client.get(f"{observer.url}static/../web_observer.py")).status_code == 404
            (cookie,) = client.cookies.jar
            assert cookie.name == f"miniagents-observer-{str(observer.url).rsplit(':', 1)[1].strip('/')}"
    assert observer.url is None


async def test_a_page_over_its_connection_sees_the_tree_and_what_changes_in_it() -> None:
    observer = WebObserver()
    async with MiniAgents(observers=[observer]) as system, entered(observer) as client:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
        address = str(observer.url).replace("http", "ws") + "live"
        origin = str(observer.url).rstrip("/")
        async with websockets.connect(address, origin=origin, additional_headers={"cookie": cookies}) as connection:  # type: ignore[arg-type]
            greeting = msgspec.json.decode(await connection.recv())["hello"]
            assert greeting["boot"] == observer.app.boot
            await connection.send('{"look": {"tree": {"first": 0, "count": 20}}}')
            system.spawn(Quiet, name="quiet")
            paths: list[str] = []
            while "/quiet" not in paths:
                frame = msgspec.json.decode(await asyncio.wait_for(connection.recv(), 30))
                paths += [row["path"] for row in frame["sections"].get("tree", {}).get("rows", {}).values()]
                await connection.send(msgspec.json.encode({"taken": frame["n"]}).decode())
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(address, origin=origin)  # type: ignore[arg-type]


async def test_a_port_that_is_taken_is_told_and_the_system_goes_on(
    log: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        observer = WebObserver(port=taken.getsockname()[1])
        async with MiniAgents(observers=[observer]):
            assert str(await hello.inquire()) == "Hello!"
            assert observer.url is None
            with pytest.raises(InvalidOptionError, match="has no address"):
                observer.new_link()

    assert [entry["event"] for entry in log] == ["observer.not_open"]
    assert "no observer at 127.0.0.1" in capsys.readouterr().err


async def test_a_system_of_actors_alone_is_seen_as_well() -> None:
    observer = WebObserver()
    async with ActorSystem(observers=[observer]) as system, entered(observer) as client:
        await system.spawn(Quiet, name="quiet").started()

        found = (await client.get(f"{observer.url}search", params={"for": "quiet"})).json()

    assert found["actors"]["found"] == 1


async def test_the_end_of_the_system_ends_the_server_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    observer = WebObserver()
    async with MiniAgents(observers=[observer]), entered(observer):
        address = observer.url
    with pytest.raises(httpx2.ConnectError):
        async with httpx2.AsyncClient() as other:
            await other.get(str(address))
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_more_of_a_text_comes_by_range() -> None:
    async with observed() as (_, observer), page_of(observer) as client:
        await hello.inquire("0123456789" * 1_000)

        part = await client.get("/text", params={"id": 1, "name": "input", "from": 9_990})
        gone = await client.get("/text", params={"id": 99, "name": "input"})
        wrong = await client.get("/text", params={"id": "x", "name": "input"})
        nothing = await client.get("/text", params={"id": 1, "name": "stream"})

    assert part.json() == {"text": "0123456789", "from": 9_990, "size": 10_000}
    assert (gone.status_code, wrong.status_code, nothing.status_code) == (404, 404, 404)


async def test_looking_at_an_actor_whose_own_code_fails_harms_nothing() -> None:
    class Hostile(Quiet):
        def __repr__(self) -> str:
            raise AssertionError("its repr was asked for")

        @property
        def key(self) -> str:
            raise AssertionError("a property was asked for")

    async with observed() as (system, observer), page_of(observer):
        ref = system.spawn(Hostile, name="hostile")
        await ref.started()
        ref.tell(TextMessage("x" * 20_000_000))
        sections = observer.app.sections_of()
        looks: dict[str, Any] = {"actor": {"path": "/hostile"}}
        for name, (_, compute) in sections.items():
            view = await compute(looks.get(name, {}))
            assert len(msgspec.json.encode(view)) < 100_000


def test_options_that_are_wrong_are_mistakes() -> None:
    with pytest.raises(InvalidOptionError, match="port="):
        WebObserver(port=70_000)
    with pytest.raises(InvalidOptionError, match="texts="):
        WebObserver(texts="all")  # type: ignore[arg-type]


def test_the_package_says_what_to_install_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for module in ("web_observer", "replay_app", "listening"):
        monkeypatch.delitem(sys.modules, f"miniagents.ext.observer.{module}")
        monkeypatch.delattr(package, module, raising=False)
    with pytest.raises(Exception, match=r"pip install 'miniagents\[observe\]'"):
        package.WebObserver()
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        package.Other  # type: ignore[attr-defined]  # noqa: B018
