"""Running a whole program: the event loop, and the signals that end it."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from miniagents.actors.threads import DaemonExecutor, use_daemon_threads

if TYPE_CHECKING:
    from miniagents.actors.system import ActorSystem

T = TypeVar("T")


def run_main(system: "ActorSystem", main: Coroutine[Any, Any, T]) -> T:
    """Run `main` inside `system`, on uvloop where it is there.

    Ctrl-C cancels `main`, so that the system stops in supervised order, and raises `KeyboardInterrupt`; SIGTERM does
    the same and then ends the process as the signal would have.
    """
    terminated = False

    async def body() -> T:
        nonlocal terminated
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
            async with system:
                return await main
        finally:
            if catches:
                loop.remove_signal_handler(signal.SIGTERM)

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(body())
    except asyncio.CancelledError:
        if terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        raise


def loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """What makes an event loop: uvloop where it is there, else None, for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
