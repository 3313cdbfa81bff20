"""Actors: state behind mailboxes, supervised. The lean layer, on which agents are built."""

from miniagents.actors.absent import let_travel
from miniagents.actors.actor import Actor, ActorContext, IgnoreStart, ReplyTo
from miniagents.actors.caller import Caller
from miniagents.actors.deadletters import DeadLetter, DeadLetterReason, DeadLetters
from miniagents.actors.envelope import Envelope
from miniagents.actors.events import Event, EventKind, Events
from miniagents.actors.group import Group
from miniagents.actors.mailbox import Mailbox, Overflow
from miniagents.actors.options import RESERVED_NAMES, RetryPolicy, SpawnOptions
from miniagents.actors.ref import ActorRef
from miniagents.actors.supervisor_ref import ChildCounts, ChildInfo, SupervisorRef
from miniagents.actors.system import ActorSystem
from miniagents.actors.terminated import Terminated
from miniagents.actors.timers import Timer
from miniagents.actors.tree import ActorInfo
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
    "Caller",
    "ChildCounts",
    "ChildInfo",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLetters",
    "Envelope",
    "Event",
    "EventKind",
    "Events",
    "Group",
    "IgnoreStart",
    "Mailbox",
    "Overflow",
    "ReplyTo",
    "RetryPolicy",
    "Routing",
    "SpawnOptions",
    "SupervisorRef",
    "Terminated",
    "Timer",
]
