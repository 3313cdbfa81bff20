"""Stacks: where a suspended coroutine is.

`Task.get_stack` sees the outermost coroutine of a suspended task alone.
"""

import gc
import inspect
from collections.abc import Iterator
from typing import Any


def suspended(coro: Any) -> Iterator[Any]:
    """A suspended coroutine and those that it waits in, the outermost first; nothing of one that has ended."""
    while coro is not None and _frame_of(coro) is not None:
        yield coro
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None) or getattr(coro, "ag_await", None)
        if type(coro).__name__.startswith("async_generator_"):  # the step of an async generator does not tell whose
            coro = next((one for one in gc.get_referents(coro) if inspect.isasyncgen(one)), None)


def stack_of(coro: Any) -> str:
    """Where a coroutine is now, the outermost line first, as text; "" if it has not begun or has ended."""
    frames = [_frame_of(one) for one in suspended(coro)]
    return "\n".join(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}" for frame in frames)


def _frame_of(coro: Any) -> Any:
    return getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
