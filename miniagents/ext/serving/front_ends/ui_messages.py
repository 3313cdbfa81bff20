"""The UI message stream of the Vercel AI SDK: the chunks of one assistant message."""

from typing import Any

from miniagents.ext.llms.messages import ToolCall, ToolResultMessage
from miniagents.ext.llms.providers.mapping import json_arguments
from miniagents.ext.serving.front_ends.contents import data_fields, media_fields
from miniagents.ext.serving.front_ends.part_writer import Part, PartWriter
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.reply_pieces import finish_reason
from miniagents.ext.wire.sse import DONE, sse
from miniagents.messages import Message

UI_MESSAGE_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
"""The header by which clients know the protocol."""

_REASONS = {"tool_calls": "tool-calls", "content_filter": "content-filter"}


class UiMessageWriter(PartWriter):
    """A writer of the chunks of a UI message stream.

    Chunks have only the fields that all clients know, from version 5 of the SDK on: those check each chunk strictly.

    A call of a tool comes as its input. The input is complete for the client, which may then execute the call, when it
    is known whose the call is: the agent's with its result, the client's at the end.
    """

    _has_results = False

    def start(self) -> bytes:
        """Return `start` and `start-step`. The answer to the results of tools continues the client's last message."""
        id = self.asked.id or f"msg_{self.run.id}"
        return _chunk("start", messageId=id) + _chunk("start-step")

    def begin(self, part: Part) -> bytes:
        """Return `text-start` or `reasoning-start`."""
        return self._step() + _chunk(f"{_kind(part)}-start", id=part.id)

    def delta(self, part: Part, text: str) -> bytes:
        """Return `text-delta` or `reasoning-delta`."""
        return _chunk(f"{_kind(part)}-delta", id=part.id, delta=text)

    def end(self, part: Part) -> bytes:
        """Return `text-end` or `reasoning-end`."""
        return _chunk(f"{_kind(part)}-end", id=part.id)

    def whole(self, message: Message) -> bytes:
        """Return `file` for an image, sound or a file, and `data-...` with the class of another message."""
        media = media_fields(message)
        if media is not None:
            return self._step() + _chunk("file", url=media["url"], mediaType=media["mediaType"])
        return self._step() + _chunk(f"data-{type(message).__name__}", data=data_fields(message))

    def call(self, call: ToolCall, parent: str) -> bytes:
        """Return `tool-input-start` and `tool-input-delta`."""
        start = _chunk("tool-input-start", toolCallId=call.id, toolName=call.name)
        return self._step() + start + _chunk("tool-input-delta", toolCallId=call.id, inputTextDelta=call.arguments)

    def result(self, call: ToolCall, result: ToolResultMessage) -> bytes:
        """Return `tool-input-available`, and `tool-output-available` or `tool-output-error`."""
        self._has_results = True
        own = {"toolCallId": call.id, "providerExecuted": True}
        if result.is_error:
            output = _chunk("tool-output-error", **own, errorText=result.content)
        else:
            output = _chunk("tool-output-available", **own, output=result.content)
        return _available(call, providerExecuted=True) + output

    def pending(self, call: ToolCall) -> bytes:
        """Return `tool-input-available`."""
        return _available(call)

    def finish(self, calls: tuple[ToolCall, ...], last: Message | None) -> bytes:
        """Return `finish-step` and `finish`, whose metadata has the usage."""
        reason = finish_reason(last, calls)
        finish: dict[str, Any] = {"finishReason": _REASONS.get(reason, reason)}
        meter = self.run.meter
        if meter.input_tokens or meter.output_tokens:
            finish["messageMetadata"] = {
                "usage": {
                    "inputTokens": meter.input_tokens,
                    "outputTokens": meter.output_tokens,
                    "totalTokens": meter.input_tokens + meter.output_tokens,
                    "cachedInputTokens": meter.cached_tokens,
                }
            }
        return _chunk("finish-step") + _chunk("finish", **finish) + DONE

    def error(self, problem: Problem) -> bytes:
        """Return `error`."""
        return _chunk("error", errorText=problem.message) + DONE

    def cancelled(self, problem: Problem) -> bytes:
        """Return `abort`."""
        return _chunk("abort") + DONE

    def _step(self) -> bytes:
        """Return the chunks between two steps. What the agent says after results is a new step."""
        if not self._has_results:
            return b""
        self._has_results = False
        return _chunk("finish-step") + _chunk("start-step")


def _kind(part: Part) -> str:
    return "reasoning" if part.is_reasoning else "text"


def _available(call: ToolCall, **fields: Any) -> bytes:
    return _chunk(
        "tool-input-available",
        toolCallId=call.id,
        toolName=call.name,
        input=json_arguments(call.arguments),
        **fields,
    )


def _chunk(type: str, **fields: Any) -> bytes:
    return sse({"type": type, **fields})
