"""Leftovers: what a program has left behind in its event loop, as texts."""

import asyncio
import gc
from typing import Any

from miniagents.actors.ask import Ask
from miniagents.actors.cell import Cell
from miniagents.actors.workers import WorkerTask
from miniagents.miniagents.interaction import Interaction
from miniagents.promising import Promise, StreamedPromise


def leftovers(loop: asyncio.AbstractEventLoop, expected: "set[asyncio.Task[Any]]") -> list[str]:
    """Return what is left in `loop`, sorted.

    Objects that the collector was told to ignore (`gc.freeze()`) are not seen.

    Args:
        loop: The event loop.
        expected: Tasks that are no leftovers.
    """
    found = []
    for task in asyncio.all_tasks(loop):
        if task not in expected:
            found.append(f"a task is left: {described(task)}")
    for timer in loop._scheduled:  # type: ignore[attr-defined]  # there is no public way to ask for its timers
        if not timer.cancelled():
            callback = timer._callback
            name = getattr(callback, "__qualname__", None) or type(callback).__name__
            found.append(f"a timer is left: {name}, in {timer.when() - loop.time():.3f} s")
    # Nothing counts them while a program runs, so that they cost nothing: the collector knows all objects.
    for one in gc.get_objects():
        kind = type(one)
        if issubclass(kind, Cell):
            if one.system.loop is loop and one.is_alive:
                found.append(f"an actor is alive: {one.path or 'the root of its system, which has not ended'}")
        elif issubclass(kind, Interaction):
            if one.system.loop is loop and not one.done():
                found.append(f"a call has not ended: number {one.id} of {one.path}")
        elif issubclass(kind, Promise) and _is_pending(one):
            found.append(f"a promise is pending: {_described_promise(one)}")
    return sorted(found)


def described(task: "asyncio.Task[Any]") -> str:
    """Return what a task runs, and where it is."""
    if isinstance(task, WorkerTask) and task.cell is not None:
        return f"the worker that runs {task.cell.path}"
    at: Any = task.get_coro()
    name, place = getattr(at, "__qualname__", type(at).__name__), ""
    while at is not None:
        frame = getattr(at, "cr_frame", None)
        if frame is not None:
            place = f", at {frame.f_code.co_filename}:{frame.f_lineno}"
        at = getattr(at, "cr_await", None)
    return f"{name}{place}"


def _is_pending(promise: Any) -> bool:
    if promise.done():
        return False
    # A stream whose pieces are all there becomes a whole when somebody asks for it.
    return not (isinstance(promise, StreamedPromise) and promise._finished and promise._whole is None)


def _described_promise(promise: Any) -> str:
    if isinstance(promise, Ask):
        return f"the ask of a {type(promise.message).__name__} to {promise.cell.path}"
    return type(promise).__name__
