"""Garbage in reference cycles, counted: what a workload leaves for the garbage collector when it has ended."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable

TIMES = 100
_WARM = 3


async def garbage_of(once: Callable[[], Awaitable[object]], times: int = TIMES) -> dict[str, int]:
    """Run something a number of times with the garbage collector off.

    Args:
        once: What to run.
        times: How often it is counted, 1 or more.

    Returns:
        The number of unreachable objects of each class, the most frequent first. Nothing, if it makes no cycles.
        A class with less than one object each time is left out. It is of another thread, such as a server that closes
        an idle connection.
    """
    for _ in range(_WARM):  # what is made once, by the first call, is no garbage of a call
        await once()
    await _quiet()
    while gc.collect():  # what an earlier test left may let go of more only when it is collected
        pass
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            await once()
        await _quiet()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = Counter(type(item).__qualname__ for item in gc.garbage).most_common()
        return {name: count for name, count in found if count >= times}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()


async def _quiet() -> None:
    """Let what is under way in the loop come to its end."""
    for _ in range(10):
        await asyncio.sleep(0)
