"""A storm on a journal: a job of random steps. Its process dies at drawn writes or is stopped at drawn moments, and the
job goes on in the next life.

What a dead process has done after its death counts for nothing. Beside that, each life keeps the promises: what was
recorded stays and is not asked for again, what was accepted is handled once, and what was answered is not asked again.
"""

import asyncio
import gc
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    AnswerRefusedError,
    InteractionContext,
    Message,
    MiniAgent,
    MiniAgents,
    PromiseCancelledError,
    RetryPolicy,
    SpawnOptions,
    as_completed,
    miniagent,
)
from miniagents.actors.messaging.ask import Ask
from miniagents.journal import MemoryJournal, RowState
from miniagents.messages import decode
from miniagents.testing import Simulation
from tests.agents.durable.lives import replies, rows
from tests.storms.calls import Boom, Calls, a_while, turns

UNTIL = 100_000.0

JOB = "storm"

LASTING = SpawnOptions(durable=True, retry=RetryPolicy(attempts=1000))
"""Crashes by the simulation make no dead letters."""

STEPS = [
    *("ask", "ask", "same", "flow", "stream", "completed", "retry", "duplex", "early", "tally", "send"),
    *("once", "sleep", "wait", "chance", "pause"),
]


class Entry(Message):
    """What agents tell the ledger."""

    name: str


class Read(Message):
    """Asks the ledger for its counts."""


class Counts(Message):
    """The answer."""

    counts: tuple[tuple[str, int], ...]


class Entries(msgspec.Struct):
    counts: dict[str, int] = msgspec.field(default_factory=dict)


class Ledger(Actor):
    """A durable actor that counts the names that it is told."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def snapshot(self) -> Entries:
        return Entries(dict(self.counts))

    def restore(self, state: Entries) -> None:
        self.counts = Counter(state.counts)

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if isinstance(message, Entry):
            self.counts[message.name] += 1
            await turns(int(message.name) % 3)
        return Counts(counts=tuple(self.counts.items()))


class Tally(msgspec.Struct):
    number: int = 0


class Storm:
    """One storm: a plan, and the lives in which it is carried out.

    A plan is a tuple of steps, one after the other: the name of a step with a number, or plans that run at once.
    """

    def __init__(self, sim: Simulation, *, is_delayed: bool) -> None:
        self.sim = sim
        self.is_delayed = is_delayed
        self.random = sim.random
        self.calls = Calls(sim)
        self.numbers = itertools.count()
        self.step_numbers = itertools.count()
        self.plan = self.new_plan(3)
        self.journal = MemoryJournal(patience=30.0)  # longer than any delay by the simulation
        self.is_dead = False
        self.living: set[asyncio.Task[Any]] = set()
        self.counted = Counter[str]()
        self.answered: dict[str, str] = {}
        self.slept: dict[str, float] = {}
        self.effects: dict[str, str] = {}
        self.recorded: dict[int, tuple[int, list[bytes]]] = {}
        self.asked = Counter[str]()
        self.oracle, self.refuses, self.echo, self.leaves, self.tally, self.does = self.agents()

    def new_plan(self, depth: int) -> tuple[Any, ...]:
        random = self.random
        steps: list[Any] = []
        for _ in range(random.randrange(1, 4)):
            if depth and random.random() < 0.4:
                steps.append(tuple(self.new_plan(depth - 1) for _ in range(random.randrange(1, 4))))
            else:
                steps.append(f"{random.choice(STEPS)} {next(self.step_numbers)}")
        return tuple(steps)

    # The agents

    def agents(self) -> tuple[MiniAgent, ...]:
        storm = self

        @miniagent(alias="oracle", version="1")
        async def oracle(ctx: InteractionContext) -> None:
            """Answer so that no two answers are alike."""
            question = str(await ctx.message_promises)
            await storm.a_while()
            answer = f"{question[:8]}/{next(storm.numbers)}"
            storm.asked[question] += not storm.is_dead
            ctx.reply(answer)

        @miniagent(alias="refuses", version="1")
        async def refuses(ctx: InteractionContext) -> None:
            await storm.a_while()
            if storm.random.random() < 0.5:
                raise Boom("refused")
            ctx.reply(f"accepted/{next(storm.numbers)}")

        @miniagent(alias="echo", version="1")
        async def echo(ctx: InteractionContext) -> None:
            async for promise in ctx.message_promises:
                ctx.reply(f"{str(await promise)[:8]}!{next(storm.numbers)}")

        @miniagent(alias="leaves", version="1")
        async def leaves(ctx: InteractionContext) -> None:
            async for promise in ctx.message_promises:
                ctx.reply(f"first of {await promise}/{next(storm.numbers)}")
                return

        class Code:
            """Counts its calls, in the journal."""

            def __init__(self) -> None:
                self.number = 0

            def snapshot(self) -> Tally:
                return Tally(self.number)

            def restore(self, state: Tally) -> None:
                self.number = state.number

            async def __call__(self, ctx: InteractionContext) -> None:
                self.number += 1
                number = self.number
                await storm.a_while()
                ctx.reply(f"call/{number}")

        @miniagent(alias="does", version="1", passivate_after=self.random.choice([None, None, 0.3]))
        async def does(ctx: InteractionContext, plan: tuple[Any, ...]) -> None:
            """Carry out a plan. What is asked depends on all that was heard before."""
            heard: list[str] = []
            for step in plan:
                if isinstance(step, str):
                    await storm.do(ctx, step, heard)
                else:
                    calls = [does.inquire(" ".join(heard)[-40:], plan=part) for part in step]
                    heard += [str(await call) for call in calls]
            ctx.reply(" ".join(heard) or "nothing")

        tally: Any = miniagent(alias="tally", version="1", durable=True)(Code)
        return oracle, refuses, echo, leaves, tally, does

    async def a_while(self) -> None:
        if self.is_delayed:
            await asyncio.sleep(20)  # a replay is faster than life, however long the simulation delays its turns
        await a_while(self.sim, 0.001, 0.01, 0.3)

    async def do(self, ctx: InteractionContext, step: str, heard: list[str]) -> None:
        what, _, number = step.partition(" ")
        before = f"{number}: {' '.join(heard)[-40:]}"
        match what:
            case "ask":
                heard.append(str(await self.oracle.inquire(before)))
            case "same":  # all parents ask it alike
                heard.append(str(await self.oracle.inquire("the same")))
            case "flow":
                ctx.reply(self.oracle.inquire(before))
            case "stream":
                streamed = self.oracle.inquire(self.oracle.inquire(before, label="first"), label="second")
                heard.append(str(await streamed))
            case "completed":
                asked = [self.oracle.inquire(f"{before}{side}") for side in "ab"]
                heard += [str(await call) async for call in as_completed(*asked)]
            case "retry":
                heard.append(await self.tried())
            case "duplex":
                heard.append(await self.talked())
            case "early":
                heard.append(str(await self.leaves.inquire(self.pieces(number))))
            case "tally":
                heard.append(str(await self.tally.inquire(before)))
            case "send":
                ledger: ActorRef = MiniAgents.get_current().lookup("/ledger")  # type: ignore[assignment]
                await ledger.send(Entry(name=number), message_id=number)
            case "once":
                value = str(await ctx.once(number, lambda: f"effect/{next(self.numbers)}"))
                if not self.is_dead:
                    first = self.effects.setdefault(number, value)
                    self.calls.check(first == value, f"once gave {first}, and then {value}")
                heard.append(value)
            case "sleep":
                began = (await ctx.now()).timestamp()
                await ctx.sleep(seconds := int(number) % 50)
                woke = self.sim.loop.wall_time()
                self.calls.check(woke >= began + seconds - 1e-3, f"slept {woke - began} of {seconds} s")
                if not self.is_dead:
                    self.slept[number] = woke
            case "wait":
                answer = str(await ctx.wait_for(f"wait {number}"))
                if not self.is_dead:
                    given = self.answered.get(number, answer)  # what was given as its giver died is not noted
                    self.calls.check(given == answer, f"wait {number} was given {given}, and got {answer}")
                heard.append(answer)
            case "chance":
                heard.append(f"{await ctx.random()}")
            case "pause":
                await self.a_while()

    async def tried(self) -> str:
        while True:
            try:
                return str(await self.refuses.inquire())
            except Boom:
                continue
            except Exception as error:  # from the journal, an error of a class of ours comes back as another one
                if "refused" not in str(error):
                    raise

    async def talked(self) -> str:
        call = self.echo.initiate_call()
        said = "hello"
        answers = aiter(call.reply_sequence(finish_call=False))
        for _ in range(2):
            call.send_message(said)
            said = str(await (await anext(answers)))
        await call.reply_sequence()  # what is asked because of unfinished replies would be asked again after a death
        return said

    async def pieces(self, number: str) -> AsyncIterator[str]:
        for place in range(3):
            yield str(await self.oracle.inquire(f"{number}.{place}", label=str(place)))

    # The lives

    async def body(self) -> None:
        random = self.random
        self.living = asyncio.all_tasks()
        deaths = random.choice([0, 1, 1, 2, 2])  # three in a row with nothing committed would make the job stuck
        for life in itertools.count():
            is_last = life >= deaths + 1 and random.random() < 0.6
            result = await self.live(life, die=life < deaths, stop=life >= deaths and not is_last)
            self.check_recorded()
            if result is not None:
                break
        again = await self.live(-1, die=False, stop=False)
        self.calls.check(again == result, f"the finished job gave {result!r}, and then {again!r}")
        self.check_end()

    async def live(self, life: int, *, die: bool, stop: bool) -> str | None:
        """Run the job in a process of its own.

        Args:
            life: Its number, for the trace.
            die: Whether the process dies at a drawn write.
            stop: Whether the process is stopped in order at a drawn moment.

        Returns:
            The result of the job; None if the process has ended before.
        """
        random = self.random
        died = asyncio.Event()
        self.journal = self.journal.after_death(die_at=random.randrange(1, 70) if die else None, on_death=died.set)
        self.is_dead = False
        self.sim.note(f"life {life} begins")
        running = self.sim.loop.create_task(self.run())
        dying = self.sim.loop.create_task(died.wait())
        seconds = random.choice([0.01, 0.3, 5.0, 40.0]) if stop else None
        await asyncio.wait([running, dying], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.is_dead = died.is_set()
        dying.cancel()
        if running.done():
            return await running
        self.sim.note(f"life {life} {'dies' if self.is_dead else 'is stopped'}")
        if not self.is_dead and life % 2:
            await self.leave()
        running.cancel()
        await asyncio.wait([running])
        if self.is_dead:
            await self.bury()
        if running.cancelled() or self.is_dead or isinstance(running.exception(), PromiseCancelledError):
            return None
        return running.result()

    async def leave(self) -> None:
        """End the system as a service does that is told to stop: it waits for what works, and not for what waits."""
        seconds = self.random.choice([1.0, 30.0])
        try:
            async with asyncio.timeout(seconds):
                await self.mini.afinalize(leaves_waits=True)
        except TimeoutError:
            self.sim.note("what works was cut off")

    async def bury(self) -> None:
        """Cancel what waits for a dead journal, which would answer it if it lived, and the asks of its mailboxes."""
        while dead := [task for task in asyncio.all_tasks() if task not in self.living]:
            for task in dead:
                task.cancel()
            await asyncio.wait(dead)
        for ask in [one for one in gc.get_objects() if isinstance(one, Ask) and not one.done()]:
            ask.cancel("its process is dead")

    async def run(self) -> str:
        async with MiniAgents(journal=self.journal, durable_agents=True) as mini:
            self.mini = mini
            ledger = mini.spawn(Ledger, name="ledger", options=LASTING)
            giving = self.sim.loop.create_task(self.give(mini))
            try:
                messages = await mini.run_job(JOB, self.does, plan=self.plan)
                counts = await ledger.ask(Read())
                assert isinstance(counts, Counts)
                self.counted = Counter(dict(counts.counts))
                return " | ".join(map(str, messages))
            finally:
                giving.cancel()

    async def give(self, mini: MiniAgents) -> None:
        """Answer what waits, some of it twice."""
        while True:
            await asyncio.sleep(self.random.choice([0.01, 0.5, 3.0]))
            for wait in await mini.pending(JOB):
                answer = f"yes/{next(self.numbers)}"
                number = wait.name.partition(" ")[2]
                try:
                    await mini.deliver(JOB, self.random.choice([wait.id, wait.name]), answer)
                except AnswerRefusedError:
                    continue
                if not self.is_dead:
                    self.calls.check(number not in self.answered, f"wait {number} was answered twice")
                    self.answered[number] = answer

    # What must be so

    def check_recorded(self) -> None:
        """What had finished stays as it was."""
        now = {
            row.id: (row.finished, replies(self.journal, row.id))
            for row in rows(self.journal).values()
            if row.state is RowState.FINISHED
        }
        for row, recorded in self.recorded.items():
            assert now.get(row) == recorded, f"row {row} was recorded as {recorded}, and is {now.get(row)}"
        self.recorded = now

    def check_end(self) -> None:
        """Each call is in the journal once, and each call of the class agent has counted once."""
        wanted = Counter[str]()
        count(self.plan, wanted)
        calls = Counter(row.agent.rpartition("#")[2] for row in rows(self.journal).values())
        # The pieces for who leaves early may be asked for or not.
        most = {**wanted, "oracle": wanted["oracle"] + 2 * wanted["leaves"]}
        for agent in ("oracle", "echo", "leaves", "tally", "does"):
            is_right = wanted[agent] <= calls[agent] <= most.get(agent, 0)
            assert is_right, f"{calls[agent]} calls of {agent}, and {wanted[agent]} to {most.get(agent, 0)} were needed"
        assert self.counted == {name: 1 for name in wanted if name.isdigit()}, f"the ledger has {self.counted}"
        told = sorted(self.reply_of(row.id) for row in rows(self.journal).values() if row.agent.endswith("#tally"))
        assert told == sorted(f"call/{number + 1}" for number in range(wanted["tally"])), f"the tally said {told}"

    def reply_of(self, row: int) -> str:
        (key,) = replies(self.journal, row)
        body: bytes = self.journal._model.jobs.rows.messages[key]
        return str(decode(body))


def count(plan: tuple[Any, ...], wanted: Counter[str]) -> None:
    """Count the calls that a plan makes at least, by agent, and the messages to the ledger, by name."""
    wanted["does"] += 1
    for step in plan:
        if not isinstance(step, str):
            for part in step:
                count(part, wanted)
            continue
        what, _, number = step.partition(" ")
        if what == "send":
            wanted[number] = 1
        wanted["oracle"] += {"ask": 1, "same": 1, "flow": 1, "stream": 2, "completed": 2, "early": 1}.get(what, 0)
        for name, agent in (("duplex", "echo"), ("early", "leaves"), ("tally", "tally")):
            wanted[agent] += what == name


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    delay, crash = sim.random.choice([0.0, 0.0, 0.1]), sim.random.choice([0.0, 0.2])
    if crash:
        sim.disturb(delay=delay, crash=crash, under="/ledger")  # its delays are of no weight for calls of agents
        delay = 0.0
    else:
        sim.disturb(delay=delay)
    one = Storm(sim, is_delayed=delay > 0)
    body = one.calls.watch("the lives", one.body())
    await asyncio.wait([body], timeout=UNTIL / 2)
    await one.calls.have_all_come_back(within=1_000)
    if isinstance(body.result(), BaseException):
        raise body.result()
