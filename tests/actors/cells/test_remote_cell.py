"""Cells of actors that live on another node: two systems in one loop, joined by a link in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    DeadLetterReason,
    Mailbox,
    Message,
    Overflow,
    SpawnOptions,
    StopReason,
    Terminated,
    TextMessage,
)
from miniagents.actors.cells.remote_cell import RemoteCell
from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.entries import Enveloped
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.identity import Identity, find
from miniagents.errors import ActorStoppedError, AskTimeoutError, MailboxFullError, PromiseCancelledError
from miniagents.messages import decode, encode
from miniagents.promising import Promise
from tests.actors.actors import Add, Counter, Crash, Gated, Hold, Read, Total, turns


class NodeLost(ConnectionError):
    pass


class LinkEnd:
    """The link of one system to another one. Frames arrive in order, each in a later turn of the loop."""

    other: "LinkEnd"

    def __init__(self, system: ActorSystem) -> None:
        self.system = system
        self.refuses: Exception | None = None
        self.is_cut = False
        self._cells: dict[Identity, RemoteCell] = {}
        self._watched: set[RemoteCell] = set()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Any] = {}  # here: asks, futures and promises that a frame from there ends
        self._running: dict[int, Ask[Any]] = {}  # here: the questions from there

    def remote(self, ref: ActorRef) -> ActorRef:
        """The reference here to an actor there."""
        return self._cell(ref._cell.identity).ref

    def _cell(self, identity: Identity) -> RemoteCell:
        if identity not in self._cells:
            self._cells[identity] = RemoteCell(self.system, identity, self)
        return self._cells[identity]

    def cut(self) -> None:
        """Lose the other node."""
        for end in (self, self.other):
            end.is_cut = True
            for cell in end._cells.values():
                cell.ended(NodeLost("the node is lost"))
            for waiting in end._waiting.values():
                if isinstance(waiting, asyncio.Future) and not waiting.done():
                    waiting.set_result(None)

    @property
    def open(self) -> int:
        """How much is under way."""
        cells = sum(len(cell._asks) + len(cell._stops) for cell in self._cells.values())
        return len(self._waiting) + len(self._running) + cells

    def _send(self, frame: str, *parts: Any) -> None:
        if not self.is_cut:
            self.system.loop.call_soon(self.other._receive, frame, parts)

    def _receive(self, frame: str, parts: tuple[Any, ...]) -> None:
        if not self.is_cut:
            getattr(self, f"_on_{frame}")(*parts)

    # As the cells here use it

    def deliver(self, cell: RemoteCell, entry: Enveloped, message_id: str | None) -> None:
        if self.refuses is not None:
            raise self.refuses
        number = None
        if isinstance(entry, Ask):
            number = next(self._numbers)
            self._waiting[number] = entry
        sender = entry.sender._cell.identity if entry.sender is not None else None
        left = entry.deadline - self.system.time() if entry.deadline is not None else None
        self._send(
            "message", cell.identity, encode(entry.message), sender, left, entry.correlation_id, entry.trace, number
        )

    def cancel(self, cell: RemoteCell, ask: Ask[Any]) -> "asyncio.Future[None] | None":
        asked = next(number for number, waiting in self._waiting.items() if waiting is ask)
        del self._waiting[asked]
        number, ended = next(self._numbers), self.system.loop.create_future()
        self._waiting[number] = ended
        self._send("cancel", asked, number)
        return ended

    async def room(self, cell: RemoteCell) -> None:
        assert not self.is_cut
        there = find(cell.identity)
        if there is not None:
            await there.room()

    def stop(self, cell: RemoteCell, promise: Promise[Any], *, reason: StopReason, drain: bool) -> None:
        number = next(self._numbers)
        self._waiting[number] = promise
        self._send("stop", cell.identity, reason, drain, number)

    def watch(self, cell: RemoteCell) -> None:
        assert cell not in self._watched
        self._watched.add(cell)
        self._send("watch", cell.identity)

    # As the other end uses it

    def _on_message(
        self,
        identity: Identity,
        data: bytes,
        sender: Identity | None,
        left: float | None,
        correlation_id: int,
        trace: object,
        number: int | None,
    ) -> None:
        cell, message, now = find(identity), decode(data), self.system.time()
        sender_ref = self._cell(sender).ref if sender is not None else None
        deadline = now + left if left is not None else None
        if cell is None:
            if number is not None:
                self._send("ended_ask", number, None, ActorStoppedError(f"{identity.path}: has ended"))
        elif number is None:
            cell.post(Envelope(message, sender_ref, None, deadline, correlation_id, trace, now))
        else:
            ask: Ask[Any] = Ask(cell, message, None, sender_ref, deadline, correlation_id, trace, now)
            self._running[number] = ask
            ask.add_done_callback(lambda _: self._answer(number))
            if deadline is None or ask.limit(None, self.system.loop):
                cell.post(ask)

    def _answer(self, number: int) -> None:
        ask = self._running.pop(number)
        error = ask.exception()
        self._send("ended_ask", number, None if error is not None else ask.result(), error)

    def _on_ended_ask(self, number: int, answer: Any, error: BaseException | None) -> None:
        ask = self._waiting.pop(number, None)
        if ask is not None:
            ask.answer(answer) if error is None else ask.fail(error)

    def _on_cancel(self, asked: int, number: int) -> None:
        ask = self._running.get(asked)

        async def end() -> None:
            if ask is not None:
                await ask.aclose("cancelled there")
            self._send("end", number, None)

        self.system.start_soon(end())

    def _on_stop(self, identity: Identity, reason: StopReason, drain: bool, number: int) -> None:
        cell = find(identity)
        if cell is not None:
            cell.stop(reason=reason, drain=drain).add_done_callback(lambda p: self._send("end", number, p.result()))

    def _on_watch(self, identity: Identity) -> None:
        cell = find(identity)
        if cell is None:
            self._send("ended", identity, ActorStoppedError(f"{identity.path}: has ended"))
        else:
            cell.started().add_done_callback(lambda p: self._send("started", identity, p.exception()))
            cell.terminated().add_done_callback(lambda p: self._send("ended", identity, p.result()))

    def _on_end(self, number: int, result: Any) -> None:
        waiting = self._waiting.pop(number)
        if isinstance(waiting, asyncio.Future):
            waiting.set_result(result)
        else:
            waiting.resolve(result)

    def _on_started(self, identity: Identity, error: BaseException | None) -> None:
        self._cell(identity).has_started(error)

    def _on_ended(self, identity: Identity, reason: Any) -> None:
        self._cell(identity).ended(reason)


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[ActorSystem, ActorSystem, LinkEnd]]:
    """Two systems, and the link of the first one to the second."""
    async with ActorSystem(name="far") as there, ActorSystem(name="near") as here:
        link, back = LinkEnd(here), LinkEnd(there)
        link.other, back.other = back, link
        yield here, there, link
        if not link.is_cut:
            await turns()
            assert (link.open, back.open) == (0, 0), "something is still under way"


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert ctx.sender is not None
        ctx.sender.tell(message)


class Asks(Actor):
    """Tells or asks one actor, for whoever asks it, and notes what it gets."""

    def __init__(self, to: ActorRef, log: list[Any]) -> None:
        self.to = to
        self.log = log

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        match message:
            case TextMessage(content="watch"):
                ctx.watch(self.to)
            case TextMessage(content="unwatch"):
                ctx.unwatch(self.to)
            case TextMessage(content="tell"):
                self.to.tell(Add(1))
            case Read():
                answer: Message = await self.to.ask(message)
                return answer
            case _:
                self.log.append((message, ctx.sender))
        return None


async def test_what_is_told_arrives_in_order_and_can_be_answered_to_its_sender() -> None:
    log, echoed = list[Any](), list[Any]()
    async with two_nodes() as (here, there, link):
        far = link.remote(there.spawn(Counter, log=log))
        for text in "abc":
            far.tell(TextMessage(text))
        echo = link.remote(there.spawn(Echo))
        near = here.spawn(Asks, to=echo, log=echoed)
        near.tell(TextMessage("tell"))
        await turns()
    assert log[:4] == ["start", "a", "b", "c"]
    assert echoed == [(Add(1), echo)]


async def test_a_reference_from_there_equals_the_one_there_and_says_where_it_lives() -> None:
    async with two_nodes() as (_, there, link):
        local = there.spawn(Counter, name="far")
        far = link.remote(local)
        assert far == local
        assert hash(far) == hash(local)
        assert (far.path, far.name, far.is_alive) == ("/far", "far", True)
        assert repr(far._cell) == f"<RemoteCell /far#{local.uid} on node ''>"


async def test_an_ask_ends_with_the_answer_or_the_error_of_the_handler_there() -> None:
    async with two_nodes() as (here, there, link):
        far = link.remote(there.spawn(Counter, start=5))
        near = here.spawn(Asks, to=far, log=[])
        assert await far.ask(Read()) == Total(value=5)
        assert await near.ask(Read()) == Total(value=5)
        with capture_logs(), pytest.raises(ValueError, match="boom"):
            await far.ask(Crash("boom"))


async def test_an_ask_to_an_actor_that_has_ended_there_fails() -> None:
    async with two_nodes() as (_, there, link):
        local = there.spawn(Counter)
        far = link.remote(local)
        await local.stop()
        with pytest.raises(ActorStoppedError):
            await far.ask(Read())
        assert isinstance(await far.terminated(), ActorStoppedError)


async def test_send_waits_for_room_there() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (_, there, link):
        local = there.spawn(Counter, gate=gate, options=SpawnOptions(mailbox=Mailbox(1)))
        far = link.remote(local)
        await far.send(Hold())
        await turns()
        await far.send(Add(1))
        await turns()
        sending = asyncio.create_task(far.send(Add(2)))
        await turns()
        assert not sending.done()
        gate.set()
        await sending
        await turns()
        assert await far.ask(Read()) == Total(value=3)


async def test_a_full_mailbox_there_refuses_as_its_policy_says() -> None:
    gate = asyncio.Event()
    async with two_nodes() as (_, there, link):
        options = SpawnOptions(mailbox=Mailbox(1, Overflow.DROP_NEWEST))
        far = link.remote(there.spawn(Counter, gate=gate, options=options))
        far.tell(Hold())
        await turns()
        far.tell(Add(1))
        far.tell(Add(2))
        with pytest.raises(MailboxFullError):
            await far.ask(Read())
        assert there.dead_letters.counts == {DeadLetterReason.DROPPED: 2}
        gate.set()


async def test_the_deadline_of_an_ask_travels_as_the_time_that_is_left() -> None:
    log, gate = list[Any](), asyncio.Event()
    async with two_nodes() as (here, there, link):
        far = link.remote(there.spawn(Gated, gate=gate, log=log))
        asked_at = here.time()
        with pytest.raises(AskTimeoutError):
            await far.ask(Read(), timeout=2.0)
        assert log == [("deadline", pytest.approx(asked_at + 2.0))]
        gate.set()


async def test_a_cancel_reaches_the_handler_there_and_waits_until_it_has_cleaned_up() -> None:
    log = list[Any]()
    async with two_nodes() as (_, there, link):
        local = there.spawn(Gated, gate=asyncio.Event(), log=log)
        ask = link.remote(local).ask(Read())
        await turns()

        await ask.aclose("not wanted")

        assert log == [("deadline", None), "cleaned up"]
        assert local.is_alive
        with pytest.raises(PromiseCancelledError):
            await ask


async def test_the_cancel_of_an_ask_that_was_never_handed_on_stays_here() -> None:
    async with two_nodes() as (_, there, link):
        ask: Ask[Any] = Ask(link._cell(there.spawn(Counter)._cell.identity), Read())  # type: ignore[arg-type]
        await ask.aclose("not wanted")
        with pytest.raises(PromiseCancelledError):
            await ask


async def test_a_cancel_of_an_ask_that_another_actor_asks_there_goes_all_the_way() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, link):
        far = link.remote(there.spawn(Gated, gate=asyncio.Event(), log=log))
        near = here.spawn(Asks, to=far, log=[])
        ask = near.ask(Read())
        await turns()
        await ask.aclose("not wanted")
        assert log == [("deadline", None), "cleaned up"]
        ask.mark_seen()


async def test_who_watches_is_told_of_the_end_there_once() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, link):
        local = there.spawn(Counter)
        far = link.remote(local)
        watcher, other = here.spawn(Asks, to=far, log=log), here.spawn(Asks, to=far, log=log)
        for ref in (watcher, watcher, other):
            ref.tell(TextMessage("watch"))
        await turns()
        other.tell(TextMessage("unwatch"))
        await turns()
        terminated = far.terminated()
        await local.stop()
        await turns()

        assert [message for message, _ in log] == [Terminated(far, StopReason.SHUTDOWN)]
        assert await terminated is StopReason.SHUTDOWN
        assert not far.is_alive

        other.tell(TextMessage("watch"))  # one that has ended
        await turns()
        assert [message for message, _ in log] == [Terminated(far, StopReason.SHUTDOWN)] * 2


async def test_a_watcher_that_ends_is_told_of_nothing() -> None:
    async with two_nodes() as (here, there, link):
        local = there.spawn(Counter)
        watcher = here.spawn(Asks, to=link.remote(local), log=[])
        watcher.tell(TextMessage("watch"))
        await turns()
        await watcher.stop()
        await local.stop()
        await turns()
        assert here.dead_letters.total == 0


class FailsToStart(Actor):
    async def on_start(self, ctx: ActorContext) -> None:
        await asyncio.sleep(1.0)
        raise ValueError("no start")

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        pass


async def test_the_start_there_is_reported() -> None:
    async with two_nodes() as (_, there, link):
        await link.remote(there.spawn(Counter)).started()
        failing = link.remote(there.spawn(FailsToStart))
        with capture_logs(), pytest.raises(ValueError, match="no start"):
            await failing.started()


@pytest.mark.parametrize(("how", "reason"), [("stop", StopReason.SHUTDOWN), ("kill", StopReason.KILLED)])
async def test_a_stop_and_a_kill_reach_the_actor_there(how: str, reason: StopReason) -> None:
    async with two_nodes() as (_, there, link):
        local = there.spawn(Counter)
        far = link.remote(local)
        assert await getattr(far, how)() is reason
        assert not local.is_alive
        assert await far.terminated() is not None
        assert await far.stop() is not None  # stopping again is harmless


async def test_a_stop_drains_the_mailbox_there_if_it_is_to() -> None:
    log, gate = list[Any](), asyncio.Event()
    async with two_nodes() as (_, there, link):
        far = link.remote(there.spawn(Counter, gate=gate, log=log))
        far.tell(Hold())
        far.tell(TextMessage("last"))
        ended = far.stop(drain=True)
        await turns()
        gate.set()
        await ended
    assert log == ["start", "last", ("stop", StopReason.SHUTDOWN)]


async def test_a_message_that_the_link_refuses_is_refused_to_its_sender() -> None:
    async with two_nodes() as (_, there, link):
        far = link.remote(there.spawn(Counter))
        link.refuses = ValueError("too large")
        with pytest.raises(ValueError, match="too large"):
            far.tell(Add(1))
        with pytest.raises(ValueError, match="too large"):
            await far.send(Add(1))
        with pytest.raises(ValueError, match="too large"):
            await far.ask(Add(1))


async def test_a_timer_sends_to_an_actor_there() -> None:
    async with two_nodes() as (here, there, link):
        local = there.spawn(Counter)
        timer = here.schedule_every(1.0, link.remote(local), Add(1))
        await asyncio.sleep(3.5)
        timer.cancel()
        assert await local.ask(Read()) == Total(value=3)


async def test_a_lost_node_ends_every_wait_for_its_actors() -> None:
    log, gate = list[Any](), asyncio.Event()
    async with two_nodes() as (here, there, link):
        far = link.remote(there.spawn(Gated, gate=gate, log=[]))
        watcher = here.spawn(Asks, to=far, log=log)
        watcher.tell(TextMessage("watch"))
        await turns()
        ask, nested = far.ask(Hold()), watcher.ask(Read())
        cancelled = far.ask(Hold())
        await turns()
        ending, stopping = asyncio.create_task(cancelled.aclose("not wanted")), far.stop()
        terminated = far.terminated()
        await asyncio.sleep(0)

        link.cut()

        for lost in (ask, nested):
            with pytest.raises(ActorStoppedError) as caught:
                await lost
            assert isinstance(caught.value.__cause__, NodeLost)
        await ending
        assert isinstance(await stopping, NodeLost)
        assert isinstance(await terminated, NodeLost)
        await turns()
        [(message, _)] = log
        assert isinstance(message, Terminated)
        assert message.ref == far
        assert isinstance(message.reason, NodeLost)
        assert not far.is_alive
        assert link._cell(far._cell.identity)._asks == {}

        far.tell(Add(1))
        await far.send(Add(2))
        with pytest.raises(ActorStoppedError):
            await far.ask(Read())
        assert here.dead_letters.counts == {DeadLetterReason.STOPPED: 3}
        assert isinstance(await far.stop(), NodeLost)
        await far.started()
        cancelled.mark_seen()
        gate.set()


async def test_a_start_that_is_awaited_fails_with_the_lost_node() -> None:
    async with two_nodes() as (_, there, link):
        started = link.remote(there.spawn(FailsToStart)).started()
        await turns()
        link.cut()
        with pytest.raises(NodeLost):
            await started


async def test_an_end_that_is_reported_twice_counts_once() -> None:
    log = list[Any]()
    async with two_nodes() as (here, there, link):
        local = there.spawn(Counter)
        far = link.remote(local)
        here.spawn(Asks, to=far, log=log).tell(TextMessage("watch"))
        await turns()
        cell: Any = far._cell
        cell.ended(StopReason.NORMAL)
        cell.ended(NodeLost("later"))
        await turns()
        assert cell.reason is StopReason.NORMAL
        assert [message.reason for message, _ in log] == [StopReason.NORMAL]
