"""Streamed promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from miniagents.errors import PromiseCancelledError
from miniagents.promising import Promise, PromisingContext, StreamAppender, StreamedPromise


async def collect(promise: StreamedPromise[str, tuple[str, ...]]) -> list[str]:
    return [piece async for piece in promise]


async def letters(_: object) -> AsyncIterator[str]:
    for letter in "abc":
        await asyncio.sleep(0)
        yield letter


async def test_every_iteration_sees_all_pieces_from_the_first() -> None:
    async with PromisingContext():
        promise = StreamedPromise[str, tuple[str, ...]](letters)

        early, also_early = await asyncio.gather(collect(promise), collect(promise))
        late = await collect(promise)

        assert early == also_early == late == ["a", "b", "c"]
        assert await promise == ("a", "b", "c")


async def test_the_pieces_before_an_error_are_delivered_and_then_the_same_exception_to_all() -> None:
    async def broken(_: object) -> AsyncIterator[str]:
        yield "a"
        raise ValueError("broken")

    async with PromisingContext():
        promise = StreamedPromise[str, tuple[str, ...]](broken)
        caught: list[BaseException] = []
        for _ in range(2):
            pieces = []
            try:
                async for piece in promise:
                    pieces.append(piece)
            except ValueError as error:
                caught.append(error)
            assert pieces == ["a"]
        with pytest.raises(ValueError, match="broken") as info:
            await promise

        assert caught[0] is caught[1] is info.value


async def test_a_stored_exception_does_not_grow_its_traceback() -> None:
    promise: Promise[int] = Promise()
    promise.reject(ValueError("stored"))
    lengths = []
    for _ in range(3):
        try:
            await promise
        except ValueError as error:
            tb, length = error.__traceback__, 0
            while tb is not None:
                tb, length = tb.tb_next, length + 1
            lengths.append(length)

    assert len(set(lengths)) == 1


async def test_a_lazy_promise_starts_when_it_is_first_iterated() -> None:
    started = []

    async def streamer(_: object) -> AsyncIterator[str]:
        started.append(True)
        yield "a"

    async with PromisingContext():
        promise = StreamedPromise[str, tuple[str, ...]](streamer, start_soon=False)
        await asyncio.sleep(0)
        assert not started

        assert await collect(promise) == ["a"]


async def test_a_lazy_promise_that_nobody_wants_settles_with_its_context() -> None:
    async with PromisingContext():
        promise = StreamedPromise[str, tuple[str, ...]](letters, start_soon=False)

    with pytest.raises(PromiseCancelledError):
        await promise


async def test_an_awaiters_cancellation_leaves_the_work_alone() -> None:
    gate = asyncio.Event()

    async def slow(_: object) -> int:
        await gate.wait()
        return 7

    async with PromisingContext():
        promise = Promise(slow)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await promise
        gate.set()

        assert await promise == 7


async def test_cancel_stops_the_streamer_and_tells_the_awaiters_why() -> None:
    stopped = asyncio.Event()

    async def endless(_: object) -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(3600)
        finally:
            stopped.set()

    async with PromisingContext():
        promise = StreamedPromise[str, tuple[str, ...]](endless)
        await anext(aiter(promise))

        await promise.aclose("enough")

        assert stopped.is_set()
        with pytest.raises(PromiseCancelledError, match="enough") as info:
            await promise
        assert info.value.reason == "enough"


async def test_an_appender_must_be_open_and_closes_with_its_block() -> None:
    from miniagents.errors import AppenderClosedError, AppenderNotOpenError

    async with PromisingContext():
        appender = StreamAppender[str]()
        with pytest.raises(AppenderNotOpenError):
            appender.append("a")
        with appender:
            appender.append("a")
        with pytest.raises(AppenderClosedError):
            appender.append("b")

        assert await StreamedPromise[str, tuple[str, ...]](appender) == ("a",)


async def test_a_million_pieces_are_streamed_and_replayed() -> None:
    async def many(_: object) -> AsyncIterator[int]:
        for i in range(1_000_000):
            yield i

    async with PromisingContext():
        promise = StreamedPromise[int, tuple[int, ...]](many)

        assert sum([piece async for piece in promise]) == sum(range(1_000_000))
        assert len(await promise) == 1_000_000
