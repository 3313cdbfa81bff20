"""Leftovers: what a program has left behind in its event loop, as texts."""

import asyncio
import gc
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from miniagents.actors.cells.cell import Cell
from miniagents.actors.dispatch.workers import Trampoline, WorkerTask
from miniagents.actors.messaging.ask import Ask
from miniagents.agents.interaction import Interaction
from miniagents.promising import Promise, StreamedPromise

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_MOST_SHOWN = 20


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
    """Return what a task runs, and where that is: in the innermost code that is not the package's own."""
    coro: Any = task.get_coro()
    name = getattr(coro, "__qualname__", type(coro).__name__)
    if isinstance(task, WorkerTask):
        name = f"the worker that runs {task.cell.path}" if task.cell is not None else f"a worker without work ({name})"
    frames = list(_frames(coro))
    for frame in [one for one in frames if not one.f_code.co_filename.startswith(_PACKAGE)][-1:] or frames[-1:]:
        name += f", at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return name


def _frames(coro: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, the outermost first."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        within = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
        if frame is not None:
            yield frame
            lane = frame.f_locals.get("lane")
            if isinstance(lane, Trampoline) and within is None:
                within = lane.send.__self__  # type: ignore[attr-defined]  # a worker steps its turns by hand
        coro = within


def under_way(loop: asyncio.AbstractEventLoop, expected: "Collection[asyncio.Task[Any] | None]") -> str:
    """Return what else runs in `loop`, one a line, for who wonders why something hangs."""
    at_work = [one for one in asyncio.all_tasks(loop) if not isinstance(one, WorkerTask) or one.cell is not None]
    tasks = sorted(described(task) for task in at_work if task not in expected)
    return "".join(f"\n  {text}" for text in tasks[:_MOST_SHOWN])


def _is_pending(promise: Any) -> bool:
    if promise.done():
        return False
    # A stream whose pieces are all there becomes a whole when somebody asks for it.
    return not (isinstance(promise, StreamedPromise) and promise.finished and promise._whole is None)


def _described_promise(promise: Any) -> str:
    if isinstance(promise, Ask):
        return f"the ask of a {type(promise.message).__name__} to {promise.cell.path}"
    return type(promise).__name__
