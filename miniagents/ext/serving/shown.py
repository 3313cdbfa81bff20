"""The messages of an agent as a client sees them: with its tool calls and their results only if these are exposed."""

from collections.abc import Iterable

import msgspec

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.serving.http.reply_messages import MessageOut
from miniagents.ext.serving.reply_pieces import OpenCalls
from miniagents.messages import Message

_EXPOSABLE = frozenset({"tools"})


def are_tools_shown(expose: Iterable[str]) -> bool:
    """Return whether the agents' own tool calls are exposed.

    Args:
        expose: The parts that clients see besides answers.

    Raises:
        InvalidOptionError: A part is unknown.
    """
    exposed = frozenset((expose,) if isinstance(expose, str) else expose)
    if not exposed <= _EXPOSABLE:
        raise InvalidOptionError(f"expose= takes {', '.join(map(repr, sorted(_EXPOSABLE)))}, not {expose!r}")
    return "tools" in exposed


class Shown:
    """The messages of one call, as its client sees them.

    Args:
        shows_tools: Whether they include the agent's own tool calls and their results.
    """

    def __init__(self, *, shows_tools: bool) -> None:
        self._shows_tools = shows_tools
        self._open = OpenCalls()

    def message(self, message: Message) -> MessageOut | None:
        """Return the next message, or None if the client does not see it."""
        if self._shows_tools:
            return MessageOut.of(message)
        self._open.saw(message)
        if message.is_aside:
            return None
        if isinstance(message, ReplyMessage) and message.tool_calls:
            message = msgspec.structs.replace(message, tool_calls=())
        return MessageOut.of(message)

    def rest(self) -> MessageOut | None:
        """Return the message after the last one: the tool calls that are left to the client. None if there are none."""
        calls = self._open.calls
        return MessageOut.of(ReplyMessage("", tool_calls=calls)) if calls else None

    @staticmethod
    def all(messages: tuple[Message, ...], *, shows_tools: bool) -> tuple[MessageOut, ...]:
        """Return all messages of a call."""
        shown = Shown(shows_tools=shows_tools)
        outs = [*map(shown.message, messages), shown.rest()]
        return tuple(out for out in outs if out is not None)
