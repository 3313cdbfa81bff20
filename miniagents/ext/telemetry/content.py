"""The content of messages as attributes of spans, in the form of the GenAI conventions."""

import json
from collections.abc import Iterable
from typing import Any

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.provider import Answer
from miniagents.messages import Message, SystemMessage


def input_messages(messages: Iterable[Message]) -> str:
    """Return the value of `gen_ai.input.messages`: JSON.

    Args:
        messages: The messages, in the order in which they were sent.

    Example:
        >>> from miniagents import UserMessage
        >>> input_messages([UserMessage("Hi")])
        '[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]'
    """
    return json.dumps([_message(message) for message in messages], ensure_ascii=False)


def output_messages(messages: Iterable[Message], finish_reason: str | None = None) -> str:
    """Return the value of `gen_ai.output.messages`: JSON.

    Args:
        messages: The replies.
        finish_reason: The stop reason of the model; None for "stop".
    """
    finish = finish_reason or "stop"
    return json.dumps(
        [{**_message(message, "assistant"), "finish_reason": finish} for message in messages], ensure_ascii=False
    )


def answered(answer: Answer) -> str:
    """Return the value of `gen_ai.output.messages` for the answer of a model, as far as it arrived."""
    message = ReplyMessage("".join(answer.tokens), tool_calls=answer.tool_calls)
    return output_messages([message], answer.stop_reason)


def _message(message: Message, default: str = "user") -> dict[str, Any]:
    role = "system" if isinstance(message, SystemMessage) else getattr(message, "role", None) or default
    if isinstance(message, ToolResultMessage):
        return {
            "role": role,
            "parts": [{"type": "tool_call_response", "id": message.call_id, "response": str(message)}],
        }
    text = message.content if isinstance(message, ReplyMessage) else str(message)
    parts: list[dict[str, Any]] = [{"type": "text", "content": text}] if text else []
    if isinstance(message, ReplyMessage):
        parts += [
            {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _data(call.arguments)}
            for call in message.tool_calls
        ]
    return {"role": role, "parts": parts}


def _data(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments  # the model wrote invalid JSON, and the span shows it
