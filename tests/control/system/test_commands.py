"""The commands that every system answers."""

import asyncio
import os
from typing import Any

import pytest

from miniagents import Actor, ActorSystem, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.control import CommandError
from tests.control.system.conftest import Asked

pytestmark = pytest.mark.real_time


class Idle(Actor):
    """Handles messages, and does nothing."""

    async def receive(self, message: Any, ctx: Any) -> None:
        pass


async def test_a_system_says_who_it_is(asked: Asked) -> None:
    async with ActorSystem(name="ours", control=True) as system:
        hello = await asked(system, "hello")

    assert (hello["pid"], hello["system"], hello["journal"]) == (os.getpid(), "ours", None)


async def test_the_tree_comes_in_pages(asked: Asked) -> None:
    async with ActorSystem(control=True) as system:
        for name in ("a", "b", "c"):
            await system.spawn(Idle, name=name).started()
        first = await asked(system, "system.tree", limit=2)
        rest = await asked(system, "system.tree", limit=2, cursor=first["cursor"])

    assert [node["path"] for node in first["nodes"]] == ["/", "/a"]
    assert ([node["path"] for node in rest["nodes"]], rest["cursor"]) == (["/b", "/c"], None)


async def test_a_call_is_listed_with_the_number_of_the_one_that_made_it_when_that_has_ended(asked: Asked) -> None:
    began = asyncio.Event()

    @miniagent
    async def waiter(ctx: InteractionContext) -> None:
        began.set()
        await asyncio.Event().wait()

    @miniagent
    async def forwards(ctx: InteractionContext) -> None:
        ctx.reply(waiter.inquire("go"))

    async with MiniAgents(control=True) as system:
        replies = forwards.trigger("begin", errors_as_messages=True)
        await began.wait()
        while len(system.interactions()) > 1:  # noqa: ASYNC110 - nothing tells when a call has left the list
            await asyncio.sleep(0)
        (call,) = (await asked(system, "system.interactions"))["interactions"]
        await asked(system, "system.cancel", id=call["id"], by="ada")
        await replies

    assert (call["agent"], call["id"], call["parent"]) == ("/agents/waiter", 2, 1)


async def test_a_call_is_listed_with_the_one_that_made_it_and_is_cancelled_with_all_below(asked: Asked) -> None:
    began = asyncio.Event()

    @miniagent
    async def waiter(ctx: InteractionContext) -> None:
        began.set()
        await asyncio.Event().wait()

    @miniagent
    async def boss(ctx: InteractionContext) -> None:
        await waiter.inquire("go")

    async with MiniAgents(control=True) as system:
        replies = boss.trigger("begin", errors_as_messages=True)
        await began.wait()
        calls = (await asked(system, "system.interactions"))["interactions"]
        cancelled = await asked(system, "system.cancel", id=calls[0]["id"], by="ada")
        after = await asked(system, "system.interactions")
        (reply,) = await replies

    assert [(call["agent"], call["parent"], call["state"]) for call in calls] == [
        ("/agents/boss", None, "running"),
        ("/agents/waiter", calls[0]["id"], "running"),
    ]
    assert (cancelled["agent"], cancelled["abandoned"]) == ("/agents/boss", [])
    assert after == {"interactions": [], "total": 0}
    assert "cancelled by ada" in str(reply)


async def test_a_system_without_agents_has_no_calls(asked: Asked) -> None:
    async with ActorSystem(control=True) as system:
        assert await asked(system, "system.interactions") == {"interactions": [], "total": 0}


async def test_dead_letters_are_listed_sent_again_and_dropped(asked: Asked) -> None:
    async with ActorSystem(control=True) as system:
        ref = system.spawn(Idle, name="idle")
        await ref.stop()
        ref.tell(TextMessage("one"))
        ref.tell(TextMessage("two"))
        first, second = (await asked(system, "system.letters"))["letters"]
        again = await asked(system, "system.letters.resend", id=first["id"])
        dropped = await asked(system, "system.letters.drop", id=second["id"])
        left = (await asked(system, "system.letters"))["letters"]

    assert (first["receiver"], first["type"], first["reason"]) == ("/idle", "TextMessage", "stopped")
    assert again == {"id": first["id"], "receiver": "/idle", "accepted": False}
    assert dropped == {"id": second["id"], "receiver": "/idle"}
    assert second["id"] not in [letter["id"] for letter in left]


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("system.tree", {"path": "/nobody"}, "no actor at '/nobody'"),
        ("system.tree", {"cursor": "x"}, "cursor"),
        ("system.tree", {"odd": 1}, "wrong arguments"),
        ("system.cancel", {"id": 99}, "no call 99"),
        ("system.letters.drop", {"id": 99}, "no dead letter 99"),
    ],
)
async def test_a_wrong_question_is_a_mistake(asked: Asked, command: str, arguments: dict[str, Any], text: str) -> None:
    async with MiniAgents(control=True) as system:
        with pytest.raises(CommandError, match=text) as info:
            await asked(system, command, **arguments)

    assert info.value.kind == "mistake"


async def test_a_view_has_the_actors_below_each_path_that_is_there_with_the_calls(asked: Asked) -> None:
    async with MiniAgents(control=True) as system:
        for name in ("a", "b"):
            await system.spawn(Idle, name=name).started()
        view = await asked(system, "system.view", paths=["/", "/a", "/nobody"])

    assert {path: [node["path"] for node in level["nodes"]] for path, level in view["levels"].items()} == {
        "/": ["/", "/a", "/b"],
        "/a": ["/a"],
    }
    assert (view["interactions"], view["calls"], view["dead_letters"]) == ([], 0, 0)
