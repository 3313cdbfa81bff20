"""Heartbeats: what the driver and a node say to each other outside of the links, so that a busy loop is no dead node.

A heartbeat is a call of the driver that a thread of the node answers. The request brings the grant of the lease and the
view, the answer says that the node is alive, how late its loop is, and who holds it.
"""

from typing import Any, TypeVar

import msgspec

from miniagents.cluster.authority import View
from miniagents.cluster.linked_journal import JournalTerms
from miniagents.cluster.versions import Versions
from miniagents.errors import DecodeError

T = TypeVar("T")


class Beat(msgspec.Struct, array_like=True, frozen=True):
    """A heartbeat of the driver.

    Attributes:
        until: The time on the clock of the node until which its lease is extended; None for no change.
        view: The newest view.
        resources: What each node offers, by its name.
    """

    until: float | None
    view: View
    resources: dict[str, dict[str, float]]


class BeatAnswer(msgspec.Struct, array_like=True, frozen=True):
    """The answer of a node.

    Attributes:
        clock: The time on its clock.
        knows: The number of the newest view that its loop has taken.
        lag: Seconds by which its loop is late.
        busy: The path of the actor or agent that holds the loop; "" if the loop is not held, or nobody knows by whom.
        hosted: The number of actors that other nodes have placed there.
        unreached: The names of the nodes that it cannot reach.
        leaves: Whether it asks to be drained.
        has_left: Whether it is drained: it hosts no actor any more, and the driver has all that it has said.
    """

    clock: float
    knows: int
    lag: float
    busy: str
    hosted: int
    unreached: tuple[str, ...]
    leaves: bool
    has_left: bool


class NodeSettings(msgspec.Struct, array_like=True, frozen=True):
    """What a node needs to start: the argument of `Launcher.start`.

    Attributes:
        system: The id of the system, which spans all nodes.
        name: The name of the node.
        epoch: Its epoch.
        first_uid: The first of the numbers that it may give to actors.
        driver: The name and the epoch of the driver.
        lease: Seconds that the first lease lasts.
        modules: The names of the modules that are imported before anything else: those that define message types.
        variables: The names of the environment variables that must be set there.
        setup: The name of a function (`module:name`) that makes the system of the node, a `MiniAgents`; "" for one
            without options.
        suspect_after: As in `Cluster`.
        budgets: The budgets of the driver's system, which count on all nodes, as `budget_to_wire` has made them.
        versions: The versions of the driver.
        journal: What the node is told of the journal of the driver; None if that has none.
    """

    system: str
    name: str
    epoch: int
    first_uid: int
    driver: tuple[str, int]
    lease: float
    modules: tuple[str, ...]
    variables: tuple[str, ...]
    setup: str
    suspect_after: int | None
    budgets: tuple[list[Any], ...]
    versions: Versions
    journal: JournalTerms | None = None


pack = msgspec.msgpack.encode


def beat_of(data: bytes) -> Beat:
    """Return the heartbeat that bytes are of.

    Raises:
        DecodeError: They are of none.
    """
    return _decoded(data, Beat)


def answer_of(data: bytes) -> BeatAnswer:
    """Return the answer that bytes are of.

    Raises:
        DecodeError: They are of none.
    """
    return _decoded(data, BeatAnswer)


def settings_of(data: bytes) -> NodeSettings:
    """Return the settings that bytes are of.

    Raises:
        DecodeError: They are of none.
    """
    return _decoded(data, NodeSettings)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(f"these bytes are not a {kind.__name__}: {error}") from error
