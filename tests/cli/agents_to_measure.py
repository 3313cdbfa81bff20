"""Agents that the tests of `miniagents bench` name."""

import asyncio
import itertools

from miniagents import Actor, ActorContext, InteractionContext, Message, MiniAgent, miniagent

under_way = 0
most_at_once = 0


@miniagent
async def echo(ctx: InteractionContext) -> None:
    global under_way, most_at_once
    under_way += 1
    most_at_once = max(most_at_once, under_way)
    try:
        for _ in range(20):  # as long as it takes until all that may run do
            await asyncio.sleep(0)
    finally:
        under_way -= 1
    ctx.reply(ctx.message_promises)


@miniagent
class EchoOfAClass:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(ctx.message_promises)


_numbers = itertools.count()


@miniagent
async def every_fourth_fails(ctx: InteractionContext) -> None:
    number = next(_numbers)
    if number % 4 == 3:
        raise ValueError(f"number {number}\nand a second line")
    ctx.reply("fine")


@miniagent
async def fails_in_colours(ctx: InteractionContext) -> None:
    raise ValueError("\x1b[31mred")


@miniagent
async def hangs(ctx: InteractionContext) -> None:
    await asyncio.Event().wait()


@miniagent
async def with_topic(ctx: InteractionContext, topic: str) -> None:
    ctx.reply(topic)


class Nested:
    agent = with_topic.fork(topic="nested")


async def undecorated(ctx: InteractionContext) -> None:
    """Somebody has forgotten the decorator."""


def made() -> MiniAgent:
    return with_topic.fork(topic="made")


def cannot_be_made() -> MiniAgent:
    raise KeyError("no such model")


async def made_by_an_async_function() -> MiniAgent:
    return echo


class EchoActor(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class FailingActor(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise ValueError(f"no {message}")


class NeedsTopic(Actor):
    def __init__(self, topic: str) -> None:
        self.topic = topic
