"""Promises: values that are there later, settled once and the same for every awaiter.

The module is longer than most, since hot paths are written out in it instead of calling helpers (benchmarks `ask`,
`crash`).
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from miniagents.errors import ActorStoppedError, DeadlineExceededError, PromiseCancelledError, PromiseNotReadyError
from miniagents.promising.failures import SEEN, Unseen, note_seen
from miniagents.promising.scope import PromisingContext, Scope, current_work, get_scope, get_work, started
from miniagents.promising.waits import Held, Producer, waits
from miniagents.promising.work import (
    Cancellable,
    Endings,
    Started,
    each_of,
    end_all,
    end_task,
    forget_ended,
    wait_for_all,
    with_one_more,
)

T_co = TypeVar("T_co", covariant=True)


class _NoValue:
    """The type of `NO_VALUE`."""

    def __repr__(self) -> str:
        return "NO_VALUE"


NO_VALUE: Any = _NoValue()
"""In the place of the value of a promise that has not resolved. None would not do, since it is a value."""

UNRAISABLE = (StopIteration, StopAsyncIteration, GeneratorExit)
"""Exceptions that cannot be raised at an awaiter as they are: a generator that awaits would end by them."""

_ENDS = (ActorStoppedError, DeadlineExceededError)
"""Errors of work that is not wanted any more: no failure of a program."""


class Promise(Generic[T_co]):
    """A value that is there later. A promise settles once, with a value or an exception, the same for every awaiter.

    Any number of tasks can await it, any number of times. An awaiter that is cancelled does not cancel the work.

    Args:
        resolver: The async function that works the value out: `async (promise) -> value`. It is called once, in a task
            of its own. Without a resolver, the code that made the promise settles it.
        start_soon: Call the resolver as soon as the loop turns; otherwise with the first `await`.
        prefill_result: The value, if it is there already.

    Raises:
        ValueError: Both a resolver and a value were given.
        NoActiveSystemError: A resolver was given, and no system is active to run it.

    Example:
        >>> async def answer(promise):
        ...     return 42
        >>> async with MiniAgents():
        ...     promise = Promise(answer)
        ...     print(promise)
        ...     print(await promise)
        <Promise pending>
        42
    """

    __slots__ = (
        "__weakref__",
        "_resolver",
        "_scope",
        "_task",
        "_traceback",
        "_unseen",
        "callbacks",
        "endings",
        "producer",
        "settled_error",
        "settled_value",
        "started_work",
        "waiters",
    )

    begins_by_itself = False
    """Whether the work never waits for a reader, so that `start_whole` has nothing to do."""

    deadline: float | None = None
    """The time by which the promise will have settled, on `loop.time()`; None if there is no such time."""

    def __init__(
        self,
        resolver: "Callable[[Any], Awaitable[T_co]] | None" = None,
        *,
        start_soon: bool = True,
        prefill_result: "T_co | _NoValue" = NO_VALUE,
    ) -> None:
        self.settled_value: Any = prefill_result
        self.settled_error: BaseException | None = None
        self.waiters: list[asyncio.Future[None]] | None = None
        self.callbacks: list[Callable[[Promise[T_co]], None]] | None = None
        self.producer: Producer | None = None
        self._task: asyncio.Task[Any] | None = None
        self._unseen: Unseen | None = None
        self.started_work: Started = None
        if resolver is not None:
            if prefill_result is not NO_VALUE:
                raise ValueError("a promise takes a resolver or a prefilled result, not both")
            self._resolver: Callable[[Any], Awaitable[T_co]] | None = resolver
            self._scope: Scope | None = get_scope() or PromisingContext.get_current()
            started(self, self._scope)
            if start_soon:
                self.start()
            else:
                self._scope.promising_context.lazy_promises[self] = None
        else:
            self._resolver = None
            self._scope = None

    # The user's side

    def done(self) -> bool:
        """Return whether the promise has settled."""
        return self.settled_value is not NO_VALUE or self.settled_error is not None

    def result(self) -> T_co:
        """Return the value, or raise the exception that the promise failed with.

        Raises:
            PromiseNotReadyError: The promise has not settled; await it first.
        """
        error = self.settled_error
        if error is not None:
            self.mark_seen()
            note_seen(error)
            try:
                raise error.with_traceback(self._traceback)
            finally:
                del self, error  # else the promise, its error and this frame would be a cycle
        if self.settled_value is NO_VALUE:
            raise PromiseNotReadyError(f"{self!r} has not settled yet: await it first")
        return self.settled_value  # type: ignore[no-any-return]

    def exception(self) -> BaseException | None:
        """Return the exception that the promise failed with; None if it has resolved.

        Raises:
            PromiseNotReadyError: The promise has not settled; await it first.
        """
        if not self.done():
            raise PromiseNotReadyError(f"{self!r} has not settled yet: await it first")
        self.mark_seen()
        return self.settled_error

    def __await__(self) -> Generator[Any, Any, T_co]:
        while self.settled_value is NO_VALUE and self.settled_error is None:
            if self._resolver is not None and self._task is None:
                self.start()
            waiter = self.event_loop().create_future()
            if self.waiters is None:
                self.waiters = [waiter]
            else:
                self.waiters.append(waiter)
            yield from self._wait_for(waiter)
        error = self.settled_error
        if error is None:
            return self.settled_value  # type: ignore[no-any-return]
        self.mark_seen()
        note_seen(error)
        try:
            raise error.with_traceback(self._traceback)
        finally:
            del self, error  # else the promise, its error and this frame would be a cycle

    def cancel(self, reason: object = None) -> None:
        """Cancel the work behind the promise, and all that was started for it. Returns at once.

        Awaiters get `PromiseCancelledError`. A promise that has settled stays as it is.

        Args:
            reason: Any value; it becomes `PromiseCancelledError.reason`.
        """
        self._begin_cancel(reason)

    async def aclose(self, reason: object = None) -> None:
        """Cancel the promise and wait until the work has stopped, even if it was cancelled before.

        Args:
            reason: As in `cancel`.
        """
        await wait_for_all(self._begin_cancel(reason))

    def __repr__(self) -> str:
        if self.settled_error is not None:
            state = f"failed: {self.settled_error!r}"
        elif self.settled_value is NO_VALUE:
            state = "pending"
        else:
            try:
                state = f"resolved: {self.settled_value!r}"
            except Exception as error:  # a value whose own repr fails must not make ours fail
                state = f"resolved: <{type(self.settled_value).__name__} whose repr raised {type(error).__name__}>"
        return f"<{type(self).__name__} {state}>"

    # The producer's side

    def resolve(self, value: T_co) -> bool:  # type: ignore[misc]  # only the maker of the promise calls this
        """Settle the promise with a value.

        Returns:
            False if the promise had settled before, and stays as it was.
        """
        if self.settled_value is not NO_VALUE or self.settled_error is not None:
            return False
        self.settled_value = value
        self._settled()
        return True

    def reject(self, error: BaseException) -> bool:
        """Settle the promise with an exception.

        Returns:
            False if the promise had settled before, and stays as it was.
        """
        if self.settled_value is not NO_VALUE or self.settled_error is not None:
            return False
        if isinstance(error, UNRAISABLE):
            wrapped = RuntimeError(f"the work behind a promise raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        elif isinstance(error, asyncio.CancelledError):
            # A `CancelledError` would make every awaiter believe that it was cancelled itself.
            error = self._cancelled(error.args[0] if error.args else None)
        if getattr(error, "__miniagents_seen__", False):
            error.__miniagents_seen__ = False  # type: ignore[attr-defined]  # the awaiters of this promise have not received it
        self.settled_error = error
        # Each raise would make the traceback longer.
        self._traceback: TracebackType | None = error.__traceback__
        if self._unseen is None and not isinstance(error, PromiseCancelledError):
            self._watch(error)
        self._settled()
        return True

    def _settled(self) -> None:
        """Wake the awaiters, call the callbacks and drop what is not needed any more.

        A hook: see `miniagents.promising`.
        """
        waiters, self.waiters = self.waiters, None
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        callbacks, self.callbacks = self.callbacks, None
        if callbacks is not None:
            for callback in callbacks:
                callback(self)
        self.producer = None
        self._resolver = None
        self._scope = None
        self.started_work = None
        self._task = None  # its context leads back to here

    def add_done_callback(self, callback: "Callable[[Promise[T_co]], None]") -> None:
        """Call `callback(self)` when the promise settles; at once if it has."""
        if self.done():
            callback(self)
        elif self.callbacks is None:
            self.callbacks = [callback]
        else:
            self.callbacks.append(callback)

    def remove_done_callback(self, callback: "Callable[[Promise[T_co]], None]") -> None:
        """Take a callback back, once, if it was not called."""
        callbacks = self.callbacks
        if callbacks is not None and callback in callbacks:
            callbacks.remove(callback)
            if not callbacks:
                self.callbacks = None

    def owns(self, work: Cancellable) -> None:
        """Let `work`, which was started for the promise, be cancelled with it."""
        if self.settled_value is NO_VALUE and self.settled_error is None:
            before = self.started_work
            self.started_work = work if before is None else with_one_more(before, work)

    def _all_started(self) -> Iterable[Cancellable]:
        """Return what was started for the promise and may still run."""
        return each_of(self.started_work)

    def _begin_cancel(self, reason: object) -> Endings:
        """Cancel the promise and all that was started for it.

        Returns:
            The tasks of these that still run, each with its owner.
        """
        if self.done():
            return getattr(self, "endings", {})
        endings = end_all(self, reason=reason)
        if endings:
            self.endings: Endings = endings
            forget_ended(endings)
        return endings

    def cut_off(self, error: BaseException) -> None:
        """Cancel the promise and all that was started for it. Awaiters get `error`."""
        started = tuple(self._all_started())
        self._cancel_work(error, {})
        self.reject(error)
        end_all(*started, reason=error)

    def is_over(self) -> bool:
        """Return whether the promise has settled: see `Cancellable`."""
        return self.done()

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Cancel the promise without what was started for it: see `Cancellable`. A hook: see `miniagents.promising`."""
        if self.done():
            return ()
        started = self._all_started()
        self._cancel_work(reason, endings)
        self.reject(self._cancelled(reason))
        return started

    def _cancel_work(self, reason: object, endings: Endings) -> None:
        """Cancel what works the promise out. A hook: see `miniagents.promising`."""
        end_task(self._task, reason, endings, self)

    def _cancelled(self, reason: object) -> PromiseCancelledError:
        """Return the error of a promise that was cancelled."""
        text = "the work behind this promise was cancelled"
        return PromiseCancelledError(text if reason is None else f"{text}: {reason}", reason=reason)

    def start(self) -> None:
        """Begin the work, if it has not begun. A hook: see `miniagents.promising`."""
        scope = self._scope
        if scope is not None:
            task = scope.start_soon(self._run(), on_cancelled=self.reject)
            if not self.done():  # an eager task may have run to its end
                self._task = task

    def start_whole(self) -> None:
        """Begin what an `await` would begin, for a reader that waits by a callback. A hook: see
        `miniagents.promising`."""
        if self._resolver is not None and self._task is None:
            self.start()

    def run_ready(self) -> bool:
        """Do now what can be done for the promise, before a task waits for it. A hook: see `miniagents.promising`.

        Returns:
            Whether anything was done, so that the value or the next piece may be there.
        """
        return False

    async def _run(self) -> None:
        """Call the resolver, and settle the promise with the outcome."""
        resolver = self._resolver
        if resolver is None:
            return
        current_work.set(self)
        try:
            self.resolve(await resolver(self))
        except BaseException as error:
            self.reject(error)
        finally:
            del self, resolver  # else the promise, its error and this frame would be a cycle

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the awaiters. Where the loop is known, to ask asyncio for it would be a system call."""
        scope = self._scope
        loop = scope.promising_context.active_loop if scope is not None else None
        return loop if loop is not None else asyncio.get_running_loop()

    def _wait_for(self, waiter: "asyncio.Future[None]") -> Generator[Any, Any, None]:
        """Wait for a future. The deadlock detection sees the wait if it may be part of a cycle, that is, if the code
        runs in a node or works for another promise.

        Args:
            waiter: The future, which is resolved when the promise settles.
        """
        scope = get_scope()
        if scope is None or not (scope.is_node or get_work() is not None):
            yield from waiter
            return
        watch: Scope | Producer = scope if self.producer is None else self.producer
        watch.begin_wait(self, None)
        waits[waiter] = self, None, scope if scope.is_node else scope.node
        try:
            yield from waiter
        finally:
            del waits[waiter]

    def held_by(self, at: int | None) -> Held | None:
        """Return what must go on before the promise settles, for the deadlock detection. A hook: see
        `miniagents.promising`.

        Args:
            at: The index of a piece: ask about that piece instead of the whole.

        Returns:
            None if nothing that is known holds the promise up.
        """
        if self.producer is not None:
            node = self.producer.node_behind(self)
            return None if node is None else (True, (node,))
        return None if self._task is None else (True, (self._task,))

    def _watch(self, error: BaseException) -> None:
        """Have the failure of the promise logged if no code receives it. A hook: see `miniagents.promising`."""
        if isinstance(error, _ENDS) and self.is_waited_for():
            return  # the awaiters get it now, or were cancelled and do not want it any more
        unseen = self._unseen = Unseen(error)
        context = self._context()
        if context is not None:
            failures = context.unseen
            failures[weakref.ref(unseen, failures.pop)] = None  # `note_unseen`, written out (benchmark `crash`)

    def is_waited_for(self) -> bool:
        """Return whether a task waits, or has waited until the promise settled."""
        return bool(self.waiters)

    def _context(self) -> PromisingContext | None:
        """Return the promising context of the promise, or None."""
        scope = self._scope or get_scope()
        return scope.promising_context if scope is not None else None

    def was_seen(self) -> bool:
        """Return whether code has received the outcome, or will."""
        return self._unseen is SEEN

    def mark_seen(self) -> None:
        """Note that code has received the failure, or will, so that it need not be logged."""
        unseen, self._unseen = self._unseen, SEEN
        if unseen is not None:
            unseen.error = None


async def settled(promise: Promise[Any]) -> None:
    """Wait until a promise has settled, unseen by the deadlock detection. The outcome is not received by this."""
    if promise.settled_value is NO_VALUE and promise.settled_error is None:
        waiter = asyncio.get_running_loop().create_future()

        def wake(_: Promise[Any]) -> None:
            if not waiter.done():
                waiter.set_result(None)

        promise.add_done_callback(wake)
        await waiter
