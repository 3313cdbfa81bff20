"""`ResponsesReader`: answers of OpenAI's Responses API."""

from collections.abc import Hashable
from typing import Any

from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.parts import PartToken, ReasoningToken
from miniagents.ext.llms.provider import Answer
from miniagents.ext.llms.providers.openai_parts import citation_of, is_plain, parts_of_item, reasoning_text
from miniagents.ext.llms.providers.reading import (
    Failed,
    Unreadable,
    a_list,
    a_place,
    a_text,
    an_id,
    an_object,
    arguments_in,
    detail,
    parts_of,
    tier_of,
    usage_of,
)
from miniagents.ext.llms.sound import all_sound, sound

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_NO_ANSWER = {
    "queued": "the response is queued: background=True is not supported",
    "in_progress": "the response is still in progress: background=True is not supported",
    "cancelled": "the response was cancelled",
}


class ResponsesReader:
    """A reader of one response; see `Reader`.

    Text and tool calls arrive three times: in pieces, in the event that ends an item, and in the final response.
    Servers leave parts out of one of them, which are taken from the next.

    Args:
        answer: The answer to fill.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._arrived: dict[Hashable, int] = {}  # the letters that have arrived of each part of the text
        self._letters = 0
        self._items: dict[int | str | None, dict[str, Any]] = {}  # those that are whole, by their places
        self._reasoned: set[Hashable] = set()  # the places of the reasoning that has arrived in pieces
        self.is_done = False

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Read an event."""
        kind = a_text(data.get("type"), "type") or kind
        if kind == "response.output_text.delta":
            return self._text(data, a_text(data.get("delta"), "delta"))
        if kind == "response.output_text.done":
            return self._rest(_part(data), a_text(data.get("text"), "text"))
        if kind == "response.refusal.delta":
            self._answer.refusal = (self._answer.refusal or "") + a_text(data.get("delta"), "delta")
        elif kind == "response.refusal.done":
            self._answer.refusal = a_text(data.get("refusal"), "refusal") or self._answer.refusal
        elif kind == "response.function_call_arguments.delta":
            self._answer.call_piece(_place(data), "", "", arguments_in(data.get("delta"), "delta"))
        elif kind == "response.function_call_arguments.done":
            arguments = arguments_in(data.get("arguments"), "arguments")
            self._answer.calls.complete(_place(data), "", a_text(data.get("name"), "name"), arguments)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = an_object(data.get("item"), "item")
            return self._item(
                item, _place({**data, "item_id": item.get("id")}), "item", is_begun=kind.endswith("added")
            )
        elif kind == "error":
            raise Failed(data, "the stream failed")
        elif kind in _ENDS:
            self.is_done = True
            return self._end(an_object(data.get("response"), "response"), "response", kind.removeprefix("response."))
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self._answer.silent_tokens += 1
            self._reason(_place(data), a_text(data.get("delta"), "delta"))
        elif kind == "response.reasoning_summary_part.added":
            if a_place(data.get("summary_index")):
                self._reason(_place(data), "\n\n")
        elif kind == "response.output_text.annotation.added":
            annotation = an_object(data.get("annotation"), "annotation")
            self._answer.arrived.append(PartToken(citation_of(all_sound(annotation))))
        return ""

    def _reason(self, place: Hashable, text: str) -> None:
        if text:
            self._reasoned.add(place)
            self._answer.arrived.append(ReasoningToken(sound(text)))

    def whole(self, data: dict[str, Any]) -> str:
        """Read a response."""
        if data.get("output") is None and data.get("status") in (None, "completed"):
            raise Unreadable("output", None)
        return self._end(data, "", None)

    def _text(self, data: dict[str, Any], piece: str) -> str:
        part = _part(data)
        self._arrived[part] = self._arrived.get(part, 0) + len(piece)
        self._letters += len(piece)
        return piece

    def _rest(self, part: Hashable, text: str) -> str:
        """Return the rest of a part whose whole text is known now."""
        known = self._arrived.get(part, 0)
        rest = text[known:]
        self._arrived[part] = known + len(rest)
        self._letters += len(rest)
        return rest

    def _item(self, item: dict[str, Any], place: int | str | None, where: str, *, is_begun: bool) -> str:
        """Read an item of the output, at its beginning or at its end."""
        kind = item.get("type")
        if kind == "function_call":
            put = self._answer.calls.begin if is_begun else self._answer.calls.complete
            put(
                place,
                an_id(item.get("call_id")) or an_id(item.get("id")),
                a_text(item.get("name"), f"{where}.name"),
                arguments_in(item.get("arguments"), f"{where}.arguments"),
            )
        elif kind == "message" and not is_begun:
            text = ""
            for number, part in enumerate(_contents(item, where)):
                part_text, refusal = parts_of([part], f"{where}.content")
                self._answer.refusal = refusal or self._answer.refusal
                text += self._rest((place, number), part_text) if part_text else ""
            self._items[place] = item
            return text
        if not is_begun:
            self._items[place] = item
            self._parts(item, place)
        return ""

    def _parts(self, item: dict[str, Any], place: int | str | None) -> None:
        """Stream the parts of a whole item."""
        kind = item.get("type")
        if kind == "reasoning":
            if place not in self._reasoned:
                self._reason(place, reasoning_text(item))
            self._answer.arrived += [PartToken(part) for part in parts_of_item(all_sound(item))]
        elif kind != "function_call":
            self._answer.has_parts = True
            self._answer.arrived += [PartToken(part) for part in parts_of_item(all_sound(item))]

    def _end(self, response: dict[str, Any], where: str, ending: str | None) -> str:
        """Read the final response."""
        answer = self._answer
        dot = f"{where}." if where else ""
        status = a_text(response.get("status"), f"{dot}status") or ending
        if ending is not None and ending != "completed":
            status = ending
        if status == "failed" or response.get("error"):
            raise Failed(response.get("error"), "the response failed")
        if status in _NO_ANSWER:
            raise Failed(None, _NO_ANSWER[status], should_retry=False)
        usage = response.get("usage")
        if usage and isinstance(usage, dict):
            answer.usage = _usage(usage, answer.usage)
        answer.service_tier = tier_of(response.get("service_tier"))
        model = response.get("model")
        if model and isinstance(model, str):
            answer.model = model
        details = an_object(response.get("incomplete_details"), f"{dot}incomplete_details")
        reason = a_text(details.get("reason"), f"{dot}incomplete_details.reason")
        text = self._output(a_list(response.get("output"), f"{dot}output"), f"{dot}output")
        if reason or status == "incomplete":
            answer.stop_reason = {"max_output_tokens": "length"}.get(reason, reason) or "incomplete"
        elif status == "completed":
            answer.stop_reason = "tool_calls" if answer.calls else "stop"
        return text

    def _output(self, output: list[Any], where: str) -> str:
        """Read the output of the final response, and return the text that has not arrived before."""
        items = [an_object(item, f"{where}[{number}]") for number, item in enumerate(output)]
        text, was_streamed = "", bool(self._items)
        for number, item in enumerate(items):
            if item.get("type") == "function_call":
                # The id identifies the call: `output_index` and the place here may differ.
                self._item(item, number, f"{where}[{number}]", is_begun=False)
            elif item.get("type") == "message":
                item_text, refusal = parts_of(item.get("content"), f"{where}[{number}].content")
                self._answer.refusal = refusal or self._answer.refusal
                text += item_text
                if not was_streamed:
                    self._answer.arrived += [PartToken(part) for part in parts_of_item(all_sound(item))]
            elif not was_streamed:
                self._parts(item, number)
        self._keep_items(items or [self._items[place] for place in sorted(self._items, key=_order)])
        return text[self._letters :]

    def _keep_items(self, items: list[dict[str, Any]]) -> None:
        """Keep the items, if the text and the calls of the answer do not express them. OpenAI refuses fields that are
        null, although it sends them."""
        if not is_plain(items):
            self._answer.blocks = [
                all_sound({name: value for name, value in item.items() if value is not None}) for item in items
            ]


def _place(data: dict[str, Any]) -> int | str | None:
    place = a_place(data.get("output_index"))
    return place if place is not None else an_id(data.get("item_id")) or None


def _part(data: dict[str, Any]) -> tuple[int | str | None, int]:
    return _place(data), a_place(data.get("content_index")) or 0


def _contents(item: dict[str, Any], where: str) -> list[Any]:
    content = item.get("content")
    return [content] if isinstance(content, (str, dict)) else a_list(content, f"{where}.content")


def _order(place: int | str | None) -> tuple[int, str]:
    return (place, "") if isinstance(place, int) else (2**31, place or "")


def _usage(usage: dict[str, Any], before: Usage | None) -> Usage:
    return usage_of(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        detail(usage, "input_tokens_details", "cached_tokens"),
        before,
        reasoning=detail(usage, "output_tokens_details", "reasoning_tokens"),
        cache_written=detail(usage, "input_tokens_details", "cache_write_tokens"),
    )
