"""Random programs of agents and actors that wait for each other, played with and without the detection of deadlocks.

A program is a number of calls, all made by one task from outside, whose replies everybody knows by number, and of
serial actors. What an agent or an actor does is a list of steps, most of which wait for the replies of some call, for
its own input, or for an actor. So any of them may wait for any other, directly or through what flows in between.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    Message,
    MiniAgents,
    TextMessage,
    as_completed,
    gather,
    merge,
    miniagent,
)
from miniagents.actors.waiting import deadlock
from miniagents.actors.waiting.search import Search
from miniagents.testing import VirtualTimeLoop

HORIZON = 10_000.0
"""Seconds after which what still waits does so for ever: no step takes as long."""

Step = tuple[Any, ...]


@dataclass
class Program:
    """What is played.

    Attributes:
        calls: The steps of each call.
        inputs: What each call is sent: a text, or the number of the call whose replies it is sent.
        kinds: Who serves it: 0 for a function, 1 and 2 for two class agents, which serve one call at a time.
        timeouts: The timeout of each call, or None.
        actors: How many serial actors there are.
    """

    calls: list[list[Step]] = field(default_factory=list)
    inputs: list[list[Any]] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    actors: int = 0


WAYS = ["gather", "gather", "returned", "returned", "completed", "first completed", "merged", "first merged"]
"""How a step waits for several promises at once."""


def draw(seed: int, *, together: bool = False) -> Program:
    """The program of a seed.

    Args:
        seed: The seed.
        together: Let steps wait for several promises at once, by `miniagents.gather` and its relatives.
    """
    random = Random(seed)
    program = Program()
    number = random.randint(1, 5)
    program.actors = random.randint(0, 2)
    for me in range(number):
        timed = random.random() < 0.1
        program.timeouts.append(random.choice([5.0, 50.0]) if timed else None)
        program.kinds.append(random.choice([0, 0, 0, 0, 1, 2]))
        program.calls.append(
            [_step(random, me, number, 0 if timed else program.actors, 2) for _ in range(_few(random))]
        )
        program.inputs.append(
            [random.randrange(number) if random.random() < 0.4 else f"text {n}" for n in range(_few(random))]
        )
        if together:
            for _ in range(_few(random)):
                program.calls[me].insert(
                    random.randint(0, len(program.calls[me])), _together(random, me, number, program)
                )
    return program


def _together(random: Random, me: int, calls: int, program: Program) -> Step:
    # As in `_step`: with a timeout around them, asks hang in no cycle.
    actors = 0 if program.timeouts[me] is not None else program.actors
    others = [random.randrange(calls) for _ in range(random.randint(0, 2))]
    asks = []
    for _ in range(random.randint(0, 2) if actors else 0):
        steps = [_step(random, me, calls, 0, 0) for _ in range(_few(random))]
        timed = random.random() < 0.2
        if not timed:
            steps += [_step(random, me, calls, actors, 0) for _ in range(_few(random))]
        asks.append((random.randrange(actors), steps, random.choice([3.0, 30.0]) if timed else None))
    return "together", random.choice(WAYS), others, asks


def _few(random: Random) -> int:
    return random.choice([0, 1, 1, 2, 2, 3])


def _step(random: Random, me: int, calls: int, actors: int, depth: int) -> Step:
    other = random.randrange(calls)
    # What flows never comes back to where it came from: it would go round for ever.
    upstream = range(me + 1, calls)
    choices: list[Step] = [
        ("await", other),
        ("await", other),
        ("next", other, random.randint(1, 2)),
        ("tokens of", other),
        ("single text", other),
        ("input",),
        ("next input", random.randint(1, 2)),
        ("say",),
        ("say",),
        ("sleep", random.choice([0.0, 1.0, 7.0])),
        ("tokens", other),
        ("task", random.choice([0.5, 20.0])),
        ("close",),
    ]
    if upstream:
        choices += [(how, random.choice(upstream)) for how in ("flow", "flow", "flow", "flow beside", "generator")]
        choices.append(("flow list", random.choice(upstream), random.choice(upstream)))
    if actors:
        inner = [_step(random, me, calls, 0, 0) for _ in range(_few(random))]
        timed = random.random() < 0.2
        if not timed and depth:
            inner += [_step(random, me, calls, actors, 0) for _ in range(_few(random))]
        asked: Step = ("ask", random.randrange(actors), inner, random.choice([3.0, 30.0]) if timed else None)
        choices += [asked] * 4
    if depth:
        parts = [_step(random, me, calls, actors, depth - 1) for _ in range(random.randint(1, 3))]
        choices += [("gather", parts), ("group", parts), ("first", parts)]
    return random.choice(choices)


class Do(Message):
    """Take these steps."""

    number: int


class Steps:
    """Takes steps.

    Args:
        play: The program under way.
        ctx: The context of the call, or None for an actor.
    """

    def __init__(self, play: "Play", ctx: Any) -> None:
        self.play = play
        self.ctx = ctx

    async def take(self, steps: list[Step]) -> None:
        """Take all of them, one after the other; one that fails ends it."""
        for step in steps:
            await self.take_one(step)

    async def take_one(self, step: Step) -> None:
        """Take one."""
        replies, ctx = self.play.replies, self.ctx
        match step:
            case ("await", other):
                await replies[other]
            case ("next", other, n):
                await first_of(replies[other], n)
            case ("tokens of", other):
                async for message in replies[other]:
                    async for _ in message:
                        pass
                    break
            case ("single text", other):
                await replies[other].as_single_text_promise()
            case ("sleep", seconds):
                await asyncio.sleep(seconds)
            case ("ask", actor, inner, timeout):
                await self.play.actors[actor].ask(self.play.to_do(inner), timeout=timeout)
            case ("together", way, others, asks):
                asked = [
                    self.play.actors[actor].ask(self.play.to_do(inner), timeout=timeout)
                    for actor, inner, timeout in asks
                ]
                await wait_for(way, [replies[other] for other in others], asked)
            case ("gather", parts):
                await asyncio.gather(*(self.take_one(part) for part in parts))
            case ("group", parts):
                async with asyncio.TaskGroup() as group:
                    for part in parts:
                        group.create_task(self.take_one(part))
            case ("first", parts):
                tasks = [asyncio.create_task(self.take_one(part)) for part in parts]
                tasks.append(asyncio.create_task(asyncio.sleep(11.0)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            case _ if ctx is not None:
                await self.take_of_call(step)

    async def take_of_call(self, step: Step) -> None:
        """Take one that only an agent can take."""
        replies, ctx = self.play.replies, self.ctx
        match step:
            case ("input",):
                await ctx.message_promises
            case ("next input", n):
                await first_of(ctx.message_promises, n)
            case _ if ctx.interaction.are_replies_closed:
                pass
            case ("say",):
                ctx.reply("said")
            case ("flow", other):
                ctx.reply(replies[other])
            case ("flow beside", other):
                ctx.reply_out_of_order(replies[other])
            case ("flow list", one, other):
                ctx.reply([replies[one], "between", [replies[other]]])
            case ("generator", other):
                ctx.reply(passed_on(replies[other]))
            case ("tokens", other):
                ctx.reply(TextMessage.promise(message_token_streamer=lambda _: tokens_of(replies[other])))
            case ("task", seconds):
                self.play.tasks.append(asyncio.create_task(self.say_later(seconds)))
            case ("close",):
                ctx.close_replies()

    async def say_later(self, seconds: float) -> None:
        """Reply from a task beside the agent's code."""
        await asyncio.sleep(seconds)
        if not self.ctx.interaction.are_replies_closed:
            self.ctx.reply("later")


async def wait_for(way: str, streams: list[Any], asks: list[Any]) -> None:
    """Wait for several promises at once."""
    match way:
        case "gather":
            await gather(*streams, gather(*asks))
        case "returned":
            await gather(*streams, *asks, return_exceptions=True)
        case "completed":
            async for promise in as_completed(*streams, *asks):
                await promise
        case "first completed":
            await first_of(as_completed(*asks, *streams), 1)
        case "merged":
            await first_of(merge(*streams, as_completed(*asks)), 0)
        case _:
            await first_of(merge(*streams), 2)


async def first_of(promise: Any, n: int) -> None:
    """Wait for the first pieces."""
    async for _ in promise:
        n -= 1
        if not n:
            break


async def passed_on(promise: Any) -> AsyncIterator[Any]:
    async for message in promise:
        yield message


async def tokens_of(promise: Any) -> AsyncIterator[str]:
    yield "it was: "
    yield str(await promise)


class Does(Actor):
    """A serial actor that takes steps."""

    def __init__(self, play: "Play") -> None:
        self.play = play

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, Do)
        await Steps(self.play, None).take(self.play.lists[message.number])


@miniagent
async def does(ctx: Any, play: Any, number: int) -> None:
    await Steps(play, ctx).take(play.program.calls[number])


@miniagent
class DoesToo:
    """A class agent that takes steps."""

    def __init__(self, play: Any) -> None:
        self.play = play

    async def __call__(self, ctx: Any, number: int) -> None:
        await Steps(self.play, ctx).take(self.play.program.calls[number])


class Play:
    """A program under way."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.replies: list[Any] = []
        self.actors: list[Any] = []
        self.lists: list[list[Step]] = []
        self.tasks: list[Any] = []

    def to_do(self, steps: list[Step]) -> Do:
        """A message that says what to do."""
        self.lists.append(steps)
        return Do(number=len(self.lists) - 1)

    async def run(self) -> bool:
        """Play it.

        Returns:
            Whether all calls have ended, and everything that they have asked actors for.
        """
        program = self.program
        system = MiniAgents()
        system.activate()
        try:
            self.actors = [system.spawn(Does, play=self) for _ in range(program.actors)]
            calls = []
            live: dict[str, Any] = {"play": self}
            agents = [system.spawn(agent.fork(non_freezable_kwargs=live)) for agent in (does, DoesToo, DoesToo)]  # type: ignore[union-attr]
            for number, (kind, timeout) in enumerate(zip(program.kinds, program.timeouts, strict=True)):
                calls.append(agents[kind].initiate_call(timeout=timeout, number=number))
            self.replies = [call.reply_sequence(finish_call=False) for call in calls]
            for call, items in zip(calls, program.inputs, strict=True):
                for item in items:
                    call.send_message(self.replies[item] if isinstance(item, int) else item)
                call.finish()
            waits = [asyncio.create_task(_ended(replies)) for replies in self.replies]
            _, pending = await asyncio.wait(waits, timeout=HORIZON)
            for task in pending:
                task.cancel()
            await asyncio.sleep(HORIZON)  # what nobody waits for may go on
            return not pending and not system.interactions() and not any(one._cell.current for one in self.actors)
        finally:
            for replies in self.replies:
                replies.cancel("over")
            for actor in self.actors:
                actor.kill()
            await system.afinalize()


async def _ended(replies: Any) -> None:
    try:
        await replies
    except Exception:
        pass  # an end like any other


def play(program: Program, *, detects: bool = True) -> tuple[bool, int]:
    """Play a program in virtual time.

    Returns:
        Whether everything has ended, and how many deadlocks were reported.
    """
    alarms = 0
    stuck, look, error = Search.stuck, deadlock._look, deadlock._error

    def counted(cycle: Any) -> Any:
        nonlocal alarms
        alarms += 1
        return error(cycle)

    deadlock._error = counted  # type: ignore[assignment]
    if not detects:
        Search.stuck = lambda *_: []  # type: ignore[method-assign]
        deadlock._look = lambda *_: None
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            ended = runner.run(Play(program).run())
    finally:
        Search.stuck, deadlock._look = stuck, look  # type: ignore[method-assign]
        deadlock._error = error
    return ended, alarms


def disagreement(program: Program) -> str | None:
    """What is wrong with the detection of deadlocks, if a program shows it.

    Returns:
        None if there is a deadlock just where the program would hang without the detection.
    """
    hangs = not play(program, detects=False)[0]
    ended, alarms = play(program)
    if not ended:
        return "it hangs, and that is not noticed"
    if alarms and not hangs:
        return "a deadlock is reported, and without that it would have ended"
    if hangs and not alarms:
        return "it hangs without the detection alone"
    return None
