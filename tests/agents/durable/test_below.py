"""The recorded calls below a row."""

import asyncio

from miniagents.agents.durable.below import Turns


async def test_a_wait_in_vain_ends_those_of_the_calls_that_had_ended_before_it() -> None:
    loop, ended = asyncio.get_running_loop(), dict[int, float]()
    turns = Turns((1, 2, 3, 4))
    began = loop.time()

    async def waits(end: int, begins_at: float) -> None:
        await asyncio.sleep(begins_at)
        await turns.wait(end, 10)
        ended[end] = loop.time() - began

    await asyncio.gather(waits(3, 0), waits(2, 8), waits(4, 8))

    assert ended == {3: 10, 2: 10, 4: 18}
