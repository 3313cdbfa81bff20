"""Actors and agents that the tests of `RayCluster` place on nodes. Each node imports this module."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

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
