"""A channel: the items from one life of a node to one life of another, and back, in order and at most once.

The transport below may lose, repeat and reorder frames. The channel numbers them. The receiver takes the next number
only, so a frame that was repeated or has overtaken another one is dropped, and it acknowledges all that it has taken.
The sender keeps what is not acknowledged and sends it again. One frame is under way in each direction; what is sent
meanwhile makes up the next frame, so frames grow with the load.

Who ends the waits: `room()` is ended by an acknowledgement or by `close`; the task that sends ends itself when there is
nothing to send, and `close` cancels it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from miniagents.cluster.frames import (
    FRAME_BYTES,
    PIECE,
    PIECE_BYTES,
    Assembly,
    Frame,
    decode_item,
    encode_frame,
    pieces_of,
)
from miniagents.cluster.transport import NodeId, Transport
from miniagents.errors import DecodeError
from miniagents.log import log as _log

QUEUE_BYTES = 16 * 1024 * 1024
"""The bytes that wait in a channel, from which on it is full."""

WINDOW = 16
"""The number of frames that may be unacknowledged."""

ACK_AFTER = 0.02
"""Seconds after which an acknowledgement is sent alone, if no frame has taken it along."""

RESEND_AFTER = 1.0
"""Seconds after which frames that are not acknowledged are sent again, the first time; each time twice as long."""

RESEND_AT_MOST = 8.0


class Queued:
    """An item that waits, which its sender may take back as long as it is not in a frame.

    Attributes:
        data: The item; None once it has left, or was taken back.
        entry: What the sender wants to know it by, as long as it waits.
        has_left: Whether it is in a frame.
    """

    __slots__ = ("data", "entry", "has_left")

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self.entry: Any = None
        self.has_left = False


class Channel:
    """The two directions between this node and one life of another.

    Args:
        here: This node.
        there: The other node.
        transport: The way of the frames.
        loop: The loop of this node.
        deliver: Called with each item that arrives, in the order in which they were sent.
        may_send: Returns False once this node must not say anything any more.

    Attributes:
        here: This node.
        there: The other node.
        unreached_since: The time of the first frame in a row that was sent and not acknowledged; None if all is well.
    """

    def __init__(
        self,
        here: NodeId,
        there: NodeId,
        transport: Transport,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[list[Any]], None],
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.here = here
        self.there = there
        self.unreached_since: float | None = None
        self._transport = transport
        self._loop = loop
        self._deliver = deliver
        self._may_send = may_send
        self._control: deque[Queued] = deque()
        self._data: deque[Queued] = deque()
        self._waiting_bytes = 0
        self._numbers = 0  # of the large items
        self._sent = 0  # the number of the last frame
        self._unacked: deque[tuple[int, list[msgspec.Raw], int]] = deque()
        self._unacked_bytes = 0
        self._again: deque[tuple[int, list[msgspec.Raw], int]] = deque()
        self._received = 0
        self._assemblies = (Assembly(), Assembly())  # of data and of control, which may come in between
        self._task: asyncio.Task[None] | None = None
        self._resend: asyncio.TimerHandle | None = None
        self._resend_after = RESEND_AFTER
        self._stalled = False  # a frame got lost, so that nothing new is sent before it has arrived
        self._ack_timer: asyncio.TimerHandle | None = None
        self._owes_ack = False
        self._unacknowledged_here = 0
        self._room: deque[asyncio.Future[None]] = deque()
        self.is_closed = False

    # Sending

    @property
    def is_full(self) -> bool:
        """True while as much waits as the channel takes. Answers and control are taken all the same."""
        return self._waiting_bytes + self._unacked_bytes >= QUEUE_BYTES

    @property
    def is_idle(self) -> bool:
        """True if nothing waits, nothing is unacknowledged, and no timer or task runs."""
        waits = self._control or self._data or self._unacked or self._again or self._room
        return not waits and self._task is None and self._resend is None and self._ack_timer is None

    @property
    def is_heard(self) -> bool:
        """True if the other node has acknowledged all items."""
        return not (self._control or self._data or self._unacked)

    def send(self, data: bytes, *, control: bool = False) -> tuple[Queued, ...]:
        """Queue an item. An item of a closed channel is thrown away.

        Args:
            data: The item, not larger than `MAX_ITEM`.
            control: Whether it overtakes all items that are no control.

        Returns:
            What `withdraw` takes.
        """
        if self.is_closed:
            return ()
        if len(data) > PIECE_BYTES:
            self._numbers += 1
            number = 2 * self._numbers + control
            queued = tuple(Queued(piece) for piece in pieces_of(data, number))
        else:
            queued = (Queued(data),)
        (self._control if control else self._data).extend(queued)
        self._waiting_bytes += len(data)
        self._wake()
        return queued

    def withdraw(self, queued: tuple[Queued, ...]) -> bool:
        """Take an item back.

        Returns:
            True if no part of it has left, so that the other node will never hear of it.
        """
        for item in queued:
            if item.data is not None:
                self._waiting_bytes -= len(item.data)
                item.data = item.entry = None
        self._make_room()
        return not any(item.has_left for item in queued)

    async def room(self) -> None:
        """Wait until the channel is not full."""
        while self.is_full and not self.is_closed:
            waiter = self._loop.create_future()
            self._room.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._room:
                    self._room.remove(waiter)

    def _make_room(self) -> None:
        if self._room and (self.is_closed or not self.is_full):
            waiting, self._room = self._room, deque()
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def _wake(self) -> None:
        if self._task is None and not self.is_closed:
            self._task = self._loop.create_task(self._send_all(), name=f"link {self.here} -> {self.there}")

    async def _send_all(self) -> None:
        try:
            # What is sent in the same turn of the loop goes into one frame.
            await asyncio.sleep(0)
            while (frame := self._next_frame()) is not None:
                if not await self._handed_on(frame):
                    break
        finally:
            self._task = None
        if self._has_to_send() and not self._is_waiting_for_acks():
            self._wake()

    async def _handed_on(self, frame: bytes) -> bool:
        """Give a frame to the transport, and return False if it does not take it. The timer sends it again."""
        try:
            await self._transport.send(self.there, frame)
        except Exception as error:
            if not isinstance(error, ConnectionError):  # that one is what a transport raises for a node that is gone
                _log.error("link.not_sent", node=str(self.there), error=repr(error))
            self._stalled = True
            self._again.clear()
            return False
        return True

    def _has_to_send(self) -> bool:
        return bool(self._again or self._control or self._data) and self._may_send()

    def _is_waiting_for_acks(self) -> bool:
        return not self._again and bool(self._unacked) and (len(self._unacked) >= WINDOW or self._stalled)

    def _next_frame(self) -> bytes | None:
        if self.is_closed or not self._may_send():
            return None
        if self._again:
            number, items, _ = self._again.popleft()
            return self._framed(number, items)
        if not self._is_waiting_for_acks():
            items, size = self._take_items()
            if items:
                self._sent += 1
                self._unacked.append((self._sent, items, size))
                self._unacked_bytes += size
                if self._resend is None:
                    self._resend = self._loop.call_later(self._resend_after, self._send_again)
                return self._framed(self._sent, items)
        if self._owes_ack:
            return self._framed(0, [])
        return None

    def _take_items(self) -> tuple[list[msgspec.Raw], int]:
        items: list[msgspec.Raw] = []
        size = 0
        for queue in (self._control, self._data):
            while queue and size < FRAME_BYTES:
                item = queue.popleft()
                data, item.data = item.data, None
                item.entry = None
                if data is not None:
                    item.has_left = True
                    items.append(msgspec.Raw(data))
                    size += len(data)
        self._waiting_bytes -= size
        return items, size

    def _framed(self, number: int, items: list[msgspec.Raw]) -> bytes:
        self._owes_ack = False
        self._unacknowledged_here = 0
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        here, there = self.here, self.there
        return encode_frame(Frame(here.name, here.epoch, there.epoch, number, self._received, items))

    def _send_again(self) -> None:
        self._resend = None
        if self._unacked:
            if self.unreached_since is None:
                self.unreached_since = self._loop.time() - self._resend_after
            self._stalled = True
            self._resend_after = min(self._resend_after * 2, RESEND_AT_MOST)
            self._resend = self._loop.call_later(self._resend_after, self._send_again)
            self._again = deque(self._unacked)
            self._wake()

    # Receiving

    def received(self, frame: Frame) -> None:
        """Take a frame of that life of the other node, for this life of this one."""
        if self.is_closed:
            return
        self._acknowledged(frame.ack)
        if frame.number == 0:
            return
        if frame.number == self._received + 1:
            self._received += 1
            self._unacknowledged_here += 1
            for data in frame.items:
                if self.is_closed:
                    return
                self._take(data)
        self._owe_ack(at_once=frame.number < self._received or self._unacknowledged_here >= WINDOW // 2)

    def _take(self, data: "bytes | msgspec.Raw") -> None:
        try:
            parts = decode_item(data)
            if parts[0] == PIECE:
                is_control = len(parts) > 1 and type(parts[1]) is int and parts[1] & 1
                whole = self._assemblies[bool(is_control)].add(parts)
                if whole is None:
                    return
                parts = decode_item(whole)
        except DecodeError as error:
            _log.error("link.unreadable_item", node=str(self.there), error=str(error))
            return
        self._deliver(parts)

    def _acknowledged(self, ack: int) -> None:
        if ack > self._sent or not self._unacked or self._unacked[0][0] > ack:
            return
        while self._unacked and self._unacked[0][0] <= ack:
            _, _, size = self._unacked.popleft()
            self._unacked_bytes -= size
        while self._again and self._again[0][0] <= ack:
            self._again.popleft()
        self._resend_after = RESEND_AFTER
        self._stalled = False
        self.unreached_since = None
        if self._resend is not None:
            self._resend.cancel()
            self._resend = None
        if self._unacked:
            self._resend = self._loop.call_later(self._resend_after, self._send_again)
        self._make_room()
        if self._has_to_send():
            self._wake()

    def _owe_ack(self, *, at_once: bool) -> None:
        self._owes_ack = True
        if at_once:
            self._wake()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(ACK_AFTER, self._ack_now)

    def _ack_now(self) -> None:
        self._ack_timer = None
        if self._owes_ack:
            self._wake()

    # The end

    def close(self) -> None:
        """Send and receive nothing more: one of the two nodes is gone."""
        self.is_closed = True
        self._control.clear()
        self._data.clear()
        self._unacked.clear()
        self._again.clear()
        self._waiting_bytes = self._unacked_bytes = 0
        self._assemblies = (Assembly(), Assembly())
        for timer in (self._resend, self._ack_timer):
            if timer is not None:
                timer.cancel()
        self._resend = self._ack_timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._make_room()
