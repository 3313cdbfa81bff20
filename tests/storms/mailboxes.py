"""A storm on bounded mailboxes: senders that tell, send and ask faster than they are served, with every overflow, while
the actors crash and end."""

import asyncio
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Mailbox,
    Message,
    OneForOne,
    Overflow,
    Restart,
    RetryPolicy,
    SpawnOptions,
    Supervisor,
    TextMessage,
)
from miniagents.testing import Simulation
from tests.storms.book import Book, Job
from tests.storms.calls import Boom, Calls, a_while, disturbed, turns

UNTIL = 20_000.0

DEEDS = ["nothing", "nothing", "turns", "turns", "sleep", "raise", "stop"]


class Consumer(Actor):
    """Handles jobs, one at a time."""

    def __init__(self, book: Book, serving: dict[str, int]) -> None:
        self.book = book
        self.serving = serving

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        assert isinstance(message, Job)
        self.book.calls.check(not self.serving.get(ctx.path), f"{ctx.path}: two handlers at once")
        self.serving[ctx.path] = 1
        try:
            self.book.begin(ctx.path, message)
            match message.what:
                case "turns":
                    await turns(message.turns)
                case "sleep":
                    await asyncio.sleep(message.turns / 10)
                case "raise":
                    raise Boom("a consumer")
                case "stop" if message.turns == 0:
                    ctx.stop()
        finally:
            self.serving[ctx.path] = 0
        return TextMessage("done")


class Storm:
    """One storm: consumers with small mailboxes, and their senders."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.random
        self.calls = Calls(sim)
        self.book = Book(self.calls)
        self.refs: list[ActorRef] = []
        self.capacities: dict[str, int] = {}
        self.serving: dict[str, int] = {}

    def options(self) -> SpawnOptions:
        random = self.random
        return SpawnOptions(
            mailbox=Mailbox(
                capacity=random.randrange(1, 4),
                overflow=random.choice([Overflow.BACKPRESSURE, Overflow.BACKPRESSURE, *Overflow]),
                priority=random.choice([None, None, lambda job: job.priority]),
            ),
            retry=RetryPolicy(attempts=2) if random.random() < 0.2 else None,
            own_task=random.random() < 0.1,
        )

    async def start(self, system: ActorSystem) -> None:
        random = self.random
        given: dict[str, Any] = {"book": self.book, "serving": self.serving}
        for number in range(random.randrange(1, 3)):
            options = self.options()
            if random.random() < 0.5:
                ref = system.spawn(Consumer, name=f"free{number}", options=options, kwargs=given)
            else:
                spec = ChildSpec("one", Consumer, restart=random.choice(list(Restart)), kwargs=given, options=options)
                strategy = OneForOne(max_restarts=None)
                await system.supervise(Supervisor(f"s{number}", strategy=strategy, children=[spec]))
                found = system.lookup(f"/s{number}/one")
                if found is None:
                    continue  # it has ended already, and was TEMPORARY
                ref = found
            self.refs.append(ref)
            assert options.mailbox.capacity is not None
            self.capacities[ref.path] = options.mailbox.capacity

    async def sender(self, system: ActorSystem, number: int) -> None:
        random, job = self.random, self.book.job
        for _ in range(random.randrange(3, 15)):
            if random.random() < 0.5:
                await a_while(self.sim, 0.01, 0.2, 1.0)
            ref = random.choice(self.refs)
            message = job(
                number, what=random.choice(DEEDS), turns=random.randrange(5), priority=random.choice([0, 0, 0, 1])
            )
            how = random.choice(["tell", "send", "send", "ask"])
            sending = self.calls.watch(
                f"{how} to {ref.path}", self.book.send(ref, message, how, random.choice([None, None, 0.0, 0.3]))
            )
            if random.random() < 0.15:
                self.sim.later(random.choice([0, 0, 0.01, 0.3]), sending.cancel)
            await asyncio.wait([sending])
            if not sending.cancelled():
                ask = sending.result()
                if ask is not None and not isinstance(ask, BaseException) and random.random() < 0.2:
                    self.sim.later(random.choice([0, 0, 0.01, 0.3]), ask.cancel, "the storm")
            self.check_depths(system)
            if random.random() < 0.03:
                self.calls.watch(f"the end of {ref.path}", random.choice([ref.kill, ref.stop])())

    def check_depths(self, system: ActorSystem) -> None:
        """No more messages wait than may. (One that is tried again counts in no capacity.)"""
        for ref in self.refs:
            if ref.is_alive:
                depth = system.tree(ref.path).mailbox_depth
                most = self.capacities[ref.path] + 1
                assert depth <= most, f"{depth} messages wait at {ref.path}, and {most} may"

    async def body(self) -> None:
        random = self.random
        async with ActorSystem(dead_letters_kept=100_000) as system:
            await self.start(system)
            if not self.refs:
                return
            await asyncio.gather(*(self.sender(system, number) for number in range(random.randrange(1, 5))))
            await asyncio.sleep(random.choice([0, 0, 0.1, 100]))
        self.book.check(system)


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
