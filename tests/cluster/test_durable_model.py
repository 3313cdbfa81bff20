"""A model check of durable actors on nodes: two of them, on three nodes that die, are cut off and leave.

Whatever happens: a message with an id is handled exactly once by the state that counts, each `send` has an ending, and
the actors are the same ones at the end. `CLUSTER_RUNS=10000` sets the number of runs.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from miniagents import (
    Actor,
    ActorContext,
    ChildSpec,
    Message,
    MiniAgents,
    OneForOne,
    Placement,
    SpawnOptions,
    Supervisor,
    Terminated,
    TextMessage,
)
from miniagents.cluster import Cluster, LossCause
from miniagents.errors import MiniAgentsError
from miniagents.journal import MemoryJournal, Unacknowledged
from miniagents.testing import VirtualTimeLoop
from miniagents.testing.memory_platform import MemoryPlatform
from miniagents.testing.network import Network

NAMES = ("a", "b", "c")
PATHS = ("/lone", "/sup/child")

names = st.sampled_from(NAMES)
paths = st.sampled_from(PATHS)
DURABLE = SpawnOptions(durable=True, placement=Placement.SPREAD)


class Handled(msgspec.Struct):
    ids: list[str]


class Ledger(Actor):
    """A durable actor, whose state is what it has handled. Every fifth message takes a second."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    def snapshot(self) -> Handled:
        return Handled(self.handled)

    def restore(self, state: Handled) -> None:
        self.handled = list(state.ids)

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        text = str(message)
        if text.endswith("5"):
            await asyncio.sleep(1)
        if text.startswith("m"):
            self.handled.append(text)
        return TextMessage(",".join(self.handled))


class Watcher(Actor):
    def __init__(self, to: tuple[Any, ...]) -> None:
        self.to = to
        self.ends: list[str] = []

    async def on_start(self, ctx: ActorContext) -> None:
        for ref in self.to:
            ctx.watch(ref)

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Terminated):
            self.ends.append(message.ref.path)
            return None
        return TextMessage(",".join(self.ends))


class DurableActors(RuleBasedStateMachine):
    """What becomes of durable actors, and of the nodes under them."""

    @initialize(seed=st.integers(0, 10_000), is_certain=st.booleans())
    def begin(self, seed: int, is_certain: bool) -> None:
        self.loop = VirtualTimeLoop()
        self.platform = MemoryPlatform(NAMES, Network(seed))
        self.platform.kill_is_certain = is_certain
        self.journal = MemoryJournal()
        self.cluster = Cluster(self.platform, suspect_after=None)
        self.system = MiniAgents(cluster=self.cluster, journal=self.journal)
        self.sending: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self.asks: list[Any] = []
        self.drained = 0
        self.run(self.start())

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coro)

    async def start(self) -> None:
        system = await self.system.__aenter__()
        strategy = OneForOne(max_restarts=None)
        system.spawn(Ledger, name="lone", options=DURABLE)
        specs = [ChildSpec("child", Ledger, options=DURABLE)]
        await system.supervise(Supervisor("sup", strategy=strategy, children=specs))
        self.refs = {path: system.lookup(path) for path in PATHS}
        self.watcher = system.spawn(Watcher, to=tuple(self.refs.values()))
        await self.watcher.started()

    @rule(path=paths, count=st.integers(1, 4))
    def send(self, path: str, count: int) -> None:
        """Send messages with ids, each again and again until it is on disk."""

        async def send(id: str) -> None:
            while True:
                try:
                    await self.refs[path].send(TextMessage(id), message_id=id)  # type: ignore[union-attr]
                    return
                except MiniAgentsError:
                    await asyncio.sleep(0.5)

        async def begin() -> None:
            for _ in range(count):
                id = f"m{len(self.sending)}"
                self.sending[id] = path, self.loop.create_task(send(id))

        self.run(begin())

    @rule(path=paths, cancels=st.booleans())
    def ask(self, path: str, cancels: bool) -> None:
        async def begin() -> None:
            ask = self.refs[path].ask(TextMessage("how many"))  # type: ignore[union-attr]
            ask.mark_seen()
            self.asks.append(ask)
            if cancels:
                self.loop.call_later(0.1, ask.cancel, "not wanted")

        self.run(begin())

    @rule(path=paths, others=st.integers(1, 3))
    def tell(self, path: str, others: int) -> None:
        async def begin() -> None:
            for _ in range(others):
                self.refs[path].tell(TextMessage("told"))  # type: ignore[union-attr]

        self.run(begin())

    @rule(loss=st.sampled_from([0.0, 0.1, 0.5]), jitter=st.sampled_from([0.0, 0.05, 2.0]))
    def weather(self, loss: float, jitter: float) -> None:
        network = self.platform.network
        network.loss = network.duplication = loss
        network.jitter = jitter

    @rule(source=names, other=st.sampled_from(["driver", *NAMES]), both=st.booleans())
    def cut(self, source: str, other: str, both: bool) -> None:
        self.platform.network.cut(source, other, both=both)

    @rule()
    def mend(self) -> None:
        self.platform.network.mend()

    @rule(name=names, cause=st.sampled_from([None, LossCause.KILLED, LossCause.OUT_OF_MEMORY]))
    def die(self, name: str, cause: LossCause | None) -> None:
        async def die() -> None:
            for node in [node for node in self.platform.runtimes if node.name == name]:
                self.platform.die(node, cause)

        self.run(die())

    @rule(name=names)
    def leave(self, name: str) -> None:
        """A node leaves for good, if two others stay."""
        if self.drained:
            return
        for node, runtime in self.platform.runtimes.items():
            if node.name == name:
                self.drained = 1
                runtime.leave()

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.platform.network.mend()
            self.weather(0.0, 0.0)
            self.run(asyncio.sleep(120))
            assert [task for _, task in self.sending.values() if not task.done()] == [], "a send without an ending"
            assert [ask for ask in self.asks if not ask.done()] == [], "an ask without an ending"
            for path, ref in self.refs.items():
                assert self.system.lookup(path) == ref, "it is another actor"
                handled = str(self.run(_asked(ref))).split(",")
                sent = [id for id, (to, _) in self.sending.items() if to == path]
                assert sorted(filter(None, handled)) == sorted(sent), f"{path}: each id is handled exactly once"
                assert self.run(_read(self.journal, path)) == ()
            assert str(self.run(_asked(self.watcher))) == ""
        finally:
            self.run(self.system.__aexit__(None, None, None))
            self.loop.close()


async def _asked(ref: Any) -> Message:
    answer: Message = await ref.ask(TextMessage("end"))
    return answer


async def _read(journal: MemoryJournal, path: str) -> Any:
    return await journal.read(Unacknowledged(path))


TestDurableActors = DurableActors.TestCase
TestDurableActors.settings = settings(
    max_examples=int(os.environ.get("CLUSTER_RUNS", "15")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
