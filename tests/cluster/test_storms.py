"""Storms: a supervised tree on three nodes, whose nodes are lost at drawn moments in drawn ways.

However nodes die, are cut off and come back: every ask has its ending, no child ever runs twice at the same time, and
in the end each child runs once. `CLUSTER_STORMS=2000` sets the number of storms.
"""

import asyncio
import os
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents import (
    Actor,
    ActorContext,
    ChildSpec,
    Message,
    MiniAgents,
    OneForAll,
    OneForOne,
    Placement,
    SpawnOptions,
    Supervisor,
    TextMessage,
)
from miniagents.cluster import Cluster, LossCause
from miniagents.errors import MiniAgentsError
from miniagents.testing import VirtualTimeLoop
from miniagents.testing.memory_platform import MemoryPlatform

RUNNING: dict[str, set[int]] = {}
"""By path the instances that run now, wherever that is."""

TWICE: list[str] = []


class Worker(Actor):
    """Notes that it runs, as long as its node may do anything."""

    async def on_start(self, ctx: ActorContext) -> None:
        instances = RUNNING.setdefault(ctx.self.path, set())
        if instances:
            TWICE.append(ctx.self.path)
        instances.add(id(self))

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if str(message) == "crash":
            raise ValueError("crash")
        await asyncio.sleep(float(str(message)))
        return message

    async def on_stop(self, reason: Any) -> None:
        RUNNING[self.ctx.self.path].discard(id(self))


def tree(size: int) -> Supervisor:
    spread = SpawnOptions(placement=Placement.SPREAD)
    workers = [ChildSpec(f"w{number}", Worker, options=spread) for number in range(size)]
    together = [ChildSpec(f"t{number}", Worker, options=spread) for number in range(3)]
    endless = OneForOne(max_restarts=None)
    return Supervisor(
        "top",
        strategy=endless,
        children=[
            ChildSpec("alone", Supervisor("alone", strategy=endless, children=workers)),
            ChildSpec("together", Supervisor("together", strategy=OneForAll(max_restarts=None), children=together)),
        ],
    )


async def storm(seed: int, steps: int, size: int) -> None:
    random = Random(seed)
    platform = MemoryPlatform(["a", "b", "c"])
    network = platform.network
    paths = [f"/top/alone/w{n}" for n in range(size)] + [f"/top/together/t{n}" for n in range(3)]
    asks = list[Any]()
    async with MiniAgents(cluster=Cluster(platform, lease=2.0, margin=0.5)) as system:
        await system.supervise(tree(size))
        for _ in range(steps):
            match random.randrange(10):
                case 0 | 1 if platform.runtimes:
                    node = random.choice(sorted(platform.runtimes))
                    noticed = random.choice([None, LossCause.KILLED, LossCause.OUT_OF_MEMORY])
                    platform.die(node, noticed)
                case 2:
                    one, other = random.sample(["driver", "a", "b", "c"], 2)
                    network.cut(one, other, both=random.random() < 0.5)
                case 3:
                    network.mend()
                case 4:
                    network.loss, network.jitter = random.choice([(0.0, 0.0), (0.3, 0.0), (0.1, 0.5)])
                case 5:
                    await asyncio.sleep(random.choice([0.5, 3.0, 8.0]))
                case _:
                    ref = system.lookup(random.choice(paths))
                    if ref is not None:
                        ask: Any = ref.ask(TextMessage(random.choice(["crash", "0", "0.1", "1"])))
                        ask.mark_seen()
                        asks.append(ask)
            await asyncio.sleep(random.random())
        network.mend()
        network.loss = network.jitter = 0.0
        await asyncio.sleep(60)

        assert [ask for ask in asks if not ask.done()] == [], "an ask without an ending"
        assert [str(path) for path in TWICE] == [], "a child ran twice at the same time"
        assert sorted(RUNNING) == sorted(paths)
        counts = {path: len(instances) for path, instances in RUNNING.items()}
        assert counts == dict.fromkeys(paths, 1), f"what runs in the end: {counts}"
        for path in paths:
            ref = system.lookup(path)
            assert ref is not None, f"{path} was not started again"
            try:
                assert await ref.ask(TextMessage("0")) == TextMessage("0")
            except MiniAgentsError as error:
                raise AssertionError(f"{path} does not answer") from error


@settings(max_examples=int(os.environ.get("CLUSTER_STORMS", "8")), deadline=None)
@given(seed=st.integers(0, 1_000_000), steps=st.integers(5, 40), size=st.integers(1, 8))
def test_a_tree_on_three_nodes_heals_whatever_becomes_of_the_nodes(seed: int, steps: int, size: int) -> None:
    RUNNING.clear()
    TWICE.clear()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(storm(seed, steps, size))
