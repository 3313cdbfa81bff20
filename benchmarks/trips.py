"""Trips through the code: how many calls a message makes, through how many files, how often a file is entered again.

A reader who follows a message takes the same way. Run `python -m benchmarks.trips`; docs/contributing/architecture.md
has the table.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import structlog

import miniagents
from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    InteractionContext,
    Message,
    MiniAgents,
    OneForOne,
    SpawnOptions,
    miniagent,
)

PACKAGE = str(Path(miniagents.__file__).parent)


class Trip(NamedTuple):
    """One way through the code.

    Attributes:
        name: What was followed.
        calls: Calls of the package's Python functions.
        files: Modules of the package that they are in.
        reentries: How often the way comes back into a module that it had left.
    """

    name: str
    calls: int
    files: int
    reentries: int


class Recorder:
    """Notes each call of a function of the package, while it is `on`."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def _call(self, frame: FrameType, event: str, arg: Any) -> None:
        code: CodeType = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.files.append(code.co_filename)

    def __enter__(self) -> "Recorder":
        sys.setprofile(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def trip(self, name: str) -> Trip:
        """What was noted."""
        seen: set[str] = set()
        current, reentries = "", 0
        for file in self.files:
            if file != current:
                reentries += file in seen
                seen.add(file)
                current = file
        return Trip(name, len(self.files), len(seen), reentries)


class Text(Message):
    """What is sent."""

    content: str = ""


class Echo(Actor):
    """Answers with what it gets, and crashes when told to."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if message == Text(content="crash"):
            raise ValueError("crash")
        return message


class Asker(Actor):
    """Asks another actor."""

    def __init__(self, other: ActorRef) -> None:
        self.other = other

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        return await self.other.ask(message)  # type: ignore[no-any-return]


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    """Replies what it was asked."""
    ctx.reply(ctx.message_promises)


@miniagent
async def asker(ctx: InteractionContext) -> None:
    """Asks the parrot."""
    ctx.reply(parrot.inquire(ctx.message_promises))


async def _followed(name: str, play: Callable[[], Awaitable[object]]) -> Trip:
    for _ in range(3):  # what happens once is no part of the way
        await play()
    recorder = Recorder()
    with recorder:
        await play()
    return recorder.trip(name)


async def trips() -> list[Trip]:
    """Follow each kind of message once."""
    async with MiniAgents() as system:
        echo = system.spawn(Echo, options=SpawnOptions(supervision=OneForOne(max_restarts=None)))
        between = system.spawn(Asker, other=system.spawn(Echo))
        message, crash = Text(content="hello"), Text(content="crash")

        async def tell() -> None:
            echo.tell(message)
            for _ in range(3):
                await asyncio.sleep(0)

        async def ask() -> None:
            await between.ask(message)

        async def supervised_crash() -> None:
            echo.tell(crash)
            for _ in range(5):
                await asyncio.sleep(0)

        async def inquire() -> None:
            await parrot.inquire("hello")

        async def inquire_between() -> None:
            await asker.inquire("hello")

        return [
            await _followed("tell", tell),
            await _followed("ask between actors", ask),
            await _followed("supervised crash", supervised_crash),
            await _followed("inquire", inquire),
            await _followed("inquire, from agent to agent", inquire_between),
        ]


def main() -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"| {'trip':<30} | calls | files | re-entries |\n| {'-' * 30} | ----- | ----- | ---------- |")
    for trip in asyncio.run(trips()):
        print(f"| {trip.name:<30} | {trip.calls:>5} | {trip.files:>5} | {trip.reentries:>10} |")


if __name__ == "__main__":
    main()
