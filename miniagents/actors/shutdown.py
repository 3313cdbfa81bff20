"""The end of a system: it waits for work, stops the tree in order, and abandons code that does not end."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from miniagents.actors.cells.cell import DEFAULT_SHUTDOWN, Cell
from miniagents.actors.cells.root import RootCell
from miniagents.actors.cells.timers import Timers
from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.observing.events import Events
from miniagents.actors.supervisors.supervisor_cell import SupervisorCell
from miniagents.actors.waiting.deadlock import Watches
from miniagents.errors import JournalError, SystemNotRunningError
from miniagents.log import log as _log
from miniagents.promising import Promise, PromisingContext
from miniagents.promising.abandoning import INSIST_EVERY
from miniagents.promising.promise import settled
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision import StopReason
from miniagents.supervision.lifecycle import OVER, Phase, Wish, life

if TYPE_CHECKING:
    from miniagents.control import ControlServer
    from miniagents.journal import Journal


T = TypeVar("T")

RUNS = life(Phase.UP, again=True)
"""The life of the root while actors can be spawned."""


class Running(Protocol):
    """The cell of an actor, or the call of an agent, that runs code of the user."""

    @property
    def told_to_end_at(self) -> float | None:
        """The time on `loop.time()` when its code was cancelled; None if it was not."""

    @property
    def is_unwanted(self) -> bool:
        """True if nobody waits for what its code does, and it was not told to end."""

    def end_unwanted(self) -> None:
        """End it: it is unwanted, and has had its time."""

    def abandon(self) -> None:
        """Go on without its code, which swallows its cancellation."""


class StoppableSystem(PromisingContext):
    """A system that ends in order, children before parents; `ActorSystem` is the one.

    Args:
        on_failure: Called with the error that ends the system.
    """

    name: str
    root: RootCell
    dispatcher: Dispatcher
    loop: asyncio.AbstractEventLoop
    time: Callable[[], float]
    events: Events
    watches: Watches
    journal: "Journal | None"
    control: "ControlServer | None" = None

    def __init__(self, on_failure: Callable[[BaseException], object] | None) -> None:
        super().__init__()
        self._on_failure = on_failure
        self._shared: dict[Hashable, tuple[Any, Any]] = {}
        self._timers: Timers | None = None
        self._failure: BaseException | None = None
        self._body: asyncio.Task[Any] | None = None
        self._body_cancelled = False
        self._ending: asyncio.Task[None] | None = None
        self._terminated: Promise[StopReason | BaseException] | None = None

    @property
    def is_running(self) -> bool:
        """True while actors can be spawned."""
        return self.active_loop is not None and self.root.life is RUNS

    async def afinalize(self) -> None:
        """Finish what is under way, stop the tree, and settle every promise."""
        try:
            if self._failure is None:
                await self._finish()
        finally:
            await self._end()

    async def __aenter__(self) -> Self:
        self.activate()
        self._body = asyncio.current_task()
        self._body_cancelled = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if error is None and self._failure is None:
                await self._finish()
        except asyncio.CancelledError as cancelled:
            error = cancelled
            if self._failure is None:
                raise
        finally:
            try:
                await self._end()
            except asyncio.CancelledError:
                if not self._body_cancelled:
                    raise
            body, self._body = self._body, None
        failure = self._failure
        if failure is None:
            return
        if self._body_cancelled and body is not None and body.uncancel() > 0:
            return  # somebody else cancelled the body too, and that goes on
        if error is None or isinstance(error, asyncio.CancelledError):
            raise failure from None
        if error is not failure:
            failure.add_note(f"the body of `async with` failed meanwhile: {error!r}")
            raise failure from error

    def terminated(self) -> Promise[StopReason | BaseException]:
        """The promise of its end: `StopReason.NORMAL`, or the error that ended it."""
        if self._terminated is None:
            raise SystemNotRunningError(f"system {self.name!r} has not been started")
        return self._terminated

    def fail(self, error: BaseException) -> None:
        """End the system because of an error: a supervisor at the root has given up."""
        if self._failure is not None or self.root.life is not RUNS:
            return
        self._failure = error
        if self._on_failure is not None:
            try:
                self._on_failure(error)
            except Exception as failed:
                _log.error("system.on_failure_failed", system=self.name, stack=traceback_text(failed))
        body = self._body
        if body is not None and not body.done():
            self._body_cancelled = True
            body.cancel()
        self._begin_to_end()

    def _begin_to_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = self.loop.create_task(self._stop_everything())
        return self._ending

    async def _end(self) -> None:
        """Stop everything; a cancellation meanwhile makes it quicker, not incomplete."""
        ending = self._begin_to_end()
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as error:
                cancelled = error
                for child in tuple((self.root.children or {}).values()):
                    child.terminate(StopReason.KILLED)
        self.watches.close()
        self._deactivate()
        if cancelled is not None:
            raise cancelled
        ending.result()

    async def _stop_everything(self) -> None:
        root = self.root
        root.life = life(Phase.ENDING, Wish.TERMINATE, again=True)
        if self._timers is not None:
            self._timers.cancel()
        self._grace_is_over()  # it begins now, if it has not
        watch = self.loop.create_task(self._abandon_what_stays(self.gives_up))
        try:
            await self._stop_interactions()
            supervisor, root.own_supervisor = root.own_supervisor, None
            if supervisor is not None:
                await supervisor.stop_all()
            await root.end_children()
            await self._end_background()
            await self._close_shared()
        finally:
            watch.cancel()
        await self.dispatcher.aclose(self.gives_up)
        await self._report_unseen()
        await self._close_journal()
        root.life = OVER
        self.events.close()
        if self._terminated is not None:
            self._terminated.resolve(self._failure if self._failure is not None else StopReason.NORMAL)

    async def _stop_interactions(self) -> None:
        """Agents' systems end their interactions first."""

    async def _abandon_what_stays(self, gives_up: Callable[[float], bool]) -> None:
        """Abandon code that swallows its cancellation for too long, as long as the end lasts.

        Args:
            gives_up: Whether what was told to end at a time, and still runs, has had its grace.
        """
        began = self.time()
        while True:
            await asyncio.sleep(INSIST_EVERY)
            let_go: list[Any] = []
            for running in self._that_run():
                told_at = running.told_to_end_at
                if told_at is None:
                    if running.is_unwanted and gives_up(began):
                        running.end_unwanted()
                elif gives_up(told_at) and running not in let_go:
                    running.abandon()
                    let_go.append(getattr(running, "cell", None))  # a class agent that waits for its call can go on now

    def _that_run(self) -> list[Any]:
        """Return what runs code of the user now: of those, what is `Running`."""
        return self.dispatcher.serving()

    def shared(self, key: Hashable, make: Callable[[], T], close: Callable[[T], Awaitable[None]] | None = None) -> T:
        """An object that this system has once (a connection pool, a client): made when it is first asked for, closed
        when the tree has stopped, the last one first.

        Args:
            key: What tells it from others.
            make: Makes it.
            close: Closes it. If that fails it is logged.
        """
        if key not in self._shared:
            self._shared[key] = (make(), close)
        return self._shared[key][0]  # type: ignore[no-any-return]

    async def _close_shared(self) -> None:
        while self._shared:
            _, (value, close) = self._shared.popitem()
            if close is not None:
                closing = self.start_soon(_close(close, value))
                await asyncio.wait([closing], timeout=max(self.grace, INSIST_EVERY))
                await self._end_background()

    async def _close_journal(self) -> None:
        """Close the journal, after all that writes to it has ended. An error there is logged, and ends nothing else."""
        if self.control is not None:
            await self.control.close()
            self.control = None
        if self.journal is not None:
            try:
                await self.journal.close()
            except (JournalError, OSError) as error:
                _log.error("system.journal_not_closed", error=repr(error), stack=traceback_text(error))

    async def _finish(self) -> None:
        """Finish what is under way, without what nobody waits for any more when that has had its grace."""
        began = self.time()
        grace = max(self.grace, INSIST_EVERY)
        watch = self.loop.create_task(
            self._abandon_what_stays(lambda told_at: self.time() > max(began, told_at) + grace)
        )
        try:
            await self._wait_until_quiet()
        finally:
            watch.cancel()

    async def _wait_until_quiet(self) -> None:
        """Wait for background work and for the messages that are queued at this moment."""
        await self._wait_for_background()
        barriers = [barrier for cell in self.cells() if (barrier := cell.barrier()) is not None]
        for barrier in barriers:
            await settled(barrier)
        await self._wait_for_background()
        await self._wait_for_verdicts()

    async def _wait_for_verdicts(self) -> None:
        """Wait until supervisors have judged the exits so far: one of them may be the failure of the root."""
        crashes = [crash for cell in self.cells() if (crash := cell.crash_under_way()) is not None]
        if crashes:
            await asyncio.wait(crashes, timeout=DEFAULT_SHUTDOWN)  # an `on_stop` that hangs is cut off by the end
        while self._failure is None:
            supervisors = [cell.running_supervisor() for cell in self.cells() if isinstance(cell, SupervisorCell)]
            waiting = [v for running in supervisors if running is not None and (v := running.verdicts()) is not None]
            if not waiting:
                break
            for verdicts in waiting:  # and then again: a supervisor that gave up is an exit to the next one
                await settled(verdicts)

    def cells(self) -> list[Cell]:
        """Return all cells of the tree."""
        cells: list[Cell] = []
        stack: list[Cell] = [self.root]
        while stack:
            children = stack.pop().children
            if children:
                cells += children.values()
                stack += children.values()
        return cells


async def _close(close: Callable[[T], Awaitable[None]], value: T) -> None:
    try:
        await close(value)
    except (Exception, asyncio.CancelledError) as error:
        _log.error("system.shared_not_closed", error=repr(error), stack=traceback_text(error))
        if not isinstance(error, Exception):
            raise
