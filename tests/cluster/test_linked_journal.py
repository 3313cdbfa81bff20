"""The journal of the driver, as a node uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.cluster import Cluster, LossCause, items
from miniagents.cluster.frames import pack
from miniagents.cluster.journal_wire import result_from_wire, work_from_wire
from miniagents.cluster.linked_journal import NUMBERS, JournalTerms, LinkedJournal
from miniagents.errors import DecodeError, InvalidOptionError, JournalError
from miniagents.journal import Accept, Begin, Deaths, Handle, JobOf, Journal, MemoryJournal, Unacknowledged
from miniagents.testing import check_journal
from miniagents.testing.memory_platform import MemoryPlatform
from miniagents.testing.network import Network
from tests.cluster.clusters import TestNode


@asynccontextmanager
async def linked(journal: MemoryJournal | None) -> AsyncIterator[tuple[LinkedJournal, TestNode, TestNode, Network]]:
    """The journal of the node "driver", as the node "near" uses it."""
    network = Network()
    system = MiniAgents(name="driver", journal=journal)
    async with TestNode(network, "driver", system=system) as there, TestNode(network, "near") as here:
        terms = JournalTerms(1000, 0.25, False, journal.next_id(NUMBERS) if journal is not None else 1)
        link = LinkedJournal(terms)
        link.open()
        link.connect(here.nodes, there.id)
        yield link, here, there, network


def opened_by_the_next_process(store: MemoryJournal, link: LinkedJournal) -> Journal:
    """Return the link, as if the driver was another process each time that the journal is opened."""
    store._model.lives.process += 1
    return link


async def test_it_keeps_the_whole_contract_of_a_journal() -> None:
    store = MemoryJournal()
    async with linked(store) as (link, *_):
        await check_journal(partial(opened_by_the_next_process, store, link))
        assert (link.max_message_bytes, link.patience, link.open_works) == (1000, 0.25, 0)


async def test_it_keeps_the_contract_whatever_the_network_does() -> None:
    store = MemoryJournal()
    async with linked(store) as (link, _, _, network):
        network.loss, network.duplication, network.jitter = 0.2, 0.2, 0.05
        await check_journal(partial(opened_by_the_next_process, store, link))


async def test_numbers_are_larger_than_all_that_a_read_has_shown() -> None:
    journal = MemoryJournal()
    async with linked(journal) as (link, _, there, _):
        before = link.next_id()
        number = there.system.journal.next_id()  # type: ignore[union-attr]
        await journal.write(Accept(number, "/actor", b"body"))
        assert link.next_id() == before + 1 < number
        await link.read(Unacknowledged("/actor"))
        assert link.next_id() > number
        assert journal.next_id() > link.next_id() + NUMBERS - 10, "the driver gives none of them to others"


async def test_new_numbers_are_asked_for_before_all_are_taken() -> None:
    async with linked(MemoryJournal()) as (link, *_):
        first = link.next_id(NUMBERS // 2 + 1)
        await asyncio.sleep(1)
        assert link.next_id() >= first + NUMBERS
        link.next_id(NUMBERS - 1)
        with pytest.raises(JournalError, match="has not given this node more numbers"):
            link.next_id()


async def test_a_driver_without_a_journal_fails_writes_and_reads() -> None:
    async with linked(None) as (link, *_):
        for answer in (link.write(Begin("subject")), link.read(Deaths("subject"))):
            with pytest.raises(JournalError, match="the driver has no journal"):
                await answer


async def test_the_loss_of_the_driver_ends_what_waits_and_fails_what_comes() -> None:
    async with linked(MemoryJournal()) as (link, here, there, network):
        network.cut("near", "driver")
        waiting = link.write(Begin("subject"))
        await asyncio.sleep(1)
        assert not waiting.done()
        here.nodes.lost(there.id, LossCause.KILLED)
        here.nodes.close()
        for answer in (waiting, link.write(Begin("subject")), link.read(Deaths("subject"))):
            with pytest.raises(JournalError, match="cannot be reached any more"):
                await answer
        assert link.open_works == 0


async def test_what_is_no_operation_fails_alone() -> None:
    async with linked(MemoryJournal()) as (link, here, there, _):
        channel = here.nodes.peer(there.id).channel
        channel.send(pack([items.JOURNAL_WRITE, 7000, [["Handle", {}]]]))
        channel.send(pack([items.JOURNAL_READ, 7001, ["os", {}]]))
        assert await link.read(Deaths("subject")) == 0
        await link.write(Handle("/nobody", 3))


@pytest.mark.parametrize("data", [None, [], ["Handle"], ["Operation", {}], ["Handle", []], ["Handle", {"number": "x"}]])
def test_data_that_are_no_operation_are_refused(data: Any) -> None:
    with pytest.raises(DecodeError, match="not those of an operation"):
        work_from_wire(data)


def test_a_result_of_another_type_is_refused() -> None:
    with pytest.raises(DecodeError, match="no result of JobOf"):
        result_from_wire(JobOf("job"), 7)


async def test_a_node_uses_the_journal_of_the_driver_and_may_have_none_of_its_own() -> None:
    platform = MemoryPlatform(["a"])
    async with MiniAgents(journal=MemoryJournal(max_message_bytes=777), cluster=Cluster(platform)):
        (runtime,) = platform.runtimes.values()
        assert isinstance(runtime.system.journal, LinkedJournal)
        assert runtime.system.journal.max_message_bytes == 777
    with pytest.raises(InvalidOptionError, match="the one journal of a cluster is that of the driver"):
        async with MiniAgents(cluster=Cluster(MemoryPlatform(["a"]), setup=f"{__name__}:with_a_journal")):
            raise AssertionError("it does not get here")


def with_a_journal() -> MiniAgents:
    return MiniAgents(journal=MemoryJournal())
