"""Calls from other threads."""

import asyncio
import concurrent.futures
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Message,
)
from miniagents.errors import (
    WrongThreadError,
)
from tests.actors.actors import Add, Counter, Fails, Read, Total, turns


async def test_a_call_from_another_thread_is_refused_and_from_thread_is_there_for_it() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)

        def other_thread() -> int:
            with pytest.raises(WrongThreadError, match="from_thread"):
                ref.tell(Add(1))
            system.from_thread.tell(ref, Add(2))
            total: Total = system.from_thread.ask(ref, Read()).result(5)
            return total.value

        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.get_running_loop().run_in_executor(pool, other_thread) == 2
        with pytest.raises(WrongThreadError):
            system.from_thread.tell(ref, Add(1))


async def outcome(work: Callable[[], Any]) -> Any:
    """Run something in another thread, with the loop turning, and throw away what is left of it."""
    result = await asyncio.to_thread(work)
    await turns()
    return result


@pytest.mark.parametrize("looks", [True, False])
async def test_a_failure_that_a_thread_does_not_look_at_is_logged_once(looks: bool, log: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Fails)

        def work() -> None:
            future = system.from_thread.ask(ref, Read())
            concurrent.futures.wait([future], 5)
            if looks:
                with pytest.raises(ValueError, match="returned"):
                    future.result()

        await outcome(work)
        gc.collect()

    events = [entry["event"] for entry in log]
    assert events == ([] if looks else ["from_thread.failed_unawaited"])


async def test_a_call_that_a_thread_cancels_is_cancelled_with_what_it_has_asked_for() -> None:
    cancelled: list[str] = []

    class WaitEdges(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(ctx.path)
                raise

    async with ActorSystem() as system:
        ref = system.spawn(WaitEdges, name="waits")
        futures: list[Any] = []
        await outcome(lambda: futures.append(system.from_thread.ask(ref, Read())))
        assert futures[0].cancel()
        await turns()

        assert cancelled == ["/waits"]
