"""A system on several nodes: placing, supervision across nodes, lost nodes, leases."""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    Backoff,
    ChildSpec,
    EventKind,
    InteractionContext,
    Message,
    MiniAgents,
    NodeLostError,
    OneForAll,
    OneForOne,
    Placement,
    Restart,
    SpawnOptions,
    StopReason,
    Supervisor,
    Terminated,
    TextMessage,
    miniagent,
)
from miniagents.cluster import Cluster, LossCause
from miniagents.errors import ActorStoppedError, InvalidOptionError, NotSendableError
from miniagents.messages import decode, encode
from miniagents.testing.memory_platform import MemoryPlatform

LOG: list[Any] = []


class Where(Message):
    pass


class Boom(Message):
    pass


class Worker(Actor):
    """Says where it lives, counts, and crashes when it is told to."""

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.count = 0

    async def on_start(self, ctx: ActorContext) -> None:
        LOG.append(("start", ctx.self.path, ctx.self.node, ctx.self.epoch))

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        match message:
            case Where():
                return TextMessage(f"{ctx.self.node}#{ctx.self.epoch}")
            case Boom():
                raise ValueError("boom")
            case TextMessage(content="for 5 s"):
                await asyncio.sleep(5)
                return TextMessage("done")
            case TextMessage(content="slow"):
                await asyncio.sleep(3600)
        self.count += 1
        return TextMessage(str(self.count))

    async def on_stop(self, reason: Any) -> None:
        LOG.append(("stop", self.ctx.self.path, reason))


class Coordinator(Actor):
    """Starts a worker on node "a", and crashes when it is told to."""

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.spawn(Worker, name="worker", options=on("a"))

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if isinstance(message, Boom):
            raise ValueError("boom")
        return TextMessage("at work")


class Head(Actor):
    """Starts a coordinator, which it supervises."""

    strategy = OneForOne(max_restarts=None, backoff=Backoff(0.5, 0.5))

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.spawn(Coordinator, name="coordinator")

    async def receive(self, message: Message, ctx: ActorContext) -> None: ...


class FailsToStart(Actor):
    async def on_start(self, ctx: ActorContext) -> None:
        raise OSError("no disk")


class Watcher(Actor):
    def __init__(self, to: Any) -> None:
        self.to = to

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.watch(self.to)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        LOG.append(message)


@miniagent
async def shouter(ctx: InteractionContext, mark: str = "!") -> None:
    async for promise in ctx.message_promises:
        ctx.reply(f"{await promise}{mark} from {ctx.self.node}")


@miniagent
async def waiter(ctx: InteractionContext) -> None:
    await asyncio.sleep(5)
    ctx.reply("waited")


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    LOG.clear()


@asynccontextmanager
async def cluster(
    *names: str, resources: Any = None, **options: Any
) -> AsyncIterator[tuple[MiniAgents, MemoryPlatform, Cluster]]:
    platform = MemoryPlatform(names or ("a", "b", "c"), resources=resources or {})
    nodes = Cluster(platform, **options)
    async with MiniAgents(cluster=nodes) as system:
        yield system, platform, nodes
    assert not platform.runtimes


def on(node: str) -> SpawnOptions:
    return SpawnOptions(node=node)


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again, in steps of virtual time."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come")


async def where(ref: Any) -> str:
    return str(await ref.ask(Where()))


async def test_an_actor_lives_on_the_node_that_its_options_name() -> None:
    async with cluster() as (system, _, _):
        far = system.spawn(Worker, name="far", options=on("b"))
        near = system.spawn(Worker, name="near")
        assert await where(far) == "b#1"
        assert await where(near) == "driver#1"
        assert (far.path, far.node, far.epoch) == ("/far", "b", 1)
        assert system.lookup("/far") is far
        assert [(i.path, i.node, i.state) for i in system.tree().children] == [
            ("/far", "b", "idle"),
            ("/near", "driver", "idle"),
        ]


async def test_an_agent_lives_on_another_node_with_its_arguments() -> None:
    async with cluster() as (system, _, _):
        far = system.spawn(shouter, mark="?", options=on("c"))
        assert str(await far.inquire("hello")) == "hello? from c"


async def test_an_agent_and_a_pool_of_it_are_placed_by_the_options_of_its_fork() -> None:
    async with cluster() as (system, _, _):
        agent = shouter.fork(mark="?", options=SpawnOptions(placement=Placement.SPREAD))

        alone = system.spawn(agent)
        pool = await system.pool(agent, size=3, name="pool")

        assert str(await alone.inquire("hello")) == "hello? from a"
        assert {info.node for info in system.tree("/pool").children} == {"a", "b", "c"}
        assert {str(await pool.inquire("hello")) for _ in range(3)} == {f"hello? from {node}" for node in "abc"}


async def test_a_call_whose_node_is_lost_before_its_code_begins_ends() -> None:
    async with cluster() as (system, platform, _):
        far = system.spawn(shouter, options=on("b"))
        await far.started()

        call = far.inquire("hello")
        platform.die(platform.node("b"))

        with pytest.raises(ActorStoppedError) as caught:
            await asyncio.wait_for(call, 60)
        assert isinstance(caught.value.__cause__, NodeLostError)


async def test_a_pool_of_agents_whose_node_is_lost_is_whole_again_and_its_call_there_ends() -> None:
    async with cluster() as (system, platform, _):
        agent = waiter.fork(options=SpawnOptions(placement=Placement.SPREAD))
        pool = await system.pool(agent, size=3, name="pool")
        with system.events.subscribe() as events:
            calls = [pool.inquire("hello") for _ in range(3)]
            await asyncio.sleep(1)

            platform.die(platform.node("b"))

            ends = await asyncio.gather(*calls, return_exceptions=True)
            crash = await anext(event async for event in events if event.kind is EventKind.CRASH)
            await asyncio.sleep(10)
        failed = [end for end in ends if isinstance(end, ActorStoppedError)]
        assert [type(error.__cause__) for error in failed] == [NodeLostError]
        assert crash.error == str(failed[0])
        assert len(system.tree("/pool").children) == 3
        assert {info.state for info in system.tree("/pool").children} == {"idle"}


async def test_spread_and_pack_choose_nodes() -> None:
    async with cluster() as (system, _, _):
        spread = [system.spawn(Worker, options=SpawnOptions(placement=Placement.SPREAD)) for _ in range(6)]
        assert sorted(ref.node for ref in spread) == ["a", "a", "b", "b", "c", "c"]
        await spread[1].stop()
        await asyncio.sleep(0.1)
        assert system.spawn(Worker, options=SpawnOptions(placement=Placement.SPREAD)).node == "b"
        system.spawn(Worker, options=on("c"))
        packed = [system.spawn(Worker, options=SpawnOptions(placement=Placement.PACK)) for _ in range(3)]
        assert [ref.node for ref in packed] == ["c", "c", "c"]


async def test_a_resource_chooses_among_the_nodes_that_offer_it() -> None:
    async with cluster(resources={"b": {"gpu": 1.0}, "c": {"gpu": 0.0}}) as (system, _, _):
        assert system.spawn(Worker, options=SpawnOptions(placement=Placement.resource("gpu"))).node == "b"
        with pytest.raises(InvalidOptionError, match="/tpu: no node that is in offers 'tpu'"):
            system.spawn(Worker, name="tpu", options=SpawnOptions(placement=Placement.resource("tpu")))


async def test_an_actor_is_placed_beside_another_one() -> None:
    async with cluster() as (system, _, _):
        far = system.spawn(Worker, options=on("c"))
        near = system.spawn(Worker)
        assert system.spawn(Worker, options=SpawnOptions(placement=Placement.beside(far))).node == "c"
        assert await where(system.spawn(Worker, options=SpawnOptions(placement=Placement.beside(near)))) == "driver#1"


async def test_a_node_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    async with cluster() as (system, _, _):
        with pytest.raises(InvalidOptionError, match=r"there is no node 'd'; there are: driver, a, b, c"):
            system.spawn(Worker, options=on("d"))


async def test_a_system_without_a_cluster_refuses_a_node() -> None:
    async with MiniAgents() as system:
        with pytest.raises(InvalidOptionError, match=r"/x: node= and placement= need a cluster"):
            system.spawn(Worker, name="x", options=on("a"))
        with pytest.raises(InvalidOptionError, match="has no cluster"):
            system.nodes()


async def test_a_system_that_was_only_activated_says_that_its_nodes_were_not_started() -> None:
    system = MiniAgents(cluster=Cluster(MemoryPlatform(["a"]))).activate()
    with pytest.raises(InvalidOptionError, match="the nodes of the cluster have not been started"):
        system.spawn(Worker, options=on("a"))
    await system.afinalize()


async def test_what_cannot_be_made_on_another_node_is_refused_at_spawn() -> None:
    class Inside(Actor):
        pass

    async with cluster() as (system, _, _):
        with pytest.raises(NotSendableError, match="define it at the top of a module"):
            system.spawn(Inside, options=on("a"))


async def test_a_crash_there_is_answered_by_the_supervisor_here_and_mailbox_and_uid_stay() -> None:
    async with cluster() as (system, _, _):
        spec = ChildSpec("worker", Worker, options=on("a"))
        await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=3), children=[spec]))
        worker: Any = system.lookup("/sup/worker")
        assert await worker.ask(TextMessage("count")) == TextMessage("1")
        crash, after = worker.ask(Boom()), worker.ask(TextMessage("count"))
        with pytest.raises(ValueError, match="boom"):
            await crash
        assert await after == TextMessage("1"), "a fresh instance handles what waited"
        assert system.lookup("/sup/worker") == worker
        info = system.tree("/sup/worker")
        assert (info.restarts, info.last_error) == (1, "ValueError: boom")


async def test_an_actor_there_is_restarted_from_here_and_keeps_its_mailbox() -> None:
    async with cluster() as (system, _, _):
        spec = ChildSpec("worker", Worker, options=on("a"), restart=Restart.TEMPORARY)
        await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=0), children=[spec]))
        for worker in (system.lookup("/sup/worker"), system.spawn(Worker, name="top", options=on("b"))):
            assert worker is not None
            assert await worker.ask(TextMessage("count")) == TextMessage("1")
            await worker.restart()
            assert await worker.ask(TextMessage("count")) == TextMessage("1")
            assert system.tree(worker.path).restarts == 1
            await worker.stop()
            with pytest.raises(ActorStoppedError):
                await worker.restart()


async def test_too_many_crashes_there_end_the_supervisor_here() -> None:
    async with cluster() as (system, _, _):
        spec = ChildSpec("worker", Worker, options=on("a"))
        inner = Supervisor("inner", children=[spec])
        ref = await system.supervise(
            Supervisor(
                "outer",
                strategy=OneForOne(max_restarts=9),
                children=[ChildSpec("inner", inner, restart=Restart.TEMPORARY)],
            )
        )
        worker: Any = system.lookup("/outer/inner/worker")
        inner_ref: Any = system.lookup("/outer/inner")
        for _ in range(2):
            worker.tell(Boom())
        assert await inner_ref.terminated() is StopReason.SHUTDOWN
        assert await worker.terminated()
        assert ref.is_alive


async def test_one_for_all_restarts_siblings_on_all_nodes() -> None:
    async with cluster() as (system, _, _):
        specs = [ChildSpec(name, Worker, options=on(name)) for name in "abc"]
        await system.supervise(Supervisor("sup", strategy=OneForAll(), children=[*specs, ChildSpec("d", Worker)]))
        refs: list[Any] = [system.lookup(f"/sup/{name}") for name in "abcd"]
        for ref in refs:
            await ref.ask(TextMessage("count"))
        LOG.clear()
        with pytest.raises(ValueError, match="boom"):
            await refs[1].ask(Boom())
        await asyncio.sleep(1)
        assert [entry[1] for entry in LOG if entry[0] == "start"] == [f"/sup/{name}" for name in "abcd"]
        assert [str(await ref.ask(TextMessage("count"))) for ref in refs] == ["1", "1", "1", "1"]


async def test_a_child_that_does_not_start_there_fails_the_start_of_its_supervisor() -> None:
    async with cluster() as (system, _, _):
        spec = ChildSpec("broken", FailsToStart, options=on("a"))
        with pytest.raises(Exception, match="no disk"):
            await system.supervise(Supervisor("sup", children=[spec]))
        assert system.lookup("/sup") is None


async def test_the_tree_stops_across_nodes_children_before_parents() -> None:
    async with cluster() as (system, _, _):
        specs = [ChildSpec(name, Worker, options=on(name)) for name in "abc"]
        sup = await system.supervise(Supervisor("sup", children=specs))
        await sup.stop()
        assert [entry[1] for entry in LOG if entry[0] == "stop"] == ["/sup/c", "/sup/b", "/sup/a"]


async def test_an_actor_on_a_node_places_children_on_others() -> None:
    class_of: Any = Parent
    async with cluster() as (system, platform, _):
        parent = system.spawn(class_of, name="parent", options=on("a"))
        assert str(await parent.ask(TextMessage("b"))) == "/parent/child on b under /parent"
        await parent.stop()
        await asyncio.sleep(1)
        assert all(len(runtime.nodes.hosting) == 0 for runtime in platform.runtimes.values())


class Parent(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        child = ctx.spawn(Child, name="child", options=on(str(message)))
        answer: Message = await child.ask(message)
        return answer


class Child(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        parent = ctx.parent
        return TextMessage(f"{ctx.self.path} on {ctx.self.node} under {parent.path if parent else None}")


async def test_a_reference_that_is_decoded_outside_of_a_link_leads_to_its_node() -> None:
    async with cluster() as (system, _, _):
        far = system.spawn(Worker, options=on("b"))
        agent = system.spawn(shouter, options=on("c"))
        message: Any = decode(encode(Introduce(to=far)))
        assert message.to is far
        message = decode(encode(Introduce(to=agent)))
        assert str(await message.to.inquire("hello")) == "hello! from c"


async def test_an_agent_that_has_a_node_among_its_own_options_is_spawned_there() -> None:
    async with cluster() as (system, _, _):
        far = system.spawn(shouter.fork(options=on("b"), mark="?"), name="far")
        assert str(await far.inquire("hello")) == "hello? from b"


async def test_an_agent_that_is_called_without_spawn_cannot_have_a_node() -> None:
    async with cluster() as (_, _, _):
        with pytest.raises(InvalidOptionError, match=r"agent shouter: node= and placement= are options of spawn"):
            shouter.fork(options=on("a")).inquire("hello")


async def test_a_pool_spans_nodes() -> None:
    async with cluster() as (system, platform, _):
        spread = SpawnOptions(placement=Placement.SPREAD)
        pool: Any = await system.pool(Worker, size=3, options=spread)
        answers = {str(await pool.ask(Where())) for _ in range(6)}
        assert answers == {"a#1", "b#1", "c#1"}
        ask = pool.ask(TextMessage("slow"))
        await asyncio.sleep(1)
        await ask.aclose()
        for _ in range(3):
            await pool.send(TextMessage("count"))
        platform.die(platform.node("a"))
        await asyncio.sleep(20)
        answers = {str(await pool.ask(Where())) for _ in range(6)}
        assert len(answers) >= 2
        assert "a#1" not in answers


async def test_a_pool_of_agents_spans_nodes() -> None:
    async with cluster() as (system, _, _):
        pool = await system.pool(shouter, size=3, options=SpawnOptions(placement=Placement.SPREAD))
        replies = {str(await pool.inquire("hi")) for _ in range(6)}
        assert replies == {"hi! from a", "hi! from b", "hi! from c"}
        assert str(await pool.ask(TextMessage("asked"))).startswith("asked! from")


class Blocks(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        time.sleep(float(str(message)))  # noqa: ASYNC251 - that is the point


@pytest.mark.real_time
async def test_an_actor_that_blocks_the_loop_costs_no_node_and_is_named(log: list[Any]) -> None:
    async with cluster("a", "b", lease=1.0, margin=0.2, heartbeat_thread=True) as (system, platform, _):
        await asyncio.sleep(0.5)
        platform.runtimes[platform.node("a")].system.spawn(Blocks, name="blocks").tell(TextMessage("2.5"))
        await asyncio.sleep(0.5)
        assert [str(node) for node in platform.started] == ["a#1", "b#1"]
        assert [info.epoch for info in system.nodes()] == [1, 1, 1]
        held = [entry for entry in log if entry["event"] == "node.loop_is_held"]
        assert {entry["actor"] for entry in held if entry["node"] == "a"} == {"/blocks"}


# Lost nodes


async def test_a_lost_node_is_replaced_with_a_new_epoch_and_its_actors_are_placed_again() -> None:
    async with cluster(lease=5.0, margin=1.0) as (system, platform, _):
        with system.events.subscribe() as events:
            far = system.spawn(Worker, name="far", options=on("b"))
            system.spawn(Watcher, to=far)
            await where(far)
            ask = far.ask(TextMessage("slow"))
            await asyncio.sleep(0.1)
            died_at = system.time()

            platform.die(platform.node("b"), LossCause.OUT_OF_MEMORY)

            with pytest.raises(ActorStoppedError) as caught:
                await ask
            assert system.time() == died_at, "at once"
            cause = caught.value.__cause__
            assert isinstance(cause, NodeLostError)
            assert (cause.node, cause.cause) == ("b", "out of memory")
            await asyncio.sleep(0.01)
            assert [m.reason for m in LOG if isinstance(m, Terminated)] == [cause]
            assert system.lookup("/far") is None
            await asyncio.sleep(10)
            again: Any = system.lookup("/far")
            assert await where(again) == "b#2"
            assert again != far
            started_at = [e for e in LOG if isinstance(e, tuple) and e[0] == "start"]
            assert started_at == [("start", "/far", "b", 1), ("start", "/far", "b", 2)]
            events.close()
            kinds = [(e.kind, e.path, e.detail) async for e in events if "node" in e.kind.value]
        assert kinds == [(EventKind.NODE_LOST, "b", "out of memory"), (EventKind.NODE_UP, "b", 2)]


async def test_nothing_is_started_again_before_the_lost_node_has_surely_stopped() -> None:
    async with cluster(lease=5.0, margin=1.0) as (system, platform, _):
        platform.kill_is_certain = False
        system.spawn(Worker, name="far", options=SpawnOptions(placement=Placement.SPREAD))
        await asyncio.sleep(3)
        lost_at = system.time()
        platform.die(platform.node("a"))
        await until(lambda: system.lookup("/far") is not None)
        assert system.time() - lost_at >= 4.9, "its lease may have been granted a moment before"
        assert system.lookup("/far").node == "b"  # type: ignore[union-attr]


async def test_a_node_whose_process_has_certainly_ended_is_replaced_as_soon_as_all_others_know() -> None:
    async with cluster(lease=50.0, margin=10.0) as (system, platform, _):  # a heartbeat comes every 10 s
        system.spawn(Worker, name="far", options=SpawnOptions(placement=Placement.SPREAD))
        await asyncio.sleep(3)
        lost_at = system.time()
        platform.die(platform.node("a"))
        await until(lambda: len(platform.started) == 4)
        assert system.time() - lost_at < 0.1
        await until(lambda: system.lookup("/far") is not None)
        assert system.time() - lost_at < 25, "two heartbeats, and not the lease"
        assert system.lookup("/far").node == "b"  # type: ignore[union-attr]


async def test_a_node_that_was_only_silent_is_replaced_after_lease_and_margin_although_its_kill_is_certain() -> None:
    async with cluster(lease=5.0, margin=20.0) as (system, platform, _):
        system.spawn(Worker, name="far", options=SpawnOptions(placement=Placement.SPREAD))
        await asyncio.sleep(3)
        lost_at = system.time()
        platform.die(platform.node("a"), None)
        await until(lambda: len(platform.started) == 4)
        assert system.time() - lost_at >= 23.9
        assert system.lookup("/far") is None
        await until(lambda: system.lookup("/far") is not None)


async def test_a_node_that_is_cut_off_stops_itself_before_it_is_replaced_and_its_late_frames_do_nothing() -> None:
    async with cluster(lease=5.0, margin=1.0) as (system, platform, _):
        far = system.spawn(Worker, name="far", options=on("b"))
        await where(far)
        old = platform.runtimes[platform.node("b")]
        for other in ("driver", "a", "c"):
            platform.network.cut("b", other)
        await until(lambda: len([node for node in platform.started if node.name == "b"]) == 2)
        assert old.lease_left == 0.0
        assert old._stopping.is_set()
        platform.network.mend()
        await asyncio.sleep(10)
        again: Any = system.lookup("/far")
        assert await where(again) == "b#2"


async def test_a_node_without_a_lease_cuts_off_what_it_does_without_a_grace() -> None:
    async with cluster(lease=5.0, margin=1.0) as (system, platform, _):
        far = system.spawn(Worker, name="far", options=on("b"))
        far.tell(TextMessage("slow"))
        await asyncio.sleep(3)
        old = platform.runtimes[platform.node("b")]
        for other in ("driver", "a", "c"):
            platform.network.cut("b", other)
        left, began = old.lease_left, system.time()
        LOG.clear()
        await until(lambda: bool(LOG))
        assert LOG[0][:2] == ("stop", "/far")
        assert left <= system.time() - began < left + 0.5


async def test_the_children_of_an_actor_on_a_lost_node_end_and_it_makes_them_again() -> None:
    class_of: Any = Parent
    async with cluster() as (system, platform, _):
        parent = system.spawn(class_of, name="parent", options=SpawnOptions(placement=Placement.SPREAD))
        assert parent.node == "a"
        await parent.ask(TextMessage("c"))
        assert len(platform.runtimes[platform.node("c")].nodes.hosting) == 1
        platform.die(platform.node("a"))
        await asyncio.sleep(0.1)
        again: Any = None
        await until(lambda: len(platform.runtimes[platform.node("c")].nodes.hosting) == 0)
        await until(lambda: system.lookup("/parent") is not None)
        again = system.lookup("/parent")
        assert again.node == "b"
        assert str(await again.ask(TextMessage("c"))) == "/parent/child on c under /parent"


async def test_a_cluster_serves_one_system_after_the_other() -> None:
    nodes = Cluster(MemoryPlatform(["a"]))
    for epoch in (1, 2):
        async with MiniAgents(cluster=nodes) as system:
            with pytest.raises(InvalidOptionError, match="serves one system at a time"):
                async with MiniAgents(cluster=nodes):
                    pass
            assert await where(system.spawn(Worker, options=on("a"))) == f"a#{epoch}"


async def test_a_node_whose_answers_alone_are_cut_is_fenced_too() -> None:
    async with cluster(lease=5.0, margin=1.0) as (_, platform, _):
        old = platform.runtimes[platform.node("b")]
        platform.network.cut("b", "driver", both=False)
        await until(lambda: len([node for node in platform.started if node.name == "b"]) == 2)
        assert old.lease_left == 0.0


async def test_two_nodes_that_do_not_reach_each_other_are_both_kept_and_reported() -> None:
    async with cluster() as (system, platform, _):
        a, b = system.spawn(Linked, options=on("a")), system.spawn(Worker, options=on("b"))
        a.tell(Introduce(to=b))
        await asyncio.sleep(1)
        platform.network.cut("a", "b")
        ask = a.ask(TextMessage("ask it"))
        await asyncio.sleep(20)
        assert [node.unreached for node in system.nodes()] == [(), ("b",), (), ()]
        assert len(platform.started) == 3
        platform.network.mend()
        assert str(await ask) == "1"


class Introduce(Message):
    to: Any


class Linked(Actor):
    to: Any = None

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Introduce):
            self.to = message.to
            return None
        answer: Message = await self.to.ask(message)
        return answer


async def test_a_thousand_children_of_one_default_supervisor_on_a_lost_node_are_one_event() -> None:
    async with cluster(resources={name: {"disk": 1.0} for name in "abc"}, lease=5.0, margin=1.0) as (
        system,
        platform,
        _,
    ):
        platform.kill_is_certain = False
        packed = SpawnOptions(placement=Placement.PACK)
        sup = await system.supervise(
            Supervisor("sup", children=[ChildSpec(f"w{n}", Worker, options=packed) for n in range(1000)])
        )
        assert {info.node for info in system.tree("/sup").children} == {"a"}
        LOG.clear()

        platform.die(platform.node("a"))
        await asyncio.sleep(4)
        assert {entry[0] for entry in LOG} == {"stop"}
        LOG.clear()
        times = set[float]()
        for _ in range(200):
            before = len(LOG)
            await asyncio.sleep(0.1)
            if len(LOG) > before:
                times.add(system.time())

        assert sup.is_alive
        assert [entry[0] for entry in LOG] == ["start"] * 1000
        assert len(times) > 30, "they are spread over some seconds"
        tree = system.tree("/sup").children
        assert ({info.state for info in tree}, len(tree)) == ({"idle"}, 1000)


async def test_one_for_all_answers_the_loss_of_a_node_once() -> None:
    async with cluster() as (system, platform, _):
        specs = [
            ChildSpec("near", Worker),
            *(ChildSpec(f"w{n}", Worker, options=SpawnOptions(placement=Placement.SPREAD)) for n in range(6)),
        ]
        sup = await system.supervise(Supervisor("sup", strategy=OneForAll(), children=specs))
        LOG.clear()
        platform.die(platform.node("a"))
        await asyncio.sleep(20)
        assert sup.is_alive
        assert [entry[1] for entry in LOG if entry[0] == "start"] == [
            "/sup/near",
            *(f"/sup/w{n}" for n in range(6)),
        ]


async def test_a_second_loss_in_the_window_is_one_too_many_for_a_default_supervisor() -> None:
    async with cluster(lease=1.0, margin=0.1) as (system, platform, _):
        outer = Supervisor(
            "outer",
            strategy=OneForOne(max_restarts=None),
            children=[
                ChildSpec(
                    "inner",
                    Supervisor(
                        "inner", strategy=OneForOne(within=60.0), children=[ChildSpec("w", Worker, options=on("a"))]
                    ),
                    restart=Restart.TEMPORARY,
                )
            ],
        )
        await system.supervise(outer)
        inner: Any = system.lookup("/outer/inner")
        for _ in range(2):
            platform.die(platform.node("a"))
            await asyncio.sleep(5)
        assert not inner.is_alive


async def test_while_no_node_can_be_started_restarts_wait_and_count_in_no_window() -> None:
    async with cluster("a", lease=1.0, margin=0.1) as (system, platform, _):
        sup = await system.supervise(
            Supervisor("sup", children=[ChildSpec("w", Worker, options=SpawnOptions(placement=Placement.SPREAD))])
        )
        platform.fails_to_start.add("a")
        platform.die(platform.node("a"))
        await asyncio.sleep(300)
        assert sup.is_alive
        assert system.lookup("/sup/w") is None
        platform.fails_to_start.clear()
        await asyncio.sleep(60)
        assert await where(system.lookup("/sup/w")) == "a#2" or system.lookup("/sup/w").node == "a"  # type: ignore[union-attr]


async def test_a_child_whose_node_is_lost_during_its_restart_is_placed_again() -> None:
    async with cluster() as (system, platform, _):
        platform.kill_is_certain = False
        spec = ChildSpec("w", Worker, options=SpawnOptions(placement=Placement.SPREAD))
        await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=9), children=[spec]))
        with pytest.raises(ValueError, match="boom"):
            await system.lookup("/sup/w").ask(Boom())  # type: ignore[union-attr]
        platform.network.cut("driver", "a")  # the order to start again does not arrive
        await asyncio.sleep(0.5)
        platform.die(platform.node("a"))
        await asyncio.sleep(20)
        assert await where(system.lookup("/sup/w")) == "b#1"


async def test_a_temporary_child_is_not_placed_again() -> None:
    async with cluster() as (system, platform, _):
        spec = ChildSpec("w", Worker, restart=Restart.TEMPORARY, options=on("a"))
        sup = await system.supervise(Supervisor("sup", children=[spec]))
        platform.die(platform.node("a"))
        await asyncio.sleep(20)
        assert await sup.which_children() == ()


async def test_a_child_that_is_terminated_while_its_restart_waits_stays_away() -> None:
    async with cluster() as (system, platform, _):
        sup = await system.supervise(Supervisor("sup", children=[ChildSpec("w", Worker, options=on("a"))]))
        platform.die(platform.node("a"))
        await asyncio.sleep(0.1)
        await sup.terminate_child("w")
        await asyncio.sleep(20)
        assert system.lookup("/sup/w") is None
        await sup.restart_child("w")
        assert await where(system.lookup("/sup/w")) == "a#2"


async def test_children_wait_each_for_its_place_and_the_loss_counts_once() -> None:
    async with cluster("a", "b", lease=1.0, margin=0.1) as (system, platform, _):
        spread = ChildSpec("spread", Worker, options=SpawnOptions(placement=Placement.SPREAD))
        named = [ChildSpec(f"w{number}", Worker, options=on("a")) for number in range(5)]
        await system.supervise(Supervisor("sup", children=[spread, *named]))
        assert (await where(system.lookup("/sup/spread"))) == "a#1"
        platform.fails_to_start.add("a")
        platform.die(platform.node("a"))

        await asyncio.sleep(6)

        assert (await where(system.lookup("/sup/spread"))) == "b#1"
        platform.fails_to_start.clear()
        await asyncio.sleep(60)
        for number in range(5):
            assert (await where(system.lookup(f"/sup/w{number}"))).startswith("a#")


@pytest.mark.parametrize("is_spawned", [True, False])
async def test_an_actor_of_the_driver_that_cannot_place_its_child_while_a_node_is_lost_is_tried_again(
    is_spawned: bool,
) -> None:
    async with cluster(lease=1.0, margin=0.1) as (system, platform, _):
        if is_spawned:
            await system.spawn(Head, name="above").started()
        else:
            children = [ChildSpec("coordinator", Coordinator)]
            await system.supervise(Supervisor("above", strategy=Head.strategy, children=children))
        coordinator = system.lookup("/above/coordinator")
        assert coordinator is not None
        await coordinator.started()
        platform.die(platform.node("a"))

        coordinator.tell(Boom())

        await asyncio.sleep(10)
        assert (await coordinator.ask(TextMessage("work"), timeout=5)).content == "at work"
        assert await where(system.lookup("/above/coordinator/worker")) == "a#2"


async def test_an_actor_that_kills_its_nodes_is_reported_to_its_supervisor() -> None:
    async with cluster(lease=1.0, margin=0.1, suspect_after=3) as (system, platform, _):
        outer = Supervisor(
            "outer",
            strategy=OneForOne(max_restarts=None),
            children=[
                ChildSpec(
                    "inner",
                    Supervisor(
                        "inner",
                        strategy=OneForOne(max_restarts=3, within=600.0),
                        children=[ChildSpec("killer", Worker, options=SpawnOptions(placement=Placement.SPREAD))],
                    ),
                    restart=Restart.TEMPORARY,
                )
            ],
        )
        await system.supervise(outer)
        inner: Any = system.lookup("/outer/inner")
        for _ in range(3):
            killer: Any = system.lookup("/outer/inner/killer")
            await where(killer)
            platform.die(platform.node(killer.node), LossCause.OUT_OF_MEMORY)
            await asyncio.sleep(5)
        assert not inner.is_alive
        assert len(LOG) >= 3


def suspects(count: int) -> Supervisor:
    """A supervisor of so many workers that are spread, which starts them again without limit."""
    spread = SpawnOptions(placement=Placement.SPREAD)
    specs = [ChildSpec(f"w{number}", Worker, options=spread) for number in range(count)]
    return Supervisor("sup", strategy=OneForOne(max_restarts=None), children=specs)


@pytest.mark.parametrize("cause", [LossCause.OUT_OF_MEMORY, LossCause.KILLED])
async def test_actors_whose_node_has_died_of_memory_or_a_signal_are_placed_apart_from_each_other(
    cause: LossCause,
) -> None:
    async with cluster("a", "b", "c", lease=1.0, margin=0.1) as (system, platform, _):
        others = [system.spawn(Worker, options=on(name)) for name in ("b", "c") for _ in range(3)]
        await asyncio.gather(*(actor.started() for actor in others))
        await system.supervise(suspects(2))
        assert {info.node for info in system.tree("/sup").children} == {"a"}
        await asyncio.gather(*(actor.stop() for actor in others[:3]))  # now there is most room on "b"
        platform.fails_to_start.add("a")

        platform.die(platform.node("a"), cause)

        await asyncio.sleep(10)
        assert {info.node for info in system.tree("/sup").children} == {"b", "c"}


async def deaths_under(
    suspect_after: int | None, deaths: int, log: list[dict[str, Any]], cause: LossCause = LossCause.KILLED
) -> list[str]:
    """Let as many nodes die under an actor, and return the errors of its starts that have failed."""
    log.clear()
    async with cluster(lease=1.0, margin=0.1, suspect_after=suspect_after) as (system, platform, _):
        await system.supervise(suspects(1))
        for _ in range(deaths):
            worker: Any = system.lookup("/sup/w0")
            assert await where(worker)
            platform.die(platform.node(worker.node), cause)
            await asyncio.sleep(20)
    return [entry["error"] for entry in log if entry["event"] == "supervisor.restart_failed"]


@pytest.mark.parametrize("suspect_after", [1, 3])
async def test_an_actor_is_reported_to_its_supervisor_when_as_many_nodes_in_a_row_have_died_under_it(
    suspect_after: int, log: list[dict[str, Any]]
) -> None:
    (failed,) = await deaths_under(suspect_after, suspect_after, log)
    assert f"/sup/w0: {suspect_after} nodes in a row have died" in failed
    assert await deaths_under(suspect_after + 1, suspect_after, log) == []


@pytest.mark.parametrize("cause", [LossCause.SILENT, LossCause.UNKNOWN])
async def test_actors_of_a_node_that_was_lost_otherwise_are_no_suspects(
    cause: LossCause, log: list[dict[str, Any]]
) -> None:
    assert await deaths_under(1, 4, log, cause) == []


async def test_without_suspect_after_no_actor_is_reported_however_many_nodes_die_under_it(
    log: list[dict[str, Any]],
) -> None:
    assert await deaths_under(None, 8, log) == []


async def test_a_drained_node_gives_its_actors_away_and_the_move_counts_in_no_window() -> None:
    async with cluster() as (system, platform, nodes):
        specs = [ChildSpec(f"w{n}", Worker, options=SpawnOptions(placement=Placement.SPREAD)) for n in range(6)]
        sup = await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=0), children=specs))
        lone = system.spawn(Worker, name="lone", options=SpawnOptions(placement=Placement.SPREAD))
        assert lone.node == "a"
        await lone.started()

        await nodes.drain("a")

        await asyncio.sleep(5)
        assert sup.is_alive
        assert {info.node for info in system.tree("/sup").children} == {"b", "c"}
        assert len(system.tree("/sup").children) == 6
        assert system.lookup("/lone").node in ("b", "c")  # type: ignore[union-attr]
        assert [node.name for node in system.nodes()] == ["driver", "b", "c"]
        assert [node.name for node in platform.started] == ["a", "b", "c"]
        stops = [entry[2] for entry in LOG if entry[0] == "stop"]
        assert stops == [StopReason.SHUTDOWN] * 3


async def test_a_node_that_asks_to_leave_is_drained() -> None:
    async with cluster() as (system, platform, _):
        far = system.spawn(Worker, name="far", options=SpawnOptions(placement=Placement.SPREAD))
        assert await where(far) == "a#1"
        platform.runtimes[platform.node("a")].leave()
        await asyncio.sleep(10)
        assert [node.name for node in system.nodes()] == ["driver", "b", "c"]
        assert await where(system.lookup("/far")) == "b#1"


async def test_a_node_that_asks_to_leave_lets_its_work_end_and_the_move_counts_in_no_window() -> None:
    async with cluster() as (system, platform, _):
        specs = [ChildSpec("w", Worker, shutdown=60, options=SpawnOptions(placement=Placement.SPREAD))]
        sup = await system.supervise(Supervisor("sup", strategy=OneForOne(max_restarts=0), children=specs))
        worker: Any = system.lookup("/sup/w")
        agent = system.spawn(waiter, options=on("a"))
        in_hand, called = worker.ask(TextMessage("for 5 s")), agent.inquire("wait")
        await asyncio.sleep(0.1)
        with system.events.subscribe() as events:
            platform.runtimes[platform.node("a")].leave()
            await asyncio.sleep(2)
            assert [node.state for node in system.nodes()] == ["driver", "leaving", "up", "up"]
            with pytest.raises(InvalidOptionError, match="node 'a' is being drained"):
                system.spawn(Worker, options=on("a"))
            assert str(await in_hand) == "done"
            assert [str(message) for message in await called] == ["waited"]
            await asyncio.sleep(10)
            events.close()
            kinds = [(e.kind, e.path, e.detail) async for e in events if "node" in e.kind.value]
        assert kinds == [(EventKind.NODE_LOST, "a", "drained")]
        assert sup.is_alive
        assert await where(system.lookup("/sup/w")) == "b#1"


async def test_draining_refuses_new_actors_and_unknown_nodes() -> None:
    async with cluster() as (system, _, nodes):
        slow = system.spawn(Worker, options=on("a"))
        slow.tell(TextMessage("slow"))
        await asyncio.sleep(0.1)
        draining = asyncio.create_task(nodes.drain("a"))
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidOptionError, match="node 'a' is being drained"):
            system.spawn(Worker, options=on("a"))
        with pytest.raises(InvalidOptionError, match="there is no such node that can leave"):
            await nodes.drain("driver")
        await draining


def test_a_system_without_a_cluster_loads_nothing_of_it() -> None:
    code = (
        "import asyncio, sys\n"
        "from miniagents import Actor, MiniAgents, TextMessage\n"
        "async def main():\n"
        "    async with MiniAgents() as system:\n"
        "        system.tree()\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith('miniagents.cluster')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == "[]\n"


async def test_a_cluster_whose_node_does_not_start_ends_the_others_and_raises() -> None:
    platform = MemoryPlatform(["a", "b"])
    platform.fails_to_start.add("b")
    with pytest.raises(ConnectionError, match="node 'b' does not start"):
        async with MiniAgents(cluster=Cluster(platform)):
            raise AssertionError("it does not get here")
    assert not platform.runtimes


async def test_a_node_names_the_required_variables_that_it_lacks() -> None:
    platform = MemoryPlatform(["a"])
    with pytest.raises(InvalidOptionError, match=r"node 'a' lacks environment variables .*: SOME_KEY"):
        async with MiniAgents(cluster=Cluster(platform, variables=["PATH", "SOME_KEY_THAT_NOBODY_HAS"])):
            pass


async def test_a_thousand_epochs_of_nodes_leave_nothing_behind() -> None:
    async with cluster("a", lease=0.5, margin=0.1) as (system, platform, nodes):
        links: Any = nodes.links

        def counts() -> tuple[int, ...]:
            LOG.clear()  # there are references in it
            gc.collect()
            return (
                links.open,
                len(links.peers),
                len(links._remote),
                len(links._local),
                len(links.placing),
                len(links.placing._waiting),
                len(nodes._tasks),
                len(platform.runtimes),
                len(platform._tasks),
                len(platform.network._nodes),
                len(system.observers._attached),
                len(system._shared),
            )

        near = system.spawn(Worker, name="near")
        for number in range(1000):
            if number == 1:
                before = counts()
            ref = system.spawn(Worker, name=f"w{number}", options=SpawnOptions(placement=Placement.SPREAD))
            watcher = system.spawn(Watcher, to=ref)
            await ref.ask(Where())
            ask = ref.ask(TextMessage("slow"))
            await asyncio.sleep(0)
            platform.die(platform.node("a"))
            with pytest.raises(ActorStoppedError):
                await ask
            path = f"/w{number}"
            await until(lambda path=path: system.lookup(path) is not None)  # type: ignore[misc]
            await system.lookup(path).stop()  # type: ignore[union-attr]
            await watcher.stop()
        await asyncio.sleep(1)
        assert counts() == before
        assert await where(near) == "driver#1"
