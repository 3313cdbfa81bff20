"""Actors of another node behind ordinary references, over frames."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    DeadLetterReason,
    Mailbox,
    Message,
    NodeLostError,
    Overflow,
    SpawnOptions,
    StopReason,
    Terminated,
    TextMessage,
    errors,
)
from miniagents.cluster import LossCause, items
from miniagents.cluster.channel import QUEUE_BYTES, WINDOW
from miniagents.cluster.frames import pack
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    DecodeError,
    DroppedError,
    MailboxFullError,
    MessageTooLargeError,
    PromiseCancelledError,
    RemoteError,
)
from miniagents.messages import registry
from miniagents.testing.network import Network
from tests.actors.actors import Add, Counter, Crash, Gated, Hold, Read, Total
from tests.cluster.clusters import TestNode, two_nodes


class Introduce(Message):
    to: ActorRef


@errors.register
class OutOfStockError(Exception):
    pass


class UnknownThereError(Exception):
    pass


class Echo(Actor):
    """Answers to its sender, and to whom it was introduced."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        to = message.to if isinstance(message, Introduce) else ctx.sender
        assert to is not None
        to.tell(message)


class Fails(Actor):
    errors = (Exception,)

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        error = {"stock": OutOfStockError, "unknown": UnknownThereError, "key": KeyError}[str(message)]("it says so")
        error.add_note("agent trace: inner <- outer")
        raise error


class Watches(Actor):
    def __init__(self, to: ActorRef, log: list[Any]) -> None:
        self.to = to
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        match message:
            case TextMessage(content="watch"):
                ctx.watch(self.to)
            case TextMessage(content="ask"):
                self.to.tell(TextMessage("hello"))
            case _:
                self.log.append((message, ctx.sender))


async def test_what_is_told_arrives_in_order() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, network):
        network.jitter = 0.05
        far = here.remote(there.system.spawn(Counter, log=log))
        for number in range(500):
            far.tell(TextMessage(str(number)))
            if number % 7 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(20)
    assert log[1:501] == [str(number) for number in range(500)]


async def test_references_lead_back_to_the_actor_itself_and_can_be_answered() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Echo, name="echo"))
        near = here.system.spawn(Watches, to=far, log=log)
        near.tell(TextMessage("ask"))
        await asyncio.sleep(1)
        far.tell(Introduce(near))
        await asyncio.sleep(1)
        (first, sender), (second, _) = log
        assert (first, sender) == (TextMessage("hello"), far)
        assert second.to is near
        assert (far.path, far.node, far.epoch, far.is_alive) == ("/echo", "far", 1, True)


async def test_a_reference_to_an_actor_of_a_third_node_leads_there() -> None:
    async with two_nodes() as (here, there, network), TestNode(network, "third") as third:
        log = list[Any]()
        counter = third.system.spawn(Counter, log=log)
        here.remote(there.system.spawn(Echo)).tell(Introduce(here.remote(counter)))
        await asyncio.sleep(1)
        assert third.nodes.peers == (there.id,)
        assert [type(message) for message in third.system.dead_letters] == []
        assert await here.remote(counter).ask(Read()) == Total(value=0)


async def test_an_ask_ends_with_the_answer_there() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, start=5))
        assert await far.ask(Read()) == Total(value=5)
        far.tell(Add(2))
        assert await far.ask(Read()) == Total(value=7)


async def test_an_error_crosses_as_type_text_notes_and_trace_and_is_rebuilt_where_it_is_registered() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Fails))
        with pytest.raises(OutOfStockError, match="it says so") as known:
            await far.ask(TextMessage("stock"))
        assert known.value.__notes__ == ["agent trace: inner <- outer"]
        with pytest.raises(KeyError):
            await far.ask(TextMessage("key"))
        with pytest.raises(RemoteError, match="it says so") as unknown:
            await far.ask(TextMessage("unknown"))
        assert unknown.value.type_name == "tests.cluster.test_link:UnknownThereError"
        assert "in receive" in unknown.value.remote_traceback


async def test_an_ask_to_an_actor_that_has_ended_fails_and_a_tell_is_a_dead_letter_there() -> None:
    async with two_nodes() as (here, there, _):
        local = there.system.spawn(Counter)
        far = here.remote(local)
        await local.stop()
        with pytest.raises(ActorStoppedError, match="has ended on node 'far'"):
            await far.ask(Read())
        far.tell(Add(1))
        await asyncio.sleep(1)
        assert [letter.receiver for letter in there.system.dead_letters] == [local]
        assert isinstance(await far.terminated(), ActorStoppedError)


async def test_a_deadline_travels_as_the_time_that_is_left() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, network):
        network.delay = 0.25
        far = here.remote(there.system.spawn(Gated, gate=asyncio.Event(), log=log))
        now = here.system.time()
        with pytest.raises(AskTimeoutError):
            await far.ask(TextMessage("slow"), timeout=2.0)
        assert here.system.time() == now + 2.0
        assert log[0] == ("deadline", pytest.approx(now + 2.25))


async def test_a_cancel_reaches_the_handler_there_and_aclose_waits_until_it_has_ended() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Gated, gate=asyncio.Event(), log=log))
        ask = far.ask(TextMessage("slow"))
        await asyncio.sleep(0.1)
        await ask.aclose("not wanted")
        assert log == [("deadline", None), "cleaned up"]
        with pytest.raises(PromiseCancelledError):
            await ask


async def test_an_ask_that_is_cancelled_before_it_has_left_never_arrives() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, network):
        far = here.remote(there.system.spawn(Counter, log=log))
        ask = far.ask(Read())
        await ask.aclose("not wanted")
        await asyncio.sleep(1)
        assert network.sent == 0


async def test_five_hundred_asks_that_are_cancelled_leave_nothing_running() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        gate = asyncio.Event()
        refs = [here.remote(there.system.spawn(Gated, gate=gate, log=log)) for _ in range(500)]
        asks = [ref.ask(TextMessage("slow")) for ref in refs]
        await asyncio.sleep(0.1)
        began = here.system.time()
        await asyncio.gather(*(ask.aclose() for ask in asks))
        assert here.system.time() - began < 0.6, "half a second of that is the clean-up"
        assert log.count("cleaned up") == 500
        assert here.nodes.open == there.nodes.open == 0


async def test_send_waits_for_room_in_the_mailbox_there() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, gate=gate, options=SpawnOptions(mailbox=Mailbox(1))))
        await far.send(Hold())
        await asyncio.sleep(0.1)
        await far.send(Add(1))
        await asyncio.sleep(0.1)
        sending = asyncio.create_task(far.send(Add(2)))
        await asyncio.sleep(1)
        assert not sending.done()
        gate.set()
        await sending
        await asyncio.sleep(1)
        assert await far.ask(Read()) == Total(value=3)


async def test_a_send_that_is_cancelled_while_it_waits_there_sends_nothing() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, gate=gate, options=SpawnOptions(mailbox=Mailbox(1))))
        for message in (Hold(), Add(1)):
            await far.send(message)
            await asyncio.sleep(0.1)
        sending = asyncio.create_task(far.send(Add(2)))
        await asyncio.sleep(1)
        sending.cancel()
        await asyncio.sleep(1)
        assert there.nodes.open == 0
        gate.set()
        assert await far.ask(Read()) == Total(value=1)


async def test_send_to_a_mailbox_without_a_bound_asks_for_room_once() -> None:
    async with two_nodes() as (here, there, network):
        far = here.remote(there.system.spawn(Counter))
        await far.send(Add(1))
        await asyncio.sleep(1)
        before = network.sent
        for _ in range(100):
            await far.send(Add(1))
        assert await far.ask(Read()) == Total(value=101)
        assert network.sent - before < 5


async def test_a_full_mailbox_there_makes_a_tell_a_dead_letter_there_and_fails_an_ask() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (here, there, _):
        options = SpawnOptions(mailbox=Mailbox(1, Overflow.REJECT))
        far = here.remote(there.system.spawn(Counter, gate=gate, options=options))
        far.tell(Hold())
        await asyncio.sleep(0.1)
        for _ in range(3):
            far.tell(Add(1))
        with pytest.raises(MailboxFullError):
            await far.ask(Read())
        assert there.system.dead_letters.counts[DeadLetterReason.REJECTED] >= 2
        gate.set()


async def test_a_full_link_refuses_a_tell_fails_an_ask_and_lets_a_send_wait() -> None:
    async with two_nodes() as (here, there, network):
        far = here.remote(there.system.spawn(Counter))
        network.cut("near", "far")
        far.tell(TextMessage("x" * QUEUE_BYTES))
        with pytest.raises(MailboxFullError, match="the link to node 'far' is full; await send"):
            far.tell(Add(1))
        with pytest.raises(MailboxFullError):
            await far.ask(Read())
        sending = asyncio.create_task(far.send(Add(1)))
        await asyncio.sleep(10)
        assert not sending.done()
        network.mend()
        await sending
        assert await far.ask(Read()) == Total(value=1)


async def filled(
    here: TestNode, there: TestNode, network: Network, overflow: Overflow
) -> tuple[ActorRef, ActorRef, list[Any]]:
    """A link that is full of messages to one actor, and one to another whose mailbox has the policy.

    Returns:
        The other actor, the one whose messages fill the link, and the log of the other one.
    """
    log = list[Any]()
    options = SpawnOptions(mailbox=Mailbox(100, overflow))
    picky = here.remote(there.system.spawn(Counter, name="picky", log=log, options=options))
    bulky = here.remote(there.system.spawn(Counter, name="bulky"))
    assert await picky.ask(Read()) == Total(value=0)
    await asyncio.sleep(1)  # the policy is known here with the first answer
    network.cut("near", "far")
    picky.tell(TextMessage("one"))
    picky.tell(TextMessage("two"))
    await asyncio.sleep(0.1)  # they have left, and may arrive
    for _ in range(WINDOW):  # as many frames as may be unacknowledged: nothing leaves any more
        bulky.tell(Add(1))
        await asyncio.sleep(0.01)
    picky.tell(TextMessage("three"))
    picky.tell(TextMessage("four"))
    bulky.tell(TextMessage("x" * QUEUE_BYTES))
    return picky, bulky, log


async def healed(network: Network, log: list[Any]) -> list[Any]:
    network.mend()
    await asyncio.sleep(30)
    return [entry for entry in log if entry in ("one", "two", "three", "four", "five", "six")]


async def test_what_is_one_too_many_for_a_full_link_is_dropped_where_the_mailbox_drops_the_newest() -> None:
    async with two_nodes() as (here, there, network):
        picky, bulky, log = await filled(here, there, network, Overflow.DROP_NEWEST)
        picky.tell(TextMessage("five"))
        await picky.send(TextMessage("six"))
        with pytest.raises(DroppedError, match="/picky: the link to node 'far' is full; it was dropped"):
            await picky.ask(Read())
        with pytest.raises(MailboxFullError):
            bulky.tell(Add(1))
        assert here.system.dead_letters.counts[DeadLetterReason.DROPPED] == 3
        assert await healed(network, log) == ["one", "two", "three", "four"]


async def test_a_full_link_drops_the_oldest_that_waits_where_the_mailbox_does() -> None:
    async with two_nodes() as (here, there, network):
        picky, _, log = await filled(here, there, network, Overflow.DROP_OLDEST)
        picky.tell(TextMessage("five"))
        dropped = [str(letter.message) for letter in here.system.dead_letters]
        assert dropped == ["three", "four", "five"], "what fills the link is for another actor"
        assert await healed(network, log) == ["one", "two"]


async def test_a_full_link_takes_a_message_in_the_place_of_the_oldest_one_that_waits() -> None:
    async with two_nodes() as (here, there, network):
        log = list[Any]()
        options = SpawnOptions(mailbox=Mailbox(100, Overflow.DROP_OLDEST))
        picky = here.remote(there.system.spawn(Counter, name="picky", log=log, options=options))
        assert await picky.ask(Read()) == Total(value=0)
        await asyncio.sleep(1)
        network.cut("near", "far")
        for _ in range(WINDOW):
            picky.tell(Add(1))
            await asyncio.sleep(0.01)
        waiting = picky.ask(TextMessage("z" * QUEUE_BYTES))
        picky.tell(TextMessage("one"))
        picky.tell(TextMessage("two"))
        with pytest.raises(DroppedError, match="it was dropped for a newer one"):
            await waiting
        assert [len(str(letter.message)) for letter in here.system.dead_letters] == [QUEUE_BYTES]
        assert await healed(network, log) == ["one", "two"]


async def test_a_full_link_refuses_a_tell_and_a_send_where_the_mailbox_rejects() -> None:
    async with two_nodes() as (here, there, network):
        picky, _, log = await filled(here, there, network, Overflow.REJECT)
        with pytest.raises(MailboxFullError, match="/picky: the link to node 'far' is full"):
            picky.tell(TextMessage("five"))
        with pytest.raises(MailboxFullError):
            await picky.send(TextMessage("six"))
        with pytest.raises(MailboxFullError):
            await picky.ask(Read())
        assert here.system.dead_letters.counts[DeadLetterReason.REJECTED] == 3
        assert await healed(network, log) == ["one", "two", "three", "four"]


async def test_the_policy_of_a_mailbox_is_forgotten_with_its_actor() -> None:
    async with two_nodes() as (here, there, _):
        for _ in range(3):
            options = SpawnOptions(mailbox=Mailbox(1, Overflow.DROP_OLDEST))
            actor = there.system.spawn(Counter, options=options)
            far = here.remote(actor)
            far.tell(Add(1))
            await asyncio.sleep(1)
            await actor.stop()
        await asyncio.sleep(1)
        link, serving = here.nodes.peer(there.id).link, there.nodes.peer(here.id).serving
        assert (link.watched, serving.watched) == (0, 0)
        assert (link._overflow._waiting, serving._told) == ({}, set())


async def test_a_message_that_is_too_large_for_a_link_fails_at_its_sender() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, name="far"))
        with pytest.raises(MessageTooLargeError, match="/far: a message of 67,"):
            far.tell(TextMessage("x" * 67_200_000))


async def test_an_answer_that_cannot_travel_fails_the_ask() -> None:
    class Large(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return TextMessage("x" * 67_200_000)

    async with two_nodes() as (here, there, _):
        with pytest.raises(MessageTooLargeError):
            await here.remote(there.system.spawn(Large)).ask(Read())


async def test_a_message_that_cannot_be_read_there_is_a_dead_letter_and_fails_an_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, name="far"))
        monkeypatch.delitem(registry._messages, Introduce.__wire_tag__)
        far.tell(Introduce(to=far))
        with pytest.raises(DecodeError, match=r"an unknown type of message: .*Introduce"):
            await far.ask(Introduce(to=far))
        assert await far.ask(Read()) == Total(value=0), "it fails alone"
        (letter,) = there.system.dead_letters
        assert (letter.reason, letter.receiver.path) == (DeadLetterReason.UNREADABLE, "/far")
        assert "an unknown type of message" in str(letter.message)


@pytest.mark.parametrize("kind", [items.STARTED, items.ENDED, items.CHILD_REPORT, items.ANSWER, items.TELL])
async def test_an_item_with_too_few_fields_fails_alone(kind: int, log: list[Any]) -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, name="far"))
        there.nodes.peer(here.id).channel.send(pack([kind, 1]))
        assert await far.ask(Read()) == Total(value=0)
        unreadable = [entry for entry in log if entry["event"] == "link.unreadable_item"]
        assert len(unreadable) == 1


async def test_stop_and_watch_reach_the_actor_there() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter))
        near = here.system.spawn(Watches, to=far, log=log)
        near.tell(TextMessage("watch"))
        await far.started()
        assert await far.stop() is StopReason.SHUTDOWN
        await asyncio.sleep(1)
        assert [(m.ref, m.reason) for m, _ in log if isinstance(m, Terminated)] == [(far, StopReason.SHUTDOWN)]
        assert not far.is_alive


async def test_stop_with_drain_comes_behind_what_was_told_before() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, log=log))
        for text in "abc":
            far.tell(TextMessage(text))
        await far.stop(drain=True)
        assert log[1:4] == ["a", "b", "c"]


async def test_an_answer_comes_before_the_end_of_the_actor_that_gave_it() -> None:
    class Once(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            ctx.stop()
            return message

    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Once))
        ended = far.terminated()
        assert await far.ask(TextMessage("last")) == TextMessage("last")
        assert await ended is StopReason.NORMAL


async def test_a_crash_of_the_actor_there_is_not_the_end_of_it() -> None:
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, start=1))
        with pytest.raises(ValueError, match="boom"):
            await far.ask(Crash("boom"))
        assert await far.ask(Read()) == Total(value=1)


async def test_a_lost_node_ends_asks_watches_and_stops_and_nothing_reaches_it_any_more() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Gated, gate=asyncio.Event(), log=[]))
        here.system.spawn(Watches, to=far, log=log).tell(TextMessage("watch"))
        asks = [far.ask(TextMessage("slow")) for _ in range(3)]
        await asyncio.sleep(1)

        here.nodes.lost(there.id, LossCause.KILLED)
        there.nodes.lost(here.id, LossCause.KILLED)

        for ask in asks:
            with pytest.raises(ActorStoppedError) as caught:
                await ask
            cause = caught.value.__cause__
            assert isinstance(cause, NodeLostError)
            assert (cause.node, cause.cause) == ("far", "killed")
        await asyncio.sleep(1)
        assert [type(m.reason) for m, _ in log if isinstance(m, Terminated)] == [NodeLostError]
        with pytest.raises(ActorStoppedError):
            await far.ask(Read())
        far.tell(Read())
        assert here.system.dead_letters.counts[DeadLetterReason.STOPPED] >= 1


async def test_the_loss_of_the_askers_node_ends_what_it_has_asked() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Gated, gate=asyncio.Event(), log=log))
        ask = far.ask(TextMessage("slow"))
        await asyncio.sleep(1)
        there.nodes.lost(here.id, LossCause.SILENT)
        await asyncio.sleep(1)
        assert log[-1] == "cleaned up"
        assert there.nodes.open == 0
        ask.cancel()
        here.nodes.lost(there.id, LossCause.SILENT)


async def test_what_comes_from_a_lost_life_of_a_node_or_for_one_is_thrown_away() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, _):
        far = here.remote(there.system.spawn(Counter, log=log))
        far.tell(TextMessage("on its way"))
        there.nodes.lost(here.id, LossCause.SILENT)
        await asyncio.sleep(1)
        assert there.nodes.refused >= 1
        assert "on its way" not in log
        here.nodes.lost(there.id, LossCause.SILENT)


async def test_the_trace_context_travels() -> None:
    class Traced(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            return TextMessage(str(ctx._cell.trace))

    async with two_nodes() as (here, there, _):
        here.system.observers.outer_trace = lambda: "00-abc-def-01"
        far = here.remote(there.system.spawn(Traced))
        assert await far.ask(TextMessage("hello")) == TextMessage("00-abc-def-01")


async def test_loss_repetition_and_reordering_change_nothing() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, network):
        network.loss, network.duplication, network.jitter = 0.3, 0.3, 0.5
        far = here.remote(there.system.spawn(Counter, log=log))
        for number in range(50):
            far.tell(Add(1))
            assert await far.ask(Read()) == Total(value=number + 1)
