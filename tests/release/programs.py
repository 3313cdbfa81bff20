"""The smallest program for each extra, which runs where nothing but that extra is installed."""

CORE = """
import warnings
import miniagents
from miniagents import *

@miniagent
async def greeter(ctx: InteractionContext) -> None:
    ctx.reply(f"Hello, {await ctx.message_promises}!")

class Echo(Actor):
    async def receive(self, message, ctx):
        return message

async def main():
    system = MiniAgents.get_current()
    assert str(await greeter.inquire("Ada")) == "Hello, Ada!"
    assert str(await system.spawn(Echo).ask(TextMessage("here"))) == "here"

MiniAgents().run(main())
"""
"""Imports all public names, and calls an agent and an actor."""

_MODEL = """
from miniagents import MiniAgents, ProviderUnavailableError, RetryPolicy
from miniagents.ext.llms import {agent}

async def main():
    options = dict(model="a-model", retry=RetryPolicy(attempts=1))
    try:
        await {agent}.fork(**options, {options}).inquire("Hi")
    except ProviderUnavailableError:
        return
    raise AssertionError("nobody listens there")

MiniAgents().run(main())
"""

PROGRAMS = {
    "openai": _MODEL.format(agent="OpenAIAgent", options="api_key='k', base_url='http://127.0.0.1:9/v1'"),
    "anthropic": _MODEL.format(agent="AnthropicAgent", options="api_key='k', base_url='http://127.0.0.1:9'"),
    "bedrock": "import anthropic, boto3, openai; from miniagents.ext.llms import AnthropicAgent, OpenAIAgent",
    "vertex": "import anthropic, google.auth; from miniagents.ext.llms import AnthropicAgent",
    "local": "import xllamacpp; from miniagents.ext.llms import LocalAgent; LocalAgent.fork(model='a.gguf')",
    "serve": """
from starlette.routing import Router
from miniagents import miniagent
from miniagents.ext.serving import agent_app
import miniagents.ext.serving.command

@miniagent
async def echo(ctx):
    ctx.reply(ctx.message_promises)

agent_app(echo, auth="a-token")
""",
    "observe": """
from miniagents import MiniAgents
from miniagents.ext.observer import WebObserver

async def main():
    pass

MiniAgents(observers=[WebObserver()]).run(main())
""",
    "telemetry": "from miniagents.ext.telemetry import Telemetry, log_events",
    "ray": "from miniagents.ext.ray import RayCluster; RayCluster(nodes=1)",
    "journal": "from cronsim import CronSim; from miniagents.journal import SqliteJournal",
    "mcp": "from miniagents.ext.mcp import McpServer; import mcp; McpServer('notes', command=['true'])",
    "cli": """
from miniagents.cli import main
for words in (["--help"], ["run", "--help"], ["top", "--help"], ["doctor", "--json", "--port", "0"]):
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    assert not status, (words, status)
""",
    "ag-ui": "from ag_ui.core import RunAgentInput",
    "a2a": "from miniagents.ext.a2a import A2aAgent",
    "testing": """
from miniagents.testing import FakeProvider
with FakeProvider() as provider:
    assert provider.openai
""",
}
"""The programs, by the names of the extras. An extra that is another name of one, or holds others, has none."""
