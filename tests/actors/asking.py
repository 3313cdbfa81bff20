"""Actors and an agent that ask each other, and work, in several ways."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    InteractionContext,
    Message,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    PromiseCancelledError,
)
from tests.actors.actors import Read

CLEAN_UP = 3.0


class Work(Message):
    """Do what there is to do, in one of several ways."""

    how: str = "awaited"


class Works(Actor):
    """Works for a thousand seconds, and cleans up for some."""

    def __init__(self, log: list[str], clean_up: float = CLEAN_UP) -> None:
        self.log = log
        self.clean_up = clean_up

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if not isinstance(message, Work):
            return None
        self.log.append("works")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            await asyncio.sleep(self.clean_up)
            self.log.append("cleaned up")
            raise
        self.log.append("done")
        return None


async def wait(promise: Any) -> Any:
    return await promise


async def tokens(to: ActorRef) -> AsyncIterator[str]:
    yield "one "
    await to.ask(Work())
    yield "two"


class Asks(Actor):
    """Asks another one, in one of several ways."""

    def __init__(self, to: Any, kept: list[Any] | None = None) -> None:
        self.to = to
        self.kept = kept if kept is not None else []

    def call(self) -> Any:
        return self.to.ask(Work()) if isinstance(self.to, ActorRef) else self.to.inquire("work")

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message.how if isinstance(message, Work) else "told":
            case "awaited":
                await self.call()
            case "not awaited":
                self.call()
                await asyncio.sleep(1000)
            case "gather":
                await asyncio.gather(wait(self.call()), asyncio.sleep(1000))
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.asks_later())
            case "wait":
                await asyncio.wait([asyncio.create_task(self.asks_later())])
            case "wait_for":
                await asyncio.wait_for(self.asks_later(), 1000)
            case "tasks of tasks":
                await asyncio.gather(asyncio.create_task(self.asks_in_a_group()), asyncio.sleep(1000))
            case "ctx.create_task":
                ctx.create_task(self.asks_later())
                await asyncio.sleep(1000)
            case "stream":
                async for _ in TextMessage.promise(message_token_streamer=lambda _: tokens(self.to)):
                    pass
            case "stream that nobody reads":
                TextMessage.promise(message_token_streamer=lambda _: tokens(self.to))
                await asyncio.sleep(1000)
            case "reply_later, pipe_to_self":
                ctx.reply_later()
                ctx.pipe_to_self(self.call(), lambda _: Read())
            case "reply_later, ctx.create_task":
                ctx.reply_later()
                ctx.create_task(self.asks_later())
            case "a task of before":
                ctx.create_task(self.asks_later())
        return None

    async def asks_in_a_group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.asks_later())

    async def asks_later(self) -> None:
        await asyncio.sleep(1)
        try:
            await self.call()
        except PromiseCancelledError:
            self.kept.append("its ask was cancelled")


WAYS = [
    "awaited",
    "not awaited",
    "gather",
    "group",
    "wait",
    "wait_for",
    "tasks of tasks",
    "ctx.create_task",
    "stream",
    "stream that nobody reads",
    "reply_later, pipe_to_self",
    "reply_later, ctx.create_task",
]


@miniagent
async def asks_actor(ctx: InteractionContext, to: Any, how: str = "awaited") -> None:
    match how:
        case "awaited":
            await to.ask(Work())
        case "not awaited":
            to.ask(Work())
            await asyncio.sleep(1000)
        case "stream":
            ctx.reply(TextMessage.promise(message_token_streamer=lambda _: tokens(to)))
        case "generator":

            async def replies() -> AsyncIterator[str]:
                await to.ask(Work())
                yield "never"

            ctx.reply(replies())
