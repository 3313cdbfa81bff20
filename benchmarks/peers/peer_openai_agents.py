"""OpenAI's Agents SDK: `Runner.run` with a `Model` of its own; tracing off by its documented switch."""

import asyncio
from typing import Any

from agents import Agent, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from agents.models.interface import Model
from common import main, unsupported
from llm_common import DEFAULTS, QUESTION, REQUESTS, look_up, workloads
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

set_tracing_disabled(True)
TOOL = function_tool(look_up)


class Scripted(Model):
    def __init__(self, plan: Any) -> None:
        self.plan = plan

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
        results = 0 if isinstance(input, str) else sum(one.get("type") == "function_call_output" for one in input)
        said = await self.plan.answer(results)
        if isinstance(said, int):
            output: ResponseFunctionToolCall | ResponseOutputMessage = ResponseFunctionToolCall(
                arguments=f'{{"number": {said}}}', call_id=f"call_{said}", name="look_up", type="function_call"
            )
        else:
            text = ResponseOutputText(text=said, type="output_text", annotations=[])
            output = ResponseOutputMessage(
                id="message", role="assistant", status="completed", type="message", content=[text]
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError


def make(plan: Any, number: int, tools: Any) -> Any:
    return Agent(
        name=f"agent {number}",
        instructions=f"You are agent {number}.",
        model=Scripted(plan),
        tools=[TOOL] if tools else [],
    )


def start(agent: Any) -> Any:
    return asyncio.create_task(Runner.run(agent, QUESTION, max_turns=REQUESTS))


NEEDS_A_MODEL = "an agent always asks a model, see model_call"

if __name__ == "__main__":
    main(
        "openai-agents",
        "openai-agents",
        dict(
            **workloads(make, start, lambda result: result.final_output),
            **unsupported(NEEDS_A_MODEL, "agent_call", "agent_call_concurrent"),
        ),
        DEFAULTS,
    )
