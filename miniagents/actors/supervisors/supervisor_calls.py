"""OTP's calls of a supervisor, from `start_child` to `delete_child`. Each runs as a job of the supervisor."""

from collections.abc import Mapping

from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.supervisors.child import Child, Status
from miniagents.actors.supervisors.running_supervisor import RunningSupervisor
from miniagents.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    SimpleOneForOneError,
)
from miniagents.supervision import ChildSpec


class SupervisorCalls:
    """The calls of one supervisor.

    Args:
        running: The supervisor.
    """

    __slots__ = ("_path", "_running")

    def __init__(self, running: RunningSupervisor) -> None:
        self._running = running
        self._path = running.host.path

    def new_child(self, spec: ChildSpec) -> Child:
        """Return a child for `start_child` that has a specification of its own."""
        return Child(spec.id, spec, spec.kwargs)

    def new_simple_child(self, kwargs: Mapping[str, object]) -> Child:
        """Return a child for `start_child` of a `SimpleOneForOne`: one of the template, with more arguments."""
        template = self._running.template
        assert template is not None  # a SimpleOneForOne has one
        return Child(self._running.next_number(), template, {**template.kwargs, **kwargs})

    async def start_child(self, child: Child) -> ActorRef | None:
        """Carry out OTP's `start_child`."""
        running = self._running
        present = running.children.get(child.id)
        if present is not None:
            if present.status is Status.RUNNING:
                ref = present.cell.ref if present.cell is not None else None
                raise AlreadyStartedError(f"{self._path}: child {child.id!r} runs already", child_id=child.id, ref=ref)
            raise AlreadyPresentError(
                f"{self._path}: there is a specification {child.id!r} already; restart_child or delete_child it",
                child_id=child.id,
            )
        if child.is_unwanted:
            return None
        running.children[child.id] = child
        error = await running.start(child, None)
        if error is not None:
            running.remove(child)
            raise running.start_error(child, error)
        if child.cell is None and running.is_simple:
            running.remove(child)
        return child.cell.ref if child.cell is not None else None

    def undo_start(self, child: Child) -> None:
        """Remove a child again whose `start_child` was cancelled."""
        running = self._running
        child.is_unwanted = True

        async def job() -> None:
            if running.children.get(child.id) is child:
                await running.end(child)
                running.remove(child)

        running.submit(job)
        if running.starting.child is child:
            running.limit_start()

    async def terminate_child(self, which: str | ActorRef) -> None:
        """Carry out OTP's `terminate_child`."""
        running = self._running
        if running.is_simple:
            if isinstance(which, str):
                raise SimpleOneForOneError(
                    f"{self._path}: terminate_child of a SimpleOneForOne takes the child's ref", child_id=which
                )
            member = running.child_of(_cell_of(which))
            if member is None:
                if which.is_alive:
                    raise self._not_found(which.path)
                return
            child = member
        else:
            child = self._find(which)
        await running.end(child)
        if child.is_temporary or running.is_simple:
            running.remove(child)
        await running.go_on_without(child)

    async def restart_child(self, id: str) -> ActorRef | None:
        """Carry out OTP's `restart_child`."""
        child = self._idle_child(id, "restart_child")
        error = await self._running.start(child, None)
        if error is not None:
            raise self._running.start_error(child, error)
        return child.cell.ref if child.cell is not None else None

    async def delete_child(self, id: str) -> None:
        """Carry out OTP's `delete_child`."""
        child = self._idle_child(id, "delete_child")
        await self._running.end(child)  # it has a mailbox still if it was to be restarted with a sibling
        self._running.remove(child)

    def _idle_child(self, id: str, what: str) -> Child:
        if self._running.is_simple:
            raise SimpleOneForOneError(f"{self._path}: {what} is not for SimpleOneForOne", child_id=id)
        child = self._find(id)
        if child.status is Status.RESTARTING:
            raise ChildRestartingError(f"{self._path}: child {id!r} is about to be restarted", child_id=id)
        if child.status is Status.RUNNING:
            raise ChildRunningError(f"{self._path}: child {id!r} runs; terminate_child it first", child_id=id)
        return child

    def _find(self, which: str | ActorRef) -> Child:
        running = self._running
        child = running.children.get(which) if isinstance(which, str) else running.child_of(_cell_of(which))
        if child is None:
            raise self._not_found(which)
        return child

    def _not_found(self, which: str | ActorRef) -> ChildNotFoundError:
        return ChildNotFoundError(f"{self._path}: there is no child {which!r}", child_id=which)


def _cell_of(which: object) -> LivingCell | None:
    """Return the cell of a ref, if it has one that can be a child."""
    cell = getattr(which, "_cell", None)
    return cell if isinstance(cell, LivingCell) else None
