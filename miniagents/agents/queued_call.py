"""A call on its way: into a mailbox, under a deadline, and to exactly one ending."""

import asyncio
from collections.abc import Callable
from typing import Any

from miniagents.actors.messaging.ask import stopped_before_answer
from miniagents.actors.messaging.envelope import Envelope
from miniagents.agents.call_tree import CallNode
from miniagents.errors import AskTimeoutError, SystemNotRunningError


class QueuedCall(CallNode):
    """A call as a mailbox sees it.

    In its envelope a call is two things: the message, which the cell of an agent serves, and the ask, which the cell
    ends.

    Attributes:
        envelope: The envelope that the call waits in; None if it began at once, or has ended.
        agent: The agent that is called.
        is_submitted: Whether the call has been put into a mailbox, or has begun.
        is_lazy: Whether the call begins when somebody first asks for a reply.
        has_expired: Whether the deadline has passed before the replies had come.
        error: What the call failed with.
    """

    __slots__ = ("_timer", "_was_awaited", "error", "has_expired", "is_lazy", "is_submitted")

    agent: object
    is_submitted: bool
    is_lazy: bool
    has_expired: bool
    error: BaseException | None
    _timer: asyncio.TimerHandle | None
    _was_awaited: bool

    # Into the mailbox

    def submit(self) -> None:
        """Put the call into the agent's mailbox, once."""
        if self.is_submitted or self._done:
            return
        self.is_submitted = True
        system = self.system
        if self.is_lazy:
            system.forget_lazy(self.replies)
        if self.cell.is_activated and self.cell.stopping is not None and not self.cell.takes_calls:
            try:
                self.cell = system.activated(self.agent)  # it was passivated, or ended, in between
            except SystemNotRunningError as error:  # a lazy call begins while the system ends
                self.finish(error)
                return
        elif self.cell.is_supervisor:
            self.cell.assign(self)  # a pool chooses the member
        system.interaction_started(self)
        if self.parent is not None:
            self.parent.add_below(self)
        if self._deadline is not None:
            if self._deadline <= system.time():
                system.loop.call_soon(self.expire)
                if not self.own_timeout:
                    return  # after an inherited deadline nothing is sent any more
            else:
                self._timer = system.loop.call_at(self._deadline, self.expire)
        self.cell.take_call(self)

    def in_envelope(self) -> Envelope:
        """Return a new envelope that the call waits in."""
        self.envelope = envelope = Envelope(
            self, self.sender, self, self._deadline, self._correlation_id, self.trace, self.system.time()
        )
        return envelope

    def begin_taken(self, envelope: Envelope) -> None:
        """Begin without a mailbox, since the plain message that became this call has been in it."""
        self.is_submitted = True
        self.envelope = envelope
        self.system.interaction_started(self)

    # As the ask of the envelope

    @property
    def waiters(self) -> bool:
        """True if anybody waits for the replies, or did when the call ended."""
        return self._was_awaited or self.replies.is_waited_for()

    def answer(self, result: object) -> None:
        """End the call without an error, since its handler returned; what that returned is not used."""
        self.finish(None)

    def fail(self, error: BaseException) -> None:
        """End the call with an error, if it has not ended."""
        self.finish(error)

    def hung(self, error: BaseException) -> None:
        """End the call for its caller, since its time is over. Its code goes on, and replies to nobody."""
        self.abandoned = True
        self.replies.reject(error)
        self.cancel_background(error, {})

    def stopped(self, reason: object, cause: BaseException | None = None) -> None:
        """End the call because the agent ended."""
        if not self._done:
            self.finish(stopped_before_answer(self.path, reason, cause))

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Do nothing: no other cell waits to be told how a call ended."""

    # The deadline

    def expire(self) -> None:
        """End the call, since its deadline has passed."""
        if self.has_expired or (self._done and not self.replies.is_flowing):
            return
        self.has_expired = True
        seconds = round(max((self._deadline or self.started_at) - self.started_at, 0.0), 3)
        error = AskTimeoutError(f"{self.path}: no answer within {seconds} s", path=self.path)
        envelope, cell = self.envelope, self.cell
        if self.is_running and cell.is_serial:
            self.hung(error)  # calls and asks have inherited the deadline, streams have not
            return
        if self.is_running:
            self.abandoned = True  # its clean-up takes as long as it takes; the caller waits no longer
        if not self.is_running and envelope is not None and not envelope.taken:
            cell.ask_expired(envelope)
            envelope.taken = True  # it is no longer counted as waiting
        self.cut_off(error)
