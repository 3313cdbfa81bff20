"""The promise of an agent's replies."""

import asyncio
from collections.abc import Collection, Generator, Iterable
from typing import Any, Generic, Protocol, TypeVar

from miniagents.agents.host import AgentHost
from miniagents.messages import Messages, MessageSequencePromise
from miniagents.promising import Promise
from miniagents.promising.promise import NO_VALUE
from miniagents.promising.scope import PromisingContext
from miniagents.promising.work import Cancellable, Endings, forget_ended


class Replier(Protocol):
    """The call behind a `ReplyPromise`, as the promise sees it."""

    system: AgentHost
    message_promises: MessageSequencePromise
    own_timeout: bool
    is_running: bool
    is_submitted: bool
    are_replies_closed: bool
    task: asyncio.Task[Any] | None

    def submit(self) -> None:
        """Put the call into the agent's mailbox, once."""

    def done(self) -> bool:
        """Return True if the call has ended."""

    def begin_wait(self, promise: Promise[Any], at: int | None) -> None:
        """Look for a cycle, since somebody is about to wait for a reply."""

    def node_behind(self, promise: object) -> Any:
        """Return the node that must get further before the replies can come, or None."""

    def ends_with_its_caller(self, error: BaseException) -> bool:
        """Return True if an error only says that the calling call ended, which that call's own promise tells."""

    def begin_cancel(self, reason: object) -> Endings:
        """Cancel the call and everything below it, and return what still runs."""

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Cancel the call without what is below it, and return that."""

    def cut_off(self, error: BaseException) -> None:
        """Cancel the call and everything below it; its caller gets the error now."""

    def replies_settled(self) -> None:
        """Release what is only needed as long as replies come."""


CallT = TypeVar("CallT", bound=Replier)


class ReplyPromise(MessageSequencePromise[Any], Generic[CallT]):
    """The promise of an agent's replies. Cancelling it cancels the call, and all calls below that.

    Args:
        call: The call that is replied to.
        errors_as_messages: Exceptions arrive as `ErrorMessage`s instead.
    """

    __slots__ = ("_interaction",)

    def __init__(self, call: CallT, errors_as_messages: bool) -> None:
        super().__init__(errors_as_messages=errors_as_messages)
        self._interaction: CallT | None = call
        self.producer = call

    def __await__(self) -> Generator[Any, Any, Messages]:
        call = self._interaction
        if call is not None and self.settled_value is NO_VALUE and self.settled_error is None:
            if not call.is_submitted:
                call.submit()  # a lazy call begins
            call.system.dispatcher.helpers.run_ready()
        return super().__await__()

    def run_ready(self) -> bool:
        call = self._interaction
        if call is None:
            return False
        dispatcher = call.system.dispatcher
        return bool(dispatcher.ready) and dispatcher.helpers.run_ready()

    def start(self) -> None:
        call = self._interaction
        if call is not None and not call.is_submitted:
            call.submit()  # there is nothing else to start: the call fills the promise

    def _watch(self, error: BaseException) -> None:
        if self._interaction is None or not self._interaction.ends_with_its_caller(error):
            super()._watch(error)

    def _context(self) -> PromisingContext | None:
        call = self._interaction
        return call.system if call is not None else super()._context()

    def event_loop(self) -> asyncio.AbstractEventLoop:
        call = self._interaction
        return call.system.loop if call is not None else super().event_loop()

    # The side of the call

    def add_endings(self, endings: Endings) -> Endings:
        """Keep what still runs of the call for `aclose`, and return it with what was kept before."""
        earlier: Endings | None = getattr(self, "endings", None)
        self.endings = endings = {**earlier, **endings} if earlier else endings
        forget_ended(endings)
        return endings

    def failed_with(self, error: BaseException) -> bool:
        """Return True if the promise has failed with this exception."""
        return self.settled_error is error

    @property
    def has_pieces(self) -> bool:
        """True if there is a reply, or an exception in the place of one."""
        return bool(self.pieces)

    @property
    def may_be_awaited(self) -> bool:
        """True if anybody waits for the replies, or is called back when they have settled."""
        return bool(self.piece_waiters or self.waiters or self.callbacks)

    # The side of those who wait

    @property
    def interaction(self) -> CallT | None:
        """The call, until the replies have settled; None afterwards."""
        return self._interaction

    @property
    def own_timeout(self) -> bool:
        """True if the call has a deadline of its own, and not one that it inherited."""
        return self._interaction is not None and self._interaction.own_timeout

    def is_reply_to(self, messages: MessageSequencePromise) -> bool:
        """Return True if these are the messages of the call that is replied to."""
        return self._interaction is not None and self._interaction.message_promises is messages

    def speaker(self, at: int | None) -> CallT | None:
        call = self._interaction
        if at is None or call is None or call.are_replies_closed:
            return None  # the replies have not ended before its code has
        return call if call.is_running else None

    def held_by(self, at: int | None) -> "tuple[bool, Collection[Any]] | None":
        call, flat = self._interaction, self.flattener
        if call is None:
            return super().held_by(at)
        if call.is_running and not call.are_replies_closed:
            if at is None:
                return True, (call,)  # the replies have not ended before its code has
            return False, (call, *(flat.tasks if flat is not None else ()))
        if call.is_running:
            held = super().held_by(at)
            return None if held is None else (False, (call, *held[1]))  # it may cancel what it left flowing
        if not call.done():
            node = call.node_behind(self)
            return None if node is None else (True, (node,))
        return super().held_by(at)

    @property
    def is_flowing(self) -> bool:
        """True if more replies are to come, or more tokens of a reply."""
        return (self.settled_value is NO_VALUE and self.settled_error is None) and (
            not self.finished or any(isinstance(piece, Promise) and not piece.done() for piece in self.pieces)
        )

    def end_cycle(self, error: BaseException) -> bool:
        """Cancel the call with `error`, since waiting for it would close a cycle.

        Returns:
            Whether the call ends by that. The code that waits for its own replies is not interrupted by itself.
        """
        call = self._interaction
        if call is None:
            return True
        call.begin_cancel(error)
        return self.done() or call.task is not asyncio.current_task()

    def cut_off(self, error: BaseException) -> None:
        if self._interaction is not None:
            self._interaction.cut_off(error)
        super().cut_off(error)

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        call = self._interaction
        if call is None:
            return super().cancel_alone(reason, endings)
        started = self._all_started()
        below = call.cancel_alone(reason, endings)
        super().cancel_alone(reason, endings)
        return (*below, *started)

    def _settled(self) -> None:
        super()._settled()
        call, self._interaction = self._interaction, None
        if call is not None:
            call.replies_settled()
