"""`MessagesReader`: answers of Anthropic's Messages API."""

from typing import Any

import msgspec

from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.parts import PartToken, ReasoningToken
from miniagents.ext.llms.provider import Answer
from miniagents.ext.llms.providers.anthropic_parts import (
    SERVER_CALLS,
    citation_of,
    is_plain,
    parts_of_block,
)
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
    detail,
    tier_of,
    usage_of,
)
from miniagents.ext.llms.sound import all_sound, sound


class MessagesReader:
    """A reader of one message; see `Reader`.

    The blocks are put together again as the API sends them in one piece. Only an answer that has more than text and
    calls of own tools keeps them.

    Args:
        answer: The answer to fill.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}  # of the text, the thinking or the input of each block
        self._names: dict[str, str] = {}
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
        if kind == "content_block_stop":
            self._stop(self._place(data))
        elif kind == "message_start":
            message = an_object(data.get("message"), "message")
            self._about(message)
            usage = self._answer.usage
            if usage is not None:  # the output tokens are known at the end alone
                self._answer.usage = msgspec.structs.replace(usage, output_tokens=0, reasoning_tokens=0)
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
            block = an_object(block, where)
            text += self._block(block, number, where)
            if block.get("type") == "thinking" and block.get("thinking"):
                self._answer.arrived.append(ReasoningToken(sound(block["thinking"])))
            for citation in a_list(block.get("citations"), f"{where}.citations"):
                citation = an_object(citation, f"{where}.citations")
                self._answer.arrived.append(PartToken(citation_of(all_sound(citation))))
            self._stop(number)
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
            tier = "fast" if usage.get("speed") == "fast" else tier_of(usage.get("service_tier"))
            answer.service_tier = tier or answer.service_tier
        container = data.get("container")
        if isinstance(container, dict) and isinstance(container.get("id"), str):
            answer.extra["container"] = container["id"]

    def _reason(self, data: dict[str, Any], field: str) -> None:
        reason = a_text(data.get("stop_reason"), field)
        if reason:
            self._answer.stop_reason = reason
        sequence = data.get("stop_sequence")
        if sequence and isinstance(sequence, str):
            self._answer.extra["stop_sequence"] = sequence
        self._about({"container": data.get("container")})

    def _delta(self, delta: dict[str, Any], place: int) -> str:
        kind = delta.get("type")
        if kind == "text_delta" or (kind is None and "text" in delta):
            text = a_text(delta.get("text"), "delta.text")
            self._piece(place, text, "text")
            return text
        if kind == "input_json_delta":
            piece = arguments_in(delta.get("partial_json"), "delta.partial_json")
            if self._piece(place, piece, "tool_use")["type"] == "tool_use":
                self._answer.call_piece(place, "", "", piece)
            else:
                self._answer.silent_tokens += 1
        elif kind == "thinking_delta":
            thinking = a_text(delta.get("thinking"), "delta.thinking")
            self._piece(place, thinking, "thinking")
            self._answer.silent_tokens += 1
            if thinking:
                self._answer.arrived.append(ReasoningToken(sound(thinking)))
        elif kind == "signature_delta":
            signature = a_text(delta.get("signature"), "delta.signature")
            self._piece(place, "", "thinking")["signature"] = signature
        elif kind == "compaction_delta":  # it comes whole
            fields = {name: value for name, value in delta.items() if name != "type" and value is not None}
            self._piece(place, "", "compaction").update(fields)
            self._answer.silent_tokens += 1
        elif kind == "citations_delta":
            citation = an_object(delta.get("citation"), "delta.citation")
            block = self._piece(place, "", "text")
            block["citations"] = [*(block.get("citations") or ()), citation]
            self._answer.arrived.append(PartToken(citation_of(all_sound(citation))))
        elif place in self._blocks:  # of a compaction: its deltas are fields of the block
            self._blocks[place] |= {
                name: value for name, value in delta.items() if name != "type" and value is not None
            }
        return ""

    def _piece(self, place: int, piece: str, kind: str) -> dict[str, Any]:
        """Add a piece to a block, and return the block; a server may have left its beginning out."""
        pieces = self._pieces.get(place)
        if pieces is None:
            self._blocks[place] = {"type": kind}
            pieces = self._pieces[place] = []
        pieces.append(piece)
        return self._blocks[place]

    def _block(self, block: dict[str, Any], place: int, where: str) -> str:
        kind = block["type"] = a_text(block.get("type"), f"{where}.type")
        self._blocks[place], self._pieces[place] = block, []
        if kind == "text":
            text = block["text"] = a_text(block.get("text"), f"{where}.text")
            return text
        if kind == "tool_use":
            name = a_text(block.get("name"), f"{where}.name")
            arguments = arguments_in(block.get("input"), f"{where}.input")
            self._answer.calls.begin(place, an_id(block.get("id")), name, arguments)
        elif kind == "thinking":
            block["thinking"] = a_text(block.get("thinking"), f"{where}.thinking")
        elif kind != "redacted_thinking":
            self._answer.has_parts = True
            if kind in SERVER_CALLS:
                block["id"], block["name"] = an_id(block.get("id")), a_text(block.get("name"), f"{where}.name")
        return ""

    def _stop(self, place: int) -> None:
        """Stream the parts of a block whose end has arrived. Citations have arrived one by one."""
        block = self._blocks.get(place)
        if block is None or block["type"] in ("text", "tool_use"):
            return
        whole = all_sound(self._whole_block(place))
        self._answer.arrived += [PartToken(part) for part in parts_of_block(whole, self._names)]

    def _whole_block(self, place: int) -> dict[str, Any]:
        """Return a block with the pieces that have arrived of it."""
        block, pieces = self._blocks[place], "".join(self._pieces[place])
        if not pieces:
            return block
        kind = block["type"]
        if kind in ("text", "thinking"):
            return {**block, kind: str(block.get(kind) or "") + pieces}
        try:
            return {**block, "input": msgspec.json.decode(pieces, type=dict[str, Any])}
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return {**block, "input": {"invalid_json": pieces}}

    def _end(self) -> None:
        """Keep the blocks, if the text and the calls of the answer do not express them."""
        answer = self._answer
        blocks = [self._whole_block(place) for place in sorted(self._blocks)]
        if blocks and ending_of(answer.stop_reason) is Ending.TRUNCATED and _is_cut(blocks[-1]):
            del blocks[-1]
        if not is_plain(blocks):
            answer.blocks = all_sound(blocks)


def _is_cut(block: dict[str, Any]) -> bool:
    """Return whether the limit of tokens was reached inside a block that the API takes whole alone."""
    if block["type"] == "thinking":
        return not block.get("signature")
    return block["type"] in SERVER_CALLS


def _usage(usage: dict[str, Any], before: Usage | None) -> Usage:
    """Return the usage; Anthropic counts cached input apart from other input, and here the input includes it."""
    cached, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    read = count(usage.get("input_tokens")) + written + cached
    if before is not None:
        read, cached = max(read, before.input_tokens), max(cached, before.cached_tokens)
    return usage_of(
        read,
        usage.get("output_tokens"),
        cached,
        before,
        reasoning=detail(usage, "output_tokens_details", "thinking_tokens"),
        cache_written=written,
    )
