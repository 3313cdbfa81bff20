import asyncio
from random import Random
from typing import Any

import msgspec
import pytest
from starlette.websockets import WebSocket

from miniagents.ext.observer.connection import HEARTBEAT, TICK, Connection, difference


def some_view(random: Random) -> dict[str, Any]:
    order = random.sample("abcd", random.randrange(5))
    view = {"order": order, "rows": {key: random.randrange(3) for key in order}}
    return view | {name: random.choice([None, "x", 1]) for name in ("total", "note") if random.random() < 0.6}


def merged(view: dict[str, Any] | None, delta: dict[str, Any]) -> dict[str, Any]:
    """What the page has after a difference, as static/store.js works it out."""
    fresh, gone = delta.pop("fresh", False), delta.pop("gone", [])
    rows = {**({} if fresh or view is None else view["rows"]), **delta.pop("rows", {})}
    old = {} if fresh or view is None else {name: value for name, value in view.items() if name not in gone}
    new = {**old, **delta}
    new["rows"] = {key: rows[key] for key in new["order"] if key in rows}
    return new


@pytest.mark.parametrize("seed", range(10))
def test_a_page_that_takes_all_differences_has_the_last_view(seed: int) -> None:
    random = Random(seed)
    page: dict[str, Any] | None = None
    sent: dict[str, Any] | None = None
    for _ in range(100):
        view = some_view(random)
        page = merged(page, msgspec.json.decode(msgspec.json.encode(difference(view, sent))))
        sent = view

        assert page == view


def test_nothing_is_sent_where_nothing_has_changed() -> None:
    view = {"order": ["a"], "rows": {"a": 1}, "total": 1}

    assert difference(dict(view), view) == {}


class Client:
    """The other side of a WebSocket, without a network."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.is_stuck = False

    async def receive(self) -> dict[str, Any]:
        return await self.said.get()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(msgspec.json.decode(message["text"]))
        elif message["type"] == "websocket.close":
            self.closed = message["code"]

    def say(self, content: Any) -> None:
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        self.said.put_nowait({"type": "websocket.receive", "text": text})

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [frame for frame in self.sent if "n" in frame]

    def start(self, sections: Any) -> "asyncio.Task[None]":
        self.said.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        websocket = WebSocket(scope, self.receive, self.send)  # type: ignore[arg-type]
        return asyncio.create_task(Connection(websocket, sections, {"boot": "1"}).run())

    async def leave(self, task: "asyncio.Task[None]") -> None:
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task


def counting() -> tuple[list[Any], Any]:
    """A section that says something else each time, and what it was asked for."""
    asked: list[Any] = []

    async def compute(look: Any) -> Any:
        asked.append(look)
        return {"number": len(asked)}

    return asked, {"count": (0.0, compute)}


async def test_a_page_gets_what_it_looks_at_and_nothing_else() -> None:
    client, (asked, sections) = Client(), counting()
    task = client.start(sections)
    client.say({"look": {"count": {"first": 3}, "unknown": {}}})
    await asyncio.sleep(TICK * 2)
    await client.leave(task)

    assert client.sent[0] == {"hello": {"boot": "1"}}
    assert asked[0] == {"first": 3}
    assert client.frames[-1]["sections"] == {"count": {"number": 1, "epoch": None, "ask": None, "fresh": True}}


async def test_a_page_that_takes_no_frame_gets_no_other_one_and_nothing_is_computed_for_it() -> None:
    client, (asked, sections) = Client(), counting()
    task = client.start(sections)
    client.say({"look": {"count": {}}})
    await asyncio.sleep(60)
    assert len(client.frames) == 1
    before = len(asked)

    client.say({"look": {"count": {"first": 9}}})  # it looks elsewhere, and has not taken the frame yet
    await asyncio.sleep(60)
    assert len(asked) == before
    assert len(client.frames) == 1

    client.say({"taken": 1})
    await asyncio.sleep(TICK * 1.5)
    assert len(client.frames) == 2
    await client.leave(task)


async def test_a_quick_page_gets_five_frames_a_second_at_most() -> None:
    client, (_, sections) = Client(), counting()
    task = client.start(sections)
    client.say({"look": {"count": {}}})
    for _ in range(1_000):
        await asyncio.sleep(0.01)
        client.say({"taken": len(client.frames)})
    await client.leave(task)

    assert 40 <= len(client.frames) <= 51


async def test_a_page_that_looks_at_nothing_gets_heartbeats_alone() -> None:
    client, (asked, sections) = Client(), counting()
    task = client.start(sections)
    for _ in range(100):
        await asyncio.sleep(0.1)
        client.say({"look": {}, "taken": len(client.frames)})
    await client.leave(task)

    assert asked == []
    assert 7 <= len(client.frames) <= 10 / HEARTBEAT + 1
    assert all(frame["sections"] == {} for frame in client.frames)


async def test_another_part_of_the_page_gets_a_whole_view() -> None:
    client, (_, sections) = Client(), counting()
    task = client.start(sections)
    client.say({"look": {"count": {"epoch": 1, "ask": 1}}})
    await asyncio.sleep(TICK)
    client.say({"taken": 1, "look": {"count": {"epoch": 1, "ask": 2}}})
    await asyncio.sleep(TICK * 2)
    client.say({"taken": 2, "look": {"count": {"epoch": 3, "ask": 3}}})
    await asyncio.sleep(TICK * 2)
    await client.leave(task)

    first, same, other = [frame["sections"]["count"] for frame in client.frames]
    assert first["fresh"]
    assert "fresh" not in same
    assert (other["fresh"], other["epoch"], other["ask"]) == (True, 3, 3)


async def test_a_section_that_fails_is_shown_as_failed_and_logged_once(log: list[dict[str, Any]]) -> None:
    async def fails(look: Any) -> Any:
        raise ValueError("a secret")

    client = Client()
    task = client.start({"bad": (0.0, fails)})
    client.say({"look": {"bad": {}}})
    for _ in range(20):
        await asyncio.sleep(0.1)
        client.say({"taken": len(client.frames)})
    await client.leave(task)

    assert client.frames[0]["sections"]["bad"]["failed"] == "ValueError"
    assert [entry["section"] for entry in log if entry["event"] == "observer.section_failed"] == ["bad"]
    assert "a secret" not in str(client.sent)


async def test_what_is_no_message_closes_the_connection() -> None:
    for garbage in ("{", "[]", "x" * 70_000, "1"):
        client, (_, sections) = Client(), counting()
        task = client.start(sections)
        client.say(garbage)
        await task
        assert client.closed == 1003, garbage[:5]
