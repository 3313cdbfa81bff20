"""Scopes: what background work belongs to, and which promising context is the current one."""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from miniagents.errors import NoActiveSystemError, PromiseCancelledError
from miniagents.promising.abandoning import DEFAULT_GRACE, INSIST_EVERY, abandon, log_abandoned
from miniagents.promising.failures import UnseenFailures, log_failure
from miniagents.promising.stacks import stack_of
from miniagents.promising.work import Cancellable

OnCancelled = Callable[[asyncio.CancelledError], object]


class Scope:
    """The owner of background work: a context as a whole, the handler of an actor, or an interaction."""

    __slots__ = ()

    @property
    def promising_context(self) -> "PromisingContext":
        """The context that the scope is part of."""
        raise NotImplementedError

    is_node = False
    """Whether the scope is a node itself. `node` says the same, and costs a call where it is a property."""

    node: Any = None
    """The node that waits when code of this scope awaits (for the deadlock detection), or None."""

    deadline: float | None = None
    """The deadline for the work of this scope, on `loop.time()`, or None."""

    has_timeout = False
    """Whether what code of this scope starts ends after a timeout at the latest."""

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """Called before code of this scope waits for a promise that has no producer. May raise to refuse the wait.

        Args:
            promise: The promise.
            at: The index of the piece that is waited for; None for the whole.
        """

    def look_again(self, promise: Any) -> None:
        """Called when fewer producers than before can settle a promise, so that its awaiters may be in a deadlock."""

    def owns(self, work: Cancellable) -> None:
        """Called when code of this scope has started `work`, which is to be cancelled with what that code is for."""

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Run a coroutine in the background. It ends with this scope at the latest.

        Args:
            coro: What to run.
            name: The name of its task.
            on_cancelled: Called with the `CancelledError` that ended the task. A task that is cancelled before its
                first step runs nothing of its coroutine, so this function settles what the coroutine was to settle.
        """
        raise NotImplementedError


current_scope: ContextVar[Scope | None] = ContextVar("miniagents.current_scope", default=None)

current_work: ContextVar[Any] = ContextVar("miniagents.current_work", default=None)
"""The promise that the running code works for, if its scope does not say so. What the code starts is cancelled with
that promise."""

get_work = current_work.get

get_scope = current_scope.get
"""`current_scope.get`, but faster: Python binds a method of an imported name anew for every call (benchmark `ask`)."""

_active: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, "dict[PromisingContext, None]"] = (
    weakref.WeakKeyDictionary()
)


def started(item: Cancellable, scope: Scope | None) -> None:
    """Note that code of `scope` has started something, so that it is cancelled with what that code works for."""
    work = get_work()
    if work is not None:
        work.owns(item)
    elif scope is not None:
        scope.owns(item)


class PromisingContext(Scope):
    """The owner of promises and of their background work, which it ends.

    Use it with `async with`, or with `activate()` and `await afinalize()` inside a running service.

    When the context ends, it waits for cancelled tasks for `grace` seconds, and for one second more for those that were
    cancelled just now. A task that swallows its cancellation for longer is abandoned: it is logged with its stack, its
    awaiters get `PromiseCancelledError`, and neither the context nor `asyncio.run` waits for it any more.
    """

    grace: float = DEFAULT_GRACE
    """Seconds that cancelled tasks get when the context ends."""

    persists_messages = False
    """Whether `message_resolved` is to be called for each message that a promise resolves to."""

    _public_name = ""
    """The name of the class in errors; by default `__name__`."""

    def __init__(self) -> None:
        self._background: dict[asyncio.Task[Any], OnCancelled | None] = {}
        self.lazy_promises: weakref.WeakKeyDictionary[Any, None] = weakref.WeakKeyDictionary()
        self._gives_up_at: float | None = None
        self.unseen: UnseenFailures = {}
        self.active_loop: asyncio.AbstractEventLoop | None = None
        self._outer: Scope | None = None

    @property
    def promising_context(self) -> "PromisingContext":
        """The context itself."""
        return self

    @classmethod
    def get_current(cls) -> Self:
        """Return the current context: that of the running interaction or handler, else that of the surrounding `async
        with`, else the only active context of the running loop.

        Raises:
            NoActiveSystemError: No context is active, or several are.
        """
        name = cls._public_name or cls.__name__
        scope = current_scope.get()
        if scope is not None:
            context = scope.promising_context
            if isinstance(context, cls):
                return context
            raise NoActiveSystemError(f"a {type(context).__name__} is active here, and no {name}")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise NoActiveSystemError(f"no event loop is running: use `async with {name}():`") from None
        candidates = [context for context in _active.get(loop, ()) if isinstance(context, cls)]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise NoActiveSystemError(
                f"{len(candidates)} of {name} are active in this loop: say which one, with `agent.bind(system)`"
            )
        raise NoActiveSystemError(f"no {name} is active: use `async with {name}():` around this")

    def activate(self) -> Self:
        """Make this the current context, until `afinalize()`.

        Raises:
            RuntimeError: The context is active already.
        """
        if self.active_loop is not None:
            raise RuntimeError(f"this {type(self).__name__} is active already: it is not reentrant")
        loop = self.active_loop = asyncio.get_running_loop()
        _active.setdefault(loop, {})[self] = None
        self._outer = current_scope.get()
        current_scope.set(self)
        return self

    def _deactivate(self) -> None:
        self._gives_up_at = None
        loop, self.active_loop = self.active_loop, None
        if loop is not None:
            _active.get(loop, {}).pop(self, None)
        # Not by a token: activate() and afinalize() may run in different tasks (an ASGI lifespan does that).
        if current_scope.get() is self:
            current_scope.set(self._outer)
        self._outer = None

    async def afinalize(self) -> None:
        """Wait for the background work, settle the promises that are left, and stop being the current context."""
        await self._wait_for_background()
        await self._end_background()
        await self._report_unseen()
        self._deactivate()

    async def __aenter__(self) -> Self:
        return self.activate()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if error is None:
            await self.afinalize()
        else:
            await self._end_background()
            await self._report_unseen()
            self._deactivate()

    def __enter__(self) -> None:
        raise RuntimeError(f"use `async with {type(self).__name__}():` instead of `with {type(self).__name__}():`")

    def __exit__(self, *_: object) -> None:
        """Is never reached, since `__enter__` raises."""

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Run a coroutine in the background, in a copy of the caller's context variables; see `Scope.start_soon`."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._background[task] = on_cancelled
        task.add_done_callback(self._background_done)
        return task

    def _background_done(self, task: "asyncio.Task[Any]") -> None:
        on_cancelled = self._background.pop(task, None)
        if task.cancelled():
            if on_cancelled is not None:
                on_cancelled(cancellation_of(task))
        elif (error := task.exception()) is not None:
            log_failure("call.background_failed", error)

    async def _wait_for_background(self) -> None:
        """Wait for the background work; for tasks that were cancelled before, until the grace is over."""
        while tasks := self._background_to_wait_for():
            await asyncio.wait(tasks, timeout=INSIST_EVERY)

    def _background_to_wait_for(self) -> "list[asyncio.Task[Any]]":
        me = asyncio.current_task()
        tasks = [task for task in self._background if task is not me]
        return [] if tasks and all(task.cancelling() for task in tasks) and self._grace_is_over() else tasks

    async def _end_background(self) -> None:
        """Cancel the background work, wait until it has ended or is abandoned, and settle the lazy promises."""
        me = asyncio.current_task()
        insists = False
        while tasks := [task for task in self._background if task is not me]:
            is_over = self._grace_is_over()
            for task in tasks:
                if insists or not task.cancelling():  # a task that cleans up is cancelled again only after a while
                    task.cancel()
            insists = True
            await asyncio.wait(tasks, timeout=INSIST_EVERY)
            for task in tasks if is_over else ():
                if not task.done():
                    self._abandon(task)
        for promise in tuple(self.lazy_promises):
            promise.reject(PromiseCancelledError("its system ended before anybody asked for it", reason="system end"))

    async def _report_unseen(self) -> None:
        """Log the failures that no code has received, the oldest first."""
        await asyncio.sleep(0)  # tasks that were woken by a failure receive it now
        for reference in tuple(self.unseen):
            if (failure := reference()) is not None:
                failure.report()
        self.unseen.clear()

    def _grace_is_over(self) -> bool:
        """Return whether cancelled tasks have had their grace, which begins with the first call."""
        now = asyncio.get_running_loop().time()
        if self._gives_up_at is None:
            self._gives_up_at = now + self.grace
        return now >= self._gives_up_at

    def gives_up(self, told_at: float) -> bool:
        """Return whether a task that still runs is to be abandoned: only if the context ends and its grace is over.

        Args:
            told_at: When the task was cancelled, on `loop.time()`.
        """
        at = self._gives_up_at
        return at is not None and asyncio.get_running_loop().time() >= max(at, told_at + INSIST_EVERY)

    def _abandon(self, task: "asyncio.Task[Any]") -> None:
        """Go on without a task that swallows its cancellation."""
        log_abandoned(stack_of(task.get_coro()), task=task.get_name())
        abandon(task)
        on_cancelled = self._background.pop(task, None)
        if on_cancelled is not None:
            on_cancelled(asyncio.CancelledError("the system ended without it"))

    def message_resolved(self, message: Any) -> None:
        """Called when a message promise has resolved to `message`; systems of agents hand it on to the observers."""


def cancellation_of(task: "asyncio.Task[Any]") -> asyncio.CancelledError:
    """Return the error that a cancelled task ended with; it carries the reason of the cancel.

    Raises:
        ValueError: The task was not cancelled.
    """
    try:
        task.result()
    except asyncio.CancelledError as error:
        return error
    raise ValueError(f"{task!r} was not cancelled")
