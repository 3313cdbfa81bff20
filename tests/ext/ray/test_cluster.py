"""`RayCluster` on a real Ray of this machine: actors on nodes, and the loss of a node by every way of dying."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

from miniagents import (
    Actor,
    ActorContext,
    ActorStoppedError,
    ChildSpec,
    EventKind,
    Message,
    MiniAgents,
    NodeLostError,
    OneForOne,
    Placement,
    SpawnOptions,
    Supervisor,
)
from miniagents.ext.ray import RayCluster
from tests.ext.ray.clusters import processes, until_lost, until_up
from tests.ext.ray.workers import Block, Count, Counted, Hang, Place, Slow, Total, Watcher, Where, Worker, counting

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

LEASE = 4.0
SPREAD = SpawnOptions(placement=Placement.SPREAD)


class Bell(Actor):
    """An actor of the driver that is told something once."""

    rung = asyncio.Event()

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.rung.set()


class Nodes:
    """A system on three nodes, and what a test does to them."""

    def __init__(self, system: MiniAgents, cluster: RayCluster) -> None:
        self.system = system
        self.cluster = cluster

    @property
    def raylets(self) -> dict[str, int]:
        """The processes of the raylets."""
        own = self.cluster._ray_launcher.own
        assert own is not None
        return own.raylets

    async def worker(self, **options: Any) -> tuple[Any, Place]:
        """Spawn a worker, and return its reference and where it lives."""
        ref = self.system.spawn(Worker, options=SpawnOptions(**options) if options else SPREAD)
        return ref, await ref.ask(Where(), timeout=10)

    async def complete(self) -> None:
        """Wait until as many nodes are in as there are places."""
        while len(self.system.nodes()) < 1 + len(self.cluster._places):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def placed_again(self, path: str, than: Any) -> Place:
        """Wait until something else lives at a path, and return where."""
        while (ref := self.system.lookup(path)) is None or ref == than:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        place: Place = await ref.ask(Where(), timeout=10)
        return place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes() -> AsyncIterator[Nodes]:
    """Three nodes, in an environment that names another cluster. What the process was, it is again at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
        environment, handlers = variables(), signals()
        cluster = RayCluster(nodes=3, modules=["tests.ext.ray.workers"], lease=LEASE, margin=0.5)
        async with MiniAgents(cluster=cluster) as system:
            yield Nodes(system, cluster)
            own = cluster._ray_launcher.own
            assert own is not None
            folder = own.folder
            assert signals() == handlers
        assert variables() == environment
        assert signals() == handlers
        assert not folder.exists()
        assert processes(str(folder)) == []


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def complete(nodes: Nodes) -> None:
    """Begin each test with all nodes."""
    await asyncio.wait_for(nodes.complete(), 40)


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def signals() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]


async def test_actors_are_spread_over_processes_of_their_own(nodes: Nodes) -> None:
    places = [(await nodes.worker())[1] for _ in range(3)]

    assert {place.node for place in places} == {"node-1", "node-2", "node-3"}
    assert len({place.pid for place in places} | {os.getpid()}) == 4


async def test_twenty_thousand_messages_arrive_in_their_order(nodes: Nodes) -> None:
    worker, _ = await nodes.worker()

    for number in range(20_000):
        worker.tell(Count(number=number))
        if number % 500 == 0:
            await asyncio.sleep(0)

    assert await worker.ask(Total(), timeout=30) == Counted(count=20_000, in_order=True)


async def test_tokens_arrive_one_by_one_while_the_agent_on_the_node_goes_on(nodes: Nodes) -> None:
    agent = nodes.system.spawn(counting, tokens=5, pause=0.1, options=SpawnOptions(node="node-2"))
    arrived = []

    async for message in agent.inquire("count"):
        async for token in message:
            arrived.append((str(token), time.monotonic()))

    assert [token for token, _ in arrived] == ["0 ", "1 ", "2 ", "3 ", "4 ", "node-2"]
    assert arrived[4][1] - arrived[0][1] > 0.2


def kill_runtime(nodes: Nodes, place: Place) -> None:
    os.kill(place.pid, signal.SIGKILL)


def kill_raylet(nodes: Nodes, place: Place) -> None:
    os.kill(nodes.raylets[place.node], signal.SIGKILL)


def stop_runtime(nodes: Nodes, place: Place) -> None:
    os.kill(place.pid, signal.SIGSTOP)


@pytest.mark.parametrize(
    ("lose", "causes", "within"),
    [
        pytest.param(kill_runtime, ("killed",), LEASE, id="runtime-killed"),
        pytest.param(kill_raylet, ("killed",), LEASE, id="raylet-killed"),
        pytest.param(stop_runtime, ("silent",), 5 * LEASE, id="runtime-stopped"),
    ],
)
async def test_the_loss_of_a_node_ends_its_asks_and_its_actors_are_placed_again(
    nodes: Nodes, lose: Callable[[Nodes, Place], None], causes: tuple[str, ...], within: float
) -> None:
    system = nodes.system
    supervisor = await system.supervise(
        Supervisor(
            f"kept-{lose.__name__}", strategy=OneForOne(), children=[ChildSpec("worker", Worker, options=SPREAD)]
        )
    )
    path = f"{supervisor.path}/worker"
    worker: Any = system.lookup(path)
    place = await worker.ask(Where(), timeout=10)
    watcher = system.spawn(Watcher, to=worker)
    await watcher.ask(Total())
    hanging = worker.ask(Hang())
    with system.events.subscribe() as events:
        lost_at = time.monotonic()
        lose(nodes, place)

        with pytest.raises(ActorStoppedError) as caught:
            await asyncio.wait_for(hanging, 60)
        seconds = time.monotonic() - lost_at
        again = await asyncio.wait_for(nodes.placed_again(path, worker), 60)
        seen = await asyncio.wait_for(until_up(events, place.node), 60)

    cause = caught.value.__cause__
    assert isinstance(cause, NodeLostError)
    assert (cause.node, cause.cause in causes) == (place.node, True)
    assert seconds < within
    assert (again.node, again.epoch) != (place.node, place.epoch)
    assert again.pid != place.pid
    assert seen == [EventKind.NODE_LOST, EventKind.NODE_UP]
    assert place.pid not in processes("ray::")
    assert await watcher.ask(Total()) == Counted(count=1, in_order=True)
    await supervisor.stop()


async def test_a_driver_whose_loop_is_held_for_longer_than_the_lease_loses_no_node(nodes: Nodes) -> None:
    await nodes.complete()
    before = nodes.system.nodes()

    time.sleep(2.5 * LEASE)  # noqa: ASYNC251
    await asyncio.sleep(1)

    assert nodes.system.nodes() == before


async def test_a_node_whose_loop_is_held_for_longer_than_its_lease_is_not_lost(nodes: Nodes) -> None:
    worker, place = await nodes.worker()
    busy = set()

    held = asyncio.ensure_future(worker.ask(Block(seconds=2.5 * LEASE)))
    while not held.done():
        busy |= {(node.name, node.busy) for node in nodes.system.nodes() if node.busy}
        await asyncio.sleep(0.05)
    await held

    assert (await worker.ask(Where())).epoch == place.epoch
    assert busy == {(place.node, worker.path)}


async def test_a_drained_node_gives_its_actors_away_and_is_not_replaced(nodes: Nodes) -> None:
    supervisor = await nodes.system.supervise(
        Supervisor(
            "drained", strategy=OneForOne(max_restarts=0), children=[ChildSpec("worker", Worker, options=SPREAD)]
        )
    )
    worker: Any = nodes.system.lookup("/drained/worker")
    place = await worker.ask(Where())

    await asyncio.wait_for(nodes.cluster.drain(place.node), 20)
    again = await asyncio.wait_for(nodes.placed_again("/drained/worker", worker), 20)

    assert again.node != place.node
    assert place.node not in {node.name for node in nodes.system.nodes()}
    assert supervisor.is_alive


async def test_a_node_whose_process_gets_a_sigterm_ends_its_work_gives_its_actors_away_and_is_not_replaced(
    nodes: Nodes,
) -> None:
    supervisor = await nodes.system.supervise(
        Supervisor(
            "leaving", strategy=OneForOne(max_restarts=0), children=[ChildSpec("worker", Worker, options=SPREAD)]
        )
    )
    worker: Any = nodes.system.lookup("/leaving/worker")
    place = await worker.ask(Where())
    bell = nodes.system.spawn(Bell)
    in_hand = worker.ask(Slow(begun=bell))
    await asyncio.wait_for(Bell.rung.wait(), 40)
    with nodes.system.events.subscribe() as events:
        os.kill(place.pid, signal.SIGTERM)

        assert (await asyncio.wait_for(in_hand, 40)).pid == place.pid
        again = await asyncio.wait_for(nodes.placed_again("/leaving/worker", worker), 40)
        lost = await asyncio.wait_for(until_lost(events, place.node), 40)

    assert again.node != place.node
    assert lost == "drained"
    assert place.node not in {node.name for node in nodes.system.nodes()}
    assert supervisor.is_alive


async def test_messages_go_on_when_the_head_and_its_metadata_store_are_killed(nodes: Nodes) -> None:
    """The last test: nothing can be started afterwards."""
    worker, place = await nodes.worker()
    own = nodes.cluster._ray_launcher.own
    assert own is not None

    for pid in (own.store_pid, own.head_pid):
        os.kill(pid, signal.SIGKILL)
    for number in range(20):
        worker.tell(Count(number=number))
        await asyncio.sleep(0.25)

    assert await worker.ask(Total(), timeout=10) == Counted(count=20, in_order=True)
    assert await worker.ask(Where(), timeout=10) == place
