"""Nothing is kept that has ended: one test for each kind of cycle."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from miniagents import Actor, ActorContext, ActorRef, ActorSystem, Message, MiniAgents, miniagent
from tests.actors.actors import Add, Counter, Crash, Hold, Read, turns


class WithRef(Message):
    ref: ActorRef
    anything: Any = None


def alive(references: list[Any]) -> int:
    gc.collect()
    return sum(reference() is not None for reference in references)


class Holder(Actor):
    """Keeps whatever it gets, itself included."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        self.kept += [message, ctx, self]


async def test_actors_with_their_own_ref_in_their_mailbox_or_state_are_let_go() -> None:
    async with ActorSystem() as system:
        references = []
        for _ in range(100):
            ref = system.spawn(Holder)
            await ref.ask(WithRef(ref=ref))
            ref.tell(WithRef(ref=ref, anything=(ref, {"again": ref})))
            references.append(weakref.ref(ref._cell))
            ref.stop()
        await turns(50)
        system.dead_letters._letters.clear()
        del ref
        assert alive(references) == 0


async def test_a_system_that_ended_is_let_go_with_all_its_actors() -> None:
    references: list[Any] = []
    for _ in range(5):
        async with MiniAgents() as system:
            refs = [system.spawn(Holder) for _ in range(10)]
            for one, other in zip(refs, [*refs[1:], refs[0]], strict=True):
                one.tell(WithRef(ref=other))
            references += [weakref.ref(ref._cell) for ref in refs]
            references.append(weakref.ref(system))
    del system, refs, one, other
    await turns()
    assert alive(references) == 0


async def test_interactions_that_ended_are_let_go_also_when_they_failed() -> None:
    @miniagent
    async def chain(ctx: Any, depth: int, fail: bool) -> None:
        references.append(weakref.ref(ctx.interaction))
        if depth:
            ctx.reply(chain.inquire(depth=depth - 1, fail=fail))
        elif fail:
            raise ValueError("bottom")
        else:
            ctx.reply("bottom")

    references: list[Any] = []
    async with MiniAgents():
        for n in range(20):
            promise = chain.inquire(depth=5, fail=n % 2 == 1)
            try:
                await promise
            except ValueError:
                pass
            references.append(weakref.ref(promise))
        assert len(references) > 20
        del promise
        await turns()
        assert alive(references) == 0


async def test_instances_that_crashed_are_let_go() -> None:
    references: list[Any] = []

    class Noted(Counter):
        async def on_start(self, ctx: ActorContext) -> None:
            references.append(weakref.ref(self))

        async def on_stop(self, reason: Any) -> None:
            """Not what the others do: they note the reason."""

        async def on_restart(self, reason: Any) -> None:
            """Nor here."""

    async with ActorSystem() as system:
        ref = system.spawn(Noted)
        for _ in range(50):
            with pytest.raises(ValueError, match="crash"):
                await ref.ask(Crash())
            await ref.ask(Read())
        assert len(references) == 51
        assert alive(references) == 1


async def test_asks_that_expired_or_were_cancelled_do_not_pile_up_in_a_busy_mailbox() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        await turns()
        for n in range(1000):
            ref.ask(Add(n)).cancel()
        assert len(ref._cell.queue or ()) < 100
        gate.set()


async def test_what_an_idle_actor_keeps_does_not_grow_with_its_messages() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        for _ in range(10):
            await ref.ask(Read())
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(10_000):
            await ref.ask(Read())
            ref.tell(Add(1))
        await ref.ask(Read())
        gc.collect()
        assert len(gc.get_objects()) - before < 100


async def test_a_watcher_that_lives_does_not_keep_those_that_have_ended() -> None:
    class Watcher(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            if isinstance(message, WithRef):
                ctx.watch(message.ref)

    async with ActorSystem() as system:
        watcher = system.spawn(Watcher)
        references = []
        for n in range(20):
            ref = system.spawn(Counter)
            references.append(weakref.ref(ref._cell))
            watcher.tell(WithRef(ref=ref))
            await turns()
            await ref.stop()
            if n % 2:
                watcher.tell(WithRef(ref=ref))  # it is dead already
            await turns()
        del ref
        assert alive(references) == 0
