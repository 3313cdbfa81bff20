"""Pydantic AI: `Agent.run` with its own `FunctionModel`. Usage is given, so that it need not be estimated."""

import asyncio
from typing import Any

from common import main, unsupported
from llm_common import DEFAULTS, QUESTION, look_up, workloads
from pydantic_ai import Agent, ModelResponse, TextPart, Tool, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage

TOOL = Tool(look_up)


def make(plan: Any, number: int, tools: Any) -> Any:
    async def answer(messages: Any, info: Any) -> Any:
        results = sum(part.part_kind == "tool-return" for message in messages for part in message.parts)
        said = await plan.answer(results)
        if isinstance(said, int):
            part = ToolCallPart("look_up", {"number": said}, f"call_{said}")
        else:
            part = TextPart(said)
        return ModelResponse(parts=[part], usage=RequestUsage(input_tokens=1, output_tokens=1))

    return Agent(
        FunctionModel(answer),
        name=f"agent {number}",
        instructions=f"You are agent {number}.",
        tools=[TOOL] if tools else [],
    )


def start(agent: Any) -> Any:
    return asyncio.create_task(agent.run(QUESTION))


NEEDS_A_MODEL = "an agent always asks a model, see model_call"

if __name__ == "__main__":
    main(
        "pydantic-ai",
        "pydantic-ai-slim",
        dict(
            **workloads(make, start, lambda result: result.output),
            **unsupported(NEEDS_A_MODEL, "agent_call", "agent_call_concurrent"),
        ),
        DEFAULTS,
    )
