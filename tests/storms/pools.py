"""A storm on pools and groups: every routing, members that crash and end, and everybody sends at once."""

import asyncio
from typing import Any

from miniagents import (
    ActorRef,
    ActorSystem,
    Mailbox,
    Overflow,
    Routing,
    SpawnOptions,
    SupervisorRef,
)
from miniagents.errors import StartError
from miniagents.testing import Simulation
from tests.storms.book import Book
from tests.storms.calls import Calls, a_while, disturbed
from tests.storms.mailboxes import DEEDS, Consumer

UNTIL = 20_000.0


class Keys(Book):
    """Knows which member has which keys: the priority of a job is its key here."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.by_key: dict[tuple[str, int], str] = {}

    def begin(self, name: str, job: Any) -> None:
        """An actor begins to handle a job; equal keys go to the same member."""
        super().begin(name, job)
        pool = name.rsplit("/", 1)[0]
        if pool.endswith("by_key"):
            owner = self.by_key.setdefault((pool, job.priority), name)
            self.calls.check(owner == name, f"key {job.priority} goes to {owner}, and to {name}")


class Storm:
    """One storm: some pools, a group, and who sends to them."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.random
        self.calls = Calls(sim)
        self.book = Keys(self.calls)
        self.serving: dict[str, int] = {}
        self.pools: list[SupervisorRef] = []

    def options(self) -> SpawnOptions | None:
        random = self.random
        if random.random() < 0.4:
            return None
        overflow = random.choice([Overflow.BACKPRESSURE, Overflow.BACKPRESSURE, *Overflow])
        return SpawnOptions(mailbox=Mailbox(capacity=random.randrange(1, 4), overflow=overflow))

    async def start(self, system: ActorSystem) -> None:
        random = self.random
        given: dict[str, Any] = {"book": self.book, "serving": self.serving}
        for number in range(random.randrange(1, 3)):
            routing = random.choice(list(Routing))
            by_key = routing is Routing.CONSISTENT_HASH
            starting = self.calls.watch(
                "pool",
                system.pool(
                    Consumer,
                    size=random.randrange(1, 4),
                    routing=routing,
                    key=(lambda job: job.priority) if by_key else None,
                    name=f"{number}_by_key" if by_key else f"{number}",
                    options=self.options(),
                    kwargs=given,
                ),
            )
            await asyncio.wait([starting])
            pool = starting.result()
            if isinstance(pool, StartError) and self.sim.disturbances:
                continue  # a member was killed before it had started
            assert isinstance(pool, SupervisorRef), pool
            self.pools.append(pool)
        group = system.group("all")
        if not self.pools:
            self.pools.append(await system.pool(Consumer, size=1, name="last", kwargs=given))
        for number in range(random.randrange(3)):
            group.join(system.spawn(Consumer, name=f"member{number}", options=self.options(), kwargs=given))

    async def sender(self, system: ActorSystem, number: int) -> None:
        random = self.random
        group = system.group("all")
        for _ in range(random.randrange(3, 15)):
            if random.random() < 0.5:
                await a_while(self.sim, 0.01, 0.2, 1.0)
            fields: dict[str, Any] = {"what": random.choice(DEEDS), "turns": random.randrange(5)}
            pick = random.random()
            if pick < 0.8:
                pool = random.choice(self.pools)
                job = self.book.job(number, priority=random.randrange(3), **fields)
                how = random.choice(["tell", "send", "ask", "ask"])
                sending = self.calls.watch(
                    f"{how} to {pool.path}", self.book.send(pool, job, how, random.choice([None, None, 0.0, 0.3]))
                )
                await asyncio.wait([sending])
                ask = sending.result()
                if ask is not None and not isinstance(ask, BaseException) and random.random() < 0.2:
                    self.sim.later(random.choice([0, 0, 0.01, 0.3]), ask.cancel, "the storm")
            elif pick < 0.9:
                members = group.members
                took = group.broadcast(self.book.job(1000 + number, **fields))
                assert took <= len(members)
            else:
                self.end_somebody(system, group.members)

    def end_somebody(self, system: ActorSystem, members: tuple[ActorRef, ...]) -> None:
        random = self.random
        pool = random.choice(self.pools)
        found = [system.lookup(info.path) for info in (system.tree(pool.path).children if pool.is_alive else ())]
        refs = [ref for ref in (*found, *members) if ref is not None]
        if refs:
            ref = random.choice(refs)
            self.calls.watch(f"the end of {ref.path}", random.choice([ref.kill, ref.stop])())
        if random.random() < 0.1:
            self.calls.watch(f"the end of {pool.path}", pool.stop())

    async def body(self) -> None:
        random = self.random
        async with ActorSystem(dead_letters_kept=100_000) as system:
            await self.start(system)
            await asyncio.gather(*(self.sender(system, number) for number in range(random.randrange(1, 5))))
            await asyncio.sleep(random.choice([0, 0, 0.1, 100]))
            assert all(ref.is_alive for ref in system.group("all").members)
        assert system.group("all").members == ()
        self.book.check(system)


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
