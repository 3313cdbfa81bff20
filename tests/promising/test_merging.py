"""`merge` brings the pieces of several streams as they come, and keeps none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import InteractionContext, MiniAgents, TextMessage, as_completed, merge, miniagent
from miniagents.promising import Flow, Promise, PromisingContext, StreamedPromise
from miniagents.promising.flow import current_flow
from miniagents.testing import VirtualTimeLoop
from tests.actors.actors import turns
from tests.promising.members import BoomError


def streams(n: int) -> "list[StreamedPromise[Any, Any]]":
    return [StreamedPromise() for _ in range(n)]


async def read(merged: Any, into: list[Any]) -> None:
    async for piece in merged:
        into.append(piece)


async def test_pieces_come_as_they_are_there() -> None:
    first, second = streams(2)
    came: list[Any] = []
    reading = asyncio.create_task(read(merge(first, second), came))
    await turns()

    for stream, piece in ((second, "b1"), (first, "a1"), (second, "b2")):
        stream.push_piece(piece)
        await turns()
        assert came[-1] == piece
    second.end_stream()
    await turns()
    first.push_piece("a2")
    first.end_stream()
    await reading

    assert came == ["b1", "a1", "b2", "a2"]


async def test_streams_that_are_there_take_turns() -> None:
    merged = merge(StreamedPromise(prefill_pieces="abc"), StreamedPromise(prefill_pieces="xy"), *streams(0))

    assert [piece async for piece in merged] == ["a", "x", "b", "y", "c"]


async def test_without_streams_the_iteration_ends_at_once() -> None:
    nothing: list[StreamedPromise[str, Any]] = []

    assert [piece async for piece in merge(*nothing)] == []


async def test_the_source_of_a_piece_is_told() -> None:
    first, second = StreamedPromise[str, Any](prefill_pieces="a"), StreamedPromise[str, Any](prefill_pieces="x")
    merged = merge(first, second, with_source=True)

    assert merged.source is None
    assert [pair async for pair in merged] == [(first, "a"), (second, "x")]
    assert merged.source is second


async def test_an_exception_is_raised_at_its_place_and_the_others_go_on() -> None:
    fails, fine = streams(2)
    fails.push_piece("before")
    fails.push_error(BoomError("boom"))
    fails.push_piece("after")
    fails.end_stream()
    fine.push_piece("fine")
    fine.end_stream()
    merged = merge(fails, fine)
    came: list[Any] = []

    with pytest.raises(BoomError, match="boom"):
        await read(merged, came)
    assert came == ["before", "fine"]
    assert merged.source is fails
    await read(merged, came)

    assert came == ["before", "fine", "after"]


async def test_leaving_early_cancels_nothing_and_leaves_nothing_behind() -> None:
    ready, waits = streams(2)
    ready.push_piece("piece")

    async for _ in merge(ready, waits):
        break
    reading = asyncio.create_task(read(merge(waits), []))
    await turns()
    reading.cancel()
    await asyncio.wait([reading])

    assert not waits.done()
    assert waits.piece_waiters is None
    waits.push_piece("late")
    waits.end_stream()
    assert await waits == ("late",)


async def test_only_a_reader_that_waits_keeps_a_stream_from_pausing() -> None:
    """A stream that no reader waits for pauses while its flow is full: a merge whose reader is busy wants nothing."""
    flow = Flow()
    flow.is_full = True
    made: list[int] = []

    async def count(_: Any) -> AsyncIterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    async with PromisingContext():
        current_flow.set(flow)
        slow, fast = StreamedPromise[int, Any](count), StreamedPromise[int, Any]()
        merged = merge(slow, fast)
        for number in range(5):
            assert await anext(merged) == number
            fast.push_piece(-number)
            assert await anext(merged) == -number
            await turns(50)
            assert len(made) <= number + 3
        slow.cancel()


async def test_replies_come_as_agents_say_them_and_tokens_as_models_write_them() -> None:
    async with MiniAgents():
        replies = [
            speaker.inquire(name=name, seconds=seconds, start_soon=False) for name, seconds in (("a", 3), ("b", 2))
        ]
        said = [str(await message) async for message in merge(*replies)]
        assert said == ["b 1", "a 1", "b 2", "a 2"]

        messages = [TextMessage.promise(message_token_streamer=lambda _, n=n: words(n)) for n in (3, 2)]  # type: ignore[misc]
        assert [str(token) async for token in merge(*messages)] == ["2", "3", "2", "3"]


@miniagent
async def speaker(ctx: InteractionContext, name: str, seconds: float) -> None:
    for number in (1, 2):
        await asyncio.sleep(seconds)
        ctx.reply(f"{name} {number}")


async def words(seconds: int) -> AsyncIterator[str]:
    for _ in range(2):
        await asyncio.sleep(seconds)
        yield str(seconds)


async def test_every_kind_of_stream_can_be_merged() -> None:
    async def count(_: Any) -> AsyncIterator[str]:
        yield "1"

    settled = Promise(prefill_result="settled")
    async with MiniAgents():
        message = TextMessage("message").as_promise
        kinds: list[StreamedPromise[Any, Any]] = [
            speaker.inquire(name="a", seconds=0),
            message,
            StreamedPromise(count),
            StreamedPromise(prefill_pieces=["prefilled"], keep=1),
            as_completed(settled),
            speaker.inquire(name="b", seconds=0).answer(),
        ]
        came = [(kinds.index(stream), str(piece)) async for stream, piece in merge(*kinds, with_source=True)]

    assert sorted({number for number, _ in came}) == list(range(len(kinds)))
    assert (1, "message") in came
    assert (3, "prefilled") in came


@pytest.mark.parametrize(
    ("argument", "instead"),
    [([], r"write merge\(\*streams\)"), (words(1), r"make a promise .*: StreamedPromise\(lambda _: source\)")],
)
async def test_what_does_not_stream_is_refused(argument: Any, instead: str) -> None:
    with pytest.raises(TypeError, match=rf"merge\(\) reads promises that stream, not a \w+: {instead}"):
        merge(argument)


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=4), max_size=4))
def test_any_pieces_come_each_once_in_the_order_of_their_stream_and_at_their_time(
    some: list[list[tuple[int, bool]]],
) -> None:
    """A stream is a list of pieces: the seconds before each, and whether it is an exception."""

    async def feed(stream: StreamedPromise[Any, Any], number: int, pieces: list[tuple[int, bool]]) -> None:
        for at, (seconds, fails) in enumerate(pieces):
            if seconds:
                await asyncio.sleep(seconds)
            if fails:
                stream.push_error(BoomError(number, at))
            else:
                stream.push_piece((number, at))
        stream.end_stream()

    async def play() -> None:
        fed = streams(len(some))
        feeding = [asyncio.create_task(feed(*args)) for args in zip(fed, range(len(some)), some, strict=True)]
        merged = merge(*fed)
        began = asyncio.get_running_loop().time()
        came: list[tuple[int, int]] = []
        while True:
            try:
                came.append(await anext(merged))
            except StopAsyncIteration:
                break
            except BoomError as error:
                came.append(error.args)
            number, at = came[-1]
            assert merged.source is fed[number]
            due = sum(seconds for seconds, _ in some[number][: at + 1])
            assert asyncio.get_running_loop().time() - began == due
        for number, pieces in enumerate(some):
            assert [at for of, at in came if of == number] == list(range(len(pieces)))
        assert len(came) == sum(map(len, some))
        await asyncio.gather(*feeding)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
