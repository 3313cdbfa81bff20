"""Flat sequences: nested items, however deep, come out as one flat stream, in order.

Items that are there go straight through. Only an item that must be waited for (a promise of a sequence, an async
iterable) costs a task, and the items after it wait in line. An item that is appended out of order is flattened beside
the line, and its pieces come out as soon as they are ready.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Collection, Coroutine, Iterable, Iterator
from typing import Any, Generic, TypeVar

from miniagents.errors import AppenderClosedError, AppenderNotOpenError, DeadlockError
from miniagents.promising.flow import current_flow
from miniagents.promising.promise import Promise
from miniagents.promising.scope import OnCancelled, PromisingContext, Scope, current_work, get_scope
from miniagents.promising.streamed import Failure, Replay, StreamedPromise
from miniagents.promising.waits import Held
from miniagents.promising.work import Cancellable, Endings, end_all, end_task

In = TypeVar("In")
Out = TypeVar("Out")


class Flattener(Generic[In, Out]):
    """Flattens the appended items into the pieces of `sequence_promise`.

    Subclasses define `_leaf`, which makes a piece of one item.

    Args:
        promise: The promise that gets the pieces. It has no streamer of its own.

    Attributes:
        sequence_promise: The promise that gets the pieces.
        fed_by: The node whose code appends, as long as the flattener is open; None if any code may append.
    """

    __slots__ = ("_beside", "_busy", "_closed", "_line", "_tasks", "_was_open", "fed_by", "scope", "sequence_promise")

    def __init__(self, promise: StreamedPromise[Out, Any]) -> None:
        self.sequence_promise: StreamedPromise[Out, Any] = promise
        promise.flattener = self
        self._line: deque[In] | None = None  # the items that wait behind one that is not ready
        self._busy = False
        self._beside = 0
        self.fed_by: Any = None
        self._was_open = False
        self._closed = False
        self.scope: Scope | None = None
        self._tasks: dict[Any, None] | None = None

    def _leaf(self, item: Any) -> Out | None:
        """Turn one item into a piece.

        Returns:
            The piece; None for an iterable, an async iterable, a promise of these or an exception, which the flattener
            takes apart.

        Raises:
            Exception: The item cannot be part of the sequence.
        """
        raise NotImplementedError

    @property
    def was_open(self) -> bool:
        """Whether the flattener was ever opened."""
        return self._was_open

    @property
    def is_open(self) -> bool:
        """Whether the flattener takes items now."""
        return self._was_open and not self._closed

    def open(self) -> None:
        """Take items from now on.

        Raises:
            AppenderClosedError: The flattener was closed.
        """
        if self._closed:
            raise AppenderClosedError("this sequence was closed and cannot be opened again")
        self._was_open = True

    def append(self, item: In, *, out_of_order: bool = False) -> None:
        """Append an item.

        Args:
            item: A piece, or a nesting of iterables, async iterables and promises of pieces.
            out_of_order: Let the pieces come out as soon as they are ready, whatever was appended before.

        Raises:
            AppenderNotOpenError: The flattener was never opened.
            AppenderClosedError: The flattener was closed.
        """
        if self._closed:
            raise AppenderClosedError("this sequence was closed and takes nothing more")
        if not self._was_open:
            raise AppenderNotOpenError("open() the sequence before anything is appended, or use it with `with`")
        if out_of_order:
            self._append_beside(item)
        elif self._busy:
            if self._line is None:
                self._line = deque()
            self._line.append(item)
        else:
            rest = self._flatten([iter((item,))])
            if rest is not None:
                self._busy = True
                self._go_on(self._drain(rest), self._line_broke)

    def close(self) -> None:
        """Take no more items. The promise ends when all items have been flattened."""
        self._closed = True
        self._finish_if_done()

    def cancel(self, reason: object) -> None:
        """Stop flattening."""
        end_all(self, reason=reason)

    @property
    def tasks(self) -> Collection[Any]:
        """The tasks that flatten now: that of the line, and those beside it."""
        return [task for task in self._tasks or () if not task.done()]

    def held_by(self, at: int | None) -> Held | None:
        """Return what must go on before the promise has its piece `at`, or all pieces: see `Promise.held_by`."""
        tasks = self.tasks
        if not self._closed and self.fed_by is not None:
            return False, (self.fed_by, *tasks)
        if not self._closed or not tasks:
            return None  # any code may append
        if self.scope is not None and self.scope.has_timeout:
            return None
        return at is None, tasks

    def is_over(self) -> bool:
        """Return whether no task flattens: see `Cancellable`."""
        return not self._tasks

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Stop flattening: see `Cancellable`."""
        for task in tuple(self._tasks or ()):
            end_task(task, reason, endings, self)
        return ()

    def _finish_if_done(self) -> None:
        """End the stream if nothing more comes; else there may be fewer than before who can bring it on."""
        if self._closed and not self._busy and not self._beside:
            self.sequence_promise.end_stream()
        else:
            self.sequence_promise.look_again()

    def _append_beside(self, item: In) -> None:
        rest = self._flatten([iter((item,))])
        if rest is not None:
            self._beside += 1
            self._go_on(self._drain_beside(rest), self._beside_ended)

    def _go_on(self, coro: Coroutine[Any, Any, None], on_cancelled: OnCancelled) -> None:
        """Flatten on in a task."""
        if self.scope is None:
            self.scope = get_scope() or PromisingContext.get_current()
        task = self.scope.start_soon(coro, on_cancelled=on_cancelled)
        if not self._tasks:
            self._tasks = {}
            self.sequence_promise.owns(self)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def _flatten(self, stack: list[Any]) -> "list[Any] | None":
        """Flatten up to the first item that must be waited for.

        Args:
            stack: Iterators of what is to be flattened, the innermost last.

        Returns:
            None if all is flattened; else the stack of iterators, the async one on top.
        """
        push = self.sequence_promise.push_piece
        leaf = self._leaf
        while stack:
            top = stack[-1]
            try:
                item = next(top)
            except StopIteration:
                stack.pop()
                if stack and hasattr(stack[-1], "__anext__"):
                    return stack
                continue
            except Exception as error:  # an iterable of the user fails in the middle
                self.sequence_promise.push_error(error)
                stack.pop()
                if stack and hasattr(stack[-1], "__anext__"):
                    return stack
                continue
            try:
                piece = leaf(item)
            except Exception as error:
                self.sequence_promise.push_error(error)
                continue
            if piece is not None:
                push(piece)
            elif isinstance(item, BaseException):
                self.sequence_promise.push_error(item)
            elif isinstance(item, StreamedPromise) and item.finished:
                stack.append(iter(_replayed(item)))
            elif isinstance(item, AsyncIterable):
                stack.append(item.__aiter__())
                return stack
            elif isinstance(item, Promise):
                stack.append(_once(item))
                return stack
            elif isinstance(item, Iterable):
                stack.append(iter(item))
            else:
                self.sequence_promise.push_error(TypeError(f"cannot be sent: {type(item).__name__}"))
        return None

    async def _drain(self, stack: "list[Any] | None") -> None:
        current_work.set(self.sequence_promise)
        try:
            while True:
                await self._drain_stack(stack)
                if not self._line:
                    break
                stack = [iter((self._line.popleft(),))]
        except BaseException as error:  # the reader of the sequence gets it
            self._line_broke(error)
        else:
            self._busy = False
            self._finish_if_done()

    def _line_broke(self, error: BaseException) -> None:
        """Drop the items in line, since the item before them was cut off."""
        self.sequence_promise.push_error(error)
        self._line = None
        self._busy = False
        self._finish_if_done()

    async def _drain_beside(self, stack: "list[Any]") -> None:
        current_work.set(self.sequence_promise)
        error: BaseException | None = None
        try:
            await self._drain_stack(stack)
        except BaseException as raised:
            error = raised
        self._beside_ended(error)

    def _beside_ended(self, error: BaseException | None) -> None:
        """Note that an item beside the line has been flattened, or was cut off."""
        if error is not None:
            self.sequence_promise.push_error(error)
        self._beside -= 1
        self._finish_if_done()

    async def _drain_stack(self, stack: "list[Any] | None") -> None:
        """Flatten the rest, waiting where an item is not ready."""
        push, push_error = self.sequence_promise.push_piece, self.sequence_promise.push_error
        leaf, flow = self._leaf, current_flow.get()
        while stack:
            top = stack[-1]
            if not hasattr(top, "__anext__"):
                stack = self._flatten(stack)
                continue
            if flow is not None and flow.is_full:
                await flow.room(self.sequence_promise)
            try:
                item = await top.__anext__()
            except StopAsyncIteration:
                stack.pop()
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # the reader gets the latter two, not the loop
                push_error(error)
                # A replay goes on after an exception at its place. A generator that raised has ended, and a wait that
                # would last for ever is given up.
                if not isinstance(top, Replay) or (isinstance(error, DeadlockError) and not top.raised(error)):
                    stack.pop()
            else:
                try:
                    piece = leaf(item)
                except Exception as error:
                    push_error(error)
                else:
                    if piece is not None:
                        push(piece)  # the usual case: what comes is in order already
                    else:
                        stack.append(iter((item,)))


async def _once(promise: Promise[Any]) -> AsyncIterator[Any]:
    yield await promise


def _replayed(promise: StreamedPromise[Any, Any]) -> Iterator[Any]:
    for piece in promise.pieces:
        if type(piece) is Failure:
            promise.mark_seen()  # the sequence that it goes into has the failure now, as after a `Replay`
            yield piece.error
        else:
            yield piece
