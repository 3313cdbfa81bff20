"""Calls: what is sent, when a call begins, and how it waits for a place in a mailbox."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    InteractionContext,
    Mailbox,
    MiniAgents,
    Overflow,
    SpawnOptions,
    miniagent,
)
from miniagents.errors import (
    ActorStoppedError,
    DroppedError,
    MailboxFullError,
    NotSendableError,
    PromiseCancelledError,
    SystemNotRunningError,
)
from tests.actors.actors import turns
from tests.agents.agents import Counter, echo, words


async def test_a_call_is_answered_with_what_the_agent_replies() -> None:
    async with MiniAgents():
        assert await words(echo.inquire(["a", "b"])) == ["echo: a", "echo: b"]
        assert await words(echo.trigger("c")) == ["echo: c"]


async def test_work_starts_as_soon_as_the_loop_turns_and_a_lazy_call_when_somebody_asks() -> None:
    log: list[str] = []

    @miniagent
    async def notes(ctx: InteractionContext, name: str) -> None:
        log.append(name)

    async with MiniAgents():
        notes.inquire(name="soon")
        lazy = notes.inquire(name="lazy", start_soon=False)
        await turns()
        assert log == ["soon"]
        await lazy
        assert log == ["soon", "lazy"]


async def test_what_cannot_be_sent_is_refused_at_once_and_nothing_is_left_half_done() -> None:
    async with MiniAgents() as system:
        with pytest.raises(NotSendableError, match="object"):
            echo.inquire(object())  # type: ignore[arg-type]
        await turns()
        assert system.interactions() == ()
        assert await words(echo.inquire(None)) == []


async def test_a_lazy_call_that_begins_while_its_system_ends_fails() -> None:
    heard: list[BaseException] = []
    lazy_calls: list[Any] = []

    @miniagent
    async def other(ctx: InteractionContext) -> None:
        ctx.reply("hello")

    @miniagent
    async def tidies_up(ctx: InteractionContext) -> None:
        await other.inquire()
        lazy = other.inquire(start_soon=False)
        lazy_calls.append(lazy)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.5)  # by now the other agent has been stopped
            try:
                await lazy
            except SystemNotRunningError as error:
                heard.append(error)

    with pytest.raises(RuntimeError, match="enough"):
        async with MiniAgents(grace=10.0):
            tidies_up.inquire()
            await asyncio.sleep(1)
            raise RuntimeError("enough")

    assert len(heard) == 1
    assert [lazy.done() for lazy in lazy_calls] == [True]


async def test_a_lazy_call_that_nobody_consumes_settles_with_the_system() -> None:
    async with MiniAgents():
        lazy = echo.inquire("x", start_soon=False)
    with pytest.raises(PromiseCancelledError):
        await lazy


async def test_inquire_waits_while_a_mailbox_is_full() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, name="counter", options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        calls = [ref.inquire(seconds=0.1) for _ in range(10)]
        assert [(await words(call))[0] for call in calls] == [str(n) for n in range(1, 11)]


async def test_check_ready_tells_what_a_call_would_wait_for() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, name="counter", options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        ref.check_ready()
        running = ref.inquire(seconds=1.0)
        await turns()
        waiting = ref.inquire()
        with pytest.raises(MailboxFullError):
            ref.check_ready()
        await running
        await waiting
        ref.check_ready()
        await ref.stop()
        with pytest.raises(ActorStoppedError):
            ref.check_ready()


@pytest.mark.parametrize(
    ("overflow", "error"),
    [(Overflow.REJECT, MailboxFullError), (Overflow.DROP_NEWEST, DroppedError)],
)
async def test_a_call_of_a_full_agent_fails_as_its_mailbox_says(overflow: Overflow, error: type[Exception]) -> None:
    async with MiniAgents() as system:
        options = SpawnOptions(mailbox=Mailbox(capacity=1, overflow=overflow))
        ref = system.spawn(Counter, name="counter", options=options)
        first = ref.inquire(seconds=1.0)
        await turns()
        second, third = ref.inquire(), ref.inquire()
        with pytest.raises(error):
            await third
        assert (await words(first), await words(second)) == (["1"], ["2"])
        assert system.dead_letters.total == 1
