"""What waits in a mailbox, as an observer sees it."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    ActorSystem,
    Backlog,
    InvalidOptionError,
    Mailbox,
    Message,
    MiniAgents,
    SpawnOptions,
    miniagent,
)
from miniagents.actors.messaging import entries
from tests.actors.actors import Add, Counter, Hold, Read, turns


def by_amount(message: Message) -> float:
    return -message.amount if isinstance(message, Add) else 1_000_000


MAILBOXES = {"plain": Mailbox(), "bounded": Mailbox(capacity=1_000), "priority": Mailbox(priority=by_amount)}


@pytest.mark.parametrize("kind", MAILBOXES)
async def test_a_backlog_tells_how_much_waits_for_how_long_and_of_which_kinds(kind: str) -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="busy", gate=gate, options=SpawnOptions(mailbox=MAILBOXES[kind]))
        ref.tell(Hold())
        await turns()
        ref.tell(Add(1))
        await asyncio.sleep(2)
        ref.tell(Add(2))
        asks = [ref.ask(Read()) for _ in range(3)]
        asks[0].cancel()
        await asyncio.sleep(3)

        assert system.backlog("/busy") == Backlog(count=4, oldest_age=5.0, types={"Add": 2, "Read": 2}, looked_at=4)
        assert system.tree("/busy").oldest_age == 5.0
        seen = system.backlog("/busy", limit=1)
        assert (seen.count, seen.oldest_age, seen.types, seen.looked_at) == (4, 5.0, {"Add": 1}, 1)
        assert system.backlog("/busy", limit=0).types == {}
        gate.set()
        for ask in asks[1:]:
            await ask
        assert system.backlog("/busy") == Backlog(count=0, oldest_age=None, types={}, looked_at=0)


@pytest.mark.parametrize("kind", MAILBOXES)
async def test_asks_that_have_ended_are_not_the_oldest_that_waits(kind: str) -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="busy", gate=gate, options=SpawnOptions(mailbox=MAILBOXES[kind]))
        ref.tell(Hold())
        await turns()
        ask = ref.ask(Read())
        await asyncio.sleep(4)
        ref.tell(Add(1))
        await asyncio.sleep(1)
        assert system.backlog("/busy").oldest_age == 5.0

        ask.cancel()

        assert system.backlog("/busy").oldest_age == 1.0
        assert system.tree("/busy").oldest_age == 1.0
        gate.set()


async def test_whoever_looks_at_a_mailbox_makes_no_envelopes(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="busy", gate=gate)
        ref.tell(Hold())
        await turns()
        for number in range(1_000):
            ref.tell(Add(number))

        def refuse(*args: Any, **options: Any) -> None:
            raise AssertionError("an envelope was made")

        monkeypatch.setattr(entries, "Envelope", refuse)
        assert system.backlog("/busy", limit=1_000).types == {"Add": 1_000}
        assert system.tree("/busy").mailbox_depth == 1_000
        assert system.tree(cursor="").nodes[0].below.waiting == 1_000
        monkeypatch.undo()
        gate.set()


async def test_calls_of_an_agent_that_wait_are_its_backlog() -> None:
    gate = asyncio.Event()

    @miniagent
    class Slow:
        async def __call__(self, ctx: Any) -> None:
            await gate.wait()

    async with MiniAgents() as system:
        calls = [Slow.inquire("Hi") for _ in range(3)]  # type: ignore[attr-defined]
        await turns()
        assert system.backlog("/agents/Slow").types == {"Interaction": 2}
        gate.set()
        for call in calls:
            await call


async def test_a_backlog_of_nobody_is_an_error_and_that_of_the_root_is_empty() -> None:
    async with ActorSystem() as system:
        assert system.backlog("/").count == 0
        with pytest.raises(LookupError, match="there is no actor at '/nobody'"):
            system.backlog("/nobody")
        with pytest.raises(InvalidOptionError, match=r"^backlog\(limit=\) must be 0 or more, not -1"):
            system.backlog("/", limit=-1)
