"""`as_single_text_promise`: many messages as one text, streamed."""

from typing import Any

from miniagents.messages.message import MessagePromise, TextMessage
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
) -> MessagePromise[TextMessage]:
    """Join messages into one text, token by token as they come.

    Args:
        messages: The messages: anything that can be sent.
        delimiter: The text between two messages, a token of its own; None for none.
        strip_leading_newlines: Remove the newlines at the beginning of each message.
        reference_original_messages: Put the messages into the metadata of the result, as `original_messages`.
        start_soon: Begin as soon as the loop turns; otherwise with the first iteration or `await`.
        message_class: The class of the result.
        **known_beforehand: Fields and metadata of the result. They win over the metadata of the messages; of these,
            that of the later message wins.

    Raises:
        NotSendableError: `messages` cannot be sent.

    Example:
        >>> async with MiniAgents():
        ...     print(await as_single_text_promise(["Hello", "world"], delimiter=", "))
        Hello, world
    """
    return MessageSequence.turn_into_sequence_promise(messages).as_single_text_promise(
        delimiter=delimiter,
        strip_leading_newlines=strip_leading_newlines,
        reference_original_messages=reference_original_messages,
        start_soon=start_soon,
        message_class=message_class,
        **known_beforehand,
    )
