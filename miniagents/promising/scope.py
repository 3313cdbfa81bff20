"""Scopes: whom background work belongs to, and which promising context is the current one."""

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

OnCancelled = Callable[[asyncio.CancelledError], object]


class Scope:
    """Whom background work belongs to: a context as a whole, an actor's handler, an interaction."""

    __slots__ = ()

    @property
    def promising_context(self) -> "PromisingContext":
        """The context that this is part of."""
        raise NotImplementedError

    is_node = False
    """Whether it is itself what is said to wait: its `node`, without a call."""

    node: Any = None
    """What is said to wait when code of this scope awaits (for deadlock detection), or None."""

    deadline: float | None = None
    """When the work of this scope is to be over, on `loop.time()`, or None."""

    has_timeout = False
    """Whether what code of this scope has started ends after a timeout of its own, if nothing else ends it."""

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """Code of this scope is about to wait for a promise, or its piece `at`. May raise instead of letting it."""

    def look_again(self, promise: Any) -> None:
        """Fewer than before can bring a promise on: whoever waits for it may do so for ever."""

    def owns(self, one: Any) -> None:
        """Code of this scope has started something: a `Cancellable`, cancelled with what that code is for."""

    def start_soon(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, on_cancelled: OnCancelled | None = None
    ) -> "asyncio.Task[Any]":
        """Run a coroutine in the background; it ends with this scope at the latest.

        Args:
            coro: What to run.
            name: The name of its task.
            on_cancelled: Called with the `CancelledError` when the task ends by it. A task that is cancelled before its
                first step runs nothing of its coroutine: what that was to settle is settled here.
        """
        raise NotImplementedError


current_scope: ContextVar[Scope | None] = ContextVar("miniagents.current_scope", default=None)

current_work: ContextVar[Any] = ContextVar("miniagents.current_work", default=None)
"""The promise that the code which runs now works for, where that is not for its scope to say: what it starts is
cancelled with that promise."""

get_work = current_work.get

get_scope = current_scope.get
"""`current_scope.get()`, quicker: a method of an imported name is bound anew for every call (benchmark `ask`)."""

_active: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, "dict[PromisingContext, None]"] = (
    weakref.WeakKeyDictionary()
)


def started(one: Any, scope: Scope | None) -> None:
    """Code of `scope` has started something: it is cancelled with what that code works for."""
    work = get_work()
    if work is not None:
        work._owns(one)
    elif scope is not None:
        scope.owns(one)


class PromisingContext(Scope):
    """Where promises live: it owns their background work and ends it.

    Use it with `async with`, or with `activate()` and `await afinalize()` inside a running service.

    Its end waits for what was told to end for no longer than `grace` seconds, and then for one more where it has just
    been told. What swallows its cancellation for so long is abandoned: it is logged with its stack, whoever waits for
    it gets `PromiseCancelledError`, and neither the context nor `asyncio.run` waits for it any more.
    """

    grace: float = DEFAULT_GRACE
    """Seconds for what was told to end, when the context ends."""

    _persists = False
    """Whether anybody wants to see the messages that promises resolve to."""

    _public_name = ""
    """What an error calls it; by default the name of its class."""

    def __init__(self) -> None:
        self._background: dict[asyncio.Task[Any], OnCancelled | None] = {}
        self._lazy: weakref.WeakKeyDictionary[Any, None] = weakref.WeakKeyDictionary()
        self._gives_up_at: float | None = None
        self.unseen: UnseenFailures = {}
        self._active_in: asyncio.AbstractEventLoop | None = None
        self._outer: Scope | None = None

    @property
    def promising_context(self) -> "PromisingContext":
        """Itself."""
        return self

    @classmethod
    def get_current(cls) -> Self:
        """The current context: that of the interaction or handler, else of the surrounding `async with`, else the only
        active one of the running loop.

        Raises:
            NoActiveSystemError: There is none, or there are several.
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
        """Make it the current context, until `afinalize()`.

        Raises:
            RuntimeError: It is active already.
        """
        if self._active_in is not None:
            raise RuntimeError(f"this {type(self).__name__} is active already: it is not reentrant")
        loop = self._active_in = asyncio.get_running_loop()
        _active.setdefault(loop, {})[self] = None
        self._outer = current_scope.get()
        current_scope.set(self)
        return self

    def _deactivate(self) -> None:
        self._gives_up_at = None
        loop, self._active_in = self._active_in, None
        if loop is not None:
            _active.get(loop, {}).pop(self, None)
        # Not by a token: activate() and afinalize() may run in different tasks (an ASGI lifespan does that).
        if current_scope.get() is self:
            current_scope.set(self._outer)
        self._outer = None

    async def afinalize(self) -> None:
        """Wait for the background work, settle what is left, and stop being current."""
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
        """Never reached: `__enter__` raises."""

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
        """Wait for the background work; for what was cancelled already until the grace is over."""
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
                if insists or not task.cancelling():  # who was told already and cleans up is told again in a while
                    task.cancel()
            insists = True
            await asyncio.wait(tasks, timeout=INSIST_EVERY)
            for task in tasks if is_over else ():
                if not task.done():
                    self._abandon(task)
        for promise in tuple(self._lazy):
            promise._reject(PromiseCancelledError("its system ended before anybody asked for it", reason="system end"))

    async def _report_unseen(self) -> None:
        """Log what failed and nobody has looked at, the oldest first."""
        await asyncio.sleep(0)  # whoever was woken by a failure looks at it now
        for reference in tuple(self.unseen):
            if (failure := reference()) is not None:
                failure.report()
        self.unseen.clear()

    def _grace_is_over(self) -> bool:
        """Whether what was told to end has had its time, which begins when this is first asked."""
        now = asyncio.get_running_loop().time()
        if self._gives_up_at is None:
            self._gives_up_at = now + self.grace
        return now >= self._gives_up_at

    def gives_up(self, told_at: float) -> bool:
        """Whether what was told to end at `told_at`, on `loop.time()`, and still runs, is to be abandoned: never, as
        long as the context itself need not end."""
        at = self._gives_up_at
        return at is not None and asyncio.get_running_loop().time() >= max(at, told_at + INSIST_EVERY)

    def _abandon(self, task: "asyncio.Task[Any]") -> None:
        """Go on without background work that swallows its cancellation."""
        log_abandoned(stack_of(task.get_coro()), task=task.get_name())
        abandon(task)
        on_cancelled = self._background.pop(task, None)
        if on_cancelled is not None:
            on_cancelled(asyncio.CancelledError("the system ended without it"))

    def _message_resolved(self, message: Any) -> None:
        """A message promise resolved to `message`; agents' systems hand it on to whoever persists messages."""


def cancellation_of(task: "asyncio.Task[Any]") -> asyncio.CancelledError:
    """The error that a cancelled task ended with, which has the reason for it."""
    try:
        task.result()
    except asyncio.CancelledError as error:
        return error
    raise ValueError(f"{task!r} was not cancelled")
