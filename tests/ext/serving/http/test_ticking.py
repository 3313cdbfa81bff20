"""One timer for all streams of an event loop."""

import asyncio
import gc
import weakref
from typing import Any

from miniagents.ext.serving.http.ticking import Ticker, ticker_of


class Stream:
    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.looks: list[float] = []

    def look(self, now: float) -> None:
        self.looks.append(round(now, 3))


def timers() -> list[float]:
    loop: Any = asyncio.get_running_loop()
    return [round(timer.when(), 3) for timer in loop._scheduled if not timer.cancelled()]


async def test_all_streams_are_looked_at_once_a_second_by_one_timer() -> None:
    ticker, began = Ticker(), asyncio.get_running_loop().time()
    streams = [Stream(15.0), Stream(15.0)]
    for stream in streams:
        ticker.add(stream)
    assert timers() == [began + 1]

    await asyncio.sleep(3.5)

    assert [stream.looks for stream in streams] == [[began + 1, began + 2, began + 3]] * 2


async def test_a_stream_with_less_patience_is_looked_at_more_often() -> None:
    ticker, began = Ticker(), asyncio.get_running_loop().time()
    patient, hasty = Stream(15.0), Stream(0.3)
    ticker.add(patient)
    ticker.add(hasty)

    await asyncio.sleep(0.7)
    assert hasty.looks == patient.looks == [round(began + 0.3, 3), round(began + 0.6, 3)]

    ticker.remove(hasty)
    await asyncio.sleep(1.4)
    assert patient.looks[2:] == [round(began + 0.9, 3), round(began + 1.9, 3)]


async def test_without_streams_there_is_no_timer() -> None:
    ticker, stream = Ticker(), Stream(15.0)
    ticker.add(stream)
    ticker.remove(stream)

    assert timers() == []
    await asyncio.sleep(2)
    assert stream.looks == []


async def test_a_stream_that_is_removed_by_a_look_at_another_one_ends_the_timer() -> None:
    ticker, others = Ticker(), Stream(15.0)

    class Ending(Stream):
        def look(self, now: float) -> None:
            ticker.remove(self)
            ticker.remove(others)

    ticker.add(Ending(15.0))
    ticker.add(others)
    await asyncio.sleep(1.5)

    assert others.looks == []
    assert timers() == []


async def test_a_loop_has_one_ticker() -> None:
    loop = asyncio.get_running_loop()

    assert ticker_of(loop) is ticker_of(loop)


def test_a_loop_that_has_ended_is_not_kept() -> None:
    async def streams() -> "weakref.ref[asyncio.AbstractEventLoop]":
        loop, stream = asyncio.get_running_loop(), Stream(15.0)
        ticker_of(loop).add(stream)
        ticker_of(loop).remove(stream)
        return weakref.ref(loop)

    loop = asyncio.run(streams())
    gc.collect()

    assert loop() is None
