"""Events in the log: each once, with path and interaction, in the log of whoever embeds us, and without secrets."""

import ast
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import miniagents
from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    ChildSpec,
    InteractionContext,
    Mailbox,
    Message,
    MiniAgents,
    OneForOne,
    Overflow,
    RetryPolicy,
    SpawnOptions,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import DeadlockError, HandlerTimeoutError, InvalidOptionError
from miniagents.ext.telemetry import log_events
from miniagents.journal import MemoryJournal
from miniagents.testing import Call, Reply, Script, ScriptedModel


class Worker(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match str(message):
            case "crash":
                raise RuntimeError("broken")
            case "hang":
                await asyncio.sleep(3600)
            case "myself":
                await ctx.self.ask(TextMessage("a"))
        return message


@miniagent
async def failing(ctx: InteractionContext) -> None:
    raise ValueError("not today")


def told(log: list[Any], kind: str) -> list[dict[str, Any]]:
    """The lines of a kind, without what is always there."""
    return [
        {name: value for name, value in entry.items() if name not in ("kind", "event")}
        for entry in log
        if entry.get("kind") == kind
    ]


async def test_starts_ends_and_restarts_are_logged_with_the_path(log: list[Any]) -> None:
    async with ActorSystem() as system:
        log_events(system)
        worker = system.spawn(Worker, name="worker")
        with pytest.raises(RuntimeError):
            await worker.ask(TextMessage("crash"))
        await worker.ask(TextMessage("a"))

    assert told(log, "spawn") == [{"actor": "/worker", "log_level": "debug"}]
    assert told(log, "restart") == [{"actor": "/worker", "reason": "RuntimeError('broken')", "log_level": "info"}]
    assert told(log, "stop") == [{"actor": "/worker", "reason": "shutdown", "log_level": "debug"}]


async def test_a_crash_that_the_runtime_logs_is_not_logged_twice(log: list[Any]) -> None:
    async with MiniAgents() as system:
        log_events(system)
        worker = system.spawn(Worker, name="worker")
        with pytest.raises(RuntimeError):
            await worker.ask(TextMessage("crash"))
        worker.tell(TextMessage("crash"))
        await worker.ask(TextMessage("a"))

        def fails() -> None:
            raise KeyError

        script = Script(Reply(calls=(Call("fails"),)), "well")
        await ScriptedModel.fork(script=script, tools=[fails]).inquire("Hi")

    assert [entry["event"] for entry in log if entry["log_level"] in ("warning", "error")] == [
        "actor.crashed",
        "actor.crashed",
        "llm.tool_failed",
    ]


async def test_a_failure_of_an_interaction_is_logged_with_its_number(log: list[Any]) -> None:
    @miniagent
    class Fails:
        async def __call__(self, ctx: InteractionContext) -> None:
            raise ValueError("not today")

    async with MiniAgents() as system:
        log_events(system, level="warning")
        for agent in (failing, Fails):
            with pytest.raises(ValueError, match="not today"):
                await agent.inquire()  # type: ignore[union-attr]

    assert [(entry["actor"], entry["interaction"]) for entry in log if entry["event"] == "actor.crashed"] == [
        ("/agents/failing", 1),
        ("/agents/Fails", 2),
    ]


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_each_failed_attempt_of_a_call_is_logged_with_its_number_label_parent_and_error(
    log: list[Any], kind: str
) -> None:
    async def fails(ctx: InteractionContext) -> None:
        raise ValueError("not today")

    class Fails:
        async def __call__(self, ctx: InteractionContext) -> None:
            await fails(ctx)

    agent = miniagent(alias="fails", retry=RetryPolicy(attempts=2))(fails if kind == "function" else Fails)

    @miniagent
    async def above(ctx: InteractionContext) -> None:
        with pytest.raises(ValueError, match="not today"):
            await agent.inquire(label="document 7")

    async with MiniAgents(journal=MemoryJournal(), durable_agents=True) as system:
        log_events(system, level="warning")
        await system.run_job("job", above)

    call = {"actor": "/agents/fails", "interaction": 2, "parent": 1, "label": "document 7"}
    crashes = [entry for entry in log if entry["event"] == "actor.crashed"]
    assert [entry["attempt"] for entry in crashes] == [1, 2]
    for entry in crashes:
        assert entry.items() >= {**call, "error": "ValueError('not today')"}.items()
    (letter,) = told(log, "dead_letter")
    assert letter.items() >= {**call, "error": "ValueError: not today", "message": "Interaction"}.items()


async def test_an_escalation_is_logged_once(log: list[Any]) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        async with ActorSystem() as system:
            log_events(system)
            await system.supervise(
                Supervisor("top", strategy=OneForOne(max_restarts=0), children=[ChildSpec("worker", Worker)])
            )
            worker = system.lookup("/top/worker")
            assert worker is not None
            worker.tell(TextMessage("crash"))
            await system.terminated()

    assert [entry["event"] for entry in log if entry["log_level"] == "error"] == [
        "actor.crashed",
        "supervisor.gave_up",
    ]


async def test_hangs_and_deadlocks_are_logged(log: list[Any]) -> None:
    @miniagent
    async def patient(ctx: InteractionContext) -> None:
        await asyncio.sleep(3600)

    @miniagent
    class Narcissus:
        async def __call__(self, ctx: InteractionContext) -> None:
            await Narcissus.inquire()  # type: ignore[attr-defined]

    quick = SpawnOptions(handler_timeout=1.0)
    async with MiniAgents() as system:
        log_events(system)
        worker = system.spawn(Worker, name="worker", options=quick)
        for text, error in (("hang", HandlerTimeoutError), ("myself", DeadlockError)):
            with pytest.raises(error):
                await worker.ask(TextMessage(text))
        with pytest.raises(HandlerTimeoutError):
            await system.spawn(patient, name="patient", options=quick).inquire()
        with pytest.raises(DeadlockError):
            await Narcissus.inquire()  # type: ignore[attr-defined]

    assert told(log, "hang") == [
        {"actor": "/worker", "log_level": "error"},
        {"actor": "/patient", "interaction": 1, "log_level": "error"},
    ]
    assert [(line["actor"], line["ring"], line.get("interaction")) for line in told(log, "deadlock")] == [
        ("/worker", ("/worker", "/worker"), None),
        ("/agents/Narcissus", ("/agents/Narcissus", "/agents/Narcissus"), 2),
    ]


async def test_a_dead_letter_is_logged_without_what_it_says(log: list[Any]) -> None:
    async with MiniAgents() as system:
        log_events(system)
        gone = system.spawn(Worker, name="gone")
        agent = system.spawn(failing, name="agent")
        await gone.stop()
        await agent.stop()
        gone.tell(TextMessage("my password"))
        call = agent.inquire("my password")
        assert await asyncio.wait_for(asyncio.gather(call, return_exceptions=True), 1)

    first, second = told(log, "dead_letter")
    assert first == {"actor": "/gone", "reason": "stopped", "message": "TextMessage", "log_level": "warning"}
    assert (second["message"], second["interaction"]) == ("Interaction", 1)
    assert "password" not in str(log)


async def test_a_flood_of_dead_letters_is_no_flood_of_the_log(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    full = SpawnOptions(mailbox=Mailbox(capacity=1, overflow=Overflow.DROP_NEWEST))
    async with ActorSystem() as system:
        log_events(system, dead_letters_per_second=2)
        worker = system.spawn(Worker, options=full)
        for _ in range(6):
            worker.tell(TextMessage("a"))
        now += 1.0
        worker.tell(TextMessage("a"))

    assert [line.get("left_out") for line in told(log, "dead_letter")] == [None, None, 3]
    assert system.dead_letters.total == 6


async def test_the_level_says_what_is_logged_and_close_ends_it(log: list[Any]) -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match="level"):
            log_events(system, level="loud")
        with pytest.raises(InvalidOptionError, match="dead_letters_per_second"):
            log_events(system, dead_letters_per_second=-1)
        with log_events(system, level="info"):
            worker = system.spawn(Worker)
            with pytest.raises(RuntimeError):
                await worker.ask(TextMessage("crash"))
            await worker.ask(TextMessage("a"))
        with pytest.raises(RuntimeError):
            await worker.ask(TextMessage("crash"))
        await worker.ask(TextMessage("a"))

    assert [entry["kind"] for entry in log if "kind" in entry] == ["restart"]


async def test_a_log_that_fails_does_not_stop_what_it_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def debug(self, *_: Any, **__: Any) -> None:
            raise OSError("disk full")

    told_of: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told_of.append(context["exception"]))
    monkeypatch.setattr("miniagents.ext.telemetry.logs._log", Broken())
    async with ActorSystem() as system:
        log_events(system)
        assert str(await system.spawn(Worker).ask(TextMessage("a"))) == "a"

    assert [repr(error) for error in told_of] == ["OSError('disk full')"] * 2


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, in which nobody has configured any log."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)


EVERYTHING_FAILS = """
import asyncio, contextlib
from miniagents import *
from miniagents.ext.telemetry import log_events

def fail(where):
    key = "hunter" + "2"
    raise RuntimeError(f"failed in {where}")

class Told(Actor):
    async def receive(self, message, ctx): fail("receive")

class Starts(Actor):
    async def on_start(self, ctx): fail("on_start")

class Stops(Actor):
    async def receive(self, message, ctx): ctx.pipe_to_self(asyncio.sleep(0), lambda _: fail("wrap"))
    async def on_stop(self, reason): fail("on_stop")

@miniagent
async def careless(ctx):
    async def side(): fail("side task")
    ctx.make_sure_to_wait(side())
    Promise(lambda _: background())

async def background(): fail("promise")

async def persist(messages): fail("persist")

async def unclean(_): fail("close")

async def main():
    with contextlib.suppress(RuntimeError):
        async with MiniAgents(on_persist_messages=persist, on_failure=lambda _: fail("on_failure")) as system:
            log_events(system)
            system.shared("it", object, unclean)
            system.spawn(Told).tell(TextMessage("a"))
            system.spawn(Starts)
            stops = system.spawn(Stops)
            await stops.ask(TextMessage("a"))
            await careless.inquire("a")
            system.start_soon(background())
            await asyncio.sleep(0.05)
            system.fail(RuntimeError("the end"))
            await asyncio.sleep(10)

asyncio.run(main())
"""


def test_no_log_line_of_ours_shows_the_values_of_variables_even_as_structlog_is_by_default() -> None:
    done = python(EVERYTHING_FAILS)
    shown = done.stdout + done.stderr
    for where in (
        "receive",
        "on_start",
        "on_stop",
        "wrap",
        "side task",
        "promise",
        "persist",
        "close",
        "on_failure",
    ):
        assert f"failed in {where}" in shown, where
    assert "Traceback (most recent call last)" in shown
    assert "hunter" not in shown.replace('key = "hunter" + "2"', "")

    # The same failure, logged as structlog's users would: this is what we are kept from.
    unsafe = python(
        "import structlog\n"
        "def fail():\n    key = 'hunter' + '2'\n    raise RuntimeError\n"
        "try: fail()\nexcept RuntimeError: structlog.get_logger().exception('failed')"
    )
    assert "hunter2" in unsafe.stdout


def test_no_log_line_of_ours_hands_over_an_exception_whose_variables_could_be_shown() -> None:
    wrong = []
    for path in Path(miniagents.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = {keyword.arg for keyword in node.keywords}
                is_log = isinstance(node.func.value, ast.Name) and node.func.value.id == "_log"
                if is_log and (node.func.attr == "exception" or "exc_info" in named):
                    wrong.append(f"{path.name}:{node.lineno}")
    assert wrong == []


def test_the_package_configures_no_log() -> None:
    done = python(
        "import asyncio, logging, structlog\n"
        "from miniagents import *\nfrom miniagents.ext.telemetry import log_events\n"
        "async def main():\n    async with MiniAgents() as system: log_events(system, level='error')\n"
        "asyncio.run(main())\n"
        "print(structlog.is_configured(), logging.getLogger().handlers, logging.getLogger('miniagents').handlers)"
    )
    assert done.stdout == "False [] []\n"


def test_an_application_sees_our_events_in_its_own_standard_logging() -> None:
    done = python(
        """
import asyncio, logging, sys, structlog
from miniagents import *
from miniagents.ext.telemetry import log_events

shared = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name]
structlog.configure(
    processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(
    structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
)
logging.basicConfig(handlers=[handler], level=logging.INFO)
logging.getLogger("uvicorn.error").warning("one of its own")

class Worker(Actor):
    async def receive(self, message, ctx): raise RuntimeError("broken")

async def main():
    async with ActorSystem() as system:
        log_events(system)
        worker = system.spawn(Worker, name="worker")
        worker.tell(TextMessage("a"))
        await asyncio.sleep(0.01)

asyncio.run(main())
"""
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["logger"], line["level"], line["event"]) for line in lines] == [
        ("uvicorn.error", "warning", "one of its own"),
        ("miniagents", "error", "actor.crashed"),
        ("miniagents", "info", "actor.restarted"),
    ]
    assert lines[1]["stack"].endswith("RuntimeError: broken")
    assert lines[2]["actor"] == "/worker"
