"""A task that is cancelled before its first step runs nothing of its body: whoever owns a promise ends it all the same.

Each test cancels at every turn of the loop; one of these is the turn between the start of a task and its first step.
"""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    InteractionContext,
    Mailbox,
    Message,
    MessageSequence,
    MiniAgents,
    SpawnOptions,
    TextMessage,
    TextToken,
    miniagent,
)
from miniagents.errors import PromiseCancelledError
from miniagents.messages.single_text import as_single_text_promise
from miniagents.promising import Promise, PromisingContext, StreamedPromise
from tests.actors.actors import Add, Counter, Read, Total, turns

TURNS = range(8)


async def pieces(*_: Any) -> AsyncIterator[Any]:
    for piece in "abc":
        yield TextToken(piece)
        await asyncio.sleep(0)
    await asyncio.sleep(1000)


async def messages() -> AsyncIterator[str]:
    await asyncio.sleep(1000)
    yield "never"


async def value(_: object) -> int:
    await asyncio.sleep(1000)
    return 1


def beside() -> Any:
    sequence = MessageSequence(errors_as_messages=False)
    sequence.open()
    sequence.send(messages(), out_of_order=True)
    sequence.close()
    return sequence.sequence_promise


@miniagent
async def streams(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=pieces))


@miniagent
async def relays(ctx: InteractionContext) -> None:
    ctx.reply(streams.inquire())


@miniagent
async def waits(ctx: InteractionContext) -> None:
    await asyncio.sleep(1000)


@miniagent(max_concurrency=1, mailbox=Mailbox(1))
async def narrow(ctx: InteractionContext) -> None:
    await asyncio.sleep(1000)


def without_room() -> Any:
    narrow.inquire(), narrow.inquire()
    return narrow.inquire()


def asked() -> Any:
    ref = MiniAgents.get_current().spawn(waits)
    return ref.ask(TextMessage("Hi"))


PROMISES: dict[str, Callable[[], Any]] = {
    "of a resolver": lambda: Promise(value),
    "of a streamer": lambda: StreamedPromise(pieces),
    "of a streamer and a resolver": lambda: StreamedPromise(pieces, resolver=value),
    "of pieces and a resolver": lambda: StreamedPromise(prefill_pieces="abc", resolver=value),
    "of tokens": lambda: TextMessage.promise(message_token_streamer=pieces),
    "of one text": lambda: as_single_text_promise(messages()),
    "of a sequence": lambda: MessageSequence.turn_into_sequence_promise(messages()),
    "of a sequence out of order": beside,
    "of an agent": lambda: streams.inquire(),
    "of an agent that hands on": lambda: relays.inquire(),
    "of an agent that waits": lambda: waits.inquire(),
    "of a call without room": without_room,
    "of an ask of an agent": asked,
}


async def read(promise: Any) -> None:
    if isinstance(promise, StreamedPromise):
        async for piece in promise:
            if isinstance(piece, Promise):
                await read(piece)
    await promise


def tasks_but(*mine: Any) -> Iterable["asyncio.Task[Any]"]:
    return [task for task in asyncio.all_tasks() if task not in (asyncio.current_task(), *mine)]


@pytest.mark.parametrize("after", TURNS)
@pytest.mark.parametrize("kind", PROMISES)
async def test_who_reads_a_promise_hears_of_its_cancel_at_whatever_turn_it_comes(kind: str, after: int) -> None:
    async with MiniAgents():
        promise = PROMISES[kind]()
        reader = asyncio.create_task(read(promise))
        await turns(after)

        promise.cancel("enough")

        done, _ = await asyncio.wait([reader], timeout=2)
        assert done
        assert "enough" in str(reader.exception())


@pytest.mark.parametrize("after", TURNS)
@pytest.mark.parametrize("kind", PROMISES)
async def test_who_reads_a_promise_hears_of_the_end_of_the_task_behind_it_at_whatever_turn(
    kind: str, after: int
) -> None:
    async with MiniAgents():
        promise = PROMISES[kind]()
        reader = asyncio.create_task(read(promise))
        await turns(after)
        for task in tasks_but(reader):
            task.cancel()
        await turns(20)
        for task in tasks_but(reader):  # a worker that was hit between two turns goes on in another task
            task.cancel()

        done, _ = await asyncio.wait([reader], timeout=2)
        promise.cancel()
        assert done
        assert reader.exception() is not None


@pytest.mark.parametrize("after", TURNS)
@pytest.mark.parametrize("kind", PROMISES)
async def test_who_reads_a_promise_hears_of_the_end_of_its_system_at_whatever_turn(kind: str, after: int) -> None:
    with pytest.raises(ZeroDivisionError):
        async with MiniAgents():
            promise = PROMISES[kind]()
            reader = asyncio.create_task(read(promise))
            await turns(after)
            raise ZeroDivisionError

    done, _ = await asyncio.wait([reader], timeout=2)
    assert done
    assert reader.exception() is not None


@pytest.mark.parametrize("out_of_order", [False, True])
async def test_a_sequence_goes_on_after_what_was_cut_off(out_of_order: bool) -> None:
    async with PromisingContext():
        sequence = MessageSequence(errors_as_messages=False)
        sequence.open()
        sequence.send(messages(), out_of_order=out_of_order)
        sequence.cancel("cut off")  # before the first step of the task that flattens it
        await turns(2)
        sequence.send("after it")
        sequence.close()

        seen = []
        replay = sequence.sequence_promise.__aiter__()
        while True:
            try:
                seen.append(str(await (await replay.__anext__())))
            except StopAsyncIteration:
                break
            except Exception as error:
                seen.append(str(error))
        assert seen == ["the work behind this promise was cancelled: cut off", "after it"]


@pytest.mark.parametrize("after", TURNS)
async def test_messages_are_persisted_also_after_the_task_that_hands_them_on_was_cancelled(after: int) -> None:
    seen: list[str] = []
    async with MiniAgents() as system:

        @system.on_persist_messages
        async def keep(batch: Iterable[Message]) -> None:
            seen.extend(str(message) for message in batch)

        await MessageSequence.turn_into_sequence_promise(["first"])
        await turns(after)
        for task in tasks_but():
            task.cancel()
        await turns()
        await MessageSequence.turn_into_sequence_promise(["second"])

    assert seen[-1] == "second"


class Piping(Actor):
    def __init__(self, awaitable: Any, log: list[Any]) -> None:
        self.awaitable = awaitable
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        match message:
            case Add():
                ctx.pipe_to_self(self.awaitable, lambda result: TextMessage(repr(result)))
            case TextMessage():
                self.log.append(message.content)


async def test_an_actor_is_told_that_what_it_pipes_to_itself_was_cancelled() -> None:
    log: list[Any] = []
    async with MiniAgents() as system:
        work = asyncio.create_task(asyncio.sleep(1000))
        system.spawn(Piping, awaitable=work, log=log).tell(Add(amount=0))
        await turns()
        work.cancel()
        await turns()

    (said,) = log
    assert said.startswith("PromiseCancelledError(")
    assert "/Piping-1" in said


class PipesAndStops(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        ctx.pipe_to_self(asyncio.sleep(1000), lambda _: message)
        ctx.stop()


@miniagent
async def sure(ctx: InteractionContext) -> None:
    ctx.make_sure_to_wait(asyncio.sleep(1000))
    ctx.interaction.begin_cancel("before the first step of the task")


@pytest.mark.parametrize("path", ["pipe_to_self", "make_sure_to_wait"])
async def test_a_coroutine_that_was_to_be_awaited_in_a_task_that_never_ran_is_closed(path: str) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with MiniAgents() as system:
            if path == "pipe_to_self":
                ref = system.spawn(PipesAndStops)
                ref.tell(Message())
                await ref.terminated()
            else:
                with pytest.raises(PromiseCancelledError):
                    await sure.inquire()
        gc.collect()

    assert [str(one.message) for one in warned] == []


@pytest.mark.parametrize("own_task", [False, True])
@pytest.mark.parametrize("after", TURNS)
async def test_an_actor_outlives_the_cancel_of_every_task_at_whatever_turn(after: int, own_task: bool) -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, options=SpawnOptions(own_task=own_task))
        await turns(after)
        for task in tasks_but():
            task.cancel()
        ref.tell(Add(amount=1))

        assert await ref.ask(Read(), timeout=5) == Total(1)


class Migrating(Actor):
    """Its handlers swallow a cancellation, so that its turn goes on in a fresh task."""

    async def receive(self, message: Message, ctx: ActorContext) -> Total:
        task: Any = asyncio.current_task()
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        return Total(7)


@pytest.mark.parametrize("after", TURNS)
async def test_a_turn_that_goes_on_in_a_fresh_task_survives_the_cancel_of_that_task(after: int) -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Migrating)
        first = ref.ask(Read())
        await turns(after)
        for task in tasks_but():
            task.cancel()
        await turns(1)
        for task in tasks_but():
            task.cancel()

        assert await first == Total(7)
        assert await ref.ask(Read(), timeout=5) == Total(7)
