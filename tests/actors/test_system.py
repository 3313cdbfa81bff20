"""The system: how it ends, whom it tells, signals, services, and which one is the current one."""

import asyncio
import gc
import signal
import subprocess
import sys
import warnings
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    ChildSpec,
    Message,
    MiniAgents,
    OneForOne,
    Restart,
    StopReason,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import StartError
from tests.actors.actors import Add, Counter, Crash, Hold, Read, turns


async def test_a_normal_exit_waits_for_the_messages_that_are_queued() -> None:
    class Slow(Counter):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            await asyncio.sleep(1)
            return await super().receive(message, ctx)

    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Slow, log=log)
        for n in range(5):
            ref.tell(TextMessage(str(n)))
    assert log[1:6] == ["0", "1", "2", "3", "4"]


async def test_an_exit_by_an_exception_stops_the_tree_in_reverse_order_and_lets_the_exception_out() -> None:
    class Named(Counter):
        async def on_stop(self, reason: Any) -> None:
            self.log.append(self.ctx.self.name)

    log: list[Any] = []
    with pytest.raises(LookupError, match="body"):
        async with ActorSystem() as system:
            for name in ("a", "b", "c"):
                await system.spawn(Named, name=name, log=log).started()
            raise LookupError("body")
    assert log[-3:] == ["c", "b", "a"]


async def test_when_a_supervisor_at_the_root_gives_up_the_body_is_cancelled_and_its_last_crash_raised() -> None:
    told: list[BaseException] = []
    reached = False
    with pytest.raises(ValueError, match="one too many") as info:
        async with ActorSystem(on_failure=told.append) as system:
            await system.supervise(
                Supervisor("top", strategy=OneForOne(max_restarts=0), children=[ChildSpec("c", Counter)])
            )
            child = system.lookup("/top/c")
            assert child is not None
            child.tell(Crash("one too many"))
            await asyncio.sleep(1000)
            reached = True
    assert not reached
    assert told == [info.value]
    assert await system.terminated() is info.value


async def test_a_normal_end_is_told_as_normal() -> None:
    async with ActorSystem() as system:
        ended = system.terminated()
    assert await ended is StopReason.NORMAL


async def test_supervise_returns_when_every_child_has_started_and_raises_with_the_childs_own_error() -> None:
    log: list[Any] = []

    class Broken(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            raise OSError("no disk")

    async with ActorSystem() as system:
        good = ChildSpec("good", Counter, kwargs={"log": log})
        ref = await system.supervise(Supervisor("fine", children=[good]))
        assert log == ["start"]
        with pytest.raises(StartError, match="'bad'") as info:
            await system.supervise(Supervisor("broken", children=[good, ChildSpec("bad", Broken)]))
        assert isinstance(info.value.__cause__, OSError)
        assert log == ["start", "start", ("stop", StopReason.SHUTDOWN)]
        assert system.lookup("/broken") is None
        assert ref.is_alive


async def test_a_stop_from_outside_on_a_child_is_judged_by_its_restart_type() -> None:
    async with ActorSystem() as system:
        children = [ChildSpec(restart.value, Counter, restart=restart) for restart in Restart]
        await system.supervise(Supervisor("top", strategy=OneForOne(max_restarts=9), children=children))
        for restart, lives in ((Restart.PERMANENT, True), (Restart.TRANSIENT, False), (Restart.TEMPORARY, False)):
            ref = system.lookup(f"/top/{restart.value}")
            assert ref is not None
            await ref.stop()
            await turns()
            assert ref.is_alive is lives


async def test_siblings_that_are_restarted_keep_ref_and_mailbox_and_their_message_in_hand_ends() -> None:
    from miniagents import OneForAll
    from miniagents.errors import ActorStoppedError

    log: list[Any] = []
    gate = asyncio.Event()
    async with ActorSystem() as system:
        children = [ChildSpec(name, Counter, shutdown=1.0, kwargs={"log": log, "gate": gate}) for name in ("a", "b")]
        await system.supervise(Supervisor("top", strategy=OneForAll(max_restarts=3), children=children))
        a, b = system.lookup("/top/a"), system.lookup("/top/b")
        assert a is not None
        assert b is not None
        in_hand = b.ask(Hold())
        await turns()
        queued = b.ask(Read())
        a.tell(Crash())
        with pytest.raises(ActorStoppedError):
            await in_hand
        assert (await queued).value == 0
        assert system.lookup("/top/b") is b
        assert sum(entry[0] == "restart" for entry in log) == 2


_PROGRAM = """
import asyncio, sys
from miniagents import Actor, MiniAgents
class Named(Actor):
    async def on_start(self, ctx): print(f"{ctx.self.name} started", flush=True)
    async def on_stop(self, reason): print(f"{self.ctx.self.name} stopped", flush=True)
async def main():
    system = MiniAgents.get_current()
    for name in ("a", "b"):
        await system.spawn(Named, name=name).started()
    print("ready", flush=True)
    await asyncio.sleep(60)
MiniAgents().run(main())
"""


def test_a_handler_of_the_programs_own_for_sigterm_is_called_when_the_system_has_stopped() -> None:
    own = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('own handler'))\n"
    program = _PROGRAM.replace("MiniAgents().run(main())", f"{own}MiniAgents().run(main())")
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys\n{program}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != "ready\n":
                pass
            process.terminate()
            rest, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert rest.splitlines() == ["b stopped", "a stopped"]
    assert (process.returncode, errors) == (1, "own handler\n")


def test_a_process_that_its_own_signal_does_not_kill_ends_with_the_status_of_the_signal() -> None:
    # The first process of a container is such a process. Here the signal is blocked when the system has stopped.
    program = _PROGRAM.replace(
        "await asyncio.sleep(60)",
        "try: await asyncio.sleep(60)\n    finally: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
    )
    command = [sys.executable, "-c", f"import signal\n{program}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != "ready\n":
                pass
            process.terminate()
            rest, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert rest.splitlines() == ["b stopped", "a stopped"]
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "")


_LOOP_OF_ITS_OWN = """
async def entered():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with MiniAgents():
        await main()
asyncio.run(entered())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_with_asyncio_run_ends_in_order_by_ctrl_c_and_by_a_sigterm_that_it_makes_a_cancellation(
    number: signal.Signals,
) -> None:
    program = f"import signal\n{_PROGRAM.replace('MiniAgents().run(main())', _LOOP_OF_ITS_OWN)}"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != "ready\n":
                pass
            process.send_signal(number)
            rest, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert rest.splitlines() == ["b stopped", "a stopped"]
    assert errors.splitlines()[-1] == (
        "KeyboardInterrupt" if number is signal.SIGINT else "asyncio.exceptions.CancelledError"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_system_in_order_and_the_process_with_the_usual_status(number: signal.Signals) -> None:
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            while "ready" not in lines:
                lines.append(process.stdout.readline().strip())
            process.send_signal(number)
            rest, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert rest.split("\n") == ["b stopped", "a stopped", ""]
    if number is signal.SIGTERM:
        assert process.returncode == -signal.SIGTERM
    else:
        assert process.returncode in (-signal.SIGINT, 130)
        assert "KeyboardInterrupt" in errors


def test_run_gives_back_what_the_program_returned() -> None:
    async def main() -> int:
        return (await MiniAgents.get_current().spawn(Counter, start=3).ask(Read())).value

    assert MiniAgents().run(main()) == 3


async def test_run_says_in_one_line_what_to_do_where_a_loop_runs_already() -> None:
    async def main() -> None:
        pass

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(
            RuntimeError, match=r"^MiniAgents\.run\(\) starts .*: write `async with MiniAgents\(\):`, and"
        ):
            MiniAgents().run(main())
        with pytest.raises(RuntimeError, match=r"^MiniAgents\.run\(\) starts "):
            MiniAgents().run_agent(_hello, "World")
        with pytest.raises(RuntimeError, match=r"^ActorSystem\.run\(\) starts "):
            ActorSystem().run(main())
        gc.collect()

    assert warned == []


def test_run_agent_runs_a_program_that_is_one_call() -> None:
    assert str(MiniAgents().run_agent(_hello, "World")) == "Hello, World!"


@miniagent
async def _hello(ctx: Any) -> None:
    ctx.reply(f"Hello, {await ctx.message_promises}!")


def test_agents_find_their_system_inside_a_service_under_uvicorn() -> None:
    """A context variable that is set in an ASGI lifespan is not seen by requests."""
    from contextlib import asynccontextmanager

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with MiniAgents():
            yield

    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(await _hello.inquire(request.query_params["name"])))

    async def main() -> bytes:
        app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
        serving = asyncio.ensure_future(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /?name=socket HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        return answer

    assert asyncio.run(main()).endswith(b"Hello, socket!")


async def test_a_system_is_not_reentrant_and_can_run_again_after_its_end() -> None:
    system = MiniAgents()
    async with system:
        with pytest.raises(RuntimeError):
            system.activate()
    async with system:
        assert (await system.spawn(Counter).ask(Read())).value == 0


async def test_one_system_inside_another_is_independent() -> None:
    async with MiniAgents() as outer:
        ref = outer.spawn(Counter, name="same")
        async with MiniAgents(name="inner") as inner:
            other = inner.spawn(Counter, name="same")
            assert MiniAgents.get_current() is inner
            other.tell(Add(1))
        assert MiniAgents.get_current() is outer
        assert ref.is_alive
        assert not other.is_alive


async def test_a_stopped_system_keeps_nothing_alive() -> None:
    import gc
    import weakref

    async with MiniAgents() as system:
        refs = [system.spawn(Counter) for _ in range(10)]
        for ref in refs:
            ref.tell(Add(1))
        cells = [weakref.ref(ref._cell) for ref in refs]
    del refs, ref
    gc.collect()
    assert [cell() for cell in cells if cell() is not None] == []
