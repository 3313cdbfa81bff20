"""Many messages as one text, streamed."""

from collections.abc import AsyncIterator
from typing import Any

from miniagents.messages.kinds import TextMessage, TextToken, Token
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

    async def tokens(late: dict[str, Any]) -> AsyncIterator[Token]:
        originals = []
        first = True
        async for message_promise in MessageSequence.turn_into_sequence_promise(messages):
            if delimiter and not first:
                yield TextToken(delimiter)
            first = False
            at_beginning = strip_leading_newlines
            async for token in message_promise:
                if at_beginning:
                    text = str(token).lstrip("\r\n")
                    if not text:
                        continue
                    at_beginning = False
                    token = TextToken(text)
                yield token
            message = await message_promise
            originals.append(message)
            late.update(message.metadata)
        if reference_original_messages:
            late["original_messages"] = tuple(originals)

    return message_class.promise(message_token_streamer=tokens, start_soon=start_soon, **known_beforehand)
