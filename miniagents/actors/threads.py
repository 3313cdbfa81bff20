"""Threads for calls that block: one that hangs holds up neither the other calls nor the end of the program."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from miniagents.errors import InvalidOptionError
from miniagents.log import log as _log
from miniagents.promising.cpython import has_default_executor

MOST_THREADS = 128
MOST_HUNG = 1000
EXIT_GRACE = 2.0
"""Seconds that the end of a program waits for threads: a file is written to its end, and what hangs is left behind."""
_IDLE_SECONDS = 30.0


class DaemonExecutor(ThreadPoolExecutor):
    """An executor whose threads are daemons: the interpreter does not wait for them when it ends.

    A call that is cancelled while it runs (its `asyncio` future is cancelled: by a timeout, for one) cannot be stopped,
    but its place is free at once: another thread takes what waits. It is a `ThreadPoolExecutor` only because
    `loop.set_default_executor` takes nothing else.

    Args:
        most: How many calls run at once, 1 or more; the others wait, in order. Cancelled ones do not count.
        most_hung: How many cancelled calls may still run, 1 or more, before no more calls are taken.
        grace: Seconds that `shutdown(wait=True)` waits for what runs, 0 or more; it says what it has left.
        name: What its threads are called.

    Raises:
        InvalidOptionError: An option is outside its range.
    """

    def __init__(
        self,
        most: int = MOST_THREADS,
        *,
        most_hung: int = MOST_HUNG,
        grace: float = EXIT_GRACE,
        name: str = "miniagents",
    ) -> None:
        if most < 1 or most_hung < 1 or not grace >= 0:
            raise InvalidOptionError(
                f"DaemonExecutor(): most= and most_hung= must be 1 or more, grace= 0 or more, not "
                f"{most!r}, {most_hung!r}, {grace!r}"
            )
        super().__init__(most, name)
        self.grace = grace
        self._most = most
        self._most_hung = most_hung
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._at_work: dict[_Call, None] = {}
        self._hung: dict[_Call, None] = {}
        self._count = 0  # threads, without those that hang
        self._idle = 0  # those of them that wait for a call
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function in a thread.

        Raises:
            RuntimeError: The executor was shut down, or too many calls hang.
        """
        call = _Call(partial(fn, *args, **kwargs) if args or kwargs else fn, name_of(fn, args), self)
        with self._changed:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if len(self._hung) >= self._most_hung:
                raise RuntimeError(f"{len(self._hung)} threads hang, and no more are begun: {counted(self._hung)}")
            self._waiting.append(call)
            if not self._serve_waiting():
                self._waiting.pop()
                raise RuntimeError(f"{call.name} does not run: the operating system gives no more threads")
        return call

    @property
    def running(self) -> str:
        """The names of the calls that run, those that hang included, with their numbers: "fetch (3), parse"."""
        with self._changed:
            return counted([*self._at_work, *self._hung])

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: Wait for those that were taken, for `grace` seconds at most.
            cancel_futures: Cancel those that have not begun.
        """
        with self._changed:
            was_shut, self._is_shut = self._is_shut, True
            if cancel_futures:
                for call in self._waiting:
                    Future.cancel(call)
                self._waiting.clear()
            self._changed.notify_all()
            if wait:  # also for what was cancelled: it may be about to write the end of a file
                self._changed.wait_for(lambda: not (self._waiting or self._at_work or self._hung), self.grace)
        running = self.running
        if running and wait and not was_shut:
            _log.warning("shutdown.threads_left", executor=self._name, calls=running)

    # Inside

    def _serve_waiting(self) -> bool:
        """Let a thread take what waits, a new one where none is idle. The lock is held.

        Returns:
            Whether there is any thread that will.
        """
        if self._idle >= len(self._waiting):
            self._changed.notify()
        elif self._count < self._most:
            try:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            except RuntimeError:
                return self._count > 0
            self._count += 1  # the thread waits for the lock, so that it cannot end before it is counted
        return True

    def _work(self) -> None:
        while (call := self._next()) is not None:
            if not call.set_running_or_notify_cancel():
                self._is_free_of(call)
                continue
            result: object = None
            error: BaseException | None = None
            try:
                result = call.function()
            except BaseException as raised:  # it belongs to whoever awaits the future
                error = raised
            goes_on = self._is_free_of(call)
            if error is None:
                call.set_result(result)
            else:
                call.set_exception(error)
            call = result = error = None  # an idle thread keeps nothing alive
            if not goes_on:
                return

    def _next(self) -> "_Call | None":
        with self._changed:
            while not self._waiting:
                self._idle += 1
                was_woken = not self._is_shut and self._changed.wait(_IDLE_SECONDS)
                self._idle -= 1
                if not was_woken and not self._waiting:
                    self._count -= 1
                    return None
            call = self._waiting.popleft()
            self._at_work[call] = None
            return call

    def _is_free_of(self, call: "_Call") -> bool:
        """A thread is done with a call. Returns whether it takes another one: if it hung, it was replaced."""
        with self._changed:
            hung = call in self._hung
            self._at_work.pop(call, None)
            self._hung.pop(call, None)
            if self._is_shut:
                self._changed.notify_all()
            return not hung

    def give_up(self, call: "_Call") -> None:
        """Give the place of a call that was cancelled to another one."""
        with self._changed:
            if call in self._at_work:
                del self._at_work[call]
                self._hung[call] = None
                self._count -= 1
                if self._waiting:
                    self._serve_waiting()


class _Call(Future[Any]):
    """A call in a thread, or on its way to one."""

    def __init__(self, function: Callable[[], Any], name: str, executor: DaemonExecutor) -> None:
        super().__init__()
        self.function = function
        self.name = name
        self._executor = executor

    def cancel(self) -> bool:
        """Cancel it, or, where it runs already, give its thread up.

        Returns:
            Whether it never runs.
        """
        if super().cancel():
            return True
        self._executor.give_up(self)
        return False


def name_of(function: Any, arguments: tuple[Any, ...] = ()) -> str:
    """The name of a function; under `asyncio.to_thread`, of the one that runs in its context."""
    while isinstance(function, partial):
        function, arguments = function.func, function.args
    if isinstance(getattr(function, "__self__", None), Context) and arguments:
        return name_of(arguments[0])
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def counted(calls: "list[_Call] | dict[_Call, None]") -> str:
    """The names of calls, with their numbers."""
    return ", ".join(
        name if number == 1 else f"{name} ({number})" for name, number in Counter(call.name for call in calls).items()
    )


def use_daemon_threads(loop: asyncio.AbstractEventLoop, executor: DaemonExecutor | None = None) -> None:
    """Let `asyncio.to_thread` use daemon threads in this loop, unless it has threads already.

    Otherwise a function that hangs in a thread would keep the program from ending.

    Args:
        loop: The loop. uvloop does not tell what it has, and is left alone unless `executor` is given.
        executor: What it gets, whatever it has; None for a new executor.
    """
    if executor is not None or not has_default_executor(loop):
        executor = _of_loops[loop] = executor if executor is not None else DaemonExecutor(name="asyncio")
        loop.set_default_executor(executor)


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, DaemonExecutor] = WeakKeyDictionary()


def exit_grace() -> float:
    """Seconds that the end of the program waits for threads, as the running loop's own have it."""
    executor = _of_loops.get(asyncio.get_running_loop())
    return executor.grace if executor is not None else EXIT_GRACE
