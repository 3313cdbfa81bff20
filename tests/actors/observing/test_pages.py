"""Pages of the tree, and what has changed in it since a version."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorInfo,
    ActorSystem,
    ChildSpec,
    InvalidOptionError,
    Message,
    MiniAgents,
    OneForOne,
    Restart,
    StopReason,
    Supervisor,
    TextMessage,
    TreePage,
    miniagent,
)
from miniagents.actors.observing import changes as changes_module
from miniagents.actors.observing import pages as pages_module
from tests.actors.actors import Add, Counter, Crash, Hold, Read, turns


class Parent(Actor):
    """Spawns a child for each message."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if isinstance(message, Crash):
            raise ValueError(message.text)
        ctx.spawn(Parent)


class Reader:
    """What somebody does who follows a tree: all that it knows comes from pages."""

    def __init__(self, system: ActorSystem, depth: int | None, limit: int) -> None:
        self.system = system
        self.depth = depth
        self.limit = limit
        self.version = 0
        self.known: dict[int, ActorInfo] = {}
        self.fresh = 0

    def take(self, page: TreePage) -> None:
        assert len(page.nodes) + len(page.ended) <= self.limit
        if page.is_fresh:
            self.fresh += 1
            self.known.clear()
        for node in page.nodes:
            self.known[node.uid] = node
        for ended in page.ended:
            self.known.pop(ended.uid, None)

    async def read(self) -> AsyncIterator[None]:
        """Read all pages, and let others do something before each of them."""
        options: dict[str, Any] = {"depth": self.depth, "limit": self.limit}
        page = self.system.tree(changed_since=self.version, **options)
        self.take(page)
        while page.cursor is not None:
            yield
            page = self.system.tree(cursor=page.cursor, **options)
            self.take(page)
        self.version = page.version

    async def read_all(self) -> None:
        async for _ in self.read():
            pass

    def facts(self) -> dict[int, tuple[str, int, str | None, int]]:
        return {uid: facts_of(node) for uid, node in self.known.items()}


def facts_of(node: ActorInfo) -> tuple[str, int, str | None, int]:
    return node.path, node.restarts, node.last_error, node.below.actors


def flat(node: ActorInfo) -> list[ActorInfo]:
    return [node, *(below for child in node.children for below in flat(child))]


def truth(
    system: ActorSystem, path: str = "/", depth: int | None = None
) -> dict[int, tuple[str, int, str | None, int]]:
    return {node.uid: facts_of(node) for node in flat(system.tree(path, depth=depth))}


def pages_of(system: ActorSystem, path: str = "/", **options: Any) -> list[TreePage]:
    pages = [system.tree(path, cursor="", **options)]
    while pages[-1].cursor is not None:
        pages.append(system.tree(path, cursor=pages[-1].cursor, **options))
    return pages


async def some_tree(system: ActorSystem) -> None:
    """Two supervisors of three, an actor with a child and a grandchild, and two alone."""
    for name in ("left", "right"):
        await system.supervise(
            Supervisor(
                name, strategy=OneForOne(max_restarts=1_000), children=[ChildSpec(f"{n}", Counter) for n in "abc"]
            )
        )
    parent = system.spawn(Parent, name="parent")
    parent.tell(Add(1))
    await turns()
    child = system.lookup("/parent/Parent-1")
    assert child is not None
    child.tell(Add(1))
    system.spawn(Counter)
    await system.spawn(Counter).started()
    await turns()


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 12, 13, 100])
async def test_pages_give_each_actor_once_before_those_below_it_whatever_their_size(limit: int) -> None:
    async with ActorSystem() as system:
        await some_tree(system)

        pages = pages_of(system, limit=limit)

        nodes = [node for page in pages for node in page.nodes]
        assert [node.path for node in nodes] == [node.path for node in flat(system.tree())]
        assert len(nodes) == 14
        assert all(len(page.nodes) == limit for page in pages[:-1])
        assert pages[-1].nodes
        assert [page.is_fresh for page in pages] == [True] + [False] * (len(pages) - 1)
        assert all(node.children == () for node in nodes)


async def test_pages_begin_at_a_path_and_go_as_deep_as_was_asked() -> None:
    async with ActorSystem() as system:
        await some_tree(system)

        def paths(path: str, depth: int | None) -> list[str]:
            return [node.path for page in pages_of(system, path, depth=depth, limit=2) for node in page.nodes]

        assert paths("/left", None) == ["/left", "/left/a", "/left/b", "/left/c"]
        assert paths("/parent", 1) == ["/parent", "/parent/Parent-1"]
        assert paths("/", 1) == ["/", "/left", "/right", "/parent", "/Counter-1", "/Counter-2"]
        assert paths("/parent", 0) == ["/parent"]


async def test_a_page_goes_on_behind_an_actor_that_has_ended_meanwhile() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Parent, name=name) for name in "abcd"]
        refs[1].tell(Add(1))
        await turns()
        page = system.tree(cursor="", limit=4)
        assert [node.path for node in page.nodes] == ["/", "/a", "/b", "/b/Parent-1"]
        assert page.cursor is not None
        await refs[1].stop()
        await refs[2].stop()
        refs[0].tell(Add(1))
        await turns()
        system.spawn(Parent, name="e")

        page = system.tree(cursor=page.cursor, limit=4)

        assert [node.path for node in page.nodes] == ["/d", "/e"]
        assert page.cursor is None
        assert "/a/Parent-1" in [node.path for node in system.tree(changed_since=page.version).nodes]


async def test_a_child_that_is_started_again_is_the_youngest_and_on_one_page_alone() -> None:
    async with ActorSystem() as system:
        children = [ChildSpec(child, Counter) for child in "abc"]
        supervisor = await system.supervise(Supervisor("s", children=children))
        await supervisor.terminate_child("a")
        await supervisor.restart_child("a")

        nodes = [node for page in pages_of(system, limit=1) for node in page.nodes]

        assert [node.path for node in nodes] == ["/", "/s", "/s/b", "/s/c", "/s/a"]
        assert [node.uid for node in nodes] == sorted(node.uid for node in nodes)
        assert nodes[1].below.actors == 3


async def test_changes_tell_what_appeared_changed_and_ended_and_nothing_else() -> None:
    async with ActorSystem() as system:
        await some_tree(system)
        version = pages_of(system)[-1].version
        assert system.tree(changed_since=version) == TreePage(nodes=(), cursor=None, version=version)
        new = system.spawn(Counter, name="new")
        with pytest.raises(ValueError, match="crash"):
            await system.lookup("/left/b").ask(Crash())  # type: ignore[union-attr]
        await system.lookup("/Counter-1").stop()  # type: ignore[union-attr]
        await new.started()
        await turns()

        page = system.tree(changed_since=version)

        assert sorted(node.path for node in page.nodes) == ["/", "/left", "/left/b", "/new"]
        assert [(ended.path, ended.reason) for ended in page.ended] == [("/Counter-1", StopReason.SHUTDOWN)]
        (crashed,) = [node for node in page.nodes if node.path == "/left/b"]
        assert (crashed.restarts, crashed.last_error) == (1, "ValueError: crash")
        assert not page.is_fresh
        assert system.tree(changed_since=page.version).nodes == ()


async def test_messages_are_no_change_and_the_figures_of_those_that_are_looked_at_are_of_now() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="busy", gate=gate)
        await ref.started()
        version = pages_of(system)[-1].version
        ref.tell(Hold())
        await turns()
        ref.tell(Add(1))

        assert system.tree(changed_since=version).nodes == ()
        (busy,) = system.tree("/busy", depth=0, cursor="").nodes
        assert (busy.state, busy.mailbox_depth) == ("running", 1)
        gate.set()


async def test_a_failed_call_of_a_function_agent_is_a_change() -> None:
    @miniagent
    async def fails(ctx: Any) -> None:
        raise ValueError("no")

    async with MiniAgents() as system:
        with pytest.raises(ValueError, match="no"):
            await fails.inquire("Hi")
        version = pages_of(system)[-1].version
        with pytest.raises(ValueError, match="no"):
            await fails.inquire("Hi")

        page = system.tree(changed_since=version)

        assert {node.path: node.below.failures for node in page.nodes} == {"/": 2, "/agents": 2, "/agents/fails": 0}


async def test_changes_come_in_pages_too_the_oldest_first() -> None:
    async with ActorSystem() as system:
        version = pages_of(system)[-1].version
        refs = [system.spawn(Counter, name=f"{n}") for n in range(7)]
        await refs[-1].started()
        await refs[0].stop()

        page = system.tree(changed_since=version, limit=3)

        assert [node.path for node in page.nodes] == ["/1", "/2", "/3"]
        assert page.cursor is not None
        again = system.tree(changed_since=page.version, limit=3)
        assert again == system.tree(cursor=page.cursor, limit=3)
        assert [node.path for node in again.nodes] == ["/4", "/5", "/6"]
        last = system.tree(changed_since=again.version, limit=3)
        assert [node.path for node in last.nodes] == ["/"]
        assert [ended.path for ended in last.ended] == ["/0"]
        assert last.cursor is None


async def test_changes_below_a_path_are_those_at_and_below_it() -> None:
    async with ActorSystem() as system:
        await some_tree(system)
        version = pages_of(system)[-1].version
        for path in ("/left/a", "/right/a", "/parent/Parent-1"):
            await system.lookup(path).stop()  # type: ignore[union-attr]
        await turns(30)

        page = system.tree("/parent", changed_since=version)
        assert [ended.path for ended in page.ended] == ["/parent/Parent-1/Parent-1", "/parent/Parent-1"]
        assert [node.path for node in page.nodes] == ["/parent"]
        shallow = system.tree("/parent", depth=1, changed_since=version)
        assert [ended.path for ended in shallow.ended] == ["/parent/Parent-1"]
        assert system.tree("/parent", depth=0, changed_since=version).ended == ()
        assert {node.path for node in system.tree("/left", changed_since=version).nodes} == {"/left", "/left/a"}


async def test_a_path_whose_actor_was_replaced_tells_of_the_one_that_ended() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="one")
        await ref.started()
        version = pages_of(system, "/one")[-1].version
        await ref.stop()
        other = system.spawn(Counter, name="one")
        await other.started()

        page = system.tree("/one", changed_since=version)

        assert [ended.uid for ended in page.ended] == [ref.uid]
        assert [node.uid for node in page.nodes] == [other.uid]


async def test_a_tombstone_has_the_last_facts() -> None:
    class LastError(Exception):
        pass

    class Fragile(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, Crash):
                raise LastError("bye")

    async with ActorSystem() as system:
        version = pages_of(system)[-1].version
        supervisor = await system.supervise(
            Supervisor("s", children=[ChildSpec("fragile", Fragile, restart=Restart.TEMPORARY)])
        )
        fragile = system.lookup("/s/fragile")
        assert fragile is not None
        fragile.tell(Add(1))
        fragile.tell(Crash())
        await fragile.terminated()

        (ended,) = system.tree(changed_since=version).ended

        assert (ended.path, ended.uid, ended.reason) == ("/s/fragile", fragile.uid, "LastError")
        assert (ended.handled, ended.restarts, ended.last_error) == (1, 0, "LastError: bye")
        assert (ended.node, ended.epoch) == ("", 0)
        await supervisor.stop()


async def test_who_comes_back_after_too_many_ends_gets_the_whole_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "TOMBSTONES", 5)
    async with ActorSystem() as system:
        version = pages_of(system)[-1].version
        for number in range(5):
            await system.spawn(Counter, name=f"{number}").stop()
        page = system.tree(changed_since=version)
        assert (page.is_fresh, len(page.ended)) == (False, 5)
        await system.spawn(Counter, name="one too many").stop()

        page = system.tree(changed_since=version)

        assert page.is_fresh
        assert ([node.path for node in page.nodes], page.ended) == (["/"], ())


async def test_who_comes_back_after_too_many_changes_gets_the_whole_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "BEHIND", 5)
    async with ActorSystem() as system:
        version = pages_of(system)[-1].version
        for number in range(4):
            await system.spawn(Counter, name=f"{number}").started()
        assert not system.tree(changed_since=version).is_fresh
        await system.spawn(Counter, name="one too many").started()

        assert system.tree(changed_since=version).is_fresh


@pytest.mark.parametrize("version", [0, 10**9])
async def test_a_version_that_is_none_of_this_systems_gives_the_whole_tree(version: int) -> None:
    async with ActorSystem() as system:
        pages_of(system)
        await system.spawn(Counter, name="one").started()

        page = system.tree(changed_since=version)

        assert page.is_fresh
        assert [node.path for node in page.nodes] == ["/", "/one"]


async def test_nothing_is_kept_before_somebody_asks_nor_after_nobody_has_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "UNREAD", 50)
    async with ActorSystem() as system:
        await system.spawn(Counter).stop()
        assert not system.changes.wanted
        assert not system.changes.changed
        version = pages_of(system)[-1].version
        assert system.changes.wanted
        ref = system.spawn(Counter)
        await ref.started()
        assert system.changes.changed

        for _ in range(30):
            await system.spawn(Counter).stop()

        assert not system.changes.wanted
        assert not system.changes.changed
        assert not system.changes.ended
        assert system.tree(changed_since=version).is_fresh
        assert system.changes.wanted


async def test_who_reads_keeps_the_log_also_in_the_middle_of_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "UNREAD", 50)
    async with ActorSystem() as system:
        for number in range(10):
            await system.spawn(Counter, name=f"{number}").started()

        async def some_changes() -> None:
            before = system.changes.version
            for _ in range(7):
                await system.spawn(Counter).stop()
            assert 25 < system.changes.version - before < 50

        page = system.tree(cursor="", limit=4)
        while page.cursor is not None:
            await some_changes()
            page = system.tree(cursor=page.cursor, limit=4)
        for _ in range(4):
            await some_changes()
            page = system.tree(changed_since=page.version)
            assert not page.is_fresh


async def test_a_log_that_was_begun_anew_for_another_reader_does_not_know_what_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "UNREAD", 3)
    async with ActorSystem() as system:
        version = pages_of(system)[-1].version
        await system.spawn(Counter).stop()
        assert not system.changes.wanted
        pages_of(system)

        assert system.tree(changed_since=version).is_fresh


async def test_an_end_changes_the_sums_above_also_where_the_end_took_its_time() -> None:
    class Slow(Actor):
        async def on_stop(self, reason: Any) -> None:
            await asyncio.sleep(1)

        async def receive(self, message: Message, ctx: ActorContext) -> None: ...

    async with ActorSystem() as system:
        ref = system.spawn(Slow)
        await ref.started()
        end = ref.stop()
        await asyncio.sleep(0.5)
        page = system.tree(cursor="")
        assert [(node.state, node.below.actors) for node in page.nodes] == [("idle", 1), ("stopping", 0)]
        await end

        page = system.tree(changed_since=page.version)

        assert [(node.path, node.below.actors) for node in page.nodes] == [("/", 0)]
        assert [ended.path for ended in page.ended] == ["/Slow-1"]


async def test_the_log_names_no_ended_actor_as_changed_though_one_below_it_lives_on() -> None:
    async with ActorSystem() as system:
        parent = system.spawn(Parent)
        parent.tell(Add(1))
        await turns()
        child = system.lookup("/Parent-1/Parent-1")
        assert child is not None
        pages_of(system)
        parent._cell.break_down(RuntimeError("a fault of the runtime"))  # type: ignore[attr-defined]

        child.tell(Crash())
        await turns()

        changed = {cell.path for cell in system.changes.changed}
        assert changed == {"", "/Parent-1/Parent-1"}
        await child.stop()


async def test_the_log_keeps_no_actor_that_has_ended() -> None:
    async with ActorSystem() as system:
        pages_of(system)
        references = []
        for _ in range(10):
            ref = system.spawn(Parent)
            ref.tell(Add(1))
            await turns()
            references.append(weakref.ref(ref._cell))
            await ref.stop()
        del ref
        await turns()
        gc.collect()
        assert [reference() for reference in references] == [None] * 10
        assert len(system.changes.changed) == 1  # the root


async def test_a_system_that_is_used_again_begins_with_a_whole_tree() -> None:
    system = ActorSystem()
    async with system:
        version = pages_of(system)[-1].version
    async with system:
        assert system.tree(changed_since=version).is_fresh


@pytest.mark.parametrize(
    "cursor", ["x", "tree:", "tree:1", "tree:1.x", "changes:", "changes:-1", "tree:-1.1", "other:1.1"]
)
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match=r"^tree\(cursor=\) must be the cursor of an earlier page, not "):
            system.tree(cursor=cursor)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"cursor": 1}, r"tree\(cursor=\)"),
        ({"changed_since": -1}, r"tree\(changed_since=\)"),
        ({"changed_since": True}, r"tree\(changed_since=\)"),
        ({"cursor": "", "limit": 0}, r"tree\(limit=\) of a page"),
        ({"changed_since": 0, "depth": -1}, r"tree\(depth=\)"),
    ],
)
async def test_options_of_a_page_that_are_out_of_range_are_refused(options: dict[str, Any], name: str) -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match=f"^{name} "):
            system.tree(**options)
        with pytest.raises(LookupError, match="there is no actor at '/nobody'"):
            system.tree("/nobody", cursor="")


async def test_the_sums_of_a_subtree_are_kept_up_as_things_happen() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        await some_tree(system)
        for path in ("/left/a", "/left/b", "/left/b", "/parent/Parent-1"):
            with pytest.raises(ValueError, match="crash"):
                await system.lookup(path).ask(Crash())  # type: ignore[union-attr]
        await turns(30)
        held = system.spawn(Counter, name="held", gate=gate)
        for message in (Hold(), Add(1), Add(2)):
            held.tell(message)
        await turns()

        sums = {node.path: node.below for node in system.tree(cursor="").nodes}

        def of(path: str) -> tuple[int, int, int, int | None]:
            below = sums[path]
            return below.actors, below.restarts, below.failures, below.waiting

        assert of("/left") == (3, 3, 3, 0)
        assert of("/right") == (3, 0, 0, 0)
        assert of("/parent") == (1, 1, 1, 0)  # the grandchild belonged to the instance that crashed
        assert of("/left/a") == (0, 0, 0, 0)
        assert of("/") == (13, 4, 4, 2)
        gate.set()


async def test_restarts_and_failures_of_those_that_have_ended_are_kept_in_the_sums_above() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        await ref.ask(Read())
        await ref.stop()

        below = system.tree(cursor="").nodes[0].below

        assert (below.actors, below.restarts, below.failures) == (0, 1, 1)


async def test_mailboxes_are_counted_as_far_as_the_time_of_a_page_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "COUNTED", 8)
    async with ActorSystem() as system:
        await some_tree(system)
        waiting = {node.path: node.below.waiting for node in system.tree(cursor="").nodes}

        assert waiting["/"] is None  # 13 are too many
        assert (waiting["/left"], waiting["/right"], waiting["/parent"]) == (0, 0, 0)
        monkeypatch.setattr(pages_module, "COUNTED", 5)
        waiting = {node.path: node.below.waiting for node in system.tree(cursor="").nodes}
        assert (waiting["/left"], waiting["/right"], waiting["/parent"]) == (0, None, 0)
        monkeypatch.setattr(pages_module, "COUNTED", 13)
        waiting = {node.path: node.below.waiting for node in system.tree(cursor="").nodes}
        assert (waiting["/"], waiting["/left"], waiting["/right"], waiting["/parent"]) == (0, 0, 0, 0)


async def test_a_page_holds_the_loop_up_no_longer_in_a_tree_that_is_larger() -> None:
    async def calls(actors: int) -> int:
        async with ActorSystem() as system:
            for _ in range(actors):
                last = system.spawn(Counter)
            await last.started()
            cursor = system.tree(cursor="", limit=actors // 2).cursor
            assert cursor is not None
            count = 0

            def profile(frame: Any, event: str, arg: Any) -> None:
                nonlocal count
                count += event == "call"

            import sys

            sys.setprofile(profile)
            try:
                system.tree(cursor=cursor, limit=10)
            finally:
                sys.setprofile(None)
            return count

    assert await calls(3_000) == await calls(100)


class Program:
    """Does something at random to a tree."""

    def __init__(self, system: ActorSystem, seed: int) -> None:
        self.system = system
        self.random = random.Random(seed)

    async def step(self) -> None:
        system, chance = self.system, self.random
        paths = [node.path for node in flat(system.tree())[1:]]
        what = chance.random()
        if not paths or (what < 0.25 and len(paths) < 30):
            system.spawn(Parent)
        else:
            ref = system.lookup(chance.choice(paths))
            assert ref is not None
            if what < 0.6 and len(paths) < 30:
                ref.tell(TextMessage("spawn"))
            elif what < 0.85:
                ref.tell(Crash())
            else:
                ref.stop()
        await turns(chance.randrange(4))


@pytest.mark.parametrize("seed", range(40))
async def test_who_follows_the_pages_knows_the_tree_whatever_happens_between_them(seed: int) -> None:
    async with ActorSystem() as system:
        program = Program(system, seed)
        readers = [Reader(system, depth, limit) for limit, depth in ((1, None), (3, None), (2, 1))]
        for _ in range(6):
            for _ in range(10):
                await program.step()
            for reader in readers:
                pages = 0
                async for _ in reader.read():
                    pages += 1
                    if pages < 10:  # else a small page never catches up
                        await program.step()
        await asyncio.sleep(100)  # every restart is over
        for reader in readers:
            await reader.read_all()
            assert reader.facts() == truth(system, depth=reader.depth)
            assert reader.fresh == 1
        root = system.tree()
        assert root.below.actors == len(flat(root)) - 1
        nodes = [node for page in pages_of(system, limit=3) for node in page.nodes]
        assert [node.uid for node in nodes] == [node.uid for node in flat(root)]


async def test_a_walk_sees_those_that_have_started_and_ended_since_the_one_before() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Counter, name=name) for name in "abc"]
        await refs[-1].started()
        assert [node.path for node in system.tree(cursor="").nodes] == ["/", "/a", "/b", "/c"]
        await system.spawn(Counter, name="d").started()
        assert [node.path for node in system.tree(cursor="").nodes] == ["/", "/a", "/b", "/c", "/d"]
        await refs[1].stop()
        assert [node.path for node in system.tree(cursor="").nodes] == ["/", "/a", "/c", "/d"]
