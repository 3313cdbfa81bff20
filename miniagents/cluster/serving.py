"""`Serving`: what another node asks of the actors of this one."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from miniagents.actors.messaging.ask import Ask
from miniagents.actors.messaging.dead_letters import DeadLetterReason
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.agents.call_target import AgentRef
from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.hosting import Order
from miniagents.cluster.link import UNNAMED
from miniagents.cluster.served_call import ServedCall
from miniagents.cluster.served_journal import ServedJournal
from miniagents.errors import ActorStoppedError, DecodeError, InvalidOptionError, MailboxFullError
from miniagents.journal import StoredEnvelope
from miniagents.log import log as _log
from miniagents.messages import ErrorMessage, Message
from miniagents.supervision import StopReason

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell
    from miniagents.cluster.nodes import ClusterNodes


class Serving:
    """The side of a link that serves: it hands what comes to the actors here, and sends back what becomes of it.

    Args:
        nodes: The nodes, as this one knows them.
        channel: The way to the other node.
    """

    def __init__(self, nodes: "ClusterNodes", channel: Channel) -> None:
        self._nodes = nodes
        self._system: Any = nodes.system
        self._channel = channel
        self._asks: dict[int, Ask[Any]] = {}
        self._calls: dict[int, ServedCall] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}  # of calls, and of those that wait for room
        self._watched: dict[Cell, None] = {}
        self._told: set[int] = set()  # the uids of actors whose overflow policy the other node has been told
        self._journal = ServedJournal(nodes.system.journal, channel)

    @property
    def open(self) -> int:
        """How much is under way."""
        return len(self._asks) + len(self._calls) + len(self._tasks)

    @property
    def watched(self) -> int:
        """The number of actors here that the other node watches."""
        return len(self._watched)

    def received(self, parts: list[Any]) -> None:
        """Take an item.

        Raises:
            DecodeError: The item cannot be read, or is of a kind that is not known here. A question gets the error as
                its answer.
        """
        if not items.take(_TAKES, self, parts):
            raise DecodeError(f"an item of an unknown kind: {parts[0]!r}")

    def _send(self, *parts: Any) -> None:
        self._channel.send(pack(parts))

    def _fail(self, number: int, error: BaseException) -> None:
        self._send(items.FAILED, number, items.error_to_wire(error))

    def _gone(self, path: str) -> ActorStoppedError:
        return ActorStoppedError(f"{path}: has ended on node {self._nodes.here.name!r}", path=path)

    # Messages

    def _tell(self, path: str, uid: int, message: Any, sender: Any, left: float | None, trace: str | None) -> None:
        cell = self._nodes.local(path, uid)
        receiver = cell.ref if cell is not None else self._nodes.ended_ref(path, uid)
        letters = self._system.dead_letters
        try:
            envelope = Envelope(*self._opened(message, sender, left, trace))
        except DecodeError as error:
            letters.add(DeadLetterReason.UNREADABLE, Envelope(ErrorMessage.of(error)), receiver)
            return
        if cell is None:
            letters.add(DeadLetterReason.STOPPED, envelope, receiver)
            return
        self._tell_overflow(cell)
        try:
            cell.post(envelope)
        except Exception as error:  # a full mailbox, or the user's `priority=`: the sender has gone on
            if not isinstance(error, MailboxFullError):
                _log.warning("link.not_delivered", actor=path, error=repr(error))
            letters.add(DeadLetterReason.REJECTED, envelope, receiver)

    def _opened(self, message: Any, sender: Any, left: float | None, trace: str | None) -> tuple[Any, ...]:
        now = self._system.time()
        value = items.value_from_wire(message)
        if not isinstance(value, Message):
            raise DecodeError(f"a {type(value).__name__} where a message should be")
        sent_by = items.value_from_wire(sender) if sender is not None else None
        return value, sent_by, None, now + left if left is not None else None, 0, trace, now

    def _ask(
        self,
        number: int,
        path: str,
        uid: int,
        message: Any,
        sender: Any,
        left: float | None,
        trace: str | None,
        message_id: str | None,
    ) -> None:
        try:
            value, sent_by, _, deadline, _, _, now = self._opened(message, sender, left, trace)
            cell = self._cell(path, uid)
            ask: Ask[Any] = Ask(cell, value, None, sent_by, deadline, 0, trace, now)
            if message_id is not None:
                cell.check_message_id(message_id)
        except (DecodeError, ActorStoppedError, InvalidOptionError) as error:
            self._fail(number, error)
            return
        self._asks[number] = ask
        ask.add_done_callback(lambda _: self._answer(number, ask))
        if deadline is None or ask.limit(None, self._system.loop):
            if message_id is None:
                cell.post(ask)
            else:
                cell.post_once(ask, message_id)

    def _cell(self, path: str, uid: int) -> "Cell":
        cell = self._nodes.local(path, uid)
        if cell is None:
            raise self._gone(path)
        self._tell_overflow(cell)
        return cell

    def _tell_overflow(self, cell: Any) -> None:
        """Tell the other node the policy of a mailbox, once: it is also that of the full link."""
        overflow = cell.props.options.mailbox.overflow
        if overflow is not Overflow.BACKPRESSURE and cell.uid not in self._told:
            self._told.add(cell.uid)
            self._channel.send(pack([items.OVERFLOW, cell.uid, overflow.value]), control=True)

    def forget(self, uid: int) -> None:
        """Forget an actor here that has ended."""
        self._told.discard(uid)

    def _answer(self, number: int, ask: Ask[Any]) -> None:
        if self._asks.pop(number, None) is None:
            return
        error = ask.exception()
        if error is None:
            try:
                answer = ask.result()
                data = pack([items.ANSWER, number, items.value_to_wire(answer, "answer")])
                check_size(data, ask.cell.path)
                self._channel.send(data)
                return
            except Exception as unsent:
                error = unsent
        self._fail(number, error)

    def _send_once(
        self,
        number: int,
        path: str,
        uid: int,
        message: Any,
        sender: Any,
        left: float | None,
        trace: str | None,
        message_id: str,
    ) -> None:
        envelope: Envelope | None = None
        try:
            envelope = Envelope(*self._opened(message, sender, left, trace))
            cell = self._cell(path, uid)
            if message_id == UNNAMED:
                mailbox = cell.post(envelope)
                accepted = mailbox.until_written(envelope) if mailbox is not None else None
            else:
                cell.check_message_id(message_id)
                accepted = cell.post_once(envelope, message_id)
        except Exception as error:  # also of a full mailbox, and of the user's `priority=`
            self._fail(number, error)
            if message_id == UNNAMED and envelope is not None:  # it may have been told, and then nobody gets the error
                receiver = self._nodes.ended_ref(path, uid)
                self._system.dead_letters.add(DeadLetterReason.REJECTED, envelope, receiver)
            return
        if accepted is not None:
            accepted.add_done_callback(lambda future: self._written(number, future))
        elif message_id == UNNAMED:
            self._send(items.DONE, number)

    def _written(self, number: int, future: "asyncio.Future[Any]") -> None:
        error = ActorStoppedError("the system ends") if future.cancelled() else future.exception()
        if error is None:
            self._send(items.DONE, number)
        else:
            self._fail(number, error)

    def _room(self, number: int, path: str, uid: int) -> None:
        cell = self._nodes.local(path, uid)
        if cell is not None and cell.is_durable:
            self._send(items.DURABLE, uid)
        if cell is None:
            self._send(items.DONE, number)
        elif cell.props.capacity is None:
            self._send(items.UNBOUNDED, number, uid)
        else:
            self._run(number, self._wait_for_room(number, cell))

    async def _wait_for_room(self, number: int, cell: "Cell") -> None:
        await cell.room()
        self._send(items.DONE, number)

    def _run(self, number: int, coro: Any) -> None:
        task = self._tasks[number] = self._system.loop.create_task(coro)
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    def _cancel(self, number: int) -> None:
        ask, call = self._asks.get(number), self._calls.get(number)
        if ask is not None:
            self._run(-number, self._cancel_ask(number, ask))
        elif call is not None:
            call.cancel("the caller cancelled it")
        elif number in self._tasks:
            self._tasks[number].cancel()
        else:
            self._send(items.DONE, number)

    async def _cancel_ask(self, number: int, ask: Ask[Any]) -> None:
        self._asks.pop(number, None)  # no answer is wanted any more
        await ask.aclose("the asker cancelled it")
        self._send(items.DONE, number)

    # Lives

    def _stop(self, number: int, path: str, uid: int, reason: str, drain: bool) -> None:
        cell = self._nodes.local(path, uid)
        if cell is None:
            self._send(items.STOPPED, number, items.reason_to_wire(self._gone(path)))
        else:
            end = cell.stop(reason=StopReason(reason), drain=drain)
            end.add_done_callback(lambda _: self._send(items.STOPPED, number, items.reason_to_wire(end.result())))

    def _watch(self, path: str, uid: int) -> None:
        cell = self._nodes.local(path, uid)
        if cell is None:
            self._send(items.ENDED, path, uid, items.reason_to_wire(self._gone(path)))
            return
        if cell not in self._watched:
            self._watched[cell] = None
            watcher: Any = self
            cell.add_watcher(watcher)
        cell.started().add_done_callback(lambda started: self._started(path, uid, started.exception()))

    def _started(self, path: str, uid: int, error: BaseException | None) -> None:
        self._send(items.STARTED, path, uid, items.error_to_wire(error) if error is not None else None)

    def tell_terminated(self, target: "Cell") -> None:
        """An actor that the other node watches has ended; called by its cell."""
        self._watched.pop(target, None)
        reason = target.reason if target.reason is not None else StopReason.SHUTDOWN
        self._send(items.ENDED, target.path, target.uid, items.reason_to_wire(reason))

    # Calls of agents

    def _call(
        self,
        number: int,
        path: str,
        uid: int,
        arguments: Any,
        sender: Any,
        left: float | None,
        trace: str | None,
        label: str | None,
        row: list[Any] | None,
    ) -> None:
        try:
            cell: Any = self._cell(path, uid)
            if not isinstance(cell.ref, AgentRef):
                raise InvalidOptionError(f"{path}: is no agent and takes no calls")
            frozen = cell.agent.check_call(items.value_from_wire(arguments))
            sent_by = items.value_from_wire(sender) if sender is not None else None
        except Exception as error:
            self._send(items.CALL_ENDED, number, items.error_to_wire(error), 0, 0.0)
            return
        deadline = self._system.time() + left if left is not None else None
        options = {"sender": sent_by, "deadline": deadline, "trace": trace, "label": label}
        call = self._calls[number] = ServedCall(self._channel, number, cell, frozen, options, row)
        self._run(number, self._serve(number, call))

    async def _serve(self, number: int, call: ServedCall) -> None:
        try:
            await call.run()
        finally:
            call.input_ends()  # the caller sends no end of it once it has heard that the call has ended
            del self._calls[number]

    def _input(self, number: int, message: Any) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.input(items.value_from_wire(message))

    def _input_failed(self, number: int, error: Any) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.input_failed(items.error_from_wire(error))

    def _input_ends(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.input_ends()

    def _credit(self, number: int, pieces: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.grant(pieces)

    # Placed actors

    def _spawn(
        self,
        uid: int,
        path: str,
        parent: Any,
        factory: Any,
        options: Any,
        restart: str | None,
        shutdown: Any,
        first: int | None,
    ) -> None:
        journal = self._nodes.journal
        if journal is not None and first is not None:
            journal.take_numbers(first)
        above = items.value_from_wire(parent) if parent is not None else None
        self._nodes.hosting.spawn(self._channel, Order(uid, path, above, factory, options, restart, shutdown))

    def _child_ask(self, uid: int, what: str, reason: Any) -> None:
        self._nodes.hosting.asked(uid, what, items.reason_from_wire(reason) if reason is not None else None)

    def _resent(self, uid: int, envelope: Any) -> None:
        try:
            mail = msgspec.convert(envelope, StoredEnvelope)
        except msgspec.ValidationError as error:
            raise DecodeError(f"these data are not those of an envelope: {error}") from error
        self._nodes.hosting.resent(uid, mail)

    # The journal

    def _journal_write(self, number: int, operations: Any) -> None:
        self._journal.write(number, operations)

    def _journal_read(self, number: int, query: Any) -> None:
        self._journal.read(number, query)

    # Waits

    def _probe(self, number: int, name: str, epoch: int, origin: int, age: float, ring: list[str]) -> None:
        ask, call = self._asks.get(number), self._calls.get(number)
        start = (ask, None) if ask is not None else (call.replies, None) if call is not None else None
        self._nodes.probing.received(start, (name, epoch, origin), age, ring)

    # The end

    def lost(self, error: BaseException) -> None:
        """Cancel what runs for the other node, which is lost: nobody waits for it."""
        self._nodes.hosting.lost(self._channel, error)
        for cell in tuple(self._watched):
            watcher: Any = self
            cell.remove_watcher(watcher)
        self._watched.clear()
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            ask.cancel(error)
        for call in tuple(self._calls.values()):
            call.cancel(error)
        for number, task in tuple(self._tasks.items()):
            if number not in self._calls and number > 0:
                task.cancel()


_TAKES: items.Takers = {
    items.TELL: (Serving._tell, 6),  # noqa: SLF001 - the table of this class
    items.ASK: (Serving._ask, 8),  # noqa: SLF001
    items.SEND_ONCE: (Serving._send_once, 8),  # noqa: SLF001
    items.ROOM: (Serving._room, 3),  # noqa: SLF001
    items.CANCEL: (Serving._cancel, 1),  # noqa: SLF001
    items.STOP: (Serving._stop, 5),  # noqa: SLF001
    items.WATCH: (Serving._watch, 2),  # noqa: SLF001
    items.CALL: (Serving._call, 9),  # noqa: SLF001
    items.INPUT: (Serving._input, 2),  # noqa: SLF001
    items.INPUT_FAILED: (Serving._input_failed, 2),  # noqa: SLF001
    items.INPUT_END: (Serving._input_ends, 1),  # noqa: SLF001
    items.CREDIT: (Serving._credit, 2),  # noqa: SLF001
    items.SPAWN: (Serving._spawn, 8),  # noqa: SLF001
    items.CHILD_ASK: (Serving._child_ask, 3),  # noqa: SLF001
    items.RESENT: (Serving._resent, 2),  # noqa: SLF001
    items.JOURNAL_WRITE: (Serving._journal_write, 2),  # noqa: SLF001
    items.JOURNAL_READ: (Serving._journal_read, 2),  # noqa: SLF001
    items.PROBE: (Serving._probe, 6),  # noqa: SLF001
}
"""What takes an item of each kind, and how many fields it has."""
