"""`StackServer`: where an event loop is, also while a handler blocks it."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from miniagents import Actor, ActorSystem, TextMessage
from miniagents.control.system.stacks import Place, StackServer, ask_place, place_of, stack_path
from tests.actors.actors import turns

pytestmark = pytest.mark.real_time


class Blocking(Actor):
    """Blocks the loop until it is let go."""

    async def receive(self, message: Any, ctx: Any) -> None:
        holds_the_loop()


def holds_the_loop() -> None:
    held.set()
    assert release.wait(30)


held, release = threading.Event(), threading.Event()


async def test_the_actor_that_blocks_the_loop_is_named_with_its_line() -> None:
    held.clear()
    release.clear()
    places: list[Place | None] = []

    def look(path: Path) -> None:
        try:
            assert held.wait(30)
            places.append(ask_place(path))
        finally:
            release.set()

    async with ActorSystem(control=True) as system:
        assert system.control is not None
        thread = threading.Thread(target=look, args=(system.control.path,))
        thread.start()
        system.spawn(Blocking, name="blocking").tell(TextMessage("now"))
        await asyncio.to_thread(thread.join)

    (place,) = places
    assert place is not None
    assert (place.is_idle, place.actor) == (False, "/blocking")
    assert ("holds_the_loop", __file__) in [(frame.function, frame.file) for frame in place.frames]


async def test_a_loop_that_waits_is_idle() -> None:
    async with ActorSystem(control=True) as system:
        assert system.control is not None
        place = await asyncio.to_thread(ask_place, system.control.path)
        while place is not None and not place.is_idle:  # it was just about to wait
            place = await asyncio.to_thread(ask_place, system.control.path)

    assert place is not None


async def test_the_socket_is_the_users_alone_and_goes_with_the_system(runtime: Path) -> None:
    async with ActorSystem(control=True) as system:
        assert system.control is not None
        assert stack_path(system.control.path).stat().st_mode & 0o777 == 0o600
        assert len(list(runtime.iterdir())) == 2

    assert list(runtime.iterdir()) == []
    assert [thread for thread in threading.enumerate() if thread.name == "miniagents-stacks"] == []


def test_where_nobody_tells_there_is_no_place(tmp_path: Path) -> None:
    assert ask_place(tmp_path / "x.sock") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users have numbers there alone")
def test_another_user_is_told_nothing(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    runtime.mkdir()
    server = StackServer(runtime / "x.sock")
    server.open()
    try:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert ask_place(runtime / "x.sock") is None
    finally:
        server.close()


def test_a_property_of_the_users_is_not_run_to_name_an_actor() -> None:
    class Odd:
        @property
        def path(self) -> str:
            raise AssertionError("it was run")

        def look(self) -> Place:
            return place_of(threading.get_ident())

    assert Odd().look().actor is None


async def test_a_place_is_told_after_some_turns_too() -> None:
    await turns(3)

    assert not place_of(threading.get_ident()).is_idle
