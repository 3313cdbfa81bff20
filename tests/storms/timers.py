"""A storm on timers: once and again and again, cancelled, fired and forgotten, while their actors crash and end."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random

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
    SpawnOptions,
    Supervisor,
)
from miniagents.actors.cells.timers import Timer
from miniagents.testing import Simulation
from tests.storms.calls import Boom, Calls, a_while, disturbed, turns

UNTIL = 20_000.0

QUIET = 60.0
"""Seconds without any disturbance at the end, in which whatever is due comes."""


class Do(Message):
    what: str = "nothing"
    turns: int = 0


class Tick(Message):
    instance: int
    timer: int


DEEDS = ["nothing", "turns", "sleep", "raise", "once", "once", "again", "again", "cancel", "cancel", "stop"]


class Clock(Actor):
    """Starts and cancels timers, and checks each tick."""

    numbers = itertools.count(1)

    def __init__(self, random: Random, calm: list[bool], check: Callable[[bool, str], None]) -> None:
        self.random, self.calm, self.check = random, calm, check
        self.instance = next(Clock.numbers)
        self.timers: dict[int, Timer] = {}
        self.due: dict[int, float] = {}
        self.every: dict[int, float] = {}
        self.cancelled: set[int] = set()
        self.times: Counter[int] = Counter()
        self.fired: dict[int, int] | None = None

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if isinstance(message, Tick):
            self.check_tick(message)
            if not self.calm[0] and self.random.random() < 0.2:
                await self.act(self.random.choice(["turns", "sleep", "raise", "cancel"]), 3, ctx)
        else:
            assert isinstance(message, Do)
            await self.act(message.what, message.turns, ctx)

    def check_tick(self, tick: Tick) -> None:
        number, now = tick.timer, self.now()
        if tick.instance != self.instance:
            self.check(False, "a tick of the instance before this one")
            return
        self.check(number not in self.cancelled, "a tick of a timer that was cancelled")
        self.check(now >= self.due[number] - 1e-6, "a tick before its time")
        if number in self.every:
            self.due[number] = now  # at most one waits; the next may follow at once if this one came late
        else:
            self.check(not self.times[number], "a second tick of a timer that fires once")
        self.times[number] += 1

    async def act(self, what: str, count: int, ctx: ActorContext) -> None:
        random = self.random
        match what:
            case "turns":
                await turns(count)
            case "sleep":
                await asyncio.sleep(random.choice([0.01, 0.5, 4.0]))
            case "raise":
                raise Boom("a clock")
            case "stop" if count == 0:
                ctx.stop()
            case "once":
                number = len(self.due)
                delay = random.choice([0.0, 0.01, 0.5, 3.0])
                self.due[number] = self.now() + delay
                self.timers[number] = ctx.schedule(delay, Tick(self.instance, number))
            case "again":
                number = len(self.due)
                every = random.choice([0.1, 0.5, 3.0])
                self.due[number] = self.now() + every
                self.every[number] = every
                self.timers[number] = ctx.schedule_every(every, Tick(self.instance, number))
            case "cancel" if self.timers:
                number = random.choice(list(self.timers))
                self.timers[number].cancel()
                self.cancelled.add(number)

    def check_all_came(self, before: dict[int, int] | None) -> dict[int, int]:
        """In a quiet time: what was due has come, or a full mailbox has dropped it; what comes again and again does.

        Args:
            before: How often each periodic timer had fired at the last check of this instance, if there was one.

        Returns:
            How often each has fired now.
        """
        letters = Counter(one.message.timer for one in self.ctx.system.dead_letters if self.is_own(one.message))
        fired = {}
        for number, due in self.due.items():
            if number in self.cancelled:
                continue
            times = fired[number] = self.times[number] + letters[number]
            if number in self.every:
                self.check(before is None or times > before[number], "a periodic timer fires no more")
            elif due < self.now() - QUIET / 4:
                self.check(times > 0, "a timer that was due never fired")
        return fired

    def is_own(self, message: Message) -> bool:
        return isinstance(message, Tick) and message.instance == self.instance


class Check(Message):
    """Asks an instance whether all its ticks come."""


class CheckedClock(Clock):
    """Answers `Check`, too."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        if isinstance(message, Check):
            self.fired = self.check_all_came(self.fired)
        else:
            await super().receive(message, ctx)


class Storm:
    """One storm: some clocks, and what they are told."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.random
        self.calls = Calls(sim)
        self.refs: list[ActorRef] = []
        self.calm = [False]

    def options(self) -> SpawnOptions | None:
        random = self.random
        if random.random() < 0.5:
            return None
        overflow = random.choice(list(Overflow))
        return SpawnOptions(mailbox=Mailbox(capacity=random.randrange(1, 4), overflow=overflow))

    async def start(self, system: ActorSystem) -> None:
        random = self.random
        given = {"random": random, "calm": self.calm, "check": self.calls.check}
        for number in range(random.randrange(1, 4)):
            options = self.options()
            if random.random() < 0.5:
                self.refs.append(system.spawn(CheckedClock, name=f"free{number}", options=options, kwargs=given))
            else:
                spec = ChildSpec("one", CheckedClock, restart=Restart.PERMANENT, kwargs=given, options=options)
                strategy = OneForOne(max_restarts=None)
                await system.supervise(Supervisor(f"s{number}", strategy=strategy, children=[spec]))
                ref = system.lookup(f"/s{number}/one")
                assert ref is not None
                self.refs.append(ref)

    async def drive(self) -> None:
        random = self.random
        for _ in range(random.randrange(5, 25)):
            await a_while(self.sim, 0.01, 0.1, 0.5, 3.0)
            ref = random.choice(self.refs)
            message = Do(random.choice(DEEDS), random.randrange(4))
            if random.random() < 0.5:
                ask = ref.ask(message, timeout=random.choice([None, 1.0]))
                self.calls.watch(f"ask of {ref.path}", ask)
                if random.random() < 0.2:
                    self.sim.later(random.choice([0, 0.01, 0.5]), ask.cancel, "the storm")
            else:
                self.calls.watch(f"send to {ref.path}", ref.send(message))
            if random.random() < 0.04:
                self.calls.watch(f"the end of {ref.path}", random.choice([ref.kill, ref.stop])())

    async def body(self) -> None:
        random = self.random
        async with ActorSystem(dead_letters_kept=100_000) as system:
            await self.start(system)
            await asyncio.gather(*(self.drive() for _ in range(random.randrange(1, 4))))
            if random.random() < 0.5:
                self.sim.disturb()
                self.calm[0] = True
                for _ in range(2):
                    await asyncio.sleep(QUIET / 2)
                    for ref in self.refs:
                        await self.calls.watch(f"check of {ref.path}", ref.ask(Check()))


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
