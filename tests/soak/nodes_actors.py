"""What the soak of nodes places on them. Each node imports this module."""

import asyncio
from collections.abc import AsyncIterator

from miniagents import Actor, ActorContext, InteractionContext, Message, Request, TextMessage, miniagent


class Total(Message):
    """What was counted."""

    total: int


class Count(Message):
    """Count this one."""


class Sum(Request[Total]):
    """Ask for what was counted."""


class Hang(Message):
    """Do not answer."""


class Running(Request[Total]):
    """Ask how many handlers and streams of this module run on the node."""


RUNNING: set[object] = set()
"""The handlers and streams that run in this process."""


class Counter(Actor):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.total = 0

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message:
            case Count():
                self.total += 1
                return None
            case Running():
                return Total(total=len(RUNNING))
        return Total(total=self.total)


class Hanging(Actor):
    """Answers nothing, until it is cancelled."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        mark = object()
        RUNNING.add(mark)
        try:
            await asyncio.sleep(3600)
        finally:
            RUNNING.discard(mark)


@miniagent
async def counting(ctx: InteractionContext, tokens: int, pause: float = 0.0) -> None:
    """Streams numbers."""

    async def stream(_: object) -> AsyncIterator[str]:
        mark = object()
        RUNNING.add(mark)
        try:
            for number in range(tokens):
                yield f"{number} "
                await asyncio.sleep(pause)
        finally:
            RUNNING.discard(mark)

    ctx.reply(TextMessage.promise(message_token_streamer=stream))
