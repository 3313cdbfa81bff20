"""Pydantic AI, with its models for OpenAI's two APIs and for Anthropic's."""

from collections.abc import AsyncIterator
from typing import Any

from common import (
    FIRST,
    INSTRUCTIONS,
    OPENAI_URL,
    POPULATION,
    QUESTION,
    SECOND,
    TOKEN,
    URL,
    cancelled_after_the_first,
)
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Town(BaseModel):
    city: str
    population: int


def model(api: str, name: str | None = None) -> Model:
    if api == "anthropic":
        return AnthropicModel(name or "claude", provider=AnthropicProvider(base_url=URL, api_key=TOKEN))
    kind = OpenAIResponsesModel if api == "responses" else OpenAIChatModel
    return kind(name or "clerk", provider=OpenAIProvider(base_url=OPENAI_URL, api_key=TOKEN))


async def turns(api: str) -> list[str]:
    agent = Agent(model(api, "historian"), instructions=INSTRUCTIONS)
    first = await agent.run(FIRST)
    second = await agent.run(SECOND, message_history=first.all_messages())
    return [first.output, second.output]


def _with_tool(api: str) -> tuple[Agent, list[Any]]:
    agent, called = Agent(model(api)), []

    @agent.tool_plain
    async def population(city: str) -> str:
        called.append({"city": city})
        return POPULATION[city]

    return agent, called


async def tools(api: str) -> dict[str, Any]:
    agent, called = _with_tool(api)
    answer = (await agent.run(QUESTION)).output
    return {"called": called, "answer": answer}


async def streamed_tools(api: str) -> dict[str, Any]:
    agent, called = _with_tool(api)
    async with agent.run_stream(QUESTION) as result:
        answer = await result.get_output()
    return {"called": called, "answer": answer}


async def _pieces(model: Model, text: str) -> AsyncIterator[str]:
    async with Agent(model).run_stream(text) as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            yield piece


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces(model(api), QUESTION)]


async def output(api: str) -> Any:
    wanted = Town if api == "anthropic" else NativeOutput(Town)  # the first one is a tool
    result = await Agent(model(api), output_type=wanted).run(QUESTION)
    return result.output.model_dump()


async def usage(api: str) -> list[int]:
    used = (await Agent(model(api)).run(QUESTION)).usage
    return [used.input_tokens, used.output_tokens]


async def failure(api: str) -> int | None:
    try:
        await Agent(model(api, "nobody")).run(QUESTION)
    except ModelHTTPError as error:
        return error.status_code
    return None


async def text_file(api: str) -> str:
    file = BinaryContent(b"Paris is large.", media_type="text/plain")
    return (await Agent(model(api, "historian")).run(["Read this.", file])).output


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces(model(api, "held"), name))
