"""Running a whole program: the event loop, and the signals that end it."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from inspect import isawaitable, iscoroutine
from types import TracebackType
from typing import Any, Protocol, TypeVar

from miniagents.actors.collecting import Collecting, check_collecting, collecting
from miniagents.actors.threads import DaemonExecutor, use_daemon_threads
from miniagents.errors import InvalidOptionError
from miniagents.promising.abandoning import INSIST_EVERY, abandon, log_abandoned
from miniagents.promising.stacks import stack_of

T = TypeVar("T")


class System(Protocol):
    """A system that a program can run in."""

    @property
    def grace(self) -> float:
        """Seconds for what was told to end, when the system ends."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> object: ...


def run_main(system: System, main: Coroutine[Any, Any, T], gc: Collecting | None = None) -> T:
    """Run `main` inside `system`, on uvloop where it is there.

    Ctrl-C cancels `main`, so that the system stops in supervised order, and raises `KeyboardInterrupt`. SIGTERM does
    the same and then ends the process as the signal would have, or calls the handler that the program has for it. The
    first process of a container, which its own signal does not kill, ends with the status 143. If `main` swallows the
    cancellation for longer than the system's `grace`, it is abandoned.

    Args:
        system: The system.
        main: The program.
        gc: The setting of the garbage collector meanwhile; see `collecting`.

    Raises:
        InvalidOptionError: `main` is nothing that can be awaited, or there is no such setting.
        RuntimeError: An event loop is running in this thread already, as in a notebook.
    """
    if not isawaitable(main):
        name = getattr(main, "__name__", None) if callable(main) else None
        instead = f"; call it: run({name}())" if name is not None else ""
        raise InvalidOptionError(f"run() takes the coroutine of a program, not {main!r}{instead}")
    if is_in_a_loop():
        if iscoroutine(main):
            main.close()  # else Python warns that it was never awaited
        name = type(system).__name__
        raise RuntimeError(
            f"{name}.run() starts an event loop, and one is running here already (a notebook has one): write "
            f"`async with {name}():`, and await the program in it"
        )
    terminated = has_begun = False
    before = signal.getsignal(signal.SIGTERM)

    async def body() -> T:
        nonlocal terminated, has_begun
        task = asyncio.current_task()
        assert task is not None

        def on_sigterm() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        loop = asyncio.get_running_loop()
        use_daemon_threads(loop, DaemonExecutor(name="asyncio"))  # it is our own loop, and uvloop does not tell
        catches = threading.current_thread() is threading.main_thread() and os.name == "posix"
        if catches:
            loop.add_signal_handler(signal.SIGTERM, on_sigterm)
        try:
            with collecting(gc):
                async with system:
                    has_begun = True
                    return await _result_of(main, system.grace)
        finally:
            if catches:
                loop.remove_signal_handler(signal.SIGTERM)

    try:
        check_collecting(gc)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            try:
                return runner.run(body())
            finally:
                _end_tasks(runner.get_loop(), max(system.grace, INSIST_EVERY))
    except asyncio.CancelledError:
        if terminated:
            # A handler of the program's own ends it; the loop has replaced it for the run.
            signal.signal(signal.SIGTERM, before if callable(before) else signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            if not callable(before):
                # It still runs: the first process of a container is not killed by its own signal.
                raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        if not has_begun and iscoroutine(main):
            main.close()  # else Python warns that it was never awaited


def is_in_a_loop() -> bool:
    """Return True if an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _end_tasks(loop: asyncio.AbstractEventLoop, within: float) -> None:
    """End what a second signal has left in a loop: it breaks off the end of the system. The runner cancels all tasks,
    and would wait for one that swallows that for ever.

    Args:
        loop: The loop, which does not run.
        within: Seconds that the tasks have, more than 0. Those that have not ended then are abandoned.
    """
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    try:
        loop.run_until_complete(asyncio.wait(tasks, timeout=within))
    finally:  # also after one more Ctrl-C
        for task in tasks:
            if not task.done():
                log_abandoned(stack_of(task.get_coro()), task=task.get_name())
                abandon(task)


async def _result_of(main: Coroutine[Any, Any, T], grace: float) -> T:
    """Run `main` in a task of its own, so that who waits for it can go on without it.

    Args:
        main: What to run.
        grace: Seconds that it has to end when this is cancelled, 0 or more.
    """

    async def outcome() -> tuple[T | None, BaseException | None]:
        try:
            return await main, None
        except (KeyboardInterrupt, SystemExit) as error:
            return None, error  # raised in a task, it would end the loop before the system has ended

    loop = asyncio.get_running_loop()
    task = loop.create_task(outcome())
    until: float | None = None
    while not task.done():
        try:
            await asyncio.wait([task], timeout=None if until is None else until - loop.time())
        except asyncio.CancelledError as error:
            task.cancel(*error.args)
            until = until if until is not None else loop.time() + max(grace, INSIST_EVERY)
        if until is not None and loop.time() >= until and not task.done():
            log_abandoned(stack_of(task.get_coro()), program=getattr(main, "__qualname__", None), grace=grace)
            abandon(task)
            raise asyncio.CancelledError
    result, ending = task.result()
    if ending is not None:
        raise ending
    return result  # type: ignore[return-value]  # it is there where no error is


def loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """Return the maker of event loops: uvloop's if it is installed, else None, for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
