"""Tools for models without support for them: a grammar makes the model write a tool call, or an answer, as JSON.

llama.cpp calls tools only if the chat template of the model supports them, and those of small models do not. A grammar
works with every model, and its output is always valid.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.provider import ToolSpec
from miniagents.ext.llms.schemas import OutputType
from miniagents.messages import AssistantMessage, Message, SystemMessage, UserMessage

ANSWER = "answer"


def prompt_with_tools(messages: Iterable[Message], tools: Sequence[ToolSpec]) -> tuple[Message, ...]:
    """Return a conversation with the tools in a system prompt, and calls and results as text."""
    listed = "\n".join(
        msgspec.json.encode({"tool": tool.name, "description": tool.description, "arguments": tool.schema}).decode()
        for tool in tools
    )
    prompt: list[Message] = [
        SystemMessage(
            f'You may call tools. Reply with JSON: {{"tool": name, "arguments": {{...}}}} to call one, or '
            f'{{"{ANSWER}": ...}} to answer. The tools are:\n{listed}'
        )
    ]
    for message in messages:
        if isinstance(message, ReplyMessage) and message.tool_calls:
            prompt += [
                AssistantMessage(f'{{"tool": "{c.name}", "arguments": {c.arguments}}}') for c in message.tool_calls
            ]
        elif isinstance(message, ToolResultMessage):
            prompt.append(UserMessage(f"The tool {message.name} answered: {message.content}"))
        else:
            prompt.append(message)
    return tuple(prompt)


def tool_output(tools: Sequence[ToolSpec], output: OutputType | None, choice: object) -> OutputType:
    """Return the type of what the model may write: a tool call or an answer.

    Args:
        tools: The tools.
        output: The type of the answer, or None for text.
        choice: The `tool_choice` of OpenAI's API: "auto", "required", "none", or one tool.
    """
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    definitions: dict[str, Any] = {}
    variants: list[dict[str, Any]] = []
    for tool in tools:
        if choice != "none" and named in (None, tool.name):
            arguments: dict[str, Any] = dict(tool.schema)
            definitions.update(arguments.pop("$defs", {}))
            variants.append(_object(tool={"const": tool.name}, arguments=arguments))
    if choice != "required" and named is None:
        answer: dict[str, Any] = dict(output.schema) if output is not None else {"type": "string"}
        definitions.update(answer.pop("$defs", {}))
        variants.append(_object(**{ANSWER: answer}))
    schema: dict[str, Any] = variants[0] if len(variants) == 1 else {"anyOf": variants}
    return OutputType("turn", dict, dict, {**schema, **({"$defs": definitions} if definitions else {})}, wrapped=False)


def _object(**properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
