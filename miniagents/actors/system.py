"""The actor system: the root of the tree, and all that its actors share."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from miniagents.actors.arguments import check_names, merged
from miniagents.actors.cells.actor import Actor
from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.actors.cells.cell import DEFAULT_SHUTDOWN, Cell
from miniagents.actors.cells.graces import Graces
from miniagents.actors.cells.timers import Timer, Timers
from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.dispatch.scheduling import Scheduling, scheduling_of
from miniagents.actors.from_thread import FromThread
from miniagents.actors.messaging.dead_letters import DeadLetter, DeadLetters
from miniagents.actors.messaging.group import Group
from miniagents.actors.messaging.identity import hash_of, register
from miniagents.actors.messaging.options import DEFAULT_OPTIONS, Props, SpawnOptions
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.observing.events import EventKind, Events
from miniagents.actors.observing.observers import Observers, observer_failed
from miniagents.actors.observing.tree import ActorInfo, snapshot
from miniagents.actors.runner import run_main
from miniagents.actors.supervisors.pool import PoolCell
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.actors.supervisors.supervisor_cell import SupervisorCell
from miniagents.actors.supervisors.supervisor_ref import SupervisorRef
from miniagents.actors.threads import use_daemon_threads
from miniagents.actors.waiting.deadlock import Watches, begin_wait, look_again
from miniagents.errors import InvalidOptionError, RestartLimitError, StartError, SystemNotRunningError
from miniagents.messages import Message
from miniagents.promising import Promise, PromisingContext
from miniagents.promising.abandoning import DEFAULT_GRACE, INSIST_EVERY
from miniagents.promising.failures import logger_for
from miniagents.promising.promise import settled
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision import AutoShutdown, ChildSpec, Pool, Routing, StopReason, Strategy, Supervisor
from miniagents.supervision.checking import check_count, check_function, check_kind, check_seconds
from miniagents.supervision.lifecycle import OVER, Phase, Wish, life

_log = structlog.get_logger("miniagents")

T = TypeVar("T")

_RUNS = life(Phase.UP, again=True)

SUPERVISOR_PROPS = Props(lambda: None, DEFAULT_OPTIONS)


class RootCell(Cell):
    """Above all top-level actors. It handles nothing, and nobody has a reference to it."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The root of all paths."""
        return ""

    def wake(self) -> None:
        """There is never anything in its mailbox."""

    def crash(self, error: BaseException) -> None:
        """What its children's supervision leads to is the system's failure."""
        self.system.fail(error)


class ActorSystem(PromisingContext):
    """A tree of supervised actors in one event loop.

    Use it with `async with`, with `ActorSystem().run(main())`, or with `activate()` and `await afinalize()` inside a
    running service.

    Leaving `async with` normally finishes what is under way: it waits for background work and for the messages that are
    queued at that moment, and then stops the tree, children before parents and in reverse order. By an exception or a
    cancellation the tree is stopped at once, in the same order.

    Args:
        name: Its name.
        debug: Log handlers that block the event loop for more than 100 ms, with the actor's path.
        grace: Seconds for what has been told to end, when the system ends, 0 or more: cancelled handlers, calls and
            background work. What swallows its cancellation for longer is abandoned, and logged with its path and its
            stack; an actor that is still within its own time to shut down is waited for.
        dead_letters_kept: How many dead letters are kept whole, 0 or more; all are counted.
        on_failure: Called with the error when a supervisor at the root gives up and the system ends because of it.

    Attributes:
        id: What tells it from all other systems, also those of other processes.
    """

    node_name = ""
    node_epoch = 0
    """Which life of the node of that name it is."""

    def __init__(
        self,
        *,
        name: str = "miniagents",
        debug: bool = False,
        grace: float = DEFAULT_GRACE,
        dead_letters_kept: int = 1000,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        super().__init__()
        check_seconds("grace=", grace)
        check_count("dead_letters_kept=", dead_letters_kept, 0)
        check_function("on_failure=", on_failure)
        self.name = name
        self.id = register(self)
        self.id_hash = hash_of(self.id)
        self.grace = grace
        self.events = Events()
        self.watches = Watches(self)
        self.observers = Observers()
        self.dead_letters = DeadLetters(dead_letters_kept, self._on_dead_letter)
        self.scheduling = Scheduling()
        self._shared: dict[Hashable, tuple[Any, Any]] = {}
        self.thread_id = 0
        self.loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]  # set by activate()
        self.dispatcher: Dispatcher = None  # type: ignore[assignment]  # set by activate()
        self.graces: Graces = None  # type: ignore[assignment]  # set by activate()
        self.time: Callable[[], float] = None  # type: ignore[assignment]  # set by activate()
        self.root: RootCell = None  # type: ignore[assignment]  # set by activate()
        self._debug = debug
        self._on_failure = on_failure
        self.uids = itertools.count(1)
        self._groups: dict[str, Group] = {}
        self._timers: Timers | None = None
        self._failure: BaseException | None = None
        self._body: asyncio.Task[Any] | None = None
        self._body_cancelled = False
        self._ending: asyncio.Task[None] | None = None
        self._terminated: Promise[StopReason | BaseException] | None = None

    @property
    def random(self) -> Callable[[], float]:
        """Gives numbers from 0 to 1, for whatever is spread at random."""
        return self.scheduling.random

    # Life

    @property
    def is_running(self) -> bool:
        """Whether actors can be spawned."""
        return self._active_in is not None and self.root.life is _RUNS

    def activate(self) -> Self:
        """Start, without `async with`: for services that call `await afinalize()` when they end.

        Raises:
            RuntimeError: It is active already.
        """
        super().activate()
        loop = self.loop = asyncio.get_running_loop()
        use_daemon_threads(loop)
        self.time = loop.time
        self.thread_id = threading.get_ident()
        self.scheduling = scheduling_of(loop)
        self.dispatcher = Dispatcher(loop, self.scheduling, debug=self._debug)
        self.graces = Graces(loop)
        self.root = RootCell(self, None, "", SUPERVISOR_PROPS)
        self.root.life = _RUNS
        self._failure = None
        self._ending = None
        self._terminated = Promise()
        self.scheduling.system_started(self)
        return self

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

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a program in this system, on uvloop where it is there.

        Ctrl-C and SIGTERM stop the tree in supervised order; then the process ends with the usual status.

        Args:
            main: The coroutine of the program.

        Returns:
            What it returned.

        Raises:
            InvalidOptionError: `main` is nothing that can be awaited, as the function without a call of it.
        """
        return run_main(self, main)

    def terminated(self) -> Promise[StopReason | BaseException]:
        """The promise of its end: `StopReason.NORMAL`, or the error that ended it."""
        if self._terminated is None:
            raise SystemNotRunningError(f"system {self.name!r} has not been started")
        return self._terminated

    def fail(self, error: BaseException) -> None:
        """End the system because of an error: a supervisor at the root has given up."""
        if self._failure is not None or self.root.life is not _RUNS:
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
        root.life = OVER
        self.events.close()
        if self._terminated is not None:
            self._terminated._resolve(self._failure if self._failure is not None else StopReason.NORMAL)

    async def _stop_interactions(self) -> None:
        """Agents' systems end their interactions first."""

    async def _abandon_what_stays(self, gives_up: Callable[[float], bool]) -> None:
        """As long as the end lasts: go on without whoever swallows its cancellation for too long.

        Args:
            gives_up: Whether what was told to end at a time, and still runs, has had its grace.
        """
        began = self.time()
        while True:
            await asyncio.sleep(INSIST_EVERY)
            let_go: list[Any] = []
            for one in self._that_run():
                told_at = one.told_to_end_at
                if told_at is None:
                    if one.is_unwanted and gives_up(began):
                        one.end_unwanted()
                elif gives_up(told_at) and one not in let_go:
                    one.abandon()
                    let_go.append(getattr(one, "cell", None))  # a class agent that waits for its call can go on now

    def _that_run(self) -> list[Any]:
        """Whose code runs now."""
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
            supervisors = [cell.running_supervisor() for cell in self.cells() if cell.is_supervisor]
            waiting = [v for running in supervisors if running is not None and (v := running.verdicts()) is not None]
            if not waiting:
                break
            for verdicts in waiting:  # and then again: a supervisor that gave up is an exit to the next one
                await settled(verdicts)

    def cells(self) -> list[Any]:
        """Return all cells of the tree."""
        cells: list[Any] = []
        stack: list[Any] = [self.root]
        while stack:
            children = stack.pop().children
            if children:
                cells += children.values()
                stack += children.values()
        return cells

    # Actors

    def spawn(
        self,
        actor: Any,
        *,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> ActorRef:
        """Start an actor at the top of the tree. It is restarted after every crash, at once the first time and then
        with growing backoff; a first start that fails ends it (`ref.started()` tells).

        Args:
            actor: A subclass of `Actor`.
            name: Its name; by default that of its class and a number.
            options: The rarer options.
            kwargs: Arguments of the constructor whose names `spawn` takes for itself.
            **arguments: Arguments of the constructor.

        Returns:
            Its reference, at once; `on_start` runs in the actor, before its first message.

        Raises:
            AgentArgumentError: The constructor takes no argument of that name.
            ValueError: The name is taken, empty, or has a slash.
            SystemNotRunningError: The system is not running.
        """
        return self.spawn_under(self.root, actor, name, options, merged(arguments, kwargs))

    def spawn_under(
        self, parent: Any, actor: Any, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        """Start an actor as a child of another one."""
        self.check_running()
        if parent.refuses_children():
            raise SystemNotRunningError(f"{parent.path or '/'}: is stopping, and takes no more children")
        if isinstance(actor, Supervisor):
            raise InvalidOptionError("a Supervisor is started with `await system.supervise(...)`, not with spawn()")
        if kwargs and isinstance(actor, type) and issubclass(actor, Actor):
            check_names(actor, kwargs)
        cell = self.new_cell(parent, actor, parent.child_name(name, self.base_name(actor)), options, kwargs)
        strategy = parent.props.strategy
        if strategy is None:
            parent.add_child(cell)
        else:
            if parent.own_supervisor is None:
                parent.own_supervisor = self._supervisor_for(parent)
            parent.own_supervisor.adopt(cell)
        cell.begin()
        return cell.ref  # type: ignore[no-any-return]

    def _supervisor_for(self, parent: Any) -> RunningSupervisor:
        async def give_up(cause: BaseException | None) -> None:
            error = RestartLimitError(f"{parent.path}: its children needed too many restarts", path=parent.path)
            error.__cause__ = cause
            parent.crash(error)

        return RunningSupervisor(parent, parent.props.strategy, AutoShutdown.NEVER, give_up)

    def base_name(self, actor: Any) -> str:
        """What an actor without a name is called after."""
        return str(getattr(actor, "__name__", None) or type(actor).__name__)

    def new_cell(
        self, parent: Any, actor: Any, name: str, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> Any:
        """Make the cell of an actor, without starting it."""
        if options is not None:
            check_kind(f"{parent.path}/{name}: options=", options, SpawnOptions, or_none=True)
        if isinstance(actor, type) and issubclass(actor, Actor):
            if actor is Actor:
                raise InvalidOptionError(
                    f"{parent.path}/{name}: Actor itself handles nothing: make a subclass with "
                    f"`async def receive(self, message, ctx)`, and give that"
                )
            if kwargs or options is not None:
                factory = partial(actor, **kwargs) if kwargs else actor
                props = Props(factory, options or DEFAULT_OPTIONS, actor.errors, actor.strategy)
            else:
                if "_default_props" not in actor.__dict__:
                    actor._default_props = Props(actor, DEFAULT_OPTIONS, actor.errors, actor.strategy)
                props = actor._default_props
            return ActorCell(self, parent, name, props)
        if isinstance(actor, Pool):
            return PoolCell(self, parent, name, SUPERVISOR_PROPS, actor)
        if isinstance(actor, Supervisor):
            return SupervisorCell(self, parent, name, SUPERVISOR_PROPS, actor)
        instead = ""
        if isinstance(actor, Actor):
            kind = type(actor).__name__
            instead = f"; give the class, and what its constructor takes: spawn({kind}, name_of_argument=...)"
        raise InvalidOptionError(f"{parent.path}/{name}: an actor is a subclass of Actor, not {actor!r}{instead}")

    async def supervise(self, supervisor: Supervisor, parent: ActorRef | None = None) -> SupervisorRef:
        """Start a supervisor and wait until all its children have started, as OTP's `start_link` does.

        Args:
            supervisor: What to start.
            parent: The supervisor or actor that it becomes a child of; None for the top of the tree, where its failure
                ends the system.

        Raises:
            StartError: A child did not start; its own error is the `__cause__`. Those before it are stopped again.
            ValueError: The name is taken.
        """
        self.check_running()
        if not isinstance(supervisor, Supervisor):
            raise InvalidOptionError(f"supervise() takes a Supervisor, not {supervisor!r}")
        check_kind("supervise(parent=)", parent, ActorRef, or_none=True)
        if isinstance(parent, SupervisorRef):
            ref = await parent.start_child(ChildSpec(supervisor.name, supervisor))
            assert isinstance(ref, SupervisorRef)  # a supervisor never ignores its start
            return ref
        above: Any = parent._cell if parent is not None else self.root
        if above.refuses_children():
            raise SystemNotRunningError(f"{above.path or '/'}: is stopping, and takes no more children")
        return await self._start_supervisor(above, supervisor, above.child_name(supervisor.name, supervisor.name))

    async def _start_supervisor(self, above: Any, supervisor: Supervisor, name: str) -> SupervisorRef:
        try:
            cell = self.new_cell(above, supervisor, name, None, {})
        except TypeError as error:  # a pool of agents that do not take these arguments
            path = f"{above.path}/{name}"
            raise StartError(f"{path}: did not start: {error}", child_id=name, path=path) from error
        above.add_child(cell)
        started = cell.started()
        cell.begin()
        try:
            await started
        except asyncio.CancelledError:
            started._look()
            cell.terminate()  # nobody will have a reference to it
            raise
        ref = cell.ref
        assert isinstance(ref, SupervisorRef)
        return ref

    async def pool(
        self,
        actor: Any,
        *,
        size: int,
        routing: Routing = Routing.ROUND_ROBIN,
        key: Callable[[Any], object] | None = None,
        name: str | None = None,
        strategy: Strategy | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> SupervisorRef:
        """Start a supervised pool of equal actors behind one reference, at the top of the tree. Elsewhere a pool is
        started by a `ChildSpec` that names a `Pool`, or by `supervise(Pool(...), parent=...)`.

        Args:
            actor: What its members are.
            size: How many, 1 or more.
            routing: Which member gets a message.
            key: For `Routing.CONSISTENT_HASH`: a function of the message; equal keys go to the same member.
            name: Its name; by default that of the class and a number.
            strategy: The strategy for the members; None for restarts without a limit, with growing backoff.
            options: The rarer options of the members.
            kwargs: Arguments of their constructor.

        Returns:
            A reference that routes what is told, sent or asked, and is a supervisor's otherwise. `await send()` waits
            for room in the member that routing chooses.

        Raises:
            StartError: A member did not start; its own error is the `__cause__`.
        """
        self.check_running()
        pool_name = self.root.child_name(name, f"{self.base_name(actor)}-pool")
        pool = Pool(
            actor,
            size=size,
            routing=routing,
            key=key,
            name=pool_name,
            strategy=strategy,
            options=options,
            kwargs=kwargs,
        )
        return await self._start_supervisor(self.root, pool, pool_name)

    def schedule(self, delay: float, ref: ActorRef, message: Message) -> Timer:
        """Send an actor `message` in `delay` seconds, from outside. It is not bound to an instance of the actor, as
        `ctx.schedule` is: a restart leaves it alone. It ends with the system.

        Returns:
            A handle with `cancel()`.
        """
        check_kind("schedule(ref=)", ref, ActorRef)
        return self._outside_timers().start(ref._cell, delay, message, repeats=False)

    def schedule_every(self, interval: float, ref: ActorRef, message: Message) -> Timer:
        """Send an actor `message` every `interval` seconds, from outside, as long as it lives; at most one of these
        messages waits in the mailbox.

        Returns:
            A handle with `cancel()`.
        """
        check_kind("schedule_every(ref=)", ref, ActorRef)
        return self._outside_timers().start(ref._cell, interval, message, repeats=True)

    def _outside_timers(self) -> Timers:
        self.check_running()
        if self._timers is None:
            self._timers = Timers(self.start_soon)
        return self._timers

    def lookup(self, path: str) -> ActorRef | None:
        """The actor at a path, `/research/searcher-3`, or None."""
        check_kind("lookup(path=)", path, str)
        cell: Any = self.root
        for name in path.strip("/").split("/"):
            cell = (cell.children or {}).get(name)
            if cell is None:
                return None
        return cell.ref  # type: ignore[no-any-return]

    def group(self, name: str) -> Group:
        """The group of this name; it exists as soon as somebody asks for it."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        return group

    @property
    def from_thread(self) -> FromThread:
        """For code in other threads."""
        return FromThread(self)

    def tree(self, path: str = "/", *, depth: int | None = None, limit: int | None = None) -> ActorInfo:
        """A snapshot of the tree at this moment.

        Args:
            path: Where to begin.
            depth: How many levels below it, 0 or more; None for all.
            limit: How many actors at most, 0 or more; None for all.

        Raises:
            LookupError: There is nobody at `path`.
        """
        check_kind("tree(path=)", path, str)
        check_count("tree(depth=)", depth, 0, or_none=True)
        check_count("tree(limit=)", limit, 0, or_none=True)
        ref = self.lookup(path) if path.strip("/") else None
        if ref is None and path.strip("/"):
            raise LookupError(f"there is no actor at {path!r}")
        return snapshot(ref._cell if ref is not None else self.root, self.time(), depth, limit)

    # For cells

    def check_running(self) -> None:
        """Refuse what needs a running system.

        Raises:
            SystemNotRunningError: It is not running.
        """
        if not self.is_running:
            what = "is not running: use `async with` around this" if self._active_in is None else "is stopping"
            raise SystemNotRunningError(f"system {self.name!r} {what}")

    # For the detection of deadlocks

    def begin_wait(self, promise: Any, at: int | None) -> None:
        """A task of the background is about to wait; see `Scope.begin_wait`."""
        begin_wait(promise, at, self)

    def look_again(self, promise: Any) -> None:
        """Fewer than before can bring a promise on."""
        look_again(self, promise)

    def actor_ended(self, cell: Any) -> None:
        """An actor has ended for good."""
        for hook in self.observers.actor_ended:
            try:
                hook(cell)
            except Exception as error:
                observer_failed(hook, error)
        if self._groups:
            for group in self._groups.values():
                group.leave(cell.ref)

    def start_failed(self, cell: Any, error: BaseException) -> None:
        """The first start of an actor without a supervisor failed, and ends it."""
        log = logger_for(logging.ERROR)
        if log is not None:
            log.error("actor.start_failed", actor=cell.path, error=repr(error), stack=traceback_text(error))
        self.events.publish(EventKind.CRASH, cell.path, error=error, logged=True)

    def _on_dead_letter(self, letter: DeadLetter) -> None:
        if self.events.wanted:
            self.events.publish(EventKind.DEAD_LETTER, letter.receiver.path, detail=letter)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


async def _close(close: Callable[[Any], Awaitable[None]], value: Any) -> None:
    try:
        await close(value)
    except (Exception, asyncio.CancelledError) as error:
        _log.error("system.shared_not_closed", error=repr(error), stack=traceback_text(error))
        if not isinstance(error, Exception):
            raise
