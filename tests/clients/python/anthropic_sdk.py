"""Anthropic's SDK for Python."""

from typing import Any

import anthropic
from common import FIRST, INSTRUCTIONS, POPULATION, QUESTION, SECOND, TOKEN, URL, cancelled_after_the_first
from pydantic import BaseModel

client = anthropic.AsyncAnthropic(base_url=URL, api_key=TOKEN, max_retries=0)

POPULATION_TOOL: Any = {
    "name": "population",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Town(BaseModel):
    city: str
    population: int


async def turns(api: str) -> list[str]:
    messages: list[Any] = []
    said = []
    for text in (FIRST, SECOND):
        messages.append({"role": "user", "content": text})
        answer: Any = await client.messages.create(
            model="historian", max_tokens=100, system=INSTRUCTIONS, messages=messages
        )
        messages.append({"role": "assistant", "content": answer.content})
        said.append(answer.content[0].text)
    return said


async def tools(api: str, *, streams: bool = False) -> dict[str, Any]:
    options: Any = {"model": "claude", "max_tokens": 100, "tools": [POPULATION_TOOL]}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    called: list[Any] = []
    while True:
        if streams:
            async with client.messages.stream(messages=messages, **options) as stream:
                answer: Any = await stream.get_final_message()
        else:
            answer = await client.messages.create(messages=messages, **options)
        messages.append({"role": "assistant", "content": answer.content})
        if answer.stop_reason != "tool_use":
            return {"called": called, "answer": answer.content[0].text}
        results = []
        for block in answer.content:
            called.append(block.input)
            result = POPULATION[block.input["city"]]
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": result})
        messages.append({"role": "user", "content": results})


async def streamed_tools(api: str) -> dict[str, Any]:
    return await tools(api, streams=True)


async def _pieces(model: str, text: str) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    async with client.messages.stream(model=model, max_tokens=100, messages=messages) as stream:
        async for piece in stream.text_stream:
            yield piece


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces("claude", QUESTION)]


async def output(api: str) -> Any:
    messages: Any = [{"role": "user", "content": QUESTION}]
    answer = await client.messages.parse(model="claude", max_tokens=100, messages=messages, output_format=Town)
    parsed = answer.parsed_output
    return parsed.model_dump() if isinstance(parsed, Town) else repr(parsed)


async def usage(api: str) -> list[int]:
    messages: Any = [{"role": "user", "content": QUESTION}]
    used = (await client.messages.create(model="claude", max_tokens=100, messages=messages)).usage
    return [used.input_tokens, used.output_tokens]


async def failure(api: str) -> int | None:
    try:
        async for _ in _pieces("nobody", QUESTION):
            pass
    except anthropic.NotFoundError as error:
        return error.status_code
    return None


async def count(api: str) -> int:
    messages: Any = [{"role": "user", "content": QUESTION}]
    return (await client.messages.count_tokens(model="claude", messages=messages)).input_tokens


async def run_tools(api: str) -> dict[str, Any]:
    """The same as `tools`, by the SDK's own loop."""
    called = []

    @anthropic.beta_async_tool
    async def population(city: str) -> str:
        """How many people live in a city.

        Args:
            city: The city.
        """
        called.append({"city": city})
        return POPULATION[city]

    messages: Any = [{"role": "user", "content": QUESTION}]
    runner = client.beta.messages.tool_runner(model="claude", max_tokens=100, tools=[population], messages=messages)
    answer: Any = await runner.until_done()
    return {"called": called, "answer": answer.content[0].text}


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces("held", name))
