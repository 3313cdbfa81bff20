"""OpenAI's SDK for Python, with both of its APIs."""

from typing import Any

import openai
from common import (
    FIRST,
    INSTRUCTIONS,
    OPENAI_URL,
    POPULATION,
    QUESTION,
    SECOND,
    TOKEN,
    cancelled_after_the_first,
)
from pydantic import BaseModel

client = openai.AsyncOpenAI(base_url=OPENAI_URL, api_key=TOKEN, max_retries=0)

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Town(BaseModel):
    city: str
    population: int


async def turns(api: str) -> list[str]:
    if api == "responses":
        first = await client.responses.create(model="historian", instructions=INSTRUCTIONS, input=FIRST)
        second = await client.responses.create(
            model="historian", instructions=INSTRUCTIONS, input=SECOND, previous_response_id=first.id
        )
        return [first.output_text, second.output_text]
    messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}]
    said = []
    for text in (FIRST, SECOND):
        messages.append({"role": "user", "content": text})
        answer = await client.chat.completions.create(model="historian", messages=messages)
        messages.append(answer.choices[0].message)
        said.append(answer.choices[0].message.content or "")
    return said


async def tools(api: str, *, streams: bool = False) -> dict[str, Any]:
    return await (_tools_responses if api == "responses" else _tools_chat)(streams)


async def streamed_tools(api: str) -> dict[str, Any]:
    return await tools(api, streams=True)


async def _tools_chat(streams: bool) -> dict[str, Any]:
    function = {"name": "population", "parameters": PARAMETERS, "strict": True}
    options: Any = {"model": "clerk", "tools": [{"type": "function", "function": function}]}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    called: list[Any] = []
    while True:
        if streams:
            async with client.chat.completions.stream(messages=messages, **options) as stream:
                completion: Any = await stream.get_final_completion()
        else:
            completion = await client.chat.completions.parse(messages=messages, **options)
        message = completion.choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return {"called": called, "answer": message.content}
        for call in message.tool_calls:
            given = call.function.parsed_arguments
            called.append(given)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": POPULATION[given["city"]]})


async def _tools_responses(streams: bool) -> dict[str, Any]:
    tool = {"type": "function", "name": "population", "parameters": PARAMETERS, "strict": True}
    options: Any = {"model": "clerk", "tools": [tool], "store": False}
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    called: list[Any] = []
    while True:
        if streams:
            async with client.responses.stream(input=items, **options) as stream:
                response: Any = await stream.get_final_response()
        else:
            response = await client.responses.parse(input=items, **options)
        items += response.output
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return {"called": called, "answer": response.output_text}
        for call in calls:
            given = call.parsed_arguments
            called.append(given)
            output = POPULATION[given["city"]]
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})


async def _pieces(api: str, model: str, text: str) -> Any:
    if api == "responses":
        async for event in await client.responses.create(model=model, input=text, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta
    else:
        messages: Any = [{"role": "user", "content": text}]
        async for chunk in await client.chat.completions.create(model=model, messages=messages, stream=True):
            if chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


async def stream(api: str) -> list[str]:
    return [piece async for piece in _pieces(api, "clerk", QUESTION)]


async def output(api: str) -> Any:
    if api == "responses":
        response = await client.responses.parse(model="clerk", input=QUESTION, text_format=Town)
        parsed = response.output_parsed
    else:
        messages: Any = [{"role": "user", "content": QUESTION}]
        completion = await client.chat.completions.parse(model="clerk", messages=messages, response_format=Town)
        parsed = completion.choices[0].message.parsed
    return parsed.model_dump() if isinstance(parsed, Town) else repr(parsed)


async def usage(api: str) -> list[int]:
    if api == "responses":
        used: Any = (await client.responses.create(model="clerk", input=QUESTION)).usage
        return [used.input_tokens, used.output_tokens]
    messages: Any = [{"role": "user", "content": QUESTION}]
    used = (await client.chat.completions.create(model="clerk", messages=messages)).usage
    return [used.prompt_tokens, used.completion_tokens]


async def failure(api: str) -> int | None:
    try:
        async for _ in _pieces(api, "nobody", QUESTION):
            pass
    except openai.NotFoundError as error:
        return error.status_code
    return None


async def cancel(api: str, name: str) -> str:
    return await cancelled_after_the_first(_pieces(api, "held", name))
