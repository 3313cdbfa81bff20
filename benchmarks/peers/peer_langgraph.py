"""LangGraph: a graph written by hand (model, tools, and the edge between them), leaner than `create_agent` of LangChain.

The model is a `BaseChatModel`; no checkpointer, no tracing.
"""

import asyncio
import os
from typing import Any

os.environ["LANGSMITH_TRACING"] = "false"

from common import clock, main
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from llm_common import DEFAULTS, QUESTION, Plan, look_up, workloads
from pydantic import ConfigDict

TOOLS = ToolNode([look_up])


class Scripted(BaseChatModel):
    plan: Plan
    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def _llm_type(self) -> Any:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> None:
        raise NotImplementedError

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        results = sum(message.type == "tool" for message in messages)
        said = await self.plan.answer(results)
        if isinstance(said, int):
            calls = [{"name": "look_up", "args": {"number": said}, "id": f"call_{said}"}]
            message = AIMessage(content="", tool_calls=calls)
        else:
            message = AIMessage(content=said)
        return ChatResult(generations=[ChatGeneration(message=message)])


def make(plan: Any, number: int, tools: Any) -> Any:
    model = Scripted(plan=plan)
    instructions = SystemMessage(f"You are agent {number}.")

    async def call(state: Any) -> Any:
        return {"messages": [await model.ainvoke([instructions, *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call)
    graph.add_edge(START, "model")
    if tools:
        graph.add_node("tools", TOOLS)
        graph.add_conditional_edges("model", tools_condition)
        graph.add_edge("tools", "model")
    return graph.compile()


def start(graph: Any) -> Any:
    return asyncio.create_task(graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, {"recursion_limit": 50}))


async def hello(state: Any) -> Any:
    return {"messages": [AIMessage(content="hello")]}


def one_node() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("hello", hello)
    graph.add_edge(START, "hello")
    return graph.compile()


async def agent_call(n: int) -> tuple[Any, int]:
    graph = one_node()
    t = clock()
    for _ in range(n):
        got = await graph.ainvoke({"messages": [HumanMessage("hi")]})
        assert got["messages"][-1].content == "hello"
    return clock() - t, n


async def agent_call_concurrent(n: int) -> tuple[Any, int]:
    graph = one_node()
    rounds = max(1, n // 1000)
    t = clock()
    for _ in range(rounds):
        got = await asyncio.gather(*[graph.ainvoke({"messages": [HumanMessage("hi")]}) for _ in range(1000)])
        assert got[0]["messages"][-1].content == "hello"
    return clock() - t, rounds * 1000


if __name__ == "__main__":
    main(
        "langgraph",
        "langgraph",
        dict(
            agent_call=agent_call,
            agent_call_concurrent=agent_call_concurrent,
            **workloads(make, start, lambda result: result["messages"][-1].content),
        ),
        dict(agent_call=500, agent_call_concurrent=1000, **DEFAULTS),
    )
