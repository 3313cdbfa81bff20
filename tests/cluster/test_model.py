"""A model check of the links: three nodes, a network that does what it wants, and the dumbest possible model.

Whatever the network loses, repeats, delays and reorders, and whichever nodes are cut off or start again: messages
arrive in order for each pair and at most once, those with an id exactly once, every promise has an ending, and nothing
of one life of a node reaches another one.

`CLUSTER_RUNS=10000` sets the number of runs.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from miniagents import (
    Actor,
    ActorContext,
    InteractionContext,
    Message,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.cluster import LossCause
from miniagents.errors import MiniAgentsError
from miniagents.journal import MemoryJournal
from miniagents.testing import VirtualTimeLoop
from miniagents.testing.network import Network
from tests.cluster.clusters import TestNode

NAMES = ("a", "b", "c")
DURABLE_NODE = "a"

names = st.sampled_from(NAMES)
shares = st.sampled_from([0.0, 0.1, 0.5])


class Numbered(Message):
    """A message that says where it comes from and where it is to go."""

    source: str
    source_epoch: int
    number: int
    epoch: int


class Log(Actor):
    """Notes what it gets, and answers slowly to every third question."""

    def __init__(self, name: str, epoch: int, log: list[Numbered]) -> None:
        self.name = name
        self.epoch = epoch
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        assert isinstance(message, Numbered)
        assert message.epoch == self.epoch, "it was for another life of this node"
        self.log.append(message)
        if message.number % 3 == 0:
            await asyncio.sleep(0.2)
        return message


class Handled(msgspec.Struct):
    ids: list[str]


class Ledger(Actor):
    """A durable actor, whose state is what it has handled."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    def snapshot(self) -> Handled:
        return Handled(self.handled)

    def restore(self, state: Handled) -> None:
        self.handled = state.ids

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        self.handled.append(str(message))
        return TextMessage(",".join(self.handled))


@miniagent
async def counts(ctx: InteractionContext, tokens: int) -> None:
    async def text(late: dict[str, Any]) -> Any:
        for number in range(tokens):
            yield f"{number} "
            await asyncio.sleep(0.05)

    ctx.reply(TextMessage.promise(message_token_streamer=text))


class Links(RuleBasedStateMachine):
    """What three nodes do to each other."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.loop = VirtualTimeLoop()
        self.network = Network(seed)
        self.journal = MemoryJournal()
        self.nodes: dict[str, TestNode] = {}
        self.epochs = dict.fromkeys(NAMES, 0)
        self.logs: dict[tuple[str, int], list[Numbered]] = {}
        self.numbers = dict.fromkeys(NAMES, 0)
        self.promises: list[Any] = []
        self.calls: list[tuple[Any, int]] = []
        self.sending: dict[str, asyncio.Task[None]] = {}
        for name in NAMES:
            self.run(self.start(name))

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coro)

    async def start(self, name: str) -> None:
        epoch = self.epochs[name] = self.epochs[name] + 1
        journal = self.journal if name == DURABLE_NODE else None
        node = TestNode(self.network, name, epoch, MiniAgents(name=name, journal=journal))
        await node.__aenter__()
        self.nodes[name] = node
        log = self.logs[name, epoch] = []
        node.system.spawn(Log, name="log", options=None, kwargs={"name": name}, epoch=epoch, log=log)
        node.system.spawn(counts, name="counts")
        if name == DURABLE_NODE:
            node.system.spawn(Ledger, name="ledger", options=SpawnOptions(durable=True))

    def ref(self, source: str, destination: str, path: str) -> Any:
        ref = self.nodes[destination].system.lookup(path)
        assert ref is not None
        return self.nodes[source].remote(ref)

    def numbered(self, source: str, destination: str) -> Numbered:
        self.numbers[source] += 1
        return Numbered(
            source=source,
            source_epoch=self.epochs[source],
            number=self.numbers[source],
            epoch=self.epochs[destination],
        )

    # What nodes do

    @rule(source=names, destination=names, count=st.integers(1, 5))
    def tell(self, source: str, destination: str, count: int) -> None:
        if source != destination:
            for _ in range(count):
                self.ref(source, destination, "/log").tell(self.numbered(source, destination))

    @rule(source=names, destination=names, timeout=st.sampled_from([None, 0.3, 5.0]), cancels=st.booleans())
    def ask(self, source: str, destination: str, timeout: float | None, cancels: bool) -> None:
        if source != destination:
            ask = self.ref(source, destination, "/log").ask(self.numbered(source, destination), timeout=timeout)
            ask.mark_seen()
            self.promises.append(ask)
            if cancels:
                self.loop.call_later(0.1, ask.cancel, "not wanted")

    @rule(source=names, destination=names, tokens=st.integers(0, 10), cancels=st.booleans())
    def call(self, source: str, destination: str, tokens: int, cancels: bool) -> None:
        if source != destination:

            async def begin() -> None:
                replies = self.ref(source, destination, "/counts").inquire(tokens=tokens)
                replies.mark_seen()
                self.promises.append(replies)
                self.calls.append((replies, tokens))
                if cancels:
                    self.loop.call_later(0.1, replies.cancel, "not wanted")

            self.run(begin())

    @rule(source=st.sampled_from(["b", "c"]))
    def send_once(self, source: str) -> None:
        """Send a message with an id to the durable actor, again and again until it is on disk."""
        id = f"m{len(self.sending)}"

        async def send() -> None:
            while True:
                try:
                    await self.ref(source, DURABLE_NODE, "/ledger").send(TextMessage(id), message_id=id)
                    return
                except (MiniAgentsError, AttributeError, AssertionError):
                    await asyncio.sleep(0.5)  # that life of one of the nodes is over

        async def begin() -> None:
            self.sending[id] = self.loop.create_task(send())

        self.run(begin())

    # What happens to them

    @rule(loss=shares, duplication=shares, jitter=st.sampled_from([0.0, 0.05, 2.0]))
    def weather(self, loss: float, duplication: float, jitter: float) -> None:
        self.network.loss, self.network.duplication, self.network.jitter = loss, duplication, jitter

    @rule(source=names, destination=names, both=st.booleans())
    def cut(self, source: str, destination: str, both: bool) -> None:
        self.network.cut(source, destination, both=both)

    @rule()
    def mend(self) -> None:
        self.network.mend()

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(name=names, notices=st.booleans())
    def restart(self, name: str, notices: bool) -> None:
        """A node dies, and another life of it begins. The others may hear of the loss first, or of the new life."""

        async def again() -> None:
            old = self.nodes[name]
            await old.__aexit__(SystemError, SystemError("it dies"), None)
            if notices:
                for other in NAMES:
                    if other != name:
                        self.nodes[other].nodes.lost(old.id, LossCause.KILLED)
            await self.start(name)
            if not notices:
                for other in NAMES:
                    if other != name:
                        self.nodes[other].nodes.peer(self.nodes[name].id)

        self.run(again())

    # What must be true

    @invariant()
    def in_order_and_at_most_once(self) -> None:
        for log in getattr(self, "logs", {}).values():
            last: dict[tuple[str, int], int] = {}
            epochs: dict[str, int] = {}
            for message in log:
                pair = message.source, message.source_epoch
                assert message.number > last.get(pair, 0), f"{message} after number {last.get(pair)}"
                last[pair] = message.number
                assert message.source_epoch >= epochs.get(message.source, 0), "an old life speaks after a new one"
                epochs[message.source] = message.source_epoch

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.network.mend()
            self.network.loss = self.network.duplication = self.network.jitter = 0.0
            self.run(asyncio.sleep(120))
            self.in_order_and_at_most_once()
            assert [promise for promise in self.promises if not promise.done()] == [], "a promise without an ending"
            for replies, tokens in self.calls:
                if replies.settled_error is None:
                    assert str(replies.result()) == "".join(f"{number} " for number in range(tokens))
            assert all(task.done() for task in self.sending.values())
            ledger: Any = self.nodes[DURABLE_NODE].system.lookup("/ledger")
            handled = str(self.run(_asked(ledger))).split(",")[:-1]
            assert sorted(handled) == sorted(self.sending), "each message with an id is handled exactly once"
            for node in self.nodes.values():
                assert node.nodes.open == 0, f"something is still under way on {node.id}"
                assert len(node.nodes.peers) <= len(NAMES) - 1
        finally:
            for node in self.nodes.values():
                self.run(node.__aexit__(None, None, None))
            self.loop.close()


async def _asked(ledger: Any) -> Message:
    answer: Message = await ledger.ask(TextMessage("end"))
    return answer


TestLinks = Links.TestCase
TestLinks.settings = settings(
    max_examples=int(os.environ.get("CLUSTER_RUNS", "25")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
