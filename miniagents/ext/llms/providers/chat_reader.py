"""`ChatReader`: answers of OpenAI's chat completions and of compatible servers."""

from typing import Any

from miniagents.ext.llms.endings import Ending, ending_of
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
    parts_of,
    says_failure,
    usage_of,
)


class ChatReader:
    """A reader of one chat completion; see `Reader`.

    Args:
        answer: The answer to fill.
    """

    is_done = False  # [DONE] ends a stream, and is no event

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Read a chunk."""
        answer = self._answer
        self._about(data)
        choices = data.get("choices")
        if not choices:
            if says_failure(data):
                raise Failed(data, "the stream failed")
            return ""
        choice = an_object(a_list(choices, "choices")[0], "choices[0]")
        delta = choice.get("delta")
        text = ""
        if isinstance(delta, dict):
            text = self._message(delta, "choices[0].delta")
        elif delta is not None:
            raise Unreadable("choices[0].delta", delta)
        elif isinstance(choice.get("message"), dict) and not answer.has_content:
            text = self._message(choice["message"], "choices[0].message")  # a whole answer as a stream of one event
        self._reason(choice)
        return text

    def whole(self, data: dict[str, Any]) -> str:
        """Read a completion."""
        self._about(data)
        choices = a_list(data.get("choices"), "choices")
        if not choices:
            raise Unreadable("choices", data.get("choices"))
        choice = an_object(choices[0], "choices[0]")
        self._reason(choice)
        message = choice.get("message")
        if message is None and ending_of(self._answer.stop_reason) not in (Ending.TRUNCATED, Ending.REFUSED):
            raise Unreadable("choices[0].message", None)
        return self._message(an_object(message, "choices[0].message"), "choices[0].message")

    def _about(self, data: dict[str, Any]) -> None:
        answer = self._answer
        usage = data.get("usage")
        if usage and isinstance(usage, dict):
            answer.usage = _usage(usage, answer.usage)
        model = data.get("model")
        if model and isinstance(model, str):
            answer.model = model

    def _reason(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if not reason:
            return
        reason = a_text(reason, "choices[0].finish_reason")
        if ending_of(reason) is Ending.FAILED:
            raise Failed(choice.get("error"), f"the answer ended with finish_reason {reason!r}")
        self._answer.stop_reason = reason

    def _message(self, message: dict[str, Any], where: str) -> str:
        answer = self._answer
        content = message.get("content")
        if content.__class__ is str and len(message) == 1:
            return content  # the hot path: a token
        text, refusal = parts_of(content, f"{where}.content")
        refusal += a_text(message.get("refusal"), f"{where}.refusal")
        if refusal:
            answer.refusal = (answer.refusal or "") + refusal
        if message.get("tool_calls"):
            self._calls(a_list(message["tool_calls"], f"{where}.tool_calls"), f"{where}.tool_calls")
        elif message.get("function_call"):
            self._call(None, {"function": message["function_call"]}, f"{where}.function_call")
        if message.get("reasoning_content") or message.get("reasoning"):
            answer.silent_tokens += 1
        return text

    def _calls(self, calls: list[Any], where: str) -> None:
        for number, call in enumerate(calls):
            field = f"{where}[{number}]"
            call = an_object(call, field)
            place = a_place(call.get("index"))
            # A whole message has no places: its calls are in order.
            self._call(number if place is None and where.endswith("message.tool_calls") else place, call, field)

    def _call(self, place: int | None, call: dict[str, Any], where: str) -> None:
        function = an_object(call.get("function"), f"{where}.function")
        self._answer.call_piece(
            place,
            an_id(call.get("id")),
            a_text(function.get("name"), f"{where}.function.name"),
            arguments_in(function.get("arguments"), f"{where}.function.arguments"),
        )


def _usage(usage: dict[str, Any], before: Usage | None) -> Usage:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return usage_of(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached, before)
