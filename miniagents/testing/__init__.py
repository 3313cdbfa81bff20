"""Tools for the tests of agents: scripted models, a fake provider behind real HTTP, simulation, and evaluation."""

from miniagents.errors import SimulatedCrashError, SimulationError
from miniagents.testing.conversation_store import check_conversation_store
from miniagents.testing.disturbances import Disturbance
from miniagents.testing.evaluating import Check, evaluate
from miniagents.testing.exchange import Billed, Exchange
from miniagents.testing.fake_provider import FakeProvider
from miniagents.testing.journal import check_journal
from miniagents.testing.report import Attempt, Case, Rate, Report
from miniagents.testing.script import Call, Fault, Reply, Script
from miniagents.testing.scripted_model import ScriptedModel
from miniagents.testing.simulated import Simulation
from miniagents.testing.simulation import simulate
from miniagents.testing.virtual_time import VirtualTimeLoop

__all__ = [
    "Attempt",
    "Billed",
    "Call",
    "Case",
    "Check",
    "Disturbance",
    "Exchange",
    "FakeProvider",
    "Fault",
    "Rate",
    "Reply",
    "Report",
    "Script",
    "ScriptedModel",
    "SimulatedCrashError",
    "Simulation",
    "SimulationError",
    "VirtualTimeLoop",
    "check_conversation_store",
    "check_journal",
    "evaluate",
    "simulate",
]
