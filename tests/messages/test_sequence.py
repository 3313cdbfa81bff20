"""Sequences: whatever is sent comes out flat, in order, as often as anybody iterates."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    DataMessage,
    ErrorMessage,
    Message,
    MessagePromise,
    Messages,
    MessageSequence,
    MessageSequencePromise,
    MessageTokenAppender,
    TextMessage,
    TextToken,
    UserMessage,
)
from miniagents.errors import AppenderNotOpenError, NotSendableError, PromiseNotReadyError
from miniagents.promising import PromisingContext


def sequence_of(*items: Any, **options: Any) -> MessageSequencePromise:
    sequence = MessageSequence(**options)
    with sequence.message_appender as appender:
        for item in items:
            appender.append(item)
    return sequence.sequence_promise


async def texts(promise: MessageSequencePromise) -> list[str]:
    return [str(await message) async for message in promise]


async def later(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def test_everything_that_can_be_sent_comes_out_flat_and_in_order() -> None:
    async with PromisingContext():
        promise = sequence_of(
            "text",
            {"key": 1},
            UserMessage("message"),
            TextMessage("promise").as_promise,
            ["list", ("tuple", ["deep"])],
            later("async", ["list in async", later("async in async")]),
            sequence_of("inner", "sequence"),
            (item for item in ["generator"]),
        )
        expected = ["text", '{"key":1}', "message", "promise", "list", "tuple", "deep"]
        expected += ["async", "list in async", "async in async", "inner", "sequence", "generator"]
        assert await texts(promise) == expected
        assert await texts(promise) == expected  # a late consumer sees the same
        assert [str(message) for message in await promise] == expected


async def test_the_whole_is_a_tuple_whose_text_is_joined_by_blank_lines() -> None:
    async with PromisingContext():
        whole = await sequence_of("a", "b")
    assert isinstance(whole, Messages)
    assert str(whole) == whole.text == "a\n\nb"
    assert isinstance(whole[0], TextMessage)
    assert isinstance((await sequence_of({"x": 1}))[0], DataMessage)


async def test_an_exception_is_raised_at_its_place_and_the_iteration_goes_on() -> None:
    async with PromisingContext():
        promise = sequence_of("before", ValueError("here"), "after")
        found: list[str] = []
        iterator = aiter(promise)
        while True:
            try:
                found.append(str(await (await anext(iterator))))
            except StopAsyncIteration:
                break
            except ValueError as error:
                found.append(repr(error))
        assert found == ["before", "ValueError('here')", "after"]
        with pytest.raises(ValueError, match="here"):
            await promise


async def test_errors_as_messages_arrive_as_messages() -> None:
    async with PromisingContext():
        whole = await sequence_of("before", ValueError("here"), "after", errors_as_messages=True)
    assert [str(message) for message in whole] == ["before", "ValueError: here", "after"]
    assert isinstance(whole[1], ErrorMessage)


async def test_a_token_stream_that_breaks_gives_its_tokens_a_newline_and_the_error_as_a_message() -> None:
    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        yield "to"
        yield "ken"
        raise ValueError("cut")

    async with PromisingContext():
        promise = sequence_of(TextMessage.promise(message_token_streamer=tokens), errors_as_messages=True)
        whole = await promise
    assert str(whole[0]) == "token\nValueError: cut"
    assert isinstance(whole[0], ErrorMessage)


async def test_what_is_put_in_out_of_order_comes_as_it_becomes_ready() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def gated(n: int) -> AsyncIterator[str]:
        await gates[n].wait()
        yield str(n)

    async with PromisingContext():
        sequence = MessageSequence()
        with sequence.message_appender as appender:
            for n in range(3):
                appender.append_out_of_order(gated(n))
        iterator = aiter(sequence.sequence_promise)
        found = []
        for n in (2, 0, 1):
            gates[n].set()
            found.append(str(await (await anext(iterator))))
    assert found == ["2", "0", "1"]


async def test_the_sender_may_change_its_list_afterwards() -> None:
    async with PromisingContext():
        items = ["a"]
        promise = sequence_of(items)
        items.append("b")
        assert await texts(promise) == ["a"]


async def test_what_cannot_be_sent_is_refused_at_once_and_by_name() -> None:
    async with PromisingContext():
        with pytest.raises(NotSendableError, match="object"):
            sequence_of(object())


async def test_what_cannot_be_sent_is_an_error_at_its_place_where_it_comes_later() -> None:
    async with PromisingContext():
        promise = sequence_of(later("a", object(), "b"))
        replay = promise.__aiter__()
        assert str(await (await replay.__anext__())) == "a"
        with pytest.raises(NotSendableError, match="object"):
            await replay.__anext__()
        assert str(await (await replay.__anext__())) == "b"


async def test_a_sequence_that_is_all_there_keeps_its_errors_at_their_places() -> None:
    async with PromisingContext():
        inner = sequence_of("a", ValueError("boom"), "b")
        for promise in (sequence_of(inner), sequence_of(inner, errors_as_messages=True)):
            assert promise.finished
        strict, lenient = sequence_of(inner), sequence_of(inner, errors_as_messages=True)
        assert [str(message) for message in await lenient][::2] == ["a", "b"]
        replay = strict.__aiter__()
        assert str(await (await replay.__anext__())) == "a"
        with pytest.raises(ValueError, match="boom"):
            await replay.__anext__()
        assert str(await (await replay.__anext__())) == "b"


async def test_an_appender_must_be_open_before_it_takes_anything() -> None:
    async with PromisingContext():
        with pytest.raises(AppenderNotOpenError):
            MessageSequence().message_appender.append("x")


async def test_the_text_of_a_message_promise_that_has_not_resolved_is_refused() -> None:
    gate = asyncio.Event()

    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        await gate.wait()
        yield "there"

    async with PromisingContext():
        promise = TextMessage.promise(message_token_streamer=tokens)
        with pytest.raises(PromiseNotReadyError):
            str(promise)
        assert "pending" in repr(promise)
        gate.set()
        await promise
        assert str(promise) == "there"
        assert str(TextMessage("at once").as_promise) == "at once"


async def test_what_is_known_beforehand_is_there_before_the_content() -> None:
    gate = asyncio.Event()

    async def tokens(late: dict[str, Any]) -> AsyncIterator[str]:
        await gate.wait()
        yield "x"
        late["usage"] = 3

    async with PromisingContext():
        promise = UserMessage.promise(message_token_streamer=tokens, role="tester", model="m1")
        assert promise.known_beforehand["model"] == "m1"
        gate.set()
        message = await promise
    assert isinstance(message, UserMessage)
    assert message.role == "tester"
    assert dict(message.metadata) == {"model": "m1", "usage": 3}


async def test_tokens_put_in_by_hand_stream_as_they_come() -> None:
    async with PromisingContext():
        with MessageTokenAppender() as appender:
            promise: MessagePromise = TextMessage.promise(message_token_streamer=appender)
            iterator = aiter(promise)
            appender.append("a")
            assert await anext(iterator) == TextToken("a")
            appender.append(TextToken("b"))
            appender.metadata["usage"] = 2
        message = await promise
    assert str(message) == "ab"
    assert message.metadata["usage"] == 2


async def test_metadata_of_a_streamed_text_may_have_the_name_of_its_tokens() -> None:
    async with PromisingContext():
        with MessageTokenAppender() as appender:
            promise = MessagePromise(message_token_streamer=appender)
            appender.append("Hello")
            appender.metadata["tokens"] = 1

        assert (await promise).metadata == {"tokens": 1}


async def test_a_consumer_waits_for_tokens_that_are_put_in_by_hand_later() -> None:
    async with PromisingContext():
        found: list[str] = []

        async def consume(promise: MessagePromise) -> None:
            async for token in promise:
                found.append(str(token))

        with MessageTokenAppender() as appender:
            promise = TextMessage.promise(message_token_streamer=appender)
            consumers = [asyncio.ensure_future(consume(promise)) for _ in range(2)]
            for text in ("a", "b"):
                await asyncio.sleep(1)
                appender.append(text)
        await asyncio.gather(*consumers)
    assert sorted(found) == ["a", "a", "b", "b"]


async def test_a_lazy_stream_begins_when_somebody_asks() -> None:
    began = False

    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        nonlocal began
        began = True
        yield "x"

    async with PromisingContext():
        promise = TextMessage.promise(message_token_streamer=tokens, start_soon=False)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not began
        await promise
        assert began


async def test_as_single_text_promise_joins_with_delimiters_as_tokens_and_merges_metadata() -> None:
    async with PromisingContext():
        promise = sequence_of(
            TextMessage("\n\na").with_metadata(x=1, y=1), TextMessage("b").with_metadata(y=2)
        ).as_single_text_promise(strip_leading_newlines=True, z=3)
        tokens = [str(token) async for token in promise]
        message = await promise
    assert str(message) == "a\n\nb"
    assert "\n\n" in tokens
    assert {key: message.metadata[key] for key in "xyz"} == {"x": 1, "y": 2, "z": 3}
    assert [str(one) for one in message.metadata["original_messages"]] == ["\n\na", "b"]


async def test_a_hundred_thousand_messages_go_through_three_sequences() -> None:
    async with PromisingContext():
        promise = sequence_of(sequence_of(sequence_of([TextMessage("x")] * 100_000)))
        assert len(await promise) == 100_000


async def test_a_million_tokens_stream_and_replay() -> None:
    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        for _number in range(1_000_000):
            yield "x"

    async with PromisingContext():
        promise = TextMessage.promise(message_token_streamer=tokens)
        count = 0
        async for _ in promise:
            count += 1
        message: Message = await promise
    assert count == len(str(message)) == 1_000_000
