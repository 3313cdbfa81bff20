"""For the tests of agents: scripted models, and a provider that is a real HTTP server."""

from miniagents.testing.conversation_store import check_conversation_store
from miniagents.testing.fake_provider import Billed, Exchange, FakeProvider
from miniagents.testing.script import Call, Fault, Reply, Script
from miniagents.testing.scripted_model import ScriptedModel
from miniagents.testing.virtual_time import VirtualTimeLoop

__all__ = [
    "Billed",
    "Call",
    "Exchange",
    "FakeProvider",
    "Fault",
    "Reply",
    "Script",
    "ScriptedModel",
    "VirtualTimeLoop",
    "check_conversation_store",
]
