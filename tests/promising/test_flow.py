"""Streams that pause while whoever reads what becomes of them is behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from miniagents import MessageSequence, TextMessage
from miniagents.promising import Flow, PromisingContext, StreamedPromise
from miniagents.promising.flow import current_flow
from tests.actors.actors import turns


class Source:
    """An endless stream, and how much it has given."""

    def __init__(self) -> None:
        self.given = 0

    async def stream(self, *_: Any) -> AsyncIterator[int]:
        while True:
            self.given += 1
            yield self.given
            await asyncio.sleep(0)

    async def messages(self) -> AsyncIterator[str]:
        async for number in self.stream():
            yield str(number)


@contextmanager
def flowing() -> Iterator[Flow]:
    """What is started here is part of a flow."""
    flow = Flow()
    token = current_flow.set(flow)
    try:
        yield flow
    finally:
        current_flow.reset(token)


async def test_a_stream_that_nobody_waits_for_pauses_while_its_flow_is_full() -> None:
    source = Source()
    async with PromisingContext():
        with flowing() as flow:
            promise = StreamedPromise[int, Any](source.stream)
        await turns(10)
        flow.is_full = True
        await turns(3)
        given = source.given
        await turns(50)
        assert source.given == given

        flow.resume()  # it is full still
        await turns(50)
        assert source.given == given

        flow.is_full = False
        flow.resume()
        await turns(50)
        assert source.given > given + 10
        promise.cancel()


async def test_a_piece_that_somebody_waits_for_comes_all_the_same() -> None:
    source = Source()
    async with PromisingContext():
        with flowing() as flow:
            flow.is_full = True
            promise = StreamedPromise[int, Any](source.stream)
        await turns(50)
        assert source.given == 1

        pieces = aiter(promise)
        for number in range(1, 10):
            assert await anext(pieces) == number
        await turns(50)
        assert source.given <= 10
        promise.cancel()


async def test_whoever_wants_the_whole_gets_it() -> None:
    async def hundred(_: Any) -> AsyncIterator[int]:
        for number in range(100):
            yield number
            await asyncio.sleep(0)

    async with PromisingContext():
        with flowing() as flow:
            flow.is_full = True
            promise = StreamedPromise[int, Any](hundred)
        await turns(50)

        assert len(await promise) == 100


async def test_whoever_wants_all_messages_of_a_sequence_gets_them() -> None:
    async def words(_: Any) -> AsyncIterator[str]:
        for _ in range(100):
            yield "word "
            await asyncio.sleep(0)

    async with PromisingContext():
        with flowing() as flow:
            flow.is_full = True
            messages = [TextMessage.promise(message_token_streamer=words) for _ in range(3)]
            replies = MessageSequence.turn_into_sequence_promise(messages, errors_as_messages=False)
        await turns(50)

        assert str(await replies) == "\n\n".join(["word " * 100] * 3)


async def test_a_sequence_pauses_too() -> None:
    source = Source()
    async with PromisingContext() as context:
        with flowing() as flow:
            replies = MessageSequence.turn_into_sequence_promise(source.messages(), errors_as_messages=False)
        await turns(10)
        flow.is_full = True
        await turns(3)
        given = source.given
        await turns(50)
        assert source.given == given

        seen = 0
        async for _ in replies:
            seen += 1
            if seen == given + 5:
                break
        assert source.given >= given + 5
        (flattening,) = context._background
        flattening.cancel()


async def test_what_a_paused_stream_is_made_of_pauses_with_it() -> None:
    source = Source()

    async def twice(_: Any) -> AsyncIterator[int]:
        async for number in below:
            yield 2 * number

    async with PromisingContext():
        with flowing() as flow:
            below = StreamedPromise[int, Any](source.stream)
            above = StreamedPromise[int, Any](twice)
        await turns(10)
        flow.is_full = True
        await turns(5)
        given = source.given
        await turns(50)
        assert source.given == given

        pieces = aiter(above)
        for number in range(1, given + 10):
            assert await anext(pieces) == 2 * number  # it is waited for, and so is what it waits for
        above.cancel()
        below.cancel()


@pytest.mark.parametrize("after", range(8))
async def test_a_stream_that_is_cancelled_while_it_pauses_ends(after: int) -> None:
    source = Source()
    async with PromisingContext():
        with flowing() as flow:
            flow.is_full = True
            promise = StreamedPromise[int, Any](source.stream)
        await turns(after)

        promise.cancel("enough")
        await turns(5)

        assert promise.done()
        assert not flow.paused


async def pausing(flow: Flow, promise: Any) -> "list[asyncio.Task[None]]":
    """Three that pause for the same promise."""
    flow.is_full = True
    tasks = [asyncio.create_task(flow.room(promise)) for _ in range(3)]
    await turns(3)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_several_may_pause_for_one_promise_and_all_go_on() -> None:
    async with PromisingContext():
        flow, promise = Flow(), StreamedPromise[int, Any](prefill_pieces=())
        tasks = await pausing(flow, promise)

        for _ in range(3):  # it is full still
            promise.end_pause()
            await turns(3)
        assert not any(task.done() for task in tasks)
        flow.is_full = False
        flow.resume()
        await turns(3)

        assert all(task.done() and task.exception() is None for task in tasks)
        assert not flow.paused
        assert promise.pause is None


async def test_one_that_is_cancelled_leaves_the_pauses_of_the_others_as_they_are() -> None:
    async with PromisingContext():
        flow, promise = Flow(), StreamedPromise[int, Any](prefill_pieces=())
        first, *others = await pausing(flow, promise)

        first.cancel()
        await turns(3)
        assert first.cancelled()
        assert not any(task.done() for task in others)

        flow.is_full = False
        flow.resume()
        await turns(3)
        assert all(task.done() and task.exception() is None for task in others)
        assert not flow.paused


async def test_without_a_flow_nothing_pauses() -> None:
    source = Source()
    async with PromisingContext():
        promise = StreamedPromise[int, Any](source.stream)
        await turns(50)
        assert source.given > 40
        promise.cancel()
