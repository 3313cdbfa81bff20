"""Actors and messages that several tests use."""

import asyncio
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Mailbox,
    Message,
    Overflow,
    Request,
    SpawnOptions,
    TextMessage,
)


class Add(Message):
    amount: int


class Total(Message):
    value: int


class Read(Request[Total]):
    pass


class Crash(Message):
    text: str = "crash"


class Hold(Message):
    """Keeps the actor busy until its gate opens."""


class Counter(Actor):
    def __init__(self, start: int = 0, gate: asyncio.Event | None = None, log: list[Any] | None = None) -> None:
        self.total = start
        self.gate = gate
        self.log = log if log is not None else []

    async def on_start(self, ctx: ActorContext) -> None:
        self.log.append("start")

    async def on_stop(self, reason: Any) -> None:
        self.log.append(("stop", reason))

    async def on_restart(self, reason: Any) -> None:
        self.log.append(("restart", reason))

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Add(amount):
                self.total += amount
            case Read():
                return Total(value=self.total)
            case Crash(text):
                raise ValueError(text)
            case Hold():
                assert self.gate is not None
                await self.gate.wait()
            case TextMessage():
                self.log.append(message.content)
        return None


class Gated(Actor):
    """Holds each message until its gate opens, and cleans up for half a second when it is cut off."""

    def __init__(self, gate: asyncio.Event, log: list[Any]) -> None:
        self.gate = gate
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        self.log.append(("deadline", ctx.deadline))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            self.log.append("cleaned up")
            raise
        return message


async def turns(n: int = 10) -> None:
    """Let the loop turn."""
    for _ in range(n):
        await asyncio.sleep(0)


def busy(system: ActorSystem, gate: asyncio.Event, overflow: Overflow, log: list[Any]) -> Any:
    """Spawn a counter whose mailbox has room for two messages."""
    options = SpawnOptions(mailbox=Mailbox(capacity=2, overflow=overflow))
    return system.spawn(Counter, name="busy", options=options, gate=gate, log=log)


class Fails(Actor):
    """Fails in one of several ways."""

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        match message:
            case Read():
                return ValueError("returned")
            case Add():
                ctx.reply(ValueError("replied"))
            case _:
                raise ValueError("raised")
