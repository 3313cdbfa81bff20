"""What a type checker sees of the package."""

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import asyncio
from collections.abc import Mapping, Sequence

from miniagents import Actor, ActorContext, ActorRef, ActorStoppedError, AgentRef, Caller, DataMessage, Interaction
from miniagents import InteractionContext, Message, MiniAgents, Request, Restart, TextMessage, __version__, as_completed
from miniagents import miniagent
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.ext.llms import NativeMessage
from miniagents.ext.serving import Served, agent_app

class Total(Message):
    value: int

class Read(Request[Total]):
    pass

class Plain(Message):
    pass

class Order(Message):
    tags: Sequence[str] = ()
    prices: Mapping[str, float] = {}

@miniagent
async def agent(ctx: object) -> None: ...

class Counter(Actor):
    pass

@miniagent
class Serial:
    async def __call__(self, ctx: InteractionContext) -> None: ...

class OwnCall(Interaction):
    pass

class OwnReplies(ReplyPromise[OwnCall]):
    pass

def dicts_and_lists(ref: AgentRef) -> None:
    DataMessage({"a": 1, "b": [object()], 3: {"c": None}})
    TextMessage("x", metadata={"a": 1})
    Order(tags=["new"], prices={"tea": 2.5})
    Caller("ann", {"groups": ["staff"]})
    NativeMessage(api="openai", item={"type": "reasoning"})
    agent_app({"a": agent, "b": Served(agent), "c": "/path", "d": ref})
    agent_app([agent, Served(agent), ref])
    agent_app({"a": 5})  # type: ignore[dict-item]

async def pools(system: MiniAgents) -> None:
    reveal_type(await system.pool(agent, size=2))
    reveal_type(await system.pool(Counter, size=2, restart=Restart.TEMPORARY))
    reveal_type(await system.pool(Serial, size=2))
    await system.pool(agent, size=2, sise=2)  # type: ignore[call-overload]

def children(ctx: ActorContext, agents_ctx: InteractionContext) -> None:
    reveal_type(ctx.spawn(Counter, name="child"))
    reveal_type(agents_ctx.spawn(agent))

async def main(ref: ActorRef, system: MiniAgents) -> None:
    reveal_type(await ref.ask(Read()))
    reveal_type(await ref.ask(Plain()))
    reveal_type(system.spawn(agent))
    reveal_type(await agent.inquire("x"))
    async for replies in as_completed(agent.inquire("x")):
        reveal_type(replies)
    async for answer in as_completed(asyncio.sleep(1, "x")):
        reveal_type(answer)
    reveal_type(__version__)
    reveal_type(ActorStoppedError().path)
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of the program, without the place."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "program.py").write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), str(folder / "program.py")],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


def test_type_checkers_take_what_the_public_functions_take(checked: list[str]) -> None:
    assert [line for line in checked if line.startswith("error")] == []


def test_a_typed_ask_is_typed_and_a_plain_one_is_any(checked: list[str]) -> None:
    assert [line.split('"')[1] for line in checked if "Revealed type" in line] == [
        "miniagents.agents.agent_pool.AgentPoolRef",
        "miniagents.actors.supervisors.supervisor_ref.SupervisorRef",
        "Any",
        "miniagents.actors.messaging.ref.ActorRef",
        "miniagents.agents.call_target.AgentRef",
        "program.Total",
        "Any",
        "miniagents.agents.call_target.AgentRef",
        "miniagents.messages.sequence.Messages",
        "miniagents.messages.sequence.MessageSequencePromise",
        "miniagents.promising.promise.Promise[str]",
        "str",
        "str",
    ]
