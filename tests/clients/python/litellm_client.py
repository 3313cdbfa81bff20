"""LiteLLM, with the APIs of OpenAI and of Anthropic."""

import json
from collections.abc import AsyncIterator
from typing import Any

import litellm
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

# By default it waits for the whole answer of a model that it does not know, and makes a stream of that.
litellm.register_model(
    {f"openai/{name}": {"litellm_provider": "openai", "supports_native_streaming": True} for name in ("clerk", "held")}
)

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "population",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Town(BaseModel):
    city: str
    population: int


def where(api: str, name: str | None = None) -> dict[str, Any]:
    if api == "anthropic":
        return {"model": f"anthropic/{name or 'claude'}", "api_base": URL, "api_key": TOKEN}
    return {"model": f"openai/{name or 'clerk'}", "api_base": OPENAI_URL, "api_key": TOKEN}


def text_of(response: Any) -> str:
    """The text of a response of the Responses API."""
    return "".join(part.text for item in response.output if item.type == "message" for part in item.content)


async def turns(api: str) -> list[str]:
    if api == "responses":
        options = {**where(api, "historian"), "instructions": INSTRUCTIONS}
        first = await litellm.aresponses(input=FIRST, **options)
        second = await litellm.aresponses(input=SECOND, previous_response_id=first.id, **options)
        return [text_of(first), text_of(second)]
    messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}]
    said = []
    for text in (FIRST, SECOND):
        messages.append({"role": "user", "content": text})
        answer = await litellm.acompletion(messages=messages, **where(api, "historian"))
        messages.append(answer.choices[0].message)
        said.append(answer.choices[0].message.content)
    return said


async def tools(api: str, *, streams: bool = False) -> dict[str, Any]:
    return await (_tools_responses if api == "responses" else _tools_chat)(api, streams)


async def streamed_tools(api: str) -> dict[str, Any]:
    return await tools(api, streams=True)


async def _tools_chat(api: str, streams: bool) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    called: list[Any] = []
    while True:
        answer = await litellm.acompletion(messages=messages, tools=[TOOL], stream=streams, **where(api))
        if streams:
            answer = litellm.stream_chunk_builder([chunk async for chunk in answer], messages=messages)
        message = answer.choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return {"called": called, "answer": message.content}
        for call in message.tool_calls:
            given = json.loads(call.function.arguments)
            called.append(given)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": POPULATION[given["city"]]})


async def _tools_responses(api: str, streams: bool) -> dict[str, Any]:
    tool = {"type": "function", **TOOL["function"]}
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    called: list[Any] = []
    while True:
        response = await litellm.aresponses(input=items, tools=[tool], stream=streams, **where(api))
        if streams:
            response = [event async for event in response][-1].response
        items += [item.model_dump(exclude_none=True) for item in response.output]
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return {"called": called, "answer": text_of(response)}
        for call in calls:
            given = json.loads(call.arguments)
            called.append(given)
            output = POPULATION[given["city"]]
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})


async def _pieces(api: str, text: str, name: str | None = None) -> AsyncIterator[str]:
    if api == "responses":
        async for event in await litellm.aresponses(input=text, stream=True, **where(api, name)):
            if event.type == "response.output_text.delta":
                yield event.delta
    else:
        messages = [{"role": "user", "content": text}]
        async for chunk in await litellm.acompletion(messages=messages, stream=True, **where(api, name)):
            if chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces(api, QUESTION)]


async def output(api: str) -> Any:
    if api == "responses":
        text = text_of(await litellm.aresponses(input=QUESTION, text_format=Town, **where(api)))
    else:
        messages = [{"role": "user", "content": QUESTION}]
        answer = await litellm.acompletion(messages=messages, response_format=Town, **where(api))
        text = answer.choices[0].message.content
    return Town.model_validate_json(text).model_dump()


async def usage(api: str) -> list[int]:
    if api == "responses":
        used: Any = (await litellm.aresponses(input=QUESTION, **where(api))).usage
        return [used.input_tokens, used.output_tokens]
    messages = [{"role": "user", "content": QUESTION}]
    used = (await litellm.acompletion(messages=messages, **where(api))).usage
    return [used.prompt_tokens, used.completion_tokens]


async def failure(api: str) -> int | None:
    try:
        async for _ in _pieces(api, QUESTION, "nobody"):
            pass
    except litellm.NotFoundError as error:
        return error.status_code
    return None


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces(api, name, "held"))
