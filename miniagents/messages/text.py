"""Many messages as one text, streamed."""

from typing import Any

from miniagents.messages.kinds import TextMessage
from miniagents.messages.promises import MessagePromise
from miniagents.messages.sendable import Sendable
from miniagents.messages.sequence import MessageSequence


def as_single_text_promise(
    messages: Sendable,
    *,
    delimiter: str | None = "\n\n",
    strip_leading_newlines: bool = False,
    reference_original_messages: bool = True,
    start_soon: bool = False,
    message_class: type[TextMessage] = TextMessage,
    **known_beforehand: Any,
) -> MessagePromise:
    """Join messages into one, token by token as they come.

    Args:
        messages: What to join.
        delimiter: Comes between two messages, as a token of its own; None for nothing.
        strip_leading_newlines: Take newlines from the beginning of each message.
        reference_original_messages: Put the messages into the metadata, as `original_messages`.
        start_soon: Begin at once; otherwise when somebody asks for it.
        message_class: What the result is.
        **known_beforehand: Fields and metadata of the result; they win over those of the messages, among which the
            later wins.
    """

    return MessageSequence.turn_into_sequence_promise(messages).as_single_text_promise(
        delimiter=delimiter,
        strip_leading_newlines=strip_leading_newlines,
        reference_original_messages=reference_original_messages,
        start_soon=start_soon,
        message_class=message_class,
        **known_beforehand,
    )
