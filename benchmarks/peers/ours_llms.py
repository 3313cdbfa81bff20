"""LLM agents of MiniAgents, with the scripted model; tools, deadlines, retries and stall detection are on."""

from typing import Any

from common import clock
from llm_common import QUESTION, look_up, workloads

from miniagents import MiniAgents
from miniagents.ext.llms import ToolResultMessage
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel

HOLD = Reply(fault=Fault.STALL)


class Planned(Script):
    """Answers by a plan, and keeps no requests, since these would count as memory of the agent."""

    def __init__(self, plan: Any) -> None:
        super().__init__()
        self.plan = plan

    def next(self, request: Any) -> Any:
        said = self.plan.next(sum(isinstance(message, ToolResultMessage) for message in request.messages))
        if said is None:
            return HOLD
        return Reply(calls=(Call("look_up", {"number": said}),)) if isinstance(said, int) else Reply(said)


def make(plan: Any, number: int, tools: Any) -> Any:
    return ScriptedModel.fork(
        script=Planned(plan), system=f"You are agent {number}.", tools=(look_up,) if tools else ()
    )


def start(agent: Any) -> Any:
    return agent.inquire(QUESTION)


async def token(n: int) -> tuple[Any, int]:
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script(Reply(["token "] * n)))
        t = clock()
        assert len(str(await agent.inquire(QUESTION))) == 6 * n
        return clock() - t, n


async def token_read(n: int) -> tuple[Any, int]:
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Script(Reply(["token "] * n)))
        t = clock()
        seen = 0
        async for promise in agent.inquire(QUESTION):
            async for _ in promise:
                seen += 1
        assert seen == n
        return clock() - t, n


WORKLOADS = workloads(make, start, str, MiniAgents) | dict(token=token, token_read=token_read)
