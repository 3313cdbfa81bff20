"""A desk with two MCP servers: notes, which crash in the middle, and a clock from the package `mcp-server-time`.

A person approves what changes anything. The model is a script, so that the example runs without a key; set MODEL for a
real one. Without `pip install mcp-server-time` the desk goes on without a clock.
"""

import asyncio
import importlib.util
import os
import sys

from examples.models import model_of
from miniagents import MiniAgent, MiniAgents
from miniagents.errors import McpUnavailableError
from miniagents.ext.llms import ToolCall, ToolResultMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel

notes = McpServer("notes", command=[sys.executable, "-m", "examples.mcp_notes"], prefix="notes_")
clock = McpServer("clock", command=[sys.executable, "-m", "mcp_server_time"], prefix="clock_")
has_clock = importlib.util.find_spec("mcp_server_time") is not None

looks = [Call("notes_find", {"word": "printer"})]
if has_clock:
    noon = {"time": "12:00", "source_timezone": "Etc/UTC", "target_timezone": "Asia/Tokyo"}
    looks.append(Call("clock_convert_time", noon))
SCRIPT = Script(
    Reply(calls=tuple(looks)),
    Reply(calls=(Call("notes_publish", {}),)),
    "I am not sure that the notes are published: please look.",
    Reply(calls=(Call("notes_add", {"text": "Ask about publishing."}),)),
    "I have added a note.",
)


async def approve(call: ToolCall) -> bool | str:
    """Ask a person. The person of this example says yes to everything."""
    if call.name.startswith("clock_") or call.name == "notes_find":
        return True
    print(f"approve {call}? yes")
    return True


def desk() -> MiniAgent:
    model = model_of() if os.environ.get("MODEL") else ScriptedModel.fork(script=SCRIPT)
    servers = [notes, clock] if has_clock else [notes]
    return model.fork(tools=servers, approve=approve)


async def ask(agent: MiniAgent, question: str) -> None:
    print(f"> {question}")
    async for promise in agent.inquire(question):
        message = await promise
        if isinstance(message, ToolResultMessage):
            print(f"{message.name}{' failed' if message.is_error else ''}: {message.content.splitlines()[0]}")
        elif str(message) and not message.is_aside:
            print(message)


async def main() -> None:
    agent = desk()
    await ask(agent, "Where is the printer, and what is noon UTC in Tokyo? Then publish my notes.")
    while True:
        try:
            print(f"the notes are back: {await notes.call('find', word='printer')}")
            break
        except McpUnavailableError:
            await asyncio.sleep(0.1)
    await ask(agent, "Then make a note to ask about it.")


if __name__ == "__main__":
    MiniAgents().run(main())
