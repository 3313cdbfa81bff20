"""A streamed chat completion by hand, on Starlette: the limit for a service."""

from typing import Any

from common import main
from served import DEFAULTS, live, streamed

from benchmarks.serving import app_by_hand


async def served_stream(n: int) -> tuple[Any, int]:
    return await streamed("by hand", n)


async def served_mem(n: int) -> float:
    return await live(app_by_hand(), n)


if __name__ == "__main__":
    main("starlette", "starlette", dict(served_stream=served_stream, served_mem=served_mem), DEFAULTS)
