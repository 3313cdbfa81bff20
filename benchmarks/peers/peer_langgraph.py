"""LangGraph: a graph written by hand (model, tools, and the edge between them), leaner than `create_agent` of LangChain.

The model is a `BaseChatModel`; no tracing, and a checkpointer for `durable_steps` alone.
"""

import asyncio
import functools
import os
import tempfile
from typing import Any, TypedDict

os.environ["LANGSMITH_TRACING"] = "false"

import job_common
from common import clock, main, note
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
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


class State(TypedDict):
    number: int


async def step(state: State) -> State:
    return {"number": state["number"] + 1}


def go_on(state: State) -> str:
    return "step" if state["number"] < job_common.STEPS else END


@note("SQLite, WAL, synchronous=FULL; durability='async', its default: the next step goes on while the disk works")
async def steps(jobs_at_once: int, n: int) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(f"{folder}/checkpoints.sqlite") as saver:
            await saver.setup()
            await saver.conn.execute("PRAGMA synchronous = FULL")
            graph = StateGraph(State)
            graph.add_node("step", step)
            graph.add_edge(START, "step")
            graph.add_conditional_edges("step", go_on)
            compiled = graph.compile(checkpointer=saver)

            async def run(name: str) -> str:
                ended = await compiled.ainvoke({"number": 0}, {"configurable": {"thread_id": name}})
                return "done" if ended["number"] == job_common.STEPS else ""

            return await job_common.steps(run, jobs_at_once, n)


if __name__ == "__main__":
    main(
        "langgraph",
        "langgraph",
        dict(
            agent_call=agent_call,
            agent_call_concurrent=agent_call_concurrent,
            durable_steps=functools.partial(steps, 1),
            durable_steps_100=functools.partial(steps, 100),
            **workloads(make, start, lambda result: result["messages"][-1].content),
        ),
        dict(agent_call=500, agent_call_concurrent=1000, **DEFAULTS, **job_common.DEFAULTS),
    )
