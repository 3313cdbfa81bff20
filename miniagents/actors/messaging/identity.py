"""Identity: what tells an actor from all others, in whichever process, and which systems there are in this one."""

import itertools
import os
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from miniagents.actors.ports import Cell


class Identity(NamedTuple):
    """The identity of an actor; two references are equal if all of it is.

    Attributes:
        system: The id of its system, unique among all processes.
        node: The node that it lives on, "" for the only one.
        epoch: Which life of that node it is.
        path: Where it is in the tree.
        uid: A number that no other actor of its system has had.
    """

    system: str
    node: str
    epoch: int
    path: str
    uid: int


class Reference(Protocol):
    """A reference, as `lookup` gives it."""

    _cell: "Cell"


class System(Protocol):
    """A system whose actors can be found by their identities."""

    @property
    def is_running(self) -> bool:
        """True while actors can be spawned in it."""

    def lookup(self, path: str) -> Reference | None:
        """Return the reference of the actor at a path, or None."""


class Nodes(Protocol):
    """The nodes of a cluster, as one of them knows them."""

    def find(self, identity: Identity, kind: type[Any]) -> Any:
        """Return the cell of an actor of any node, or None.

        Args:
            identity: The actor.
            kind: The class of the reference to it.
        """


decoding_nodes: ContextVar[Nodes | None] = ContextVar("miniagents.decoding_nodes", default=None)
"""The nodes among which references are looked up while bytes of another node are decoded. None: in this process."""


class _Process:
    """This process, as a part of the ids of its systems. A fork is another one."""

    def __init__(self) -> None:
        self.renew()
        self.numbers = itertools.count(1)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Be another process from now on."""
        self.token = uuid.uuid4().hex


_process = _Process()
_systems: "WeakValueDictionary[str, System]" = WeakValueDictionary()


def register(system: System) -> str:
    """Make a system known, as long as it is there.

    Returns:
        Its id.
    """
    id = f"{_process.token}-{next(_process.numbers)}"
    _systems[id] = system
    return id


def hash_of(system_id: str) -> int:
    """Return the part of a reference's hash that stands for its system. A system of this process has its number there:
    then the order of a set of references is the same in each run of a program."""
    token, _, number = system_id.rpartition("-")
    return int(number) if token == _process.token else hash(system_id)


def system_of(identity: Identity) -> System | None:
    """The system of an actor, if it runs in this process."""
    system = _systems.get(identity.system)
    return system if system is not None and system.is_running else None


def find(identity: Identity) -> Any:
    """The cell of an actor, if it lives in this process, or None."""
    system = system_of(identity)
    ref = system.lookup(identity.path) if system is not None else None
    return ref._cell if ref is not None and ref._cell.identity == identity else None  # noqa: SLF001


def whereabouts(identity: Identity) -> str:
    """Return what a reference's repr says of its system: nothing if only that one runs."""
    running = [id for id, system in tuple(_systems.items()) if system.is_running]
    return "" if running == [identity.system] else f" of system {identity.system}"
