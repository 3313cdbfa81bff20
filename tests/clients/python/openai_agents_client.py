"""OpenAI's Agents SDK, with both of its models."""

from collections.abc import AsyncIterator
from typing import Any

from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from common import FIRST, INSTRUCTIONS, OPENAI_URL, POPULATION, QUESTION, SECOND, TOKEN, cancelled_after_the_first
from openai import AsyncOpenAI, NotFoundError
from pydantic import BaseModel

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=OPENAI_URL, api_key=TOKEN, max_retries=0)


class Town(BaseModel):
    city: str
    population: int


def model(api: str, name: str = "clerk") -> Model:
    kind = OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel
    return kind(model=name, openai_client=client)


async def turns(api: str) -> list[str]:
    agent, session = Agent("historian", instructions=INSTRUCTIONS, model=model(api, "historian")), SQLiteSession("one")
    return [(await Runner.run(agent, text, session=session)).final_output for text in (FIRST, SECOND)]


def _with_tool(api: str) -> tuple[Agent, list[Any]]:
    called = []

    @function_tool
    async def population(city: str) -> str:
        called.append({"city": city})
        return POPULATION[city]

    return Agent("clerk", model=model(api), tools=[population]), called


async def tools(api: str) -> dict[str, Any]:
    agent, called = _with_tool(api)
    answer = (await Runner.run(agent, QUESTION)).final_output
    return {"called": called, "answer": answer}


async def streamed_tools(api: str) -> dict[str, Any]:
    agent, called = _with_tool(api)
    result = Runner.run_streamed(agent, QUESTION)
    async for _ in result.stream_events():
        pass
    return {"called": called, "answer": result.final_output}


async def _pieces(model: Model, text: str) -> AsyncIterator[str]:
    result = Runner.run_streamed(Agent("agent", model=model), text)
    try:
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta
    finally:
        result.cancel()


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces(model(api), QUESTION)]


async def output(api: str) -> Any:
    result = await Runner.run(Agent("clerk", model=model(api), output_type=Town), QUESTION)
    return result.final_output.model_dump()


async def usage(api: str) -> list[int]:
    used = (await Runner.run(Agent("clerk", model=model(api)), QUESTION)).context_wrapper.usage
    return [used.input_tokens, used.output_tokens]


async def failure(api: str) -> int | None:
    try:
        await Runner.run(Agent("nobody", model=model(api, "nobody")), QUESTION)
    except NotFoundError as error:
        return error.status_code
    return None


async def conversation(api: str) -> str:
    """Two turns of a conversation that the service keeps."""
    agent, kept = Agent("historian", model=model(api, "historian")), OpenAIConversationsSession(openai_client=client)
    await Runner.run(agent, FIRST, session=kept)
    return (await Runner.run(agent, SECOND, session=kept)).final_output


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces(model(api, "held"), name))
