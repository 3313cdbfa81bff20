"""What the scripts of all clients share: where the service is, and what they ask."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

URL = os.environ["SERVICE_URL"]
OPENAI_URL = f"{URL}/v1"
TOKEN = os.environ["SERVICE_TOKEN"]

INSTRUCTIONS = "Be brief."
FIRST, SECOND = "Hello!", "What was said?"
QUESTION = "How many people live in Paris, and in Rome?"
POPULATION = {"Paris": "2100000", "Rome": "2800000"}


async def cancelled_after_the_first(pieces: AsyncIterator[str]) -> str:
    """The first piece of a stream, whose reader is cancelled while it waits for the second."""
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read() -> None:
        async for piece in pieces:
            if piece and not first.done():
                first.set_result(piece)

    reading = asyncio.create_task(read())
    ends: set[asyncio.Future[Any]] = {reading, first}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        reading.result()
    reading.cancel()
    await asyncio.wait({reading})
    return await first
