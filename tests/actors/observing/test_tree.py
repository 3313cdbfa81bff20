"""What the tree shows of each actor, and how it is drawn."""

from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorSystem,
    ChildSpec,
    InteractionContext,
    Message,
    MiniAgents,
    Pool,
    SpawnOptions,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.journal import MemoryJournal
from tests.actors.actors import Crash


class Shelf(Actor):
    def __init__(self, books: int = 0) -> None:
        self.books = books

    async def receive(self, message: Message, ctx: Any) -> None:
        if isinstance(message, Crash):
            raise ValueError(message.text)


@miniagent
async def reader(ctx: InteractionContext) -> None:
    ctx.reply("read")


@miniagent
class Writer:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply("written")


async def test_each_actor_is_shown_with_its_class_and_kind() -> None:
    async with MiniAgents(journal=MemoryJournal()) as system:
        system.spawn(Shelf, name="plain")
        system.spawn(Shelf, name="filled", books=3)
        system.spawn(Shelf, name="durable", options=SpawnOptions(durable=True))
        await system.supervise(Supervisor("s", children=[ChildSpec("w", Shelf)]))
        await system.pool(Shelf, size=1, name="shelves")
        await system.pool(reader, size=1, name="readers")
        await reader.inquire()
        agent: Any = Writer
        await agent.inquire()
        kinds = {}
        stack = [system.tree()]
        while stack:
            info = stack.pop()
            kinds[info.path] = (info.kind, info.type)
            stack += info.children
    assert kinds == {
        "/": ("system", ""),
        "/plain": ("actor", "Shelf"),
        "/filled": ("actor", "Shelf"),
        "/durable": ("actor", "Shelf"),
        "/s": ("supervisor", ""),
        "/s/w": ("actor", "Shelf"),
        "/shelves": ("pool", ""),
        "/shelves/1": ("actor", "Shelf"),
        "/readers": ("pool", "reader"),
        "/readers/1": ("agent", "reader"),
        "/agents": ("agents", ""),
        "/agents/reader": ("agent", "reader"),
        "/agents/Writer": ("class agent", "Writer"),
    }


async def test_the_tree_is_drawn_with_what_is_remarkable_about_each_actor() -> None:
    async with ActorSystem() as system:
        await system.supervise(
            Supervisor("library", children=[ChildSpec("a", Shelf), ChildSpec("more", Pool(Shelf, size=2))])
        )
        last = system.spawn(Shelf, name="last")
        shelf = system.lookup("/library/a")
        assert shelf is not None
        with pytest.raises(ValueError, match="too heavy"):
            await shelf.ask(Crash("too heavy"))
        await shelf.ask(TextMessage("are you back?"))
        await last.started()
        last.tell(Crash("a"))
        last.tell(Crash("b"))
        assert str(system.tree()).splitlines() == [
            "/  (system)  idle",
            "├── library  (supervisor)  idle",
            "│   ├── a  Shelf (actor)  idle  1 restart  last error: ValueError: too heavy",
            "│   └── more  (pool)  idle",
            "│       ├── 1  Shelf (actor)  idle",
            "│       └── 2  Shelf (actor)  idle",
            "└── last  Shelf (actor)  running  2 waiting",
        ]


async def test_a_name_or_an_error_with_control_characters_is_drawn_without_them_on_one_line() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Shelf, name="\x1b[31mred\n")
        with pytest.raises(ValueError, match="x"):
            await ref.ask(Crash("x\x1b[2J\r\n" + "long" * 100))
        drawn = str(system.tree())
    assert "\x1b" not in drawn
    assert drawn.count("\n") == 1
    assert len(drawn) < 400
    assert "\N{REPLACEMENT CHARACTER}[31mred" in drawn
