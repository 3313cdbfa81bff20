"""Leftovers: tasks, timers, actors, calls and promises that a program has left in its event loop."""

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
from miniagents.testing.virtual_time import VirtualTimeLoop

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_MAX_SHOWN = 20


def leftovers(loop: VirtualTimeLoop, expected: "set[asyncio.Task[Any]]") -> list[str]:
    """Return a text for each leftover in `loop`, sorted.

    Objects that the collector ignores (`gc.freeze()`) are not found.

    Args:
        loop: The event loop.
        expected: Tasks that may still be there.
    """
    texts = []
    for task in asyncio.all_tasks(loop):
        if task not in expected:
            texts.append(f"a task is left: {described(task)}")
    for timer in loop.timers():
        callback = getattr(timer, "_callback", None)  # asyncio shows it in the `repr` of a timer alone
        name = getattr(callback, "__qualname__", None) or type(callback).__name__
        texts.append(f"a timer is left: {name}, in {timer.when() - loop.time():.3f} s")
    # A list of all promises and calls would cost every program something; the collector knows all objects anyway.
    for candidate in gc.get_objects():
        kind = type(candidate)
        if issubclass(kind, Cell):
            if candidate.system.loop is loop and candidate.is_alive:
                texts.append(f"an actor is alive: {candidate.path or 'the root of its system, which has not ended'}")
        elif issubclass(kind, Interaction):
            if candidate.system.loop is loop and not candidate.done():
                texts.append(f"a call has not ended: number {candidate.id} of {candidate.path}")
        elif issubclass(kind, Promise) and _is_pending(candidate):
            texts.append(f"a promise is pending: {_described_promise(candidate)}")
    return sorted(texts)


def described(task: "asyncio.Task[Any]") -> str:
    """Return the name of what a task runs, and the innermost line outside of this package that it has reached."""
    coro = task.get_coro()
    name = getattr(coro, "__qualname__", type(coro).__name__)
    if isinstance(task, WorkerTask):
        name = f"the worker that runs {task.cell.path}" if task.cell is not None else f"a worker without work ({name})"
    frames = list(_frames(coro))
    outside = [frame for frame in frames if not frame.f_code.co_filename.startswith(_PACKAGE)]
    for frame in outside[-1:] or frames[-1:]:
        name += f", at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return name


def _frames(coro: object) -> Iterator[FrameType]:
    """Return the frames of a suspended coroutine, the outermost first."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        within = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
        if frame is not None:
            yield frame
            lane = frame.f_locals.get("lane")
            if isinstance(lane, Trampoline) and within is None:
                within = lane.send.__self__  # type: ignore[attr-defined]  # a worker runs its turns with `send`
        coro = within


def under_way(loop: asyncio.AbstractEventLoop, expected: "Collection[asyncio.Task[Any] | None]") -> str:
    """Return the other tasks in `loop`, one on each line, to explain why a program does not end."""
    at_work = [task for task in asyncio.all_tasks(loop) if not isinstance(task, WorkerTask) or task.cell is not None]
    tasks = sorted(described(task) for task in at_work if task not in expected)
    return "".join(f"\n  {text}" for text in tasks[:_MAX_SHOWN])


def _is_pending(promise: Promise[Any]) -> bool:
    if promise.done():
        return False
    # A stream whose pieces have all arrived is put together only when it is awaited.
    return not (isinstance(promise, StreamedPromise) and promise.has_all_pieces())


def _described_promise(promise: Promise[Any]) -> str:
    if isinstance(promise, Ask):
        return f"the ask of a {type(promise.message).__name__} to {promise.cell.path}"
    return type(promise).__name__
