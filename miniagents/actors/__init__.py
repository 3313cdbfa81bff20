"""Actors: state behind mailboxes, supervised. The lean layer, on which agents are built."""

from miniagents.actors.cells.absent import let_travel
from miniagents.actors.cells.actor import Actor, ActorContext
from miniagents.actors.cells.cell_state import IgnoreStart
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.actors.cells.timers import Timer
from miniagents.actors.messaging.backlog import Backlog
from miniagents.actors.messaging.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.group import Group
from miniagents.actors.messaging.mailbox import Mailbox, Overflow
from miniagents.actors.messaging.options import RESERVED_NAMES, RetryPolicy, SpawnOptions
from miniagents.actors.messaging.placement import Placement
from miniagents.actors.messaging.ref import ActorRef
from miniagents.actors.messaging.terminated import Terminated
from miniagents.actors.observing.caller import Caller
from miniagents.actors.observing.changes import EndedActor
from miniagents.actors.observing.events import Event, EventKind, Events
from miniagents.actors.observing.observer import ObservedCall, Observer
from miniagents.actors.observing.pages import TreePage
from miniagents.actors.observing.tree import ActorInfo, SubtreeSums
from miniagents.actors.supervisors.supervisor_ref import ChildCounts, ChildInfo, SupervisorRef
from miniagents.actors.system import ActorSystem
from miniagents.supervision import Routing

let_travel(ActorRef, "actor")
let_travel(SupervisorRef, "supervisor")

__all__ = [
    "RESERVED_NAMES",
    "Actor",
    "ActorContext",
    "ActorInfo",
    "ActorRef",
    "ActorSystem",
    "Backlog",
    "Caller",
    "ChildCounts",
    "ChildInfo",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLetters",
    "EndedActor",
    "Envelope",
    "Event",
    "EventKind",
    "Events",
    "Group",
    "IgnoreStart",
    "Mailbox",
    "ObservedCall",
    "Observer",
    "Overflow",
    "Placement",
    "ReplyTo",
    "RetryPolicy",
    "Routing",
    "SpawnOptions",
    "SubtreeSums",
    "SupervisorRef",
    "Terminated",
    "Timer",
    "TreePage",
]
