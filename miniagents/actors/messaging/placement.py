"""Placements: the rules by which a cluster chooses the node of an actor."""

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from miniagents.errors import InvalidOptionError
from miniagents.supervision.checking import check_name

if TYPE_CHECKING:
    from miniagents.actors.messaging.ref import ActorRef


class Rule(enum.Enum):
    """The kinds of placements."""

    SPREAD = "spread"
    PACK = "pack"
    RESOURCE = "resource"
    BESIDE = "beside"


@dataclass(frozen=True, slots=True)
class Placement:
    """The rule by which a cluster chooses the node of an actor: `SpawnOptions(placement=...)`.

    Use `Placement.SPREAD` (the node with the fewest actors), `Placement.PACK` (the node that has most already),
    `Placement.resource(name)` (a node that offers a resource, such as "gpu"; of several the one with the fewest actors)
    or `Placement.beside(ref)` (the node of another actor).

    Example:
        >>> Placement.resource("gpu")
        Placement.resource('gpu')
        >>> SpawnOptions(placement=Placement.SPREAD).placement
        Placement.SPREAD
    """

    rule: Rule
    name: str = ""
    ref: "ActorRef | None" = None

    SPREAD: ClassVar["Placement"]
    PACK: ClassVar["Placement"]

    @staticmethod
    def resource(name: str) -> "Placement":
        """Place an actor on a node that offers a resource.

        Args:
            name: The name of the resource, as the platform calls it.

        Raises:
            InvalidOptionError: The name is empty.
        """
        check_name("Placement.resource(name)", name)
        return Placement(Rule.RESOURCE, name=name)

    @staticmethod
    def beside(ref: "ActorRef") -> "Placement":
        """Place an actor on the node of another actor.

        Args:
            ref: The reference of the other actor.

        Raises:
            InvalidOptionError: It is no reference.
        """
        if not isinstance(getattr(ref, "node", None), str):
            raise InvalidOptionError(f"Placement.beside() takes the reference of an actor, not {ref!r}")
        return Placement(Rule.BESIDE, ref=ref)

    def __repr__(self) -> str:
        match self.rule:
            case Rule.RESOURCE:
                return f"Placement.resource({self.name!r})"
            case Rule.BESIDE:
                return f"Placement.beside({self.ref!r})"
        return f"Placement.{self.rule.name}"


Placement.SPREAD = Placement(Rule.SPREAD)
Placement.PACK = Placement(Rule.PACK)
