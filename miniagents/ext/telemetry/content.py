"""What was said, in the form of the GenAI conventions: for those who ask for it."""

import json
from collections.abc import Iterable
from typing import Any

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.provider import Answer
from miniagents.messages import Message, SystemMessage


def input_messages(messages: Iterable[Message]) -> str:
    """`gen_ai.input.messages`: messages in the order in which they were sent, as JSON."""
    return json.dumps([_message(message) for message in messages], ensure_ascii=False)


def output_messages(messages: Iterable[Message], finish_reason: str | None = None) -> str:
    """`gen_ai.output.messages`: what came back, as JSON."""
    finish = finish_reason or "stop"
    return json.dumps(
        [{**_message(message, "assistant"), "finish_reason": finish} for message in messages], ensure_ascii=False
    )


def answered(answer: Answer) -> str:
    """`gen_ai.output.messages` of a model's answer, as far as it came."""
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


def _data(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments  # the model wrote no JSON: that is to be seen
