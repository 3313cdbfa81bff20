"""`MessagesReader`: answers of Anthropic's Messages API."""

from typing import Any

from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.provider import Answer
from miniagents.ext.llms.providers.reading import (
    Failed,
    Unreadable,
    a_list,
    a_place,
    a_text,
    an_id,
    an_object,
    arguments_in,
    count,
    usage_of,
)
from miniagents.ext.llms.sound import all_sound

_THINKING = ("thinking", "redacted_thinking")


class MessagesReader:
    """A reader of one message; see `Reader`.

    Args:
        answer: The answer to fill.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._thinking: dict[int, dict[str, Any]] = {}
        self._last = 0
        self.is_done = False

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Read an event."""
        kind = a_text(data.get("type"), "type") or kind
        if kind == "content_block_delta":
            return self._delta(an_object(data.get("delta"), "delta"), self._place(data))
        if kind == "content_block_start":
            return self._block(
                an_object(data.get("content_block"), "content_block"), self._place(data), "content_block"
            )
        if kind == "message_start":
            message = an_object(data.get("message"), "message")
            self._about(message)
            usage = self._answer.usage
            if usage is not None:  # the output tokens are known at the end alone
                self._answer.usage = Usage(usage.input_tokens, 0, usage.cached_tokens)
        elif kind == "message_delta":
            self._about(data)
            self._reason(an_object(data.get("delta"), "delta"), "delta.stop_reason")
        elif kind == "message_stop":
            self._end()
            self.is_done = True
        elif kind == "error":
            raise Failed(data, "the stream failed")
        return ""

    def whole(self, data: dict[str, Any]) -> str:
        """Read a message."""
        content = data.get("content")
        if content is None:
            raise Unreadable("content", None)
        self._about(data)
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        text = ""
        for number, block in enumerate(a_list(content, "content")):
            where = f"content[{number}]"
            text += self._block(an_object(block, where), number, where)
        self._reason(data, "stop_reason")
        self._end()
        return text

    def _place(self, data: dict[str, Any]) -> int:
        place = a_place(data.get("index"))
        if place is not None:
            self._last = place
        return self._last

    def _about(self, data: dict[str, Any]) -> None:
        answer = self._answer
        model = data.get("model")
        if model and isinstance(model, str):
            answer.model = model
        usage = data.get("usage")
        if usage and isinstance(usage, dict):
            answer.usage = _usage(usage, answer.usage)

    def _reason(self, data: dict[str, Any], field: str) -> None:
        reason = a_text(data.get("stop_reason"), field)
        if reason:
            self._answer.stop_reason = reason
        sequence = data.get("stop_sequence")
        if sequence and isinstance(sequence, str):
            self._answer.extra["stop_sequence"] = sequence

    def _delta(self, delta: dict[str, Any], place: int) -> str:
        kind = delta.get("type")
        if kind == "text_delta" or (kind is None and "text" in delta):
            return a_text(delta.get("text"), "delta.text")
        if kind == "input_json_delta":
            self._answer.call_piece(place, "", "", arguments_in(delta.get("partial_json"), "delta.partial_json"))
        elif kind == "thinking_delta":
            block = self._thinking.setdefault(place, {"type": "thinking"})
            block["thinking"] = block.get("thinking", "") + a_text(delta.get("thinking"), "delta.thinking")
            self._answer.silent_tokens += 1
        elif kind == "signature_delta":
            block = self._thinking.setdefault(place, {"type": "thinking", "thinking": ""})
            block["signature"] = a_text(delta.get("signature"), "delta.signature")
        return ""

    def _block(self, block: dict[str, Any], place: int, where: str) -> str:
        kind = block.get("type")
        if kind == "text":
            return a_text(block.get("text"), f"{where}.text")
        if kind == "tool_use":
            name = a_text(block.get("name"), f"{where}.name")
            arguments = arguments_in(block.get("input"), f"{where}.input")
            self._answer.calls.begin(place, an_id(block.get("id")), name, arguments)
        elif kind in _THINKING:
            fields = {name: value for name, value in block.items() if value is not None}
            if kind == "thinking":
                fields["thinking"] = a_text(fields.get("thinking"), f"{where}.thinking")
            self._thinking[place] = fields
        return ""

    def _end(self) -> None:
        answer = self._answer
        thinking = [all_sound(self._thinking[place]) for place in sorted(self._thinking)]
        if thinking and answer.calls:
            answer.extra["thinking_blocks"] = thinking  # the API requires it with the results of the calls


def _usage(usage: dict[str, Any], before: Usage | None) -> Usage:
    """Return the usage; Anthropic counts cached input apart from other input, and here the input includes it."""
    cached = count(usage.get("cache_read_input_tokens"))
    read = count(usage.get("input_tokens")) + count(usage.get("cache_creation_input_tokens")) + cached
    if before is not None:
        read, cached = max(read, before.input_tokens), max(cached, before.cached_tokens)
    return usage_of(read, usage.get("output_tokens"), cached, before)
