"""LangChain's `ChatOpenAI`, with both APIs of OpenAI."""

from collections.abc import AsyncIterator
from typing import Any

from common import FIRST, INSTRUCTIONS, OPENAI_URL, POPULATION, QUESTION, SECOND, TOKEN, cancelled_after_the_first
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import NotFoundError
from pydantic import BaseModel


class Town(BaseModel):
    """A town."""

    city: str
    population: int


def model(api: str, name: str = "clerk") -> ChatOpenAI:
    return ChatOpenAI(
        model=name, base_url=OPENAI_URL, api_key=TOKEN, max_retries=0, use_responses_api=api == "responses"
    )


async def turns(api: str) -> list[str]:
    messages: list[Any] = [SystemMessage(INSTRUCTIONS)]
    said = []
    for text in (FIRST, SECOND):
        messages.append(HumanMessage(text))
        messages.append(await model(api, "historian").ainvoke(messages))
        said.append(messages[-1].text)
    return said


async def tools(api: str, *, streams: bool = False) -> dict[str, Any]:
    called = []

    @tool
    def population(city: str) -> str:
        """How many people live in a city."""
        called.append({"city": city})
        return POPULATION[city]

    bound = model(api).bind_tools([population])
    messages: list[Any] = [HumanMessage(QUESTION)]
    while True:
        if streams:
            answer: Any = None
            async for chunk in bound.astream(messages):
                answer = chunk if answer is None else answer + chunk
        else:
            answer = await bound.ainvoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return {"called": called, "answer": answer.text}
        messages += [await population.ainvoke(call) for call in answer.tool_calls]


async def streamed_tools(api: str) -> dict[str, Any]:
    return await tools(api, streams=True)


async def _pieces(model: ChatOpenAI, text: str) -> AsyncIterator[str]:
    async for chunk in model.astream(text):
        if chunk.text:
            yield chunk.text


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces(model(api), QUESTION)]


async def output(api: str) -> Any:
    return (await model(api).with_structured_output(Town).ainvoke(QUESTION)).model_dump()


async def usage(api: str) -> list[int]:
    used: Any = (await model(api).ainvoke(QUESTION)).usage_metadata
    return [used["input_tokens"], used["output_tokens"]]


async def failure(api: str) -> int | None:
    try:
        await model(api, "nobody").ainvoke(QUESTION)
    except NotFoundError as error:
        return error.status_code
    return None


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces(model(api, "held"), name))
