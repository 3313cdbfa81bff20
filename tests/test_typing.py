"""What a type checker sees of the package."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
from miniagents import Actor, ActorContext, ActorRef, ActorStoppedError, AgentRef, InteractionContext
from miniagents import Message, MiniAgents, Request, __version__, miniagent

class Total(Message):
    value: int

class Read(Request[Total]):
    pass

class Plain(Message):
    pass

@miniagent
async def agent(ctx: object) -> None: ...

class Counter(Actor):
    pass

def children(ctx: ActorContext, agents_ctx: InteractionContext) -> None:
    reveal_type(ctx.spawn(Counter, name="child"))
    reveal_type(agents_ctx.spawn(agent))

async def main(ref: ActorRef, system: MiniAgents) -> None:
    reveal_type(await ref.ask(Read()))
    reveal_type(await ref.ask(Plain()))
    reveal_type(system.spawn(agent))
    reveal_type(await agent.inquire("x"))
    reveal_type(__version__)
    reveal_type(ActorStoppedError().path)
"""


def test_a_typed_ask_is_typed_and_a_plain_one_is_any(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert revealed == [
        "miniagents.actors.messaging.ref.ActorRef",
        "miniagents.agents.call_target.AgentRef",
        "program.Total",
        "Any",
        "miniagents.agents.call_target.AgentRef",
        "miniagents.messages.sequence.Messages",
        "str",
        "str",
    ]
