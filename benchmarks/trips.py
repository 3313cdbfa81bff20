"""Trips through the code: how many calls a message makes, through how many files, how often a file is entered again.

A reader who follows a message takes the same way. Run `python -m benchmarks.trips`; docs/contributing/architecture.md
has the table. To compare with another version of the package, run the file with that version first in PYTHONPATH: it
uses public names only.
"""

import asyncio
import gc
import json
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
    ChildSpec,
    InteractionContext,
    Message,
    MiniAgents,
    OneForOne,
    Supervisor,
    miniagent,
)
from miniagents.ext.serving import agent_app

PACKAGE = Path(miniagents.__file__).parent
WARM_UP = 3
"""Plays of each trip that are not counted, since the first ones make what is made once."""

ROUNDS = 3
"""Plays that are counted; the shortest is shown, since a busy machine makes a trip longer."""


class Trip(NamedTuple):
    """One way through the code.

    Attributes:
        name: The message that was followed.
        steps: The calls of the package's Python functions, in order: the file, relative to the package, and the
            function's qualified name.
    """

    name: str
    steps: tuple[tuple[str, str], ...]

    @property
    def calls(self) -> int:
        """The number of calls."""
        return len(self.steps)

    @property
    def files(self) -> int:
        """The number of files that these calls are in."""
        return len({file for file, _ in self.steps})

    @property
    def reentries(self) -> int:
        """How often a file is entered again after another one was entered."""
        seen: set[str] = set()
        current, reentries = "", 0
        for file, _ in self.steps:
            if file != current:
                reentries += file in seen
                seen.add(file)
                current = file
        return reentries


class Recorder:
    """Notes each call of a function of the package between `start` and `stop`."""

    def __init__(self) -> None:
        self._codes: list[CodeType] = []

    def start(self) -> None:
        """Forget what was noted, and begin."""
        self._codes = []
        gc.disable()  # finalizers of other objects are no part of the trip
        sys.setprofile(self._note)

    def stop(self) -> None:
        """Note nothing more. Stopping again is harmless."""
        sys.setprofile(None)
        gc.enable()

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _note(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self._codes.append(frame.f_code)

    def trip(self, name: str) -> Trip:
        """The calls that were noted last."""
        package = f"{PACKAGE}/"
        return Trip(
            name,
            tuple(
                (code.co_filename.removeprefix(package), code.co_qualname)
                for code in self._codes
                if code.co_filename.startswith(package)
            ),
        )


class Text(Message):
    """A message to send."""

    content: str = ""


class Echo(Actor):
    """Answers with the message that it gets."""

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        return message


class Listener(Actor):
    """Stops the recorder when a message arrives."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        self.recorder.stop()
        return None


class Asker(Actor):
    """Asks another actor, and records from the ask to the answer."""

    def __init__(self, other: ActorRef, recorder: Recorder) -> None:
        self.other = other
        self.recorder = recorder

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        with self.recorder:
            return await self.other.ask(message)  # type: ignore[no-any-return]


class Crasher(Actor):
    """Crashes on each message; the start of the fresh instance stops the recorder."""

    def __init__(self, recorder: Recorder, started: Callable[[], None]) -> None:
        self.recorder = recorder
        self.started = started

    async def on_start(self, ctx: ActorContext) -> None:
        self.recorder.stop()
        self.started()

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        raise ValueError("crash")


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    """Replies what it was asked."""
    ctx.reply(ctx.message_promises)


@miniagent
async def asker(ctx: InteractionContext) -> None:
    """Asks the parrot."""
    ctx.reply(parrot.inquire(ctx.message_promises))


@miniagent
async def reader(ctx: InteractionContext) -> None:
    """Answers with one message of its own, so that a stream has something to send."""
    ctx.reply(f"You said: {await ctx.message_promises}")


def followed() -> list[Trip]:
    """The trips, as the code takes them. The log is off meanwhile, since a line of the log is no part of a trip."""
    log = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return asyncio.run(trips())
    finally:
        structlog.configure(**log)


async def trips() -> list[Trip]:
    """Follow each kind of message once."""
    async with MiniAgents() as system:
        recorder = Recorder()
        listener = system.spawn(Listener, recorder=recorder)
        between = system.spawn(Asker, other=system.spawn(Echo), recorder=recorder)
        started = asyncio.Event()
        child = ChildSpec("child", Crasher, kwargs={"recorder": recorder, "started": started.set})
        await system.supervise(
            Supervisor("supervisor", strategy=OneForOne(max_restarts=WARM_UP + ROUNDS, within=60.0), children=[child])
        )
        crasher = system.lookup("/supervisor/child")
        assert crasher is not None  # it was started above
        message = Text(content="hello")

        async def tell() -> None:
            await asyncio.sleep(0.01)  # so that the tell has to wake a worker that rests
            recorder.start()
            listener.tell(message)
            await asyncio.sleep(0.01)

        async def ask() -> None:
            await between.ask(message)

        async def crash() -> None:
            started.clear()
            recorder.start()
            crasher.tell(message)
            await started.wait()

        async def inquire() -> None:
            with recorder:
                str(await parrot.inquire("hello"))

        async def inquire_between() -> None:
            with recorder:
                str(await asker.inquire("hello"))

        played = [
            ("tell", tell),
            ("ask between actors", ask),
            ("supervised crash to the fresh instance", crash),
            ("inquire of a function agent", inquire),
            ("inquire, from agent to agent", inquire_between),
        ]
        return [await _followed(name, play, recorder) for name, play in played] + await _served(system, recorder)


async def _served(system: MiniAgents, recorder: Recorder) -> list[Trip]:
    """The trips of a request to OpenAI's API: the ASGI app is called as a server calls it, without a server."""
    app = agent_app(reader, auth=None, admin_auth=None, system=system)

    async def complete() -> None:
        with recorder:
            await _request(app, stream=False)

    async def stream() -> None:
        with recorder:
            await _request(app, stream=True)

    async with app.lifespan(app):
        return [
            await _followed("/v1/chat/completions", complete, recorder),
            await _followed("/v1/chat/completions, streamed", stream, recorder),
        ]


async def _request(app: Any, *, stream: bool) -> None:
    question = {"role": "user", "content": "hello"}
    body = json.dumps({"model": "reader", "messages": [question], "stream": stream}).encode()
    headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await asyncio.get_running_loop().create_future()  # the client stays; whoever listens for its end is cancelled
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"the service answered {sent}")


async def _followed(name: str, play: Callable[[], Awaitable[object]], recorder: Recorder) -> Trip:
    played = []
    for _ in range(WARM_UP + ROUNDS):
        await play()
        played.append(recorder.trip(name))
    return min(played[WARM_UP:], key=lambda trip: trip.calls)


def table(now: list[Trip]) -> str:
    """The counts of the trips, as a table in Markdown."""
    lines = ["| trip | calls | files | re-entries |", "|---|---:|---:|---:|"]
    lines += [f"| {trip.name} | {trip.calls} | {trip.files} | {trip.reentries} |" for trip in now]
    return "\n".join(lines)


def main() -> None:
    """Print the table; with `--steps`, each call of each trip as well."""
    now = followed()
    print(table(now))
    if "--steps" in sys.argv:
        for trip in now:
            print(f"\n{trip.name}")
            for file, function in trip.steps:
                print(f"  {file:<45} {function}")


if __name__ == "__main__":
    main()
