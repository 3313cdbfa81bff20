"""Timers: messages that an actor gets later."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from miniagents.actors.messaging.envelope import Envelope, not_sendable
from miniagents.actors.messaging.mailbox import Overflow
from miniagents.errors import MailboxFullError
from miniagents.log import log as _log
from miniagents.messages import Message
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision.checking import check_seconds

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell
    from miniagents.actors.messaging.ref import ActorRef


CreateTask = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Timer:
    """A message that an actor will get, once or again and again.

    Args:
        cell: The actor.
        timers: Those that it is one of, and ends with.
        delay: Seconds until the first time.
        message: The message.
        repeats: Whether it comes again, each time after as many seconds.
        sender: Whose message it is; None for one from outside.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     timer = system.schedule(60.0, system.spawn(Idle), TextMessage("wake up"))
        ...     timer.cancel()
        ...     print(timer.waits)
        False
    """

    __slots__ = ("_cell", "_every", "_handle", "_message", "_sender", "_sending", "_tick", "_timers")

    def __init__(
        self,
        cell: "Cell",
        timers: "Timers",
        delay: float,
        message: Message,
        repeats: bool,
        sender: "ActorRef | None",
    ) -> None:
        self._cell = cell
        self._timers = timers
        self._message = message
        self._every = delay if repeats else None
        self._sender = sender
        self._tick: Envelope | None = None
        self._sending: asyncio.Task[None] | None = None  # under BACKPRESSURE, while the mailbox has no room
        self._handle: asyncio.TimerHandle | None = cell.system.loop.call_later(delay, self._fire)

    @property
    def waits(self) -> bool:
        """True if a message of the timer waits in the mailbox. One that crashed the actor and is tried again does not:
        it counts as the message in hand."""
        tick = self._tick
        return tick is not None and not tick.taken and not tick.crashes

    @property
    def is_due(self) -> bool:
        """True if a message of it waits, in the mailbox or for room in it."""
        return self.waits or self._sending is not None

    def cancel(self) -> None:
        """No more messages, and one that waits already is thrown away; cancelling again is harmless."""
        self._timers.discard(self)
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        tick = self._tick
        if tick is not None and self.waits:
            self._holder().withdraw(tick)
        self._tick = None

    def _holder(self) -> "Cell":
        """Return the cell whose mailbox has the message: a pool may have handed it on to a member."""
        if self._cell.is_supervisor:
            for member in (self._cell.children or {}).values():
                if self._tick in (member.queue or ()):
                    return member
        return self._cell

    def _fire(self) -> None:
        cell = self._cell
        if self._every is None:
            self._handle = None
            self._timers.fired(self)
        elif not cell.is_alive:
            self.cancel()
            return
        else:
            self._handle = cell.system.loop.call_later(self._every, self._fire)
        if self.is_due or (self._sender is not None and cell.stopping is not None):
            return
        member = cell.route(self._message)
        if member.is_full() and member.props.options.mailbox.overflow is Overflow.BACKPRESSURE:
            self._sending = self._timers.create_task(self._send(member))
        else:
            self._put(member)

    async def _send(self, member: "Cell") -> None:
        await member.room()
        self._sending = None
        self._put(member)

    def _put(self, member: "Cell") -> None:
        tick = self._tick = Envelope(self._message, self._sender, at=member.system.time())
        post_tick(member, tick)


def post_tick(member: "Cell", tick: Envelope) -> None:
    """Post a message of a timer. If the mailbox does not take it, nobody gets an error: it is a dead letter, or logged.

    Args:
        member: The cell of the actor.
        tick: The message.
    """
    try:
        member.post(tick)
    except MailboxFullError:
        pass  # the mailbox rejects it: it is a dead letter
    except Exception as error:  # of the mailbox's `priority=`
        tick.taken = True
        _log.error("timer.not_delivered", actor=member.path, stack=traceback_text(error))


def check_delay(cell: "Cell", delay: float, *, repeats: bool) -> None:
    """Check the delay of a timer.

    Raises:
        InvalidOptionError: `delay` is no number of seconds, 0 or more and finite; with `repeats`, more than 0.
    """
    option = "schedule_every(interval=)" if repeats else "schedule(delay=)"
    check_seconds(f"{cell.path}: {option}", delay, above_zero=repeats, finite=True)


class Timers:
    """Timers that end together: those of an instance of an actor, or those from outside.

    Args:
        create_task: Starts a task that ends with them.
    """

    __slots__ = ("_fired", "_running", "create_task")

    def __init__(self, create_task: CreateTask) -> None:
        self._running: dict[Timer, None] = {}
        self._fired: deque[Timer] = deque()  # have come once, and their message may still wait
        self.create_task = create_task

    def start(
        self, cell: "Cell", delay: float, message: Message, repeats: bool, sender: "ActorRef | None" = None
    ) -> Timer:
        """Start one.

        Raises:
            InvalidOptionError: `delay` is no number of seconds, 0 or more and finite; with `repeats`, more than 0.
            NotSendableError: `message` is no `Message`.
        """
        check_delay(cell, delay, repeats=repeats)
        if not isinstance(message, Message):
            raise not_sendable(cell.path, message)
        timer = Timer(cell, self, delay, message, repeats, sender)
        self._running[timer] = None
        return timer

    def fired(self, timer: Timer) -> None:
        """A timer has come once, and will not come again."""
        del self._running[timer]
        while self._fired and not self._fired[0].is_due:
            self._fired.popleft()
        self._fired.append(timer)

    def discard(self, timer: Timer) -> None:
        """A timer was cancelled."""
        self._running.pop(timer, None)

    def cancel(self) -> None:
        """Cancel all, and throw away their messages that wait."""
        for timer in (*self._running, *self._fired):
            timer.cancel()
        self._fired.clear()

    def __bool__(self) -> bool:
        return bool(self._running or self._fired)
