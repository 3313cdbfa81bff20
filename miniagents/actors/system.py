"""The actor system: the root of the tree, and all that its actors share.

The module is longer than most: it holds the public methods of the runtime, each with its documentation.
"""

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, Unpack, overload

from miniagents.actors.api import Shown
from miniagents.actors.arguments import check_names
from miniagents.actors.cells.absent import cell_of
from miniagents.actors.cells.actor import Actor
from miniagents.actors.cells.actor_cell import ActorCell
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.graces import Graces
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.cells.root import RootCell
from miniagents.actors.cells.spawning import PoolOptions, Spawner
from miniagents.actors.cells.timers import Timer, Timers
from miniagents.actors.collecting import Collecting
from miniagents.actors.dispatch.dispatcher import Dispatcher
from miniagents.actors.dispatch.scheduling import Scheduling, scheduling_of
from miniagents.actors.from_thread import FromThread
from miniagents.actors.messaging.backlog import Backlog, backlog
from miniagents.actors.messaging.dead_letters import DeadLetter, DeadLetters
from miniagents.actors.messaging.group import Group
from miniagents.actors.messaging.identity import hash_of, register
from miniagents.actors.messaging.options import DEFAULT_OPTIONS, Props, SpawnOptions
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.observing.changes import Changes
from miniagents.actors.observing.events import EventKind, Events
from miniagents.actors.observing.observer import Observer
from miniagents.actors.observing.observers import Observers
from miniagents.actors.observing.pages import DEFAULT_LIMIT, Pages, TreePage
from miniagents.actors.observing.tree import ActorInfo, snapshot
from miniagents.actors.runner import run_main
from miniagents.actors.shutdown import RUNS, StoppableSystem
from miniagents.actors.supervisors.pool import PoolCell
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.actors.supervisors.supervisor_cell import SupervisorCell
from miniagents.actors.supervisors.supervisor_ref import SupervisorRef
from miniagents.actors.threads import use_daemon_threads
from miniagents.actors.waiting.deadlock import Watches, begin_wait, look_again
from miniagents.actors.wall_clock import WallClock
from miniagents.errors import InvalidOptionError, RestartLimitError, StartError, SystemNotRunningError
from miniagents.messages import Message
from miniagents.promising import Promise
from miniagents.promising.abandoning import DEFAULT_GRACE
from miniagents.promising.failures import logger_for
from miniagents.promising.tracebacks import traceback_text
from miniagents.supervision import AutoShutdown, ChildSpec, Pool, Strategy, Supervisor
from miniagents.supervision.checking import check_count, check_function, check_kind, check_seconds

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import DurableMail
    from miniagents.journal import Journal

T = TypeVar("T")


class RunningCluster(Protocol):
    """The cluster of a system, as its driver runs it."""

    async def start(self, system: Any) -> None:
        """Start the nodes, once the system is active. The cluster ends them when the tree has stopped."""

    def nodes(self) -> tuple[Any, ...]:
        """Return the nodes that are in."""


_CONTROL = "MINIAGENTS_CONTROL"

SUPERVISOR_PROPS = Props(lambda: None, DEFAULT_OPTIONS)


class ActorSystem(Shown, Spawner, StoppableSystem):
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
            background work, and the `finally` blocks of the program of `run` after Ctrl-C or SIGTERM. What swallows its
            cancellation for longer is abandoned, and logged with its path and its stack; an actor that is still within
            its own time to shut down is waited for.
        dead_letters_kept: How many dead letters are kept whole, 0 or more; all are counted.
        on_failure: Called with the error when a supervisor at the root gives up and the system ends because of it.
        journal: What durable actors keep on disk (`miniagents.journal.SqliteJournal`), or None. The system opens it at
            its start, and closes it last.
        cluster: The nodes over which actors can be placed (`RayCluster` of `miniagents.ext.ray`), or None for this
            process alone. The nodes are started by `async with` and by `run`, and not by `activate()`.
        control: Whether the commands of `miniagents` (`top`, `ps`, `diagnose`, ...) can ask this system, over a socket
            of this user alone. None, the default, for a system that has a journal in a file, and for all if the
            environment variable MINIAGENTS_CONTROL is 1.
        observers: The observers of the system, each an `Observer`. It is told what it has a method for.

    Attributes:
        journal: The journal, or None.
        control: The socket by which the commands of `miniagents` ask this system, or None.
        id: What tells it from all other systems, also those of other processes.

    Example:
        >>> class Echo(Actor):
        ...     async def receive(self, message, ctx):
        ...         return message
        >>> async with ActorSystem(name="echoes") as system:
        ...     print(await system.spawn(Echo).ask(TextMessage("hello")))
        hello
    """

    node_name = ""
    node_epoch = 0
    """The number of this life of the node with that name."""
    placing: Any = None
    """What places actors on the nodes of a cluster; None without one."""

    def __init__(
        self,
        *,
        name: str = "miniagents",
        debug: bool = False,
        grace: float = DEFAULT_GRACE,
        dead_letters_kept: int = 1000,
        on_failure: Callable[[BaseException], object] | None = None,
        journal: "Journal | None" = None,
        cluster: "RunningCluster | None" = None,
        control: bool | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(on_failure)
        _check_journal(journal)
        check_seconds("grace=", grace)
        check_count("dead_letters_kept=", dead_letters_kept, 0)
        check_function("on_failure=", on_failure)
        self.name = name
        self.journal = journal
        self.cluster = cluster
        self._wants_control = control
        self.id: str = register(self)
        self.id_hash: int = hash_of(self.id)
        self.grace = grace
        self.events = Events(self)
        self.changes: Changes = Changes()
        self.watches = Watches(self)
        self.observers: Observers = Observers(observers, self.events)
        self.dead_letters: DeadLetters = DeadLetters(dead_letters_kept, self._on_dead_letter)
        self.scheduling: Scheduling = Scheduling()
        self.thread_id: int = 0
        self.loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]  # set by activate()
        self.dispatcher: Dispatcher = None  # type: ignore[assignment]  # set by activate()
        self.graces: Graces = None  # type: ignore[assignment]  # set by activate()
        self.time: Callable[[], float] = None  # type: ignore[assignment]  # set by activate()
        self.wall_clock: WallClock = None  # type: ignore[assignment]  # set by activate()
        self.root: RootCell = None  # type: ignore[assignment]  # set by activate()
        self._debug = debug
        self.uids: Iterator[int] = itertools.count(1)
        self.starting_again: dict[LivingCell, Promise[None]] = {}
        self._groups: dict[str, Group] = {}
        self.durable_mail: DurableMail | None = None  # set by activate(), if there is a journal

    @property
    def random(self) -> Callable[[], float]:
        """Gives numbers from 0 to 1, for whatever is spread at random."""
        return self.scheduling.random

    # Life

    def activate(self) -> Self:
        """Start, without `async with`: for services that call `await afinalize()` when they end.

        Raises:
            RuntimeError: It is active already.
            JournalError: The journal cannot be opened. Nothing has been started.
        """
        if self.journal is not None and self.active_loop is None:
            self.journal.open()
        super().activate()
        loop = self.loop = asyncio.get_running_loop()
        use_daemon_threads(loop)
        self.time = loop.time
        self.wall_clock = WallClock(loop)
        self.thread_id = threading.get_ident()
        self.scheduling = scheduling_of(loop)
        self.dispatcher = Dispatcher(loop, self.scheduling, debug=self._debug)
        self.graces = Graces(loop)
        self.root = RootCell(self, None, "", SUPERVISOR_PROPS)
        self.root.life = RUNS
        self.changes.forget()
        self._failure = None
        self._ending = None
        self._terminated = Promise()
        if self.journal is not None:
            # Not imported at the top: a program without a journal does not load it.
            mail: DurableMail = import_module("miniagents.actors.durable.mail").JournalMail(self.journal)
            self.durable_mail, self.dead_letters.on_disk = mail, mail.letters
        self._open_control()
        self.scheduling.system_started(self)
        self.observers.started(self)
        return self

    def _open_control(self) -> None:
        """Open the socket for the commands of `miniagents`, if the system is to have one."""
        is_asked_for = self._wants_control
        if is_asked_for is None:
            is_asked_for = os.environ.get(_CONTROL, "0") not in ("", "0")
            if not is_asked_for and self.journal is None:
                return
        elif not is_asked_for:
            return
        options: dict[str, Any] = {"shows_stacks": is_asked_for}
        if self.journal is not None:
            options |= import_module("miniagents.journal.operating").control_of_journal(self, self.journal)
        if is_asked_for or "journal" in options:
            # Not imported at the top: a program that no command asks does not load it.
            self.control = import_module("miniagents.control.system").open_control(self, **options)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self.cluster is not None:
            try:
                await self.cluster.start(self)
            except BaseException as error:
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
        return self

    def nodes(self) -> tuple[Any, ...]:
        """Return the nodes of the cluster, the driver first, as `NodeInfo`s.

        Raises:
            InvalidOptionError: The system has no cluster.
        """
        if self.cluster is None:
            raise InvalidOptionError(f"system {self.name!r} has no cluster: cluster=")
        return self.cluster.nodes()

    def run(self, main: Coroutine[Any, Any, T], *, gc: Collecting | None = None) -> T:
        """Run a program in this system, on uvloop where it is there.

        Ctrl-C and SIGTERM stop the tree in supervised order; then the process ends with the usual status.

        Args:
            main: The coroutine of the program.
            gc: "service" for a program that serves: collections of Python's garbage collector, for which all clients
                would wait, become rare and short until the program ends (docs/guides/benchmarking.md). None leaves the
                collector alone.

        Returns:
            What it returned.

        Raises:
            InvalidOptionError: `main` is nothing that can be awaited, as the function without a call of it; or `gc` is
                no setting of the collector.
            RuntimeError: An event loop is running in this thread already, as in a notebook. Use `async with` there.
        """
        return run_main(self, main, gc)

    # Actors

    def _spawn(
        self, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        return self.spawn_under(self.root, actor, name, options, kwargs)

    def spawn_under(
        self, parent: Cell, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        """Start an actor as a child of another one."""
        self.check_running()
        if parent.refuses_children():
            raise SystemNotRunningError(f"{parent.path or '/'}: is stopping, and takes no more children")
        if isinstance(actor, Supervisor):
            raise InvalidOptionError("a Supervisor is started with `await system.supervise(...)`, not with spawn()")
        if kwargs and isinstance(actor, type) and issubclass(actor, Actor):
            check_names(actor, kwargs)
        if name is None:
            self.check_unnamed(actor, options)
        cell = self.new_cell(parent, actor, parent.child_name(name, self.base_name(actor)), options, kwargs)
        strategy = parent.props.strategy
        if strategy is None:
            parent.add_child(cell)
        else:
            if parent.own_supervisor is None:
                parent.own_supervisor = self._supervisor_for(parent, strategy)
            parent.own_supervisor.adopt(cell)
        cell.begin()
        return cell.ref

    def _supervisor_for(self, parent: Cell, strategy: Strategy) -> RunningSupervisor:
        async def give_up(cause: BaseException | None) -> None:
            error = RestartLimitError(f"{parent.path}: its children needed too many restarts", path=parent.path)
            error.__cause__ = cause
            parent.crash(error)

        return RunningSupervisor(parent, strategy, AutoShutdown.NEVER, give_up)

    def check_unnamed(self, actor: object, options: SpawnOptions | None) -> None:
        """Refuse an actor without a name that needs one.

        Raises:
            InvalidOptionError: The actor is durable: a journal knows it by its path.
        """
        if isinstance(options, SpawnOptions) and options.durable:
            raise InvalidOptionError(
                f"{self.base_name(actor)}: a durable actor needs a name: spawn(..., name=); its mail waits under "
                f"its path until that is spawned again"
            )

    def base_name(self, actor: object) -> str:
        """Return the base of the name of an actor that has none."""
        return str(getattr(actor, "__name__", None) or type(actor).__name__)

    def new_cell(
        self, parent: Cell, actor: object, name: str, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> LivingCell:
        """Make the cell of an actor, without starting it."""
        if options is not None:
            check_kind(f"{parent.path}/{name}: options=", options, SpawnOptions, or_none=True)
            if options.is_placed:
                return self.place(parent, actor, name, options, kwargs)
            if options.durable:
                self.check_durable(f"{parent.path}/{name}")
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
                    actor._default_props = Props(actor, DEFAULT_OPTIONS, actor.errors, actor.strategy)  # noqa: SLF001
                props = actor._default_props  # noqa: SLF001 - the classes of actors carry it for us
            if props.options.durable:
                assert self.durable_mail is not None  # `check_durable` has looked
                durable_cell: LivingCell = self.durable_mail.new_cell(self, parent, name, props)
                return durable_cell
            return ActorCell(self, parent, name, props)
        if isinstance(actor, Pool):
            return PoolCell(self, parent, name, SUPERVISOR_PROPS, actor)
        if isinstance(actor, Supervisor):
            return SupervisorCell(self, parent, name, SUPERVISOR_PROPS, actor)
        instead = ""
        if isinstance(actor, Actor):
            kind = type(actor).__name__
            instead = f"; give the class, and what its constructor takes: spawn({kind}, name_of_argument=...)"
        elif isinstance(actor, type) and iscoroutinefunction(vars(actor).get("__call__")):
            instead = f"; a class becomes an agent by a call: miniagent({actor.__name__})"
        raise InvalidOptionError(f"{parent.path}/{name}: an actor is a subclass of Actor, not {actor!r}{instead}")

    def place(
        self, parent: Cell, actor: object, name: str, options: SpawnOptions, kwargs: Mapping[str, Any]
    ) -> LivingCell:
        """Make the cell of an actor on the node that its options choose.

        Raises:
            InvalidOptionError: The system has no cluster, or there is no such node.
        """
        if self.placing is None and self.cluster is not None:
            raise InvalidOptionError(
                f"{parent.path}/{name}: the nodes of the cluster have not been started: `async with` and run() start "
                f"them, activate() does not"
            )
        if self.placing is None:
            raise InvalidOptionError(
                f"{parent.path}/{name}: node= and placement= need a cluster, and system {self.name!r} has none; give "
                f"it one: cluster="
            )
        cell: LivingCell = self.placing.new_cell(parent, actor, name, options, kwargs)
        return cell

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
        above = cell_of(parent) if parent is not None else self.root
        if above.refuses_children():
            raise SystemNotRunningError(f"{above.path or '/'}: is stopping, and takes no more children")
        return await self._start_supervisor(above, supervisor, above.child_name(supervisor.name, supervisor.name))

    async def _start_supervisor(self, above: Cell, supervisor: Supervisor, name: str) -> SupervisorRef:
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
            started.mark_seen()
            cell.terminate()  # nobody will have a reference to it
            raise
        ref = cell.ref
        assert isinstance(ref, SupervisorRef)
        return ref

    async def pool(self, actor: Any, *, size: int, **options: Unpack[PoolOptions]) -> SupervisorRef:
        """Start a supervised pool of equal actors behind one reference, at the top of the tree. Elsewhere a pool is
        started by a `ChildSpec` that names a `Pool`, or by `supervise(Pool(...), parent=...)`.

        Args:
            actor: The `Actor` class, or the agent, that each member is.
            size: The number of members, 1 or more.
            **options: The other arguments of `Pool`: `routing`, `key`, `name`, `strategy`, `restart`, `shutdown`,
                `options` and `kwargs`.

        Returns:
            A reference that routes what is told, sent or asked, and is a supervisor's otherwise. `await send()` waits
            for room in the member that routing chooses.

        Raises:
            StartError: A member did not start; its own error is the `__cause__`.
        """
        self.check_running()
        name = options["name"] = self.root.child_name(options.get("name"), f"{self.base_name(actor)}-pool")
        return await self._start_supervisor(self.root, Pool(actor, size=size, **options), name)

    def schedule(self, delay: float, ref: ActorRef, message: Message) -> Timer:
        """Send an actor `message` in `delay` seconds, from outside. It is not bound to an instance of the actor, as
        `ctx.schedule` is: a restart leaves it alone. It ends with the system.

        Returns:
            A handle with `cancel()`.
        """
        check_kind("schedule(ref=)", ref, ActorRef)
        return self._outside_timers().start(cell_of(ref), delay, message, repeats=False)

    def schedule_every(self, interval: float, ref: ActorRef, message: Message) -> Timer:
        """Send an actor `message` every `interval` seconds, from outside, as long as it lives; at most one of these
        messages waits in the mailbox.

        Returns:
            A handle with `cancel()`.
        """
        check_kind("schedule_every(ref=)", ref, ActorRef)
        return self._outside_timers().start(cell_of(ref), interval, message, repeats=True)

    def _outside_timers(self) -> Timers:
        self.check_running()
        if self._timers is None:
            self._timers = Timers(self.start_soon)
        return self._timers

    def lookup(self, path: str) -> ActorRef | None:
        """The actor at a path, `/research/searcher-3`, or None."""
        check_kind("lookup(path=)", path, str)
        cell = self._find(path)
        return cell.ref if cell is not None else None

    def _find(self, path: str) -> Cell | None:
        cell: Cell = self.root
        for name in path.strip("/").split("/"):
            child = cell.children.get(name) if cell.children else None
            if child is None:
                return None
            cell = child
        return cell

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

    @overload
    def tree(self, path: str = "/", *, depth: int | None = None, limit: int | None = None) -> ActorInfo: ...

    @overload
    def tree(
        self,
        path: str = "/",
        *,
        depth: int | None = None,
        limit: int | None = None,
        cursor: str,
        changed_since: int | None = None,
    ) -> TreePage: ...

    @overload
    def tree(
        self, path: str = "/", *, depth: int | None = None, limit: int | None = None, changed_since: int
    ) -> TreePage: ...

    def tree(
        self,
        path: str = "/",
        *,
        depth: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        changed_since: int | None = None,
    ) -> ActorInfo | TreePage:
        """A snapshot of the tree at this moment, or a page of it, or of what has changed in it.

        Without `cursor=` and `changed_since=` it is the whole tree at once, nested. That takes about 1 ms for 1,000
        actors, in which nothing else runs. Pages are flat, and bounded however large the tree is. What ends, appears or
        changes between two pages of the tree is in the changes since the version that these pages name.

        A change is a start, an end, a restart, a failure, or another step in the life of an actor; those above it
        have changed with it, since their sums have. Messages that come and go are no change: read `mailbox_depth`,
        `handled` and the ages of those actors that you show, with `tree(path, depth=0, cursor="")`.

        The first page that is asked for begins a log of changes, which ends by itself after 100,000 changes that nobody
        has read. Until then nothing is kept.

        Args:
            path: Where to begin; the same for all pages.
            depth: How many levels below it, 0 or more; None for all. The same for all pages.
            limit: How many actors at most, 0 or more; None for all. Of a page: 1 or more; None for 250.
            cursor: That of the page before this one; "" for the first page of the tree.
            changed_since: The version of an earlier page: only what has changed since. Where that is too long ago (more
                than 1,000 ends, or 5,000 changed actors), and with 0, it is the first page of the whole tree, whose
                `is_fresh` says so. Not needed beside a cursor.

        Returns:
            An `ActorInfo`; a `TreePage` where `cursor` or `changed_since` is given.

        Raises:
            LookupError: There is nobody at `path`.
            InvalidOptionError: An argument is outside its range, or the cursor is none.

        Example:
            >>> from miniagents import Actor, ActorSystem, TreePage
            >>> class Idle(Actor):
            ...     async def receive(self, message, ctx):
            ...         pass
            >>> async def main():
            ...     async with ActorSystem() as system:
            ...         for _ in range(3):
            ...             await system.spawn(Idle).started()
            ...         page = system.tree(cursor="", limit=2)
            ...         print([node.path for node in page.nodes], page.nodes[0].below.actors)
            ...         page = system.tree(cursor=page.cursor)
            ...         print([node.path for node in page.nodes], page.cursor)
            ...         await system.lookup("/Idle-2").stop()
            ...         page = system.tree(changed_since=page.version)
            ...         print([ended.path for ended in page.ended], [node.path for node in page.nodes])
            >>> ActorSystem().run(main())
            ['/', '/Idle-1'] 3
            ['/Idle-2', '/Idle-3'] None
            ['/Idle-2'] ['/']
        """
        check_count("tree(depth=)", depth, 0, or_none=True)
        if cursor is None and changed_since is None:
            check_count("tree(limit=)", limit, 0, or_none=True)
            return snapshot(self._cell_at("tree", path), self.time(), depth, limit)
        check_count("tree(limit=) of a page", limit, 1, or_none=True)
        check_kind("tree(cursor=)", cursor, str, or_none=True)
        check_count("tree(changed_since=)", changed_since, 0, or_none=True)
        pages = Pages(self._cell_at("tree", path), depth, limit or DEFAULT_LIMIT, self.changes, self.time())
        return pages.after(cursor) if cursor is not None else pages.since(changed_since or 0)

    def backlog(self, path: str, *, limit: int = 100) -> Backlog:
        """What waits in the mailbox of the actor at a path: how much, for how long, and of which kinds.

        Args:
            path: Where it is in the tree.
            limit: How many messages to look at for their kinds, 0 or more, from the next one on.

        Raises:
            LookupError: There is nobody at `path`.
        """
        check_count("backlog(limit=)", limit, 0)
        cell = self._cell_at("backlog", path)
        return backlog(cell.queue, cell.depth, cell.head_enqueued_at, self.time(), limit)

    def _cell_at(self, method: str, path: str) -> Cell:
        check_kind(f"{method}(path=)", path, str)
        if not path.strip("/"):
            return self.root
        cell = self._find(path)
        if cell is None:
            raise LookupError(f"there is no actor at {path!r}")
        return cell

    # For cells

    def check_running(self) -> None:
        """Refuse what needs a running system.

        Raises:
            SystemNotRunningError: It is not running.
        """
        if not self.is_running:
            what = "is not running: use `async with` around this" if self.active_loop is None else "is stopping"
            raise SystemNotRunningError(f"system {self.name!r} {what}")

    def check_durable(self, path: str) -> None:
        """Refuse a durable actor or agent in a system without a journal.

        Raises:
            InvalidOptionError: The system has no journal.
        """
        if self.journal is None:
            raise InvalidOptionError(
                f"{path}: durable=True needs a journal, and system {self.name!r} has none; give it one: "
                f"journal=SqliteJournal(path), of miniagents.journal"
            )

    # For the detection of deadlocks

    def begin_wait(self, promise: Promise[Any], at: int | None) -> None:
        """A task of the background is about to wait; see `Scope.begin_wait`."""
        begin_wait(promise, at, self)

    def look_again(self, promise: Promise[Any]) -> None:
        """Fewer than before can bring a promise on."""
        look_again(self, promise)

    def actor_ended(self, cell: Cell) -> None:
        """An actor has ended for good."""
        if self.changes.wanted:
            self.changes.note_end(cell)
        for hook in self.observers.actor_ended:
            try:
                hook(cell)
            except Exception as error:
                self.observers.failed(hook, error)
        if self._groups:
            for group in self._groups.values():
                group.leave(cell.ref)

    def start_failed(self, cell: Cell, error: BaseException) -> None:
        """The first start of an actor without a supervisor failed, and ends it."""
        log = logger_for(logging.ERROR)
        if log is not None:
            log.error("actor.start_failed", actor=cell.path, error=repr(error), stack=traceback_text(error))
        self.events.publish(EventKind.CRASH, cell.path, error=error, logged=True, actor=cell)

    def _on_dead_letter(self, letter: DeadLetter) -> None:
        if self.events.wanted:
            self.events.publish(EventKind.DEAD_LETTER, letter.receiver.path, detail=letter)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _check_journal(journal: object) -> None:
    """Check that `journal=` is a journal, and not the path of one.

    Raises:
        InvalidOptionError: It is something else.
    """
    if journal is not None and not callable(getattr(journal, "next_id", None)):
        raise InvalidOptionError(
            f"journal= takes a journal, not {journal!r}; write journal=SqliteJournal(path), of miniagents.journal"
        )
