"""Asks: the promise of an answer, with exactly one ending."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from miniagents.actors import deadlock
from miniagents.errors import ActorStoppedError, AskTimeoutError, NotSendableError
from miniagents.messages import Message
from miniagents.promising import Promise

if TYPE_CHECKING:
    from miniagents.actors.cell import Cell
    from miniagents.actors.envelope import Envelope

T = TypeVar("T")


class Ask(Promise[T]):
    """The promise of an actor's answer.

    Args:
        cell: The actor that is asked.
        asker: The interaction or serial actor that asks, or None from outside.
        own_timeout: Whether its deadline is its own, and not one that it inherited.
    """

    __slots__ = ("_asker", "_timer", "cell", "envelope", "own_timeout")

    def __init__(self, cell: "Cell", asker: Any, own_timeout: bool) -> None:
        super().__init__()
        self.cell = cell
        self.envelope: Envelope | None = None
        self.own_timeout = own_timeout
        self._asker = asker
        self._timer: asyncio.TimerHandle | None = None
        self._producer = cell if cell.is_serial else None

    def expire_at(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Let it end with `AskTimeoutError` at `deadline`, on `loop.time()`."""
        if deadline <= loop.time():
            loop.call_soon(self._expire)  # a deadline that has passed ends it at the next turn
        else:
            self._timer = loop.call_at(deadline, self._expire)

    def answer(self, result: Any) -> None:
        """End it with what a handler returned or replied: an exception is raised at the asker."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        if result is None or isinstance(result, Message):
            self._resolve(result)  # type: ignore[arg-type]  # the asked actor's word for it
        elif isinstance(result, BaseException):
            self._reject(result)
        else:
            self._reject(
                NotSendableError(
                    f"{self.cell.path}: answered with a {type(result).__name__}, {result!r}; an answer is a Message, "
                    f"None or an exception"
                )
            )

    def fail(self, error: BaseException) -> None:
        """End it with an error, if it has not ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._reject(error)

    def stopped(self, reason: object, cause: BaseException | None = None) -> None:
        """End it because the actor ended."""
        if not self.done():
            error = ActorStoppedError(
                f"{self.cell.path}: stopped ({reason!r}) before it answered", path=self.cell.path, reason=reason
            )
            error.__cause__ = cause if cause is not None else (reason if isinstance(reason, BaseException) else None)
            self.fail(error)

    def _expire(self) -> None:
        if self.done():
            return
        cell = self.cell
        ring = deadlock.ring_through(self._asker, self) if self._asker is not None else ()
        held = f"; it was held up by a ring: {' -> '.join(ring)}" if ring else ""
        self._reject(AskTimeoutError(f"{cell.path}: no answer in time{held}", path=cell.path, ring=ring))
        cell.ask_expired(self.envelope)

    def _cancel_work(self, reason: object) -> Any:
        if self._timer is not None:
            self._timer.cancel()
        return self.cell.ask_cancelled(self.envelope)
