"""Recordings: what the page would show, in a file, played back without the process."""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from miniagents import Actor, ChildSpec, InteractionContext, MiniAgents, OneForOne, Supervisor, TextMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.observer import WebObserver
from miniagents.ext.observer.connection import difference
from miniagents.ext.observer.recording_file import CALL, DELTA, KEY, MAGIC, Recording, RecordingWriter, packed
from miniagents.ext.observer.replay_app import ReplayApp
from miniagents.ext.observer.replaying import Replay, applied
from miniagents.ext.observer.sessions import Sessions
from miniagents.testing import Script, ScriptedModel

Reads = Callable[[Path], Recording]


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> TextMessage:
        if str(message) == "fail":
            raise ValueError("the password is tiger")
        return TextMessage("done")


@miniagent
async def answerer(ctx: InteractionContext) -> None:
    await asyncio.sleep(1)
    ctx.reply(f"an answer about {await ctx.message_promises}")


@miniagent
async def asker(ctx: InteractionContext) -> None:
    ctx.interaction.spend(7, None)
    await answerer.inquire("the secret of tigers")
    ctx.reply(await answerer.inquire("lions"))


async def recorded(path: Path, **options: Any) -> tuple[float, float]:
    """Record a run.

    Returns:
        The times before the call and after it, in seconds since the epoch.
    """
    async with MiniAgents(observers=[WebObserver(opens=False, record=path, **options)]) as system:
        strategy = OneForOne(max_restarts=9)
        await system.supervise(Supervisor("shelves", strategy=strategy, children=[ChildSpec("faulty", Faulty)]))
        await asyncio.sleep(2.5)
        before = time.time()
        await asker.inquire("a secret question")
        faulty = system.lookup("/shelves/faulty")
        assert faulty is not None
        with pytest.raises(ValueError, match="tiger"):
            await faulty.ask(TextMessage("fail"))
        await asyncio.sleep(2.5)
        system.spawn(Faulty, name="late")
        await asyncio.sleep(2.5)
        return before, time.time()


@pytest.fixture
def read() -> Iterator[Reads]:
    """Reads recordings, and closes them."""
    with ExitStack() as stack:

        def opened(path: Path) -> Recording:
            recording = Recording(path)
            stack.callback(recording.close)
            return recording

        yield opened


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day follows the virtual time of the loop, so that frames have times of their own."""
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0 + asyncio.get_running_loop().time())


async def look(replay: Replay, name: str, **params: Any) -> Any:
    return await replay.sections()[name][1](params)


@pytest.mark.usefixtures("wall")
async def test_a_recording_shows_the_system_as_it_was_at_each_time(tmp_path: Path, read: Reads) -> None:
    before, after = await recorded(tmp_path / "run.mar")
    recording = read(tmp_path / "run.mar")
    assert recording.begins < before < after <= recording.ends + 1.5
    replay = Replay(recording)
    first = await look(replay, "tree", at=before - 1, open=["/shelves"], count=50)
    assert [first["rows"][key]["path"] for key in first["order"]] == ["/", "/shelves", "/shelves/faulty"]
    late = await look(replay, "tree", at=recording.ends, open=["/shelves", "/agents"], count=50)
    paths = [late["rows"][key]["path"] for key in late["order"]]
    assert paths == ["/", "/shelves", "/shelves/faulty", "/agents", "/agents/asker", "/agents/answerer", "/late"]
    assert (await look(replay, "summary", at=before - 1))["calls"] == 0
    assert (await look(replay, "summary", at=recording.ends))["calls"] == 3
    assert (await look(replay, "summary", at=before - 1))["calls"] == 0, "and back again"
    assert (await look(replay, "happenings", at=before - 1))["order"] == []
    happened = await look(replay, "happenings", at=recording.ends, path="/shelves")
    assert [happened["rows"][key]["kind"] for key in happened["order"]] == ["restart", "crash"]
    samples = (await look(replay, "samples", at=recording.ends))["samples"]
    assert len({sample[0] for sample in samples}) == len(samples) >= 8
    early = (await look(replay, "samples", at=before - 1))["samples"]
    assert samples[: len(early)] == early != samples
    assert early[-1][0] <= before - 1


@pytest.mark.usefixtures("wall")
async def test_the_tree_of_a_recording_is_folded_and_comes_in_windows(tmp_path: Path, read: Reads) -> None:
    await recorded(tmp_path / "run.mar")
    recording = read(tmp_path / "run.mar")
    replay = Replay(recording)
    folded = await look(replay, "tree", count=50)
    assert [folded["rows"][key]["path"] for key in folded["order"]] == ["/", "/shelves", "/agents", "/late"]
    assert [folded["rows"][key]["open"] for key in folded["order"]] == [True, False, False, False]
    assert (await look(replay, "tree", open=["-/"], count=50))["total"] == 1
    window = await look(replay, "tree", open=["/agents"], first=2, count=2)
    assert [window["rows"][key]["path"] for key in window["order"]] == ["/agents", "/agents/asker"]
    assert (window["first"], window["total"]) == (2, 6)


@pytest.mark.usefixtures("wall")
async def test_an_interaction_of_a_recording_is_opened_by_any_call_of_it(tmp_path: Path, read: Reads) -> None:
    await recorded(tmp_path / "run.mar")
    recording = read(tmp_path / "run.mar")
    replay = Replay(recording)
    calls = await look(replay, "calls")
    (row,) = [calls["rows"][key] for key in calls["order"]]
    assert (row["agent"], row["calls"], row["cost"]) == ("asker", 3, None)
    whole = await look(replay, "call", id=row["id"], count=50)
    assert [whole["rows"][key]["agent"] for key in whole["order"]] == ["asker", "answerer", "answerer"]
    folded = await look(replay, "call", id=row["id"], count=50, folded=[row["id"]])
    assert folded["total"] == 1
    inner = whole["rows"][whole["order"][1]]
    again = await look(replay, "call", id=inner["id"], count=50, selected=inner["id"])
    assert (again["id"], again["selected"]["agent"], again["selected"]["texts"]) == (row["id"], "answerer", {})
    assert await look(replay, "call", id=999) is None
    actor = await look(replay, "actor", path="/agents/asker")
    assert (actor["state"], actor["kind"], actor["calls"]["total"]) == ("idle", "asker", 1)
    assert (await look(replay, "actor", path="/nobody"))["state"] == "unknown"


@pytest.mark.usefixtures("wall")
@pytest.mark.parametrize(("texts", "is_there"), [("facts", False), ("full", True)])
async def test_a_recording_has_no_texts_unless_they_were_asked_for_and_belongs_to_its_owner(
    tmp_path: Path, read: Reads, texts: Any, is_there: bool
) -> None:
    path = tmp_path / "run.mar"
    options = {} if texts == "facts" else {"record_texts": texts}
    await recorded(path, **options)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    recording = read(path)
    everything = str([content for _, _, content in recording.states(recording.ends)])
    calls = await look(Replay(recording), "calls")
    everything += str(recording.call(calls["rows"][calls["order"][0]]["id"]))
    for word in ("tiger", "secret question", "an answer about"):
        assert (word in everything) is is_there, word


def test_a_recording_is_written_where_files_have_no_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fchmod")
    monkeypatch.delattr(os, "O_NOFOLLOW")

    RecordingWriter(tmp_path / "run.mar", 100_000).close()

    assert (tmp_path / "run.mar").read_bytes().startswith(MAGIC)


async def test_a_full_recording_drops_its_older_half_and_can_still_be_played(tmp_path: Path, read: Reads) -> None:
    path = tmp_path / "run.mar"
    writer = RecordingWriter(path, 100_000)
    noise = [os.urandom(500).hex() for _ in range(400)]
    for number in range(400):
        kind = DELTA if number % 10 else KEY
        delta = {
            "sections": {"summary": {"n": number, "noise": noise[number], "fresh": not number % 10}},
            "samples": [],
        }
        writer.write([packed(kind, float(number), delta), packed(CALL, float(number), {"n": number}, [number])])
        assert writer.bytes <= 102_000
        assert path.stat().st_size == writer.bytes
    writer.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    recording = read(path)
    assert 200 < recording.begins < 399 == recording.ends
    for at in (recording.begins, recording.begins + 15, 399):
        assert (await look(Replay(recording), "summary", at=at))["n"] == at
    assert recording.call(399) == {"n": 399}
    assert recording.call(1) is None


async def test_a_recording_that_was_cut_off_is_played_up_to_there(tmp_path: Path, read: Reads) -> None:
    path = tmp_path / "run.mar"
    writer = RecordingWriter(path, 1_000_000)
    for number in range(3):
        content = {"sections": {"summary": {"n": number}}, "samples": []}
        writer.write([packed(DELTA if number else KEY, float(number), content)])
    writer.close()
    whole = path.read_bytes()
    for length in range(len(whole) - 1, len(whole) - 40, -1):
        path.write_bytes(whole[:length])
        recording = read(path)
        assert recording.ends == 1.0
        assert (await look(Replay(recording), "summary"))["n"] == 1


@pytest.mark.parametrize("content", [b"", b"something else", MAGIC, MAGIC + b"K"])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.mar"
    path.write_bytes(content)
    with pytest.raises(InvalidOptionError, match=r"run\.mar"):
        Recording(path)


def test_a_file_that_is_no_recording_is_not_replaced_and_a_link_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada")
    with pytest.raises(InvalidOptionError, match="no recording"):
        RecordingWriter(path, 100_000)
    assert path.read_text() == "Dear Ada"
    link = tmp_path / "run.mar"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):  # noqa: PT011 - its text is that of the platform
        RecordingWriter(link, 100_000)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_recording_that_cannot_be_written_is_told_and_the_agents_go_on(
    tmp_path: Path, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    observer = WebObserver(opens=False, record=tmp_path / "run.mar")
    async with MiniAgents(observers=[observer]):
        await asyncio.sleep(1.5)
        monkeypatch.setattr(RecordingWriter, "write", full)
        await asyncio.sleep(1.5)
        assert str(await answerer.inquire("x")) == "an answer about x"
        (happening,) = [one for one in observer.happenings.values() if one.kind == "recording"]
        assert "No space left" in str(happening.text)
    assert [entry["event"] for entry in log].count("observer.recording_failed") == 1
    assert observer.recorder_to_file is not None
    assert observer.recorder_to_file.failure == "OSError: [Errno 28] No space left on device"
    nowhere = WebObserver(opens=False, record=tmp_path / "no" / "such" / "folder" / "run.mar")
    async with MiniAgents(observers=[nowhere]):
        assert str(await answerer.inquire("x")) == "an answer about x"
    assert nowhere.recorder_to_file is not None
    assert "No such file" in str(nowhere.recorder_to_file.failure)


def test_a_view_is_the_one_before_and_the_difference() -> None:
    views: list[Any] = [
        {"a": 1, "rows": {"x": 1, "y": 2}, "order": ["x", "y"]},
        {"a": 1, "b": 3, "rows": {"y": 5, "z": 2}, "order": ["z", "y"]},
        {"b": 3, "rows": {}, "order": []},
        {"b": 4},
    ]
    seen: Any = None
    before: Any = None
    for view in views:
        seen = applied(seen, difference(view, before))
        assert seen == view
        before = view


@pytest.mark.usefixtures("wall")
async def test_the_page_of_a_recording_is_guarded_and_takes_no_action(tmp_path: Path, read: Reads) -> None:
    await recorded(tmp_path / "run.mar")
    recording = read(tmp_path / "run.mar")
    sessions = Sessions()
    app = ReplayApp(recording, sessions, lambda host: host == "localhost")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/")).status_code == 401
        assert (await client.get("/", params={"token": sessions.new_token()})).status_code == 200
        assert '<div id="app">' in (await client.get("/")).text
        found = (await client.get("/search", params={"for": "FAULTY"})).json()
        assert [item["path"] for item in found["actors"]["items"]] == ["/shelves/faulty"]
        assert found["happenings"]["found"] == 2
        headers = {"origin": "http://localhost"}
        refused = await client.post("/actions", json={"kind": "restart", "target": "/late"}, headers=headers)
        assert (refused.status_code, "recording" in refused.text) == (409, True)
        assert (await client.get("/text", params={"id": "1", "name": "input"})).status_code == 404
    assert app.hello(app._texts)["system"] == "miniagents"


async def test_many_interactions_at_once_are_counted_and_the_last_ones_recorded(tmp_path: Path) -> None:
    model = ScriptedModel.fork(script=Script(*["hi"] * 120))
    observer = WebObserver(opens=False, record=tmp_path / "run.mar")
    async with MiniAgents(observers=[observer]):
        for _ in range(120):
            await model.inquire("Hi")
        await asyncio.sleep(1.5)
    assert observer.recorder_to_file is not None
    assert observer.recorder_to_file.left_out == 70
