"""Actors and agents that the tests of `RayCluster` place on nodes. Each node imports this module."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from miniagents import Actor, ActorContext, ActorRef, InteractionContext, Message, Terminated, TextMessage, miniagent


class Where(Message):
    """Ask for the node and the process of an actor."""


class Count(Message):
    """Count this one, and answer nothing."""

    number: int


class Total(Message):
    """Ask for what was counted."""


class Hang(Message):
    """Do not answer."""


class Slow(Message):
    """Tell an actor that it begins, take a second, and answer where that was."""

    begun: ActorRef


class Block(Message):
    """Hold the loop of the node.

    Attributes:
        seconds: For how long.
    """

    seconds: float


class Place(Message):
    """Where an actor lives.

    Attributes:
        node: The node.
        epoch: Its epoch.
        pid: The process.
    """

    node: str
    epoch: int
    pid: int


class Counted(Message):
    """What an actor has counted.

    Attributes:
        count: How many messages.
        in_order: Whether each had a greater number than the one before.
    """

    count: int
    in_order: bool


class Tally(msgspec.Struct):
    """What a writer has counted."""

    count: int


class Worker(Actor):
    """An actor that says where it lives and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.last = -1
        self.in_order = True

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message:
            case Where():
                return Place(node=ctx.self.node, epoch=ctx.self.epoch, pid=os.getpid())
            case Count(number=number):
                self.count += 1
                self.in_order = self.in_order and number > self.last
                self.last = number
                return None
            case Total():
                return Counted(count=self.count, in_order=self.in_order)
            case Slow(begun=begun):
                begun.tell(message)
                await asyncio.sleep(1)
                return Place(node=ctx.self.node, epoch=ctx.self.epoch, pid=os.getpid())
            case Block(seconds=seconds):
                time.sleep(seconds)  # noqa: ASYNC251 - a node is to be busy
            case Hang():
                await asyncio.Event().wait()
        return message


class Writer(Actor):
    """A durable actor that counts the messages that it was sent, and writes each into a file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def snapshot(self) -> Tally:
        return Tally(self.count)

    def restore(self, state: Tally) -> None:
        self.count = state.count

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Where):
            return Place(node=ctx.system.node_name, epoch=ctx.system.node_epoch, pid=os.getpid())
        if str(message) == "count":
            return TextMessage(str(self.count))
        write_line(self.file, str(message))
        self.count += 1
        return None


def write_line(file: str, text: str) -> None:
    """Append a line to a file."""
    with Path(file).open("a") as lines:
        lines.write(f"{os.getpid()} {text}\n")


@miniagent
async def answers(ctx: InteractionContext, file: str) -> None:
    """Takes some time for each answer, and writes it down."""
    question = str(await ctx.message_promises)
    await asyncio.sleep(0.02)
    write_line(file, question)
    ctx.reply(f"answer-{question}")


@miniagent
async def asker(ctx: InteractionContext, file: str, questions: int) -> None:
    """Asks one question after the other."""
    await ctx.message_promises
    for number in range(questions):
        ctx.reply(str(await answers.inquire(str(number), file=file).answer()))


class Watcher(Actor):
    """An actor that counts the ends of another one."""

    def __init__(self, to: ActorRef) -> None:
        self.to = to
        self.count = 0

    async def on_start(self, ctx: ActorContext) -> None:
        ctx.watch(self.to)

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Terminated):
            self.count += 1
            return None
        return Counted(count=self.count, in_order=True)


@miniagent
async def counting(ctx: InteractionContext, tokens: int, pause: float = 0.0) -> None:
    """Streams numbers as tokens, and says where."""

    async def stream(_: object) -> AsyncIterator[str]:
        for number in range(tokens):
            if pause:
                await asyncio.sleep(pause)
            yield f"{number} "

    ctx.reply(TextMessage.promise(message_token_streamer=stream))
    ctx.reply(ctx.self.node)
