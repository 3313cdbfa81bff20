"""Durable actors on other nodes: their messages are in the journal of the driver, and they outlive their nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ChildSpec,
    InteractionContext,
    Message,
    MiniAgents,
    OneForOne,
    Placement,
    RetryPolicy,
    SpawnOptions,
    StopReason,
    Supervisor,
    Terminated,
    TextMessage,
    miniagent,
)
from miniagents.cluster import Cluster, LossCause
from miniagents.errors import ActorStoppedError, InvalidOptionError, MessageIdConflictError, NodeLostError
from miniagents.journal import MemoryJournal, Unacknowledged
from miniagents.testing.memory_platform import MemoryPlatform

HANDLED: list[tuple[str, str]] = []
"""Node and text of each message that was handled to its end."""


class Gate:
    """The gate that "wait" waits for."""

    opened = asyncio.Event()


class State(msgspec.Struct):
    texts: list[str]


class Get(Message):
    """Ask for the texts that were handled."""


class Keeper(Actor):
    """Keeps the texts that it was told. "wait" waits for the gate, "boom" crashes."""

    is_broken = True

    def __init__(self) -> None:
        self.texts: list[str] = []

    def snapshot(self) -> State:
        return State(self.texts)

    def restore(self, state: State) -> None:
        self.texts = list(state.texts)

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        if isinstance(message, Get):
            return TextMessage(" ".join(self.texts))
        text = str(message)
        if text.startswith("wait"):
            await Gate.opened.wait()
        if text.startswith("boom") and self.is_broken:
            raise ValueError("boom")
        if text == "me":
            ctx.self.tell(TextMessage("to myself"))
        self.texts.append(text)
        HANDLED.append((ctx.system.node_name, text))
        return TextMessage(f"{ctx.self.path}#{ctx.self.uid} has {len(self.texts)}")


class Ticking(Keeper):
    async def on_start(self, ctx: ActorContext) -> None:
        ctx.schedule_every(10, TextMessage("tick"), name="tick")


class Teller(Actor):
    """Sends and asks from another node."""

    def __init__(self, to: ActorRef) -> None:
        self.to = to

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        if str(message) == "ask":
            return await self.to.ask(TextMessage("asked"))
        await self.to.send(message)
        return TextMessage(f"sent from {ctx.self.node}")


class Watcher(Actor):
    def __init__(self, to: ActorRef, log: list[Any]) -> None:
        self.to, self.log = to, log

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.watch(self.to)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.log.append(message)


@miniagent
class Clerk:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply("served")


@pytest.fixture(autouse=True)
def fresh() -> None:
    HANDLED.clear()
    Keeper.is_broken = True
    Gate.opened = asyncio.Event()


SPREAD = SpawnOptions(durable=True, placement=Placement.SPREAD)


def on(node: str, **options: Any) -> SpawnOptions:
    return SpawnOptions(durable=True, node=node, **options)


@asynccontextmanager
async def cluster(*names: str) -> AsyncIterator[tuple[MiniAgents, MemoryPlatform, Cluster, MemoryJournal]]:
    platform, journal = MemoryPlatform(names or ("a", "b")), MemoryJournal()
    nodes = Cluster(platform, suspect_after=None)
    async with MiniAgents(cluster=nodes, journal=journal) as system:
        yield system, platform, nodes, journal


async def waiting(journal: MemoryJournal, path: str) -> list[int]:
    """The numbers of the envelopes that wait."""
    return [envelope.number for envelope in await journal.read(Unacknowledged(path))]


def texts() -> list[str]:
    return [text for _, text in HANDLED]


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_a_send_to_a_durable_actor_of_another_node_returns_once_it_is_on_the_disk_of_the_driver() -> None:
    async with cluster() as (system, platform, _, journal):
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        await keeper.send(TextMessage("wait 1"))
        await keeper.send(TextMessage("2"))
        assert len(await waiting(journal, "/keeper")) == 2
        Gate.opened.set()
        assert str(await keeper.ask(Get())) == "wait 1 2"
        await asyncio.sleep(1)
        assert await waiting(journal, "/keeper") == []
        assert HANDLED == [("a", "wait 1"), ("a", "2")]
        assert [info.node for info in system.tree().children if info.path == "/keeper"] == ["a"]
        assert all(runtime.nodes.journal.open_works == 0 for runtime in platform.runtimes.values())  # type: ignore[union-attr]


async def test_a_system_that_is_left_in_order_logs_no_failure_of_its_durable_actors_on_other_nodes(
    log: list[Any],
) -> None:
    async with cluster() as (system, *_):
        for node in ("a", "b"):
            await system.spawn(Keeper, name=node, options=on(node)).send(TextMessage("1"))
        while len(HANDLED) < 2:  # noqa: ASYNC110
            await asyncio.sleep(1)

    assert [entry for entry in log if entry["log_level"] in ("warning", "error")] == []


async def test_after_the_loss_of_its_node_it_is_the_same_actor_and_gets_what_was_not_handled_before_what_is_new() -> (
    None
):
    async with cluster() as (system, platform, _, journal):
        keeper = system.spawn(Keeper, name="keeper", options=SPREAD)
        seen: list[Any] = []
        system.spawn(Watcher, to=keeper, log=seen)
        await keeper.send(TextMessage("1"))
        assert str(await keeper.ask(Get())) == "1"
        await keeper.send(TextMessage("wait 2"))
        await keeper.send(TextMessage("3"))
        asked = keeper.ask(TextMessage("4"))
        await asyncio.sleep(1)
        uid = keeper.uid

        platform.die(platform.node("a"))

        with pytest.raises(ActorStoppedError) as caught:
            await asked
        assert isinstance(caught.value.__cause__, NodeLostError)
        keeper.tell(TextMessage("5"))
        await keeper.send(TextMessage("6"))
        Gate.opened.set()
        assert str(await keeper.ask(Get())) == "1 wait 2 3 4 5 6"
        assert [handled for handled in HANDLED if handled[0] == "b"] == [
            ("b", text) for text in ("wait 2", "3", "4", "5", "6")
        ]
        assert (system.lookup("/keeper"), keeper.uid, keeper.is_alive) == (keeper, uid, True)
        assert seen == []
        await asyncio.sleep(1)
        assert await waiting(journal, "/keeper") == []


async def test_a_message_with_an_id_that_is_on_its_way_when_the_node_is_lost_is_handled_once() -> None:
    async with cluster() as (system, platform, _, _):
        keeper = system.spawn(Keeper, name="keeper", options=SPREAD)
        await keeper.send(TextMessage("1"), message_id="1")
        platform.network.cut("a", "driver")
        sending = [asyncio.create_task(keeper.send(TextMessage(str(n)), message_id=str(n))) for n in (1, 2, 3)]
        unsure = asyncio.create_task(keeper.send(TextMessage("no id")))
        await asyncio.sleep(0.5)
        platform.die(platform.node("a"))
        platform.network.mend()
        await asyncio.gather(*sending)
        with pytest.raises(ActorStoppedError, match="before it had acknowledged the message"):
            await unsure
        await keeper.send(TextMessage("2"), message_id="2")
        assert str(await keeper.ask(Get())) == "1 2 3"
        with pytest.raises(MessageIdConflictError):
            await keeper.send(TextMessage("another"), message_id="3")
        assert str(await keeper.ask(TextMessage("2"), message_id="2")) == f"/keeper#{keeper.uid} has 2"


async def test_what_is_sent_while_there_is_no_node_waits_for_the_next_one() -> None:
    async with cluster("a") as (system, platform, _, _):
        platform.fails_to_start.add("a")
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        await keeper.send(TextMessage("1"))
        platform.die(platform.node("a"))
        await asyncio.sleep(5)
        keeper.tell(TextMessage("2"))
        sending = asyncio.create_task(keeper.send(TextMessage("3"), message_id="three"))
        asked = keeper.ask(TextMessage("4"))
        cancelled = keeper.ask(TextMessage("cancelled"))
        late = keeper.ask(TextMessage("late"), timeout=1)
        await asyncio.sleep(5)
        await cancelled.aclose()
        assert not sending.done()
        platform.fails_to_start.clear()
        assert str(await asked) == f"/keeper#{keeper.uid} has 3"
        await sending
        assert late.exception() is not None
        await asyncio.sleep(1)
        assert texts() == ["1", "2", "4", "3"]


async def test_a_drained_node_gives_a_durable_actor_away_without_its_end_and_each_message_is_handled_once() -> None:
    async with cluster() as (system, _, nodes, journal):
        spec = ChildSpec("keeper", Keeper, options=SPREAD)
        await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=0), children=[spec]))
        keeper: Any = system.lookup("/sup/keeper")
        seen: list[Any] = []
        system.spawn(Watcher, to=keeper, log=seen)
        await keeper.send(TextMessage("0"))
        for n in range(1, 50):
            keeper.tell(TextMessage(str(n)))

        draining = asyncio.create_task(nodes.drain("a"))
        for n in range(50, 100):
            await keeper.send(TextMessage(str(n)))
        await draining

        assert str(await keeper.ask(Get())) == " ".join(map(str, range(100)))
        assert sorted(texts(), key=int) == [str(n) for n in range(100)]
        assert {node for node, _ in HANDLED} == {"a", "b"}
        assert (system.lookup("/sup/keeper"), seen) == (keeper, [])
        await asyncio.sleep(1)
        assert await waiting(journal, "/sup/keeper") == []


async def test_the_loss_of_a_node_with_many_durable_children_counts_once() -> None:
    async with cluster("a", "b", "c") as (system, platform, _, _):
        specs = [
            ChildSpec(f"k{n}", Keeper, options=SpawnOptions(durable=True, placement=Placement.PACK)) for n in range(20)
        ]
        sup = await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=1), children=specs))
        refs: list[Any] = [system.lookup(f"/sup/k{n}") for n in range(20)]
        for ref in refs:
            await ref.send(TextMessage("1"))
        platform.die(platform.node("a"))
        for ref in refs:
            await ref.send(TextMessage("2"))
            assert str(await ref.ask(Get())) == "1 2"
        assert sup.is_alive
        assert [system.lookup(f"/sup/k{n}") for n in range(20)] == refs


async def test_a_crash_there_is_counted_as_an_attempt_that_the_next_place_goes_on_with() -> None:
    async with cluster() as (system, platform, _, _):
        options = SpawnOptions(
            durable=True,
            placement=Placement.SPREAD,
            retry=RetryPolicy(attempts=3),
            supervision=OneForOne(max_restarts=None),
        )
        keeper = system.spawn(Keeper, name="keeper", options=options)
        await keeper.send(TextMessage("boom"))
        await asyncio.sleep(0.1)
        assert str(await keeper.ask(Get())) == ""
        (letter,) = await system.dead_letters.durable.list()
        assert letter.attempts == 3
        await keeper.send(TextMessage("wait"))
        platform.die(platform.node("a"))
        Gate.opened.set()
        assert str(await keeper.ask(Get())) == "wait"


async def test_actors_of_other_nodes_reach_it_where_it_is_and_their_sends_wait_for_the_disk() -> None:
    async with cluster("a", "b", "c") as (system, platform, _, journal):
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        teller = system.spawn(Teller, to=keeper, options=SpawnOptions(node="c"))
        await keeper.send(TextMessage("wait"))
        assert str(await teller.ask(TextMessage("2"))) == "sent from c"
        assert len(await waiting(journal, "/keeper")) == 2
        platform.die(platform.node("a"))
        assert str(await teller.ask(TextMessage("3"))) == "sent from c"
        assert len(await waiting(journal, "/keeper")) == 3
        Gate.opened.set()
        assert str(await teller.ask(TextMessage("ask"))) == f"/keeper#{keeper.uid} has 4"
        assert texts() == ["wait", "2", "3", "asked"]


async def test_it_reaches_itself_by_the_reference_that_others_have() -> None:
    async with cluster() as (system, _, _, _):
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        assert str(await keeper.ask(TextMessage("me"))) == f"/keeper#{keeper.uid} has 1"
        await asyncio.sleep(1)
        assert texts() == ["me", "to myself"]


async def test_its_timers_go_on_at_the_next_place() -> None:
    async with cluster() as (system, platform, _, _):
        ticking = system.spawn(Ticking, name="ticking", options=SPREAD)
        await asyncio.sleep(15)
        assert HANDLED == [("a", "tick")]
        platform.die(platform.node("a"))
        await asyncio.sleep(30)
        assert ticking.is_alive
        assert HANDLED[1:] == [("b", "tick")] * 3


async def test_its_end_is_told_to_those_who_watch_it_and_what_waits_stays_for_the_next_of_that_path() -> None:
    async with cluster() as (system, _, _, journal):
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        seen: list[Any] = []
        system.spawn(Watcher, to=keeper, log=seen)
        await keeper.send(TextMessage("wait"))
        await keeper.send(TextMessage("2"))
        assert await keeper.kill() is StopReason.KILLED
        await keeper.terminated()
        await asyncio.sleep(1)
        assert [message.reason for message in seen if isinstance(message, Terminated)] == [StopReason.KILLED]
        assert not keeper.is_alive
        assert len(await waiting(journal, "/keeper")) == 2
        Gate.opened.set()
        again = system.spawn(Keeper, name="keeper", options=on("b"))
        assert str(await again.ask(Get())) == "wait 2"


async def test_a_stop_while_there_is_no_node_ends_it_and_what_waits_for_it() -> None:
    async with cluster("a") as (system, platform, _, _):
        platform.fails_to_start.add("a")
        keeper = system.spawn(Keeper, name="keeper", options=on("a"))
        await keeper.send(TextMessage("1"))
        platform.die(platform.node("a"))
        await asyncio.sleep(3)
        sends = [asyncio.create_task(keeper.send(TextMessage("2"), message_id=id)) for id in ("2", None)]
        asked = keeper.ask(TextMessage("3"))
        await asyncio.sleep(1)
        await keeper.stop()
        for ends in (*sends, asked):
            with pytest.raises(ActorStoppedError):
                await ends
        assert not keeper.is_alive
        platform.fails_to_start.clear()


async def test_a_durable_actor_that_an_actor_of_a_node_spawns_there_is_in_the_same_journal() -> None:
    async with cluster() as (system, _, _, journal):
        parent = system.spawn(Parent, name="parent", options=SpawnOptions(node="a"))
        assert str(await parent.ask(TextMessage("wait"))) == "told"
        await asyncio.sleep(1)
        assert len(await waiting(journal, "/parent/child")) == 1
        Gate.opened.set()


class Parent(Actor):
    async def on_start(self, ctx: ActorContext) -> None:
        self.child = ctx.spawn(Keeper, name="child", options=SpawnOptions(durable=True))

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        await self.child.send(message)
        return TextMessage("told")


class Ambitious(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        ctx.spawn(Keeper, name="child", options=on("b"))


async def test_what_cannot_be_durable_on_another_node_is_refused() -> None:
    async with MiniAgents(cluster=Cluster(MemoryPlatform(["a"]))) as system:
        with pytest.raises(InvalidOptionError, match="/keeper: durable=True needs a journal"):
            system.spawn(Keeper, name="keeper", options=on("a"))
    async with cluster() as (system, _, _, _):
        with pytest.raises(InvalidOptionError, match="are for the driver, since it has to outlive node 'a'"):
            await system.spawn(Ambitious, options=SpawnOptions(node="a")).ask(Get())
        with pytest.raises(InvalidOptionError, match="/clerk: a durable class agent lives on the node that spawns it"):
            system.spawn(Clerk, name="clerk", options=on("a"))


async def test_a_node_has_not_left_before_the_driver_has_all_that_it_has_said() -> None:
    async with cluster() as (system, platform, nodes, _):
        keeper = system.spawn(Keeper, name="keeper", options=SPREAD)
        await keeper.send(TextMessage("wait"))
        draining = asyncio.create_task(nodes.drain("a"))
        await asyncio.sleep(2)
        platform.network.loss = 1.0  # of frames; heartbeats come through
        Gate.opened.set()
        await asyncio.sleep(4)
        assert not draining.done()
        platform.network.loss = 0.0
        await draining
        assert str(await keeper.ask(Get())) == "wait"
        assert HANDLED == [("a", "wait")]


async def test_a_dead_letter_that_is_sent_again_is_handled_where_its_actor_is_also_if_that_has_no_node() -> None:
    async with cluster("a") as (system, platform, _, _):
        options = on("a", retry=RetryPolicy(attempts=1), supervision=OneForOne(max_restarts=None))
        keeper = system.spawn(Keeper, name="keeper", options=options)
        Keeper.is_broken = True
        for text in ("boom 1", "boom 2"):
            await keeper.send(TextMessage(text))
        assert str(await keeper.ask(Get())) == ""
        await asyncio.sleep(1)
        durable: Any = system.dead_letters.durable
        first, second = await durable.list()
        Keeper.is_broken = False
        assert await durable.resend(first.number)
        await asyncio.sleep(1)
        assert str(await keeper.ask(Get())) == "boom 1"
        platform.fails_to_start.add("a")
        platform.die(platform.node("a"))
        await asyncio.sleep(3)
        assert await durable.resend(second.number)
        platform.fails_to_start.clear()
        assert str(await keeper.ask(Get())) == "boom 1 boom 2"
        assert await durable.list() == []


async def test_what_came_in_the_meantime_stays_behind_what_was_there_when_the_next_node_is_lost_too() -> None:
    async with cluster() as (system, platform, _, journal):
        keeper = system.spawn(Keeper, name="keeper", options=SPREAD)
        for text in ("wait 1", "2", "3"):
            await keeper.send(TextMessage(text))
        platform.die(platform.node("a"))
        await keeper.send(TextMessage("4"))
        assert len(await waiting(journal, "/keeper")) == 4
        platform.die(platform.node("b"))
        Gate.opened.set()
        assert str(await keeper.ask(Get())) == "wait 1 2 3 4"


async def test_lost_nodes_count_in_no_window_of_an_actor_without_a_supervisor() -> None:
    async with cluster() as (system, platform, _, _):
        options = SpawnOptions(
            durable=True, placement=Placement.SPREAD, supervision=OneForOne(max_restarts=1, within=3600)
        )
        keeper = system.spawn(Keeper, name="keeper", options=options)
        for number in range(1, 5):
            await keeper.send(TextMessage(str(number)))
            (node,) = (info.node for info in system.tree().children if info.path == "/keeper")
            platform.die(platform.node(node))
        assert str(await keeper.ask(Get())) == "1 2 3 4"
        assert keeper.is_alive


async def test_a_durable_actor_that_kills_its_nodes_and_has_no_supervisor_ends() -> None:
    platform, journal = MemoryPlatform(["a", "b"]), MemoryJournal()
    async with MiniAgents(cluster=Cluster(platform, suspect_after=2), journal=journal) as system:
        keeper = system.spawn(Keeper, name="keeper", options=SPREAD)
        for node in ("a", "b"):
            await keeper.send(TextMessage("wait"))
            platform.die(platform.node(node), LossCause.OUT_OF_MEMORY)
        assert isinstance(await keeper.terminated(), ActorStoppedError)
        assert not keeper.is_alive
        assert len(await waiting(journal, "/keeper")) == 2
