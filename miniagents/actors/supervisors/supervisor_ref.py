"""References to supervisors: `ActorRef`, and OTP's calls."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import get_ident
from typing import Any, Literal, TypeVar

import msgspec

from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.supervisors.child import Child, Status
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.actors.supervisors.supervisor_calls import SupervisorCalls
from miniagents.actors.waiting.termination import own_end
from miniagents.errors import ActorStoppedError, ChildNotFoundError, SimpleOneForOneError, WrongThreadError
from miniagents.promising import Promise
from miniagents.promising.scope import get_scope
from miniagents.supervision import ChildSpec, Restart, Supervisor

T = TypeVar("T")


class ChildInfo(msgspec.Struct, frozen=True):
    """One child, as `which_children` gives it.

    Attributes:
        id: The id of the specification; None under `SimpleOneForOne`.
        ref: The child; None if it does not run, "restarting" if it is about to be restarted.
        kind: The kind of the child, "worker" or "supervisor".
        restart: The restart type.

    Example:
        >>> class Worker(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     team = await system.supervise(Supervisor("team", children=[ChildSpec("worker", Worker)]))
        ...     print([(child.id, child.kind) for child in await team.which_children()])
        [('worker', 'worker')]
    """

    id: str | None
    ref: ActorRef | Literal["restarting"] | None
    kind: Literal["worker", "supervisor"]
    restart: Restart


class ChildCounts(msgspec.Struct, frozen=True):
    """The result of `count_children`.

    Attributes:
        specs: The number of specifications, whether their children run or not.
        active: The number of children that run.
        supervisors: The number of specifications of supervisors; under `SimpleOneForOne`, of supervisors.
        workers: The same number for all other children.

    Example:
        >>> class Worker(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     team = await system.supervise(Supervisor("team", children=[ChildSpec("worker", Worker)]))
        ...     print((await team.count_children()).workers)
        1
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class SupervisorRef(ActorRef):
    """The name of one supervisor. Its methods are the calls of OTP's `supervisor`; messages to it are dead letters.

    All calls raise `ActorStoppedError` when the supervisor has ended.

    Example:
        >>> class Worker(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     ref = await system.supervise(Supervisor("workers"))
        ...     child = await ref.start_child(ChildSpec("first", Worker))
        ...     print(child.path)
        /workers/first
    """

    __slots__ = ()

    async def start_child(self, spec: ChildSpec | None = None, **kwargs: Any) -> ActorRef | None:
        """Add a specification and start its child.

        Args:
            spec: The specification; not under `SimpleOneForOne`.
            **kwargs: Under `SimpleOneForOne`: arguments of the child's constructor besides those of the template.

        Returns:
            The child, or None if its `on_start` raised `IgnoreStart`.

        Raises:
            AlreadyStartedError: A child with this id runs; the error's `ref` is it.
            AlreadyPresentError: There is a specification with this id.
            StartError: The child did not start; nothing is kept of it.
            InvalidOptionError: The specification does not fit under this supervisor.
            CancelledError: The caller was cancelled; nothing is kept of the child then, either.
        """
        running = self._running()
        if running.is_simple:
            if spec is not None:
                raise SimpleOneForOneError(
                    f"{self.path}: start_child of a SimpleOneForOne takes the child's arguments, not a ChildSpec"
                )
            return await self._start_child(running, SupervisorCalls(running).new_simple_child(kwargs))
        supervisor_spec: Supervisor = self._cell.supervisor_spec  # type: ignore[attr-defined]
        Supervisor.check_child(supervisor_spec.name, supervisor_spec.auto_shutdown, spec)
        assert spec is not None
        return await self._start_child(running, SupervisorCalls(running).new_child(spec))

    async def _start_child(self, running: RunningSupervisor, child: Child) -> ActorRef | None:
        calls = SupervisorCalls(running)
        try:
            return await self._call(lambda: calls.start_child(child))
        except asyncio.CancelledError:
            calls.undo_start(child)  # nobody will know of it
            raise

    async def terminate_child(self, child: str | ActorRef) -> None:
        """End a child for good; its specification stays, unless it is TEMPORARY.

        Args:
            child: The id or the ref of the child; under `SimpleOneForOne` the ref.

        Raises:
            ChildNotFoundError: There is no such child.
            SimpleOneForOneError: An id was given under `SimpleOneForOne`.
            DeadlockError: Called by that child itself, or by one below it, which would wait for its own end.
        """
        running = self._running()
        if not isinstance(child, (str, ActorRef)):
            raise ChildNotFoundError(f"{self.path}: a child is named by its id or its ref, not by {child!r}")
        self._check_not_below(running, child)
        calls = SupervisorCalls(running)
        await self._call(lambda: calls.terminate_child(child), limits_start_of=child)

    async def restart_child(self, id: str) -> ActorRef | None:
        """Start a child again whose specification is there and which does not run. It gets a new uid.

        The child keeps its place among its siblings, which strategies and `which_children` follow. `system.tree()`
        lists children in the order of their starts, and so this one last.

        Returns:
            The child, or None if its `on_start` raised `IgnoreStart`.

        Raises:
            ChildRunningError: The child runs.
            ChildRestartingError: The child is about to be restarted.
            ChildNotFoundError: There is no such specification.
            StartError: The child did not start.
            SimpleOneForOneError: This is a `SimpleOneForOne`.
        """
        calls = SupervisorCalls(self._running())
        return await self._call(lambda: calls.restart_child(id))

    async def delete_child(self, id: str) -> None:
        """Remove the specification of a child that does not run.

        Raises:
            ChildRunningError: The child runs: call `terminate_child` first.
            ChildRestartingError: The child is about to be restarted.
            ChildNotFoundError: There is no such specification.
            SimpleOneForOneError: This is a `SimpleOneForOne`.
        """
        calls = SupervisorCalls(self._running())
        await self._call(lambda: calls.delete_child(id))

    async def which_children(self) -> tuple[ChildInfo, ...]:
        """Return all children, the youngest first, as OTP does."""
        running = self._running()

        async def answer() -> tuple[ChildInfo, ...]:
            return tuple(_info(child, running) for child in reversed(running.children.values()))

        return await self._call(answer)

    async def count_children(self) -> ChildCounts:
        """Return the numbers of children, by their kind."""
        running = self._running()

        async def answer() -> ChildCounts:
            infos = [_info(child, running) for child in running.children.values()]
            supervisors = sum(info.kind == "supervisor" for info in infos)
            active = sum(isinstance(info.ref, ActorRef) and info.ref.is_alive for info in infos)
            specs = 1 if running.is_simple else len(infos)
            return ChildCounts(specs, active, supervisors, len(infos) - supervisors)

        return await self._call(answer)

    def _running(self) -> RunningSupervisor:
        cell: Any = self._cell
        if get_ident() != cell.system.thread_id:
            raise WrongThreadError(f"{cell.path}: a supervisor is called from the system's own thread only")
        running: RunningSupervisor | None = cell.running_supervisor()
        if running is None:
            raise ActorStoppedError(f"{cell.path}: the supervisor has ended", path=cell.path, reason=cell.reason)
        return running

    async def _call(self, function: Callable[[], Awaitable[T]], limits_start_of: str | ActorRef | None = None) -> T:
        """Run a call as a job of the supervisor.

        Args:
            function: The call.
            limits_start_of: The child whose start may last no longer than its shutdown time, since the call waits for
                it.
        """
        running = self._running()
        answer: Promise[T] = running.jobs.call(function)
        if limits_start_of is not None and running.starting.find(limits_start_of) is not None:
            running.limit_start()
        try:
            return await answer
        except asyncio.CancelledError:
            answer.mark_seen()  # nobody wants to know of it any more
            raise

    def _check_not_below(self, running: RunningSupervisor, which: str | ActorRef) -> None:
        child = running.children.get(which) if isinstance(which, str) else None
        target = child.cell if child is not None else getattr(which, "_cell", None)
        scope = get_scope()
        node: Any = scope.node if scope is not None else None
        cell = node
        while cell is not None and target is not None:
            if cell is target:
                raise own_end(node, (node.node_path, self.path, node.node_path))
            cell = cell.parent


def _info(child: Child, running: RunningSupervisor) -> ChildInfo:
    spec = child.spec
    assert spec is not None  # only children of actors have none, and actors have no such calls
    ref: ActorRef | Literal["restarting"] | None = None
    if child.status is Status.RESTARTING:
        ref = "restarting"
    elif child.status is Status.RUNNING and child.cell is not None:
        ref = child.cell.ref
    kind: Literal["worker", "supervisor"] = "supervisor" if isinstance(spec.child, Supervisor) else "worker"
    return ChildInfo(None if running.is_simple else child.id, ref, kind, spec.restart)
