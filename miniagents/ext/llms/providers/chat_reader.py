"""`ChatReader`: answers of OpenAI's chat completions and of compatible servers."""

from typing import Any

import msgspec

from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.parts import PartToken, ReasoningToken
from miniagents.ext.llms.provider import Answer
from miniagents.ext.llms.providers.chat_parts import (
    ANNOTATIONS,
    API,
    DETAILS,
    REASONING,
    TEXTS,
    joined_details,
    parts_of,
    reasoning_text,
)
from miniagents.ext.llms.providers.openai_parts import citation_of
from miniagents.ext.llms.providers.reading import (
    Failed,
    Unreadable,
    a_list,
    a_place,
    a_text,
    an_id,
    an_object,
    arguments_in,
    says_failure,
    tier_of,
    usage_of,
)
from miniagents.ext.llms.providers.reading import (
    parts_of as texts_of,
)
from miniagents.ext.llms.sound import all_sound, sound

_TOLD = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})
"""The fields of a message that `_message` reads; `_parts` reads the others."""


class ChatReader:
    """A reader of one chat completion; see `Reader`.

    Args:
        answer: The answer to fill.
    """

    is_done = False  # [DONE] ends a stream, and is no event

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._reasoning: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []
        self._citations: list[dict[str, Any]] = []

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
        text = self._message(an_object(message, "choices[0].message"), "choices[0].message")
        if self._reasoning or self._details or self._citations:
            self._keep_blocks()
        return text

    def _about(self, data: dict[str, Any]) -> None:
        answer = self._answer
        usage = data.get("usage")
        if usage and isinstance(usage, dict):
            answer.usage = _usage(usage, answer.usage)
            answer.service_tier = tier_of(data.get("service_tier")) or answer.service_tier
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
        if self._reasoning or self._details or self._citations:
            self._keep_blocks()

    def _message(self, message: dict[str, Any], where: str) -> str:
        answer = self._answer
        content = message.get("content")
        if content.__class__ is str and len(message) == 1:
            return content  # the hot path: a token
        text, refusal = texts_of(content, f"{where}.content")
        refusal += a_text(message.get("refusal"), f"{where}.refusal")
        if refusal:
            answer.refusal = (answer.refusal or "") + refusal
        if message.get("tool_calls"):
            self._calls(a_list(message["tool_calls"], f"{where}.tool_calls"), f"{where}.tool_calls")
        elif message.get("function_call"):
            self._call(None, {"function": message["function_call"]}, f"{where}.function_call")
        if not _TOLD.issuperset(message):
            self._parts(message)
        return text

    def _parts(self, message: dict[str, Any]) -> None:
        """Read the reasoning and the citations of a message, or of a piece of one."""
        answer, reasoning = self._answer, self._reasoning
        text = reasoning_text(message)
        if text:
            answer.silent_tokens += 1
            answer.arrived.append(ReasoningToken(sound(text)))
        for name in TEXTS:
            piece = message.get(name)
            if isinstance(piece, str):
                reasoning.setdefault(name, []).append(piece)
        joined_details(self._details, message.get(DETAILS))
        annotations = message.get(ANNOTATIONS)
        for annotation in annotations if isinstance(annotations, list) else ():
            if isinstance(annotation, dict) and annotation.get("type") == "url_citation":
                self._citations.append(all_sound(annotation))
                answer.arrived.append(PartToken(msgspec.structs.replace(citation_of(annotation), api=API)))

    def _keep_blocks(self) -> None:
        """Put the reasoning and the citations so far into the answer."""
        fields: dict[str, Any] = {name: sound("".join(pieces)) for name, pieces in self._reasoning.items()}
        if self._details:
            fields[DETAILS] = all_sound(self._details)
        blocks: list[dict[str, Any]] = []
        # Servers that demand the field back with tool calls demand it even if it is empty.
        if any(fields.values()) or (fields and self._answer.calls):
            blocks.append({"type": REASONING, **fields})
        if self._citations:
            blocks.append({"type": ANNOTATIONS, ANNOTATIONS: self._citations})
        if blocks and not self._answer.blocks and fields:
            self._answer.arrived += [PartToken(part) for part in parts_of(blocks[:1])]
        self._answer.blocks = blocks

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
    read, written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    read, written = read if isinstance(read, dict) else {}, written if isinstance(written, dict) else {}
    return usage_of(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        read.get("cached_tokens"),
        before,
        reasoning=written.get("reasoning_tokens"),
        cache_written=read.get("cache_write_tokens"),
    )
