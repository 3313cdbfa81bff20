"""The content blocks of an answer: text, thoughts and tool calls, one after the other."""

from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.parts import ReasoningMessage
from miniagents.ext.llms.providers.anthropic_parts import API
from miniagents.ext.serving.reply_pieces import Thought
from miniagents.ext.wire.anthropic import MessageStream, RedactedThinkingBlock, ThinkingBlock


class OpenBlock:
    """The block of a stream that is written now. Each method returns the bytes to send.

    Args:
        stream: The writer of the stream.
    """

    def __init__(self, stream: MessageStream) -> None:
        self._stream = stream
        self._at = 0
        self._kind: str | None = None
        self._was_thought = False  # since the last whole block of reasoning

    def text(self, text: str) -> bytes:
        """Add a piece of text."""
        begin = b""
        if self._kind != "text":
            begin = self.end() + self._stream.begin_text(self._at)
            self._kind = "text"
        return begin + self._stream.text(self._at, text)

    def thought(self, thought: Thought) -> bytes:
        """Add a piece of reasoning, or end a block of it."""
        if thought.whole is not None:
            return self._end_thought(thought.whole)
        self._was_thought = True
        begin = b""
        if self._kind != "thinking":
            begin = self.end() + self._stream.begin_thinking(self._at)
            self._kind = "thinking"
        return begin + self._stream.thinking(self._at, thought.text)

    def _end_thought(self, whole: ReasoningMessage) -> bytes:
        was_thought, self._was_thought = self._was_thought, False
        if was_thought and self._kind != "thinking":
            return b""  # a server that does not say where its reasoning ends: text followed already
        written = b""
        for block in thinking_blocks(whole):
            if isinstance(block, RedactedThinkingBlock):
                written = self.end() + self._stream.redacted(self._at, block)
            else:
                if self._kind != "thinking":  # nothing of it was streamed: the provider hides it, or it came whole
                    written = self.end() + self._stream.begin_thinking(self._at)
                written += self._stream.end_thinking(self._at, block.signature)
            self._kind = None
            self._at += 1
        return written

    def call(self, call: ToolCall) -> bytes:
        """Write a tool call."""
        begin = self.end() + self._stream.begin_tool_use(self._at, call.id, call.name)
        whole = begin + self._stream.input(self._at, call.arguments) + self._stream.end_block(self._at)
        self._at += 1
        return whole

    def end(self) -> bytes:
        """End the block, if one is open."""
        if self._kind is None:
            return b""
        ended = self._stream.end_block(self._at)
        self._kind = None
        self._at += 1
        return ended


def thinking_blocks(reasoning: ReasoningMessage) -> list[ThinkingBlock | RedactedThinkingBlock]:
    """Return reasoning as a block of Anthropic's API, signed if it is Anthropic's own; [] if another model hides it."""
    item = reasoning.item if reasoning.api == API else {}
    if item.get("type") == "redacted_thinking":
        return [RedactedThinkingBlock(str(item.get("data", "")))]
    signature = str(item.get("signature") or "")
    return [ThinkingBlock(reasoning.content, signature)] if signature or reasoning.content else []
