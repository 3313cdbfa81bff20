"""A call as its caller sees it: the replies, and what an error means."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from miniagents.agents.queued_call import QueuedCall
from miniagents.errors import ActorStoppedError, AskTimeoutError, DeadlineExceededError, PromiseCancelledError
from miniagents.messages import (
    Message,
    MessagePromise,
    MessageSequence,
    MessageSequencePromise,
    Sendable,
    TextMessage,
    error_text,
)
from miniagents.promising import Promise
from miniagents.promising.failures import log_failure

_CAUSE = 300
"""The length of the text of an error, in characters, in the note about the call that failed."""

_ENDS = (PromiseCancelledError, ActorStoppedError, DeadlineExceededError)


class ReplyingCall(QueuedCall):
    """A call that replies.

    Attributes:
        message_promises: The messages that came with the call.
        agent_trace: The agent that is called, the one that called it, and so on, up to 64.
        are_replies_closed: Whether the code may reply nothing more.
    """

    __slots__ = ("_sequence", "_to_wait_for", "agent_trace", "are_replies_closed", "message_promises")

    message_promises: MessageSequencePromise
    agent_trace: tuple[Any, ...]
    are_replies_closed: bool
    _sequence: MessageSequence | None
    _to_wait_for: list[Awaitable[Any]] | None

    @property
    def has_replied(self) -> bool:
        """True if anything has reached the caller."""
        return self.replies.has_pieces

    def reply(self, messages: Sendable, *, out_of_order: bool) -> None:
        """Send something to the caller."""
        sequence = self._sequence
        if sequence is None:
            # The usual cases: nothing to flatten, nobody to wait for (benchmarks `agent_call` and `model_call`).
            if messages.__class__ is str or isinstance(messages, Message):
                if not self.are_replies_closed and not self.system.persists_messages:
                    message = messages if isinstance(messages, Message) else TextMessage(str(messages))
                    self.replies.push_piece(MessagePromise.of(message))
                    return
            elif (
                isinstance(messages, MessagePromise)
                and not self.are_replies_closed
                and not self.replies.errors_as_messages
            ):
                self.replies.push_piece(messages)
                return
            sequence = self._sequence = MessageSequence(promise=self.replies)
            sequence.open()
            if self.are_replies_closed:
                sequence.close()
        sequence.send(messages, out_of_order=out_of_order)

    def close_replies(self) -> None:
        """Take no more replies."""
        self.are_replies_closed = True
        if self._sequence is not None:
            self._sequence.close()
        else:
            self.replies.end_stream()

    def replies_settled(self) -> None:
        """Release what is only needed as long as replies come."""
        self._left_below = ()
        if self._done:
            self._sequence = None  # it leads back to here
            if self._timer is not None:
                self._timer.cancel()  # they flowed on after the end of the call, and have come
                self._timer = None

    def make_sure_to_wait(self, awaitable: Awaitable[Any]) -> None:
        """Let the call end after `awaitable` has."""
        if self._to_wait_for is None:
            self._to_wait_for = []
        self._to_wait_for.append(awaitable)

    async def wait_for_the_rest(self) -> None:
        """Wait for all that was given to `make_sure_to_wait`."""
        while self._to_wait_for:
            awaitable = self._to_wait_for.pop(0)
            try:
                await awaitable
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            except (Exception, KeyboardInterrupt, SystemExit) as error:
                if isinstance(awaitable, (Promise, asyncio.Future)):
                    log_failure("call.side_task_failed", error, actor=self.path)

    # Errors

    def explain(self, error: BaseException) -> BaseException:
        """Return what an error of the code means to the caller: a cancellation means the reason for it."""
        if self.cancelled is not None and isinstance(error, asyncio.CancelledError):
            return self.as_error(self.cancelled)
        if isinstance(error, asyncio.CancelledError):
            # Raw, it would make every awaiter believe that it was cancelled itself.
            crash = RuntimeError(f"{self.path}: its code raised CancelledError")
            crash.__cause__ = error
            return crash
        return error

    def mark(self, error: BaseException) -> None:
        """Add the agents that it came through to an error, and which call of which agent failed, unless it has them.

        Python prints these notes below the text of the error, so the call and its cause are the last line of a program
        that ends by it.
        """
        if not hasattr(error, "agent_trace"):
            names = tuple(agent.alias for agent in self.agent_trace)
            try:
                error.agent_trace = names  # type: ignore[attr-defined]
            except AttributeError:
                return
            error.add_note(f"agent trace: {' <- '.join(names)}")
            cause = error_text(error).partition("\n")[0]
            error.add_note(f"{self.path}, interaction {self.id}, failed: {cause[:_CAUSE]}")

    def ends_with_its_caller(self, error: BaseException) -> bool:
        """Return True if an error only says that the calling call ended, which that call's own promise tells."""
        if isinstance(error, AskTimeoutError) and not self.own_timeout:
            return True  # the deadline was inherited
        parent = self.parent
        if parent is None or parent.cancelled is None:
            return False
        return error is parent.cancelled or _only_ends(error)

    def goes_unheard(self, error: BaseException) -> bool:
        """Return True if the caller does not get an error that the call ends with: the replies were closed, or the
        caller got another ending before."""
        was_told = self.replies.done() and (self.cancelled is not None or self.has_expired)
        return (self.are_replies_closed or was_told) and not self.replies.failed_with(error) and not _only_ends(error)


def _only_ends(error: BaseException) -> bool:
    """Return True if an error, or each error of a group, only says that unwanted work has ended."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_ends(part) for part in error.exceptions)
    return isinstance(error, _ENDS)
