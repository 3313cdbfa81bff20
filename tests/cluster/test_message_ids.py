"""Messages with an id to durable actors of another node: handled once, however often they are sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgents, SpawnOptions, TextMessage, miniagent
from miniagents.cluster import LossCause
from miniagents.errors import ActorStoppedError, InvalidOptionError, MessageIdConflictError
from miniagents.journal import MemoryJournal
from miniagents.testing.network import Network
from tests.actors.actors import Add, Counter, Read, Total
from tests.actors.durable.counting import Account
from tests.cluster.clusters import TestNode

DURABLE = SpawnOptions(durable=True)


@miniagent
class Teller:
    calls = 0

    async def __call__(self, ctx: InteractionContext) -> None:
        self.calls += 1
        ctx.reply(f"{await ctx.message_promises} for the {self.calls}. time")


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[TestNode, TestNode, Network]]:
    """Two nodes, the second of which has a journal."""
    network = Network()
    system = MiniAgents(name="far", journal=MemoryJournal())
    async with TestNode(network, "far", system=system) as there, TestNode(network, "near") as here:
        yield here, there, network
        await asyncio.sleep(30)
        assert (here.nodes.open, there.nodes.open) == (0, 0)


async def test_a_message_that_is_sent_again_is_handled_once() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Account, name="account", options=DURABLE))
        for _ in range(3):
            await far.send(Add(5), message_id="deposit-1")
        assert await far.ask(Read()) == Total(value=5)


async def test_a_question_that_is_asked_again_is_answered_from_the_journal() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Account, name="account", options=DURABLE))
        for _ in range(3):
            assert await far.ask(Add(5), message_id="deposit-1") == Total(value=5)
        assert await far.ask(Add(1), message_id="deposit-2") == Total(value=6)


async def test_a_question_with_an_id_is_handled_also_if_it_is_cancelled() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Account, name="account", options=DURABLE))
        await far.ask(Add(5), message_id="deposit-1").aclose()
        await asyncio.sleep(1)
        assert await far.ask(Read()) == Total(value=5)


async def test_an_id_of_another_message_is_refused_at_the_sender() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Account, name="account", options=DURABLE))
        await far.send(Add(5), message_id="deposit-1")
        with pytest.raises(MessageIdConflictError):
            await far.send(Add(6), message_id="deposit-1")


async def test_an_actor_that_is_not_durable_refuses_an_id_and_an_id_must_be_a_text() -> None:
    async with two_nodes() as (here, there, _):
        far: Any = here.remote(there.system.spawn(Counter, name="counter"))
        with pytest.raises(InvalidOptionError, match="/counter: message_id= is for durable actors"):
            await far.send(Add(5), message_id="deposit-1")
        with pytest.raises(InvalidOptionError, match="/counter: message_id= is for durable actors"):
            await far.ask(Add(5), message_id="deposit-1")
        with pytest.raises(InvalidOptionError, match="/counter: message_id= is a text that is not empty"):
            await far.send(Add(5), message_id="")


async def test_a_send_whose_node_is_lost_before_it_has_acknowledged_fails_and_says_what_to_do() -> None:
    async with two_nodes() as (here, there, network):
        far = here.remote(there.system.spawn(Account, name="account", options=DURABLE))
        await far.send(Add(1), message_id="deposit-0")
        network.cut("near", "far")
        sending = asyncio.create_task(far.send(Add(5), message_id="deposit-1"))
        await asyncio.sleep(10)
        assert not sending.done()
        here.nodes.lost(there.id, LossCause.SILENT)
        there.nodes.lost(here.id, LossCause.SILENT)
        with pytest.raises(ActorStoppedError, match="send it again under its message id"):
            await sending
        with pytest.raises(ActorStoppedError):
            await far.send(Add(5), message_id="deposit-1")


async def test_a_call_of_a_durable_agent_with_an_id_is_served_once() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Teller, name="teller", options=DURABLE))
        for _ in range(2):
            assert str(await far.inquire("paid", message_id="call-1")) == "paid for the 1. time"
        assert str(await far.inquire(TextMessage("paid"), message_id="call-2")) == "paid for the 2. time"
