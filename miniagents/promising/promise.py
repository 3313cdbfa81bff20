"""Promises: values that will be there later, once, the same for all who wait."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from miniagents.errors import ActorStoppedError, DeadlineExceededError, PromiseCancelledError, PromiseNotReadyError
from miniagents.promising.failures import SEEN, Unseen, note_seen
from miniagents.promising.scope import PromisingContext, Scope, current_work, get_scope, get_work, started
from miniagents.promising.waits import waits
from miniagents.promising.work import (
    Cancellable,
    Endings,
    each_of,
    end_all,
    end_task,
    wait_for_all,
    with_one_more,
)

T = TypeVar("T")


class _NoValue:
    def __repr__(self) -> str:
        return "NO_VALUE"


NO_VALUE: Any = _NoValue()
"""Told apart from None, which is a value."""


UNRAISABLE = (StopIteration, StopAsyncIteration, GeneratorExit)
"""What cannot be raised at an awaiter as it is: a generator that awaits would take it for an end of its own."""

_ENDS = (ActorStoppedError, DeadlineExceededError)
"""How work ends that is not wanted any more."""


class Producer(Protocol):
    """Who is to settle a promise; asked whenever somebody must wait for it."""

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """Somebody is about to wait, for the piece `at` or for the whole. May raise instead of letting it."""

    def node_behind(self, promise: Any) -> Any:
        """Who must get further before `promise` can settle, or None if nobody does for certain."""


class Promise(Generic[T]):
    """A value that will be there later. It resolves once, to a value or an exception, the same one for all.

    Await it as often as you like, from any task. An awaiter that is cancelled does not cancel the work.

    Args:
        resolver: Works the value out; called once, in a task of its own. Without one, the promise is settled by whoever
            made it.
        start_soon: Begin as soon as the loop turns; otherwise when somebody first awaits it.
        prefill_result: The value, if it is there already.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_endings",
        "_error",
        "_producer",
        "_resolver",
        "_scope",
        "_started",
        "_task",
        "_traceback",
        "_unseen",
        "_value",
        "_waiters",
    )

    deadline: float | None = None
    """Until when it will have settled, on `loop.time()`, or None if nothing says so."""

    def __init__(
        self,
        resolver: "Callable[[Any], Awaitable[T]] | None" = None,
        *,
        start_soon: bool = True,
        prefill_result: Any = NO_VALUE,
    ) -> None:
        self._value: Any = prefill_result
        self._error: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._callbacks: list[Callable[[Promise[T]], None]] | None = None
        self._producer: Producer | None = None
        self._task: asyncio.Task[Any] | None = None
        self._unseen: Unseen | None = None
        self._started: Any = None  # one thing, or `Work`: most promises have one at a time
        if resolver is not None:
            if prefill_result is not NO_VALUE:
                raise ValueError("a promise takes a resolver or a prefilled result, not both")
            self._resolver: Callable[[Any], Awaitable[T]] | None = resolver
            self._scope: Scope | None = get_scope() or PromisingContext.get_current()
            started(self, self._scope)
            if start_soon:
                self._start()
            else:
                self._scope.promising_context._lazy[self] = None
        else:
            self._resolver = None
            self._scope = None

    # What users do with it

    def done(self) -> bool:
        """Whether it has settled."""
        return self._value is not NO_VALUE or self._error is not None

    def result(self) -> T:
        """The value.

        Raises:
            PromiseNotReadyError: It has not settled; await it first.
        """
        error = self._error
        if error is not None:
            self._look()
            note_seen(error)
            try:
                raise error.with_traceback(self._traceback)
            finally:
                del self, error  # else the promise, its error and this frame would be a cycle
        if self._value is NO_VALUE:
            raise PromiseNotReadyError(f"{self!r} has not settled yet: await it first")
        return self._value  # type: ignore[no-any-return]

    def exception(self) -> BaseException | None:
        """The exception that it settled with, or None.

        Raises:
            PromiseNotReadyError: It has not settled; await it first.
        """
        if not self.done():
            raise PromiseNotReadyError(f"{self!r} has not settled yet: await it first")
        self._look()
        return self._error

    def __await__(self) -> Generator[Any, Any, T]:
        while self._value is NO_VALUE and self._error is None:
            if self._resolver is not None and self._task is None:
                self._start()
            waiter = self._event_loop().create_future()
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)
            yield from self._wait_for(waiter)
        error = self._error
        if error is None:
            return self._value  # type: ignore[no-any-return]
        self._look()
        note_seen(error)
        try:
            raise error.with_traceback(self._traceback)
        finally:
            del self, error  # else the promise, its error and this frame would be a cycle

    def cancel(self, reason: object = None) -> None:
        """Ask for the end of the work behind it, downstream too. Returns at once; awaiters get
        `PromiseCancelledError`. A promise that has settled stays as it is."""
        self._begin_cancel(reason)

    async def aclose(self, reason: object = None) -> None:
        """Like `cancel`, and wait until the work has really stopped, also where it was cancelled before."""
        await wait_for_all(self._begin_cancel(reason))

    def add_done_callback(self, callback: "Callable[[Promise[T]], None]") -> None:
        """Call `callback(promise)` when the promise settles; at once if it has. The callback must not raise."""
        self._add_done_callback(callback)

    @property
    def settled_error(self) -> BaseException | None:
        """The exception that the promise has settled with, or None.

        This is for observers. Unlike after `exception()`, a failure that nobody awaits is still logged.
        """
        return self._error

    def __repr__(self) -> str:
        if self._error is not None:
            state = f"failed: {self._error!r}"
        elif self._value is NO_VALUE:
            state = "pending"
        else:
            try:
                state = f"resolved: {self._value!r}"
            except Exception as error:  # a value whose own repr fails must not make ours fail
                state = f"resolved: <{type(self._value).__name__} whose repr raised {type(error).__name__}>"
        return f"<{type(self).__name__} {state}>"

    # What the core does with it

    def _resolve(self, value: T) -> bool:
        """Settle it with a value.

        Returns:
            False if it had settled before.
        """
        if self._value is not NO_VALUE or self._error is not None:
            return False
        self._value = value
        self._settled()
        return True

    def _reject(self, error: BaseException) -> bool:
        """Settle it with an exception.

        Returns:
            False if it had settled before.
        """
        if self._value is not NO_VALUE or self._error is not None:
            return False
        if isinstance(error, UNRAISABLE):
            wrapped = RuntimeError(f"the work behind a promise raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        elif isinstance(error, asyncio.CancelledError):
            # Raised as it is, it would make every awaiter believe that it was cancelled itself.
            error = self._cancelled(error.args[0] if error.args else None)
        if getattr(error, "__miniagents_seen__", False):
            error.__miniagents_seen__ = False  # type: ignore[attr-defined]  # it goes on to those who await this one
        self._error = error
        # Raising it again and again would make its traceback grow.
        self._traceback: TracebackType | None = error.__traceback__
        if self._unseen is None and not isinstance(error, PromiseCancelledError):
            self._watch(error)
        self._settled()
        return True

    def _settled(self) -> None:
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            for callback in callbacks:
                callback(self)
        self._producer = None
        self._resolver = None
        self._scope = None
        self._started = None

    def _add_done_callback(self, callback: "Callable[[Promise[T]], None]") -> None:
        """Call `callback(self)` when it settles, or now if it has."""
        if self.done():
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def _owns(self, one: Cancellable) -> None:
        """Something was started for it, and is to be cancelled with it."""
        if self._value is NO_VALUE and self._error is None:
            self._started = with_one_more(self._started, one)

    def _all_started(self) -> Iterable[Any]:
        """What was started for it and may go on."""
        return each_of(self._started)

    def _begin_cancel(self, reason: object) -> Endings:
        """Cancel it, with all that was started for it.

        Returns:
            What still runs of that.
        """
        if self.done():
            return getattr(self, "_endings", {})
        endings = end_all(self, reason=reason)
        if endings:
            self._endings = endings
        return endings

    def _cut_off(self, error: BaseException) -> None:
        """Cancel it, with all that was started for it, and let whoever awaits it have this error."""
        started = tuple(self._all_started())
        self._cancel_work(error, {})
        self._reject(error)
        end_all(*started, reason=error)

    def _is_over(self) -> bool:
        """As `done`: see `Cancellable`."""
        return self.done()

    def _cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        """Cancel it alone: see `Cancellable`."""
        if self.done():
            return ()
        started = self._all_started()
        self._cancel_work(reason, endings)
        self._reject(self._cancelled(reason))
        return started

    def _cancel_work(self, reason: object, endings: Endings) -> None:
        """End what works it out."""
        end_task(self._task, reason, endings, self)

    def _cancelled(self, reason: object) -> PromiseCancelledError:
        text = "the work behind this promise was cancelled"
        return PromiseCancelledError(text if reason is None else f"{text}: {reason}", reason=reason)

    def _start(self) -> None:
        scope = self._scope
        if scope is not None:
            self._task = scope.start_soon(self._run(), on_cancelled=self._reject)

    async def _run(self) -> None:
        resolver = self._resolver
        if resolver is None:
            return
        current_work.set(self)
        try:
            self._resolve(await resolver(self))
        except BaseException as error:
            self._reject(error)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that whoever waits for it runs in: where it is known, asking for it would be a system call."""
        scope = self._scope
        loop = scope.promising_context._active_in if scope is not None else None
        return loop if loop is not None else asyncio.get_running_loop()

    def _wait_for(self, waiter: "asyncio.Future[None]", at: int | None = None) -> Generator[Any, Any, None]:
        """Wait, seen by the deadlock detection if there may be a ring: of one who runs in a node, or works for others.

        Args:
            waiter: What wakes whoever waits.
            at: The piece that is waited for; None for the whole.
        """
        scope = get_scope()
        if scope is None or not (scope.is_node or get_work() is not None):
            yield from waiter
            return
        watch: Any = scope if self._producer is None else self._producer
        watch.begin_wait(self, at)
        waits[waiter] = self, at, scope.node
        try:
            yield from waiter
        finally:
            del waits[waiter]

    def _held_by(self, at: int | None) -> "tuple[bool, Collection[Any]] | None":
        """What must go on before it settles, or before its piece `at` is there, for the deadlock detection.

        Returns:
            None if nothing holds it up, or nothing that is known. Else whether any one of these is enough to hold it
            up, or all of them together are, and these: tasks, nodes, promises each with the piece that is missing.
        """
        if self._producer is not None:
            node = self._producer.node_behind(self)
            return None if node is None else (True, (node,))
        return None if self._task is None else (True, (self._task,))

    def _watch(self, error: BaseException) -> None:
        """It failed: see to it that the failure is logged if nobody looks at it."""
        if isinstance(error, _ENDS) and self._is_waited_for():
            return  # whoever waited is told now, or was cancelled and wants nothing of it any more
        unseen = self._unseen = Unseen(error)
        context = self._context()
        if context is not None:
            those = context.unseen
            those[weakref.ref(unseen, those.pop)] = None  # `note_unseen`, written out (benchmark `crash`)

    def _is_waited_for(self) -> bool:
        """Whether anybody has waited, before it settled."""
        return bool(self._waiters)

    def _context(self) -> PromisingContext | None:
        """Where it lives."""
        scope = self._scope or get_scope()
        return scope.promising_context if scope is not None else None

    def _was_looked_at(self) -> bool:
        return self._unseen is SEEN

    def _look(self) -> None:
        """Somebody knows of its failure, or will: it need not be logged when the promise is thrown away."""
        unseen, self._unseen = self._unseen, SEEN
        if unseen is not None:
            unseen.error = None


async def settled(promise: Promise[Any]) -> None:
    """Wait until a promise has settled, unseen by deadlock detection; what it settled with is not looked at."""
    if not promise.done():
        waiter = asyncio.get_running_loop().create_future()

        def wake(_: Promise[Any]) -> None:
            if not waiter.done():
                waiter.set_result(None)

        promise._add_done_callback(wake)
        await waiter
