"""Stacks: where a suspended coroutine is.

`Task.get_stack` shows the outermost coroutine of a suspended task alone.
"""

import gc
import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any


def suspended(coro: object) -> Iterator[Any]:
    """Iterate over a suspended coroutine and those that it waits in, the outermost first; empty if it has ended."""
    while coro is not None and _frame_of(coro) is not None:
        yield coro
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None) or getattr(coro, "ag_await", None)
        if type(coro).__name__.startswith("async_generator_"):  # the step of an async generator does not name it
            coro = next((referent for referent in gc.get_referents(coro) if inspect.isasyncgen(referent)), None)


def stack_of(coro: object) -> str:
    """Return where a coroutine is now as text, the outermost line first; "" if it has not begun or has ended."""
    frames = [frame for inner in suspended(coro) if (frame := _frame_of(inner)) is not None]
    return "\n".join(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}" for frame in frames)


def _frame_of(coro: object) -> FrameType | None:
    return getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
