"""`PartWriter`: the replies of an agent as the parts that a chat front end shows, whatever its protocol."""

from abc import ABC, abstractmethod

import msgspec

from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.parts import ReasoningMessage
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.streaming import End
from miniagents.ext.serving.reply_pieces import Calls, Piece, Said, Text, Thought, refusal_of
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.wants import Special
from miniagents.messages import Message, TextMessage

CANCELLED = "cancelled"
"""The code of the problem that the call was cancelled."""

REASONING = -2
"""The index of parts that are the reasoning of a model."""

_REFUSAL = -1
_BROKEN_OFF = "failed: the call of the agent ended before the tool had answered"


class Asked(msgspec.Struct, frozen=True):
    """A parsed request of a front end, without its messages.

    Attributes:
        id: The id that the answer repeats: of the run, or of the message that it continues; None for a new one.
        thread: The id of the chat.
        specials: The content that not every agent takes.
    """

    id: str | None = None
    thread: str = ""
    specials: tuple[Special, ...] = ()


class Part(msgspec.Struct, frozen=True, gc=False):
    """A part that grows: a text, or the reasoning of a model.

    Attributes:
        index: The number of its message among the replies; of reasoning, `REASONING`.
        id: The id for the client.
    """

    index: int
    id: str

    @property
    def is_reasoning(self) -> bool:
        """Whether the part is reasoning."""
        return self.index == REASONING


class PartWriter(ABC):
    """A writer of the replies of one call, as the parts of a chat.

    At most one part is open. The writer closes it when the next one begins, and before the end, whatever the end is: an
    answer, a failure, or a cancel. The client sees the calls of tools that are left to it, and with `shows_tools` also
    the agent's own. After a failure, each call that was shown has a result, which says that the call was broken off.

    Args:
        run: The call.
        asked: The request.
        shows_tools: Whether the client sees the agent's own tool calls and their results.
    """

    def __init__(self, run: Run, asked: Asked, *, shows_tools: bool) -> None:
        self.run = run
        self.asked = asked
        self._shows_tools = shows_tools
        self._open: Part | None = None
        self._unanswered: dict[str, ToolCall] = {}
        self._last: Message | None = None
        self._count = 0

    def of(self, piece: Piece) -> bytes:
        """Return the events for a piece; b"" if there are none. The last piece makes an `End`."""
        if isinstance(piece, Text):
            part = self._open
            if part is not None and part.index == piece.index:
                return self.delta(part, piece.text)
            return self._text(piece.index, piece.text)
        if isinstance(piece, Said):
            return self._said(piece.index, piece.message)
        if isinstance(piece, Thought):
            return self._thought(piece)
        return End(self._ended(piece)) if isinstance(piece, Calls) else b""

    def failed(self, problem: Problem) -> bytes:
        """Return the last events after a failure, or after a cancel."""
        broken = [
            self.result(call, ToolResultMessage(_BROKEN_OFF, call_id=call.id, name=call.name, is_error=True))
            for call in self._unanswered.values()
        ]
        end = self.cancelled(problem) if problem.code == CANCELLED else self.error(problem)
        return b"".join((self._close(), *broken, end))

    def new_id(self) -> str:
        """Return the id of the next part or message."""
        self._count += 1
        return f"{self.run.id}-{self._count}"

    def _text(self, index: int, text: str) -> bytes:
        closed = self._close()
        self._open = part = Part(index, self.new_id())
        return closed + self.begin(part) + self.delta(part, text)

    def _thought(self, thought: Thought) -> bytes:
        part = self._open
        if thought.whole is not None:  # the end of a block
            return self._close() if part is not None and part.is_reasoning else b""
        if part is not None and part.is_reasoning:
            return self.delta(part, thought.text)
        return self._text(REASONING, thought.text)

    def _close(self) -> bytes:
        part, self._open = self._open, None
        return self.end(part) if part is not None else b""

    def _said(self, index: int | None, message: Message) -> bytes:
        part, self._last = self._open, message
        events = [self._close()]
        if isinstance(message, ToolResultMessage):
            call = self._unanswered.pop(message.call_id, None)
            if call is not None:
                events.append(self.result(call, message))
        elif isinstance(message, ReplyMessage):
            refusal = refusal_of(message)
            if index is None and refusal:
                events += [self._text(_REFUSAL, refusal), self._close()]
            if self._shows_tools and message.tool_calls:
                parent = part.id if part is not None and part.index == index else self.new_id()
                events += [self._called(call, parent) for call in message.tool_calls]
        elif index is None and is_whole(type(message)):
            events.append(self.whole(message))
        return b"".join(events)

    def _called(self, call: ToolCall, parent: str) -> bytes:
        self._unanswered[call.id] = call
        return self.call(call, parent)

    def _ended(self, piece: Calls) -> bytes:
        events = [self._close()]
        hidden = [call for call in piece.calls if call.id not in self._unanswered]
        if hidden:
            parent = self.new_id()
            events += [self._called(call, parent) for call in hidden]
        events += [self.pending(call) for call in piece.calls]
        events.append(self.finish(piece.calls, self._last))
        return b"".join(events)

    # The events of a protocol

    @abstractmethod
    def start(self) -> bytes:
        """Return the first events."""

    @abstractmethod
    def begin(self, part: Part) -> bytes:
        """Return the events for the beginning of a part."""

    @abstractmethod
    def delta(self, part: Part, text: str) -> bytes:
        """Return the event for a piece of a part."""

    @abstractmethod
    def end(self, part: Part) -> bytes:
        """Return the event for the end of a part."""

    @abstractmethod
    def whole(self, message: Message) -> bytes:
        """Return the event for a message that is no text: data, an image, a file, sound."""

    @abstractmethod
    def call(self, call: ToolCall, parent: str) -> bytes:
        """Return the events for a tool call.

        Args:
            call: The call.
            parent: The id of the message that makes the call.
        """

    @abstractmethod
    def result(self, call: ToolCall, result: ToolResultMessage) -> bytes:
        """Return the events for the result of a tool call."""

    @abstractmethod
    def pending(self, call: ToolCall) -> bytes:
        """Return the events for a shown tool call that is left to the client; b"" for none."""

    @abstractmethod
    def finish(self, calls: tuple[ToolCall, ...], last: Message | None) -> bytes:
        """Return the last events of an answer.

        Args:
            calls: The tool calls that are left to the client.
            last: The last message.
        """

    @abstractmethod
    def error(self, problem: Problem) -> bytes:
        """Return the last events after a failure."""

    @abstractmethod
    def cancelled(self, problem: Problem) -> bytes:
        """Return the last events after a cancel by somebody else than the client."""


def is_whole(kind: type[Message]) -> bool:
    """Return whether the messages of a class are shown as a whole, and not as a part that grows."""
    return not issubclass(kind, (TextMessage, ReasoningMessage))
