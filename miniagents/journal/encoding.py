"""Messages as the bytes that a journal holds, and back."""

from collections.abc import AsyncIterator

from miniagents.errors import DecodeError, MessageTooLargeError
from miniagents.journal.journal import Journal
from miniagents.journal.mail import Bury, StoredEnvelope, Unacknowledged
from miniagents.messages import Message, decode, encode
from miniagents.messages.wire import field_sizes

UNDECODABLE = "undecodable"
"""The reason of a dead letter whose bytes are no message in this process."""


def kind_of(message: Message) -> str:
    """Return the name of a message's type on the wire."""
    return type(message).__wire_tag__


def kinds_of(message: Message) -> tuple[str, ...]:
    """Return the names on the wire of all message types that a message is an instance of, its own first."""
    return tuple(kind.__wire_tag__ for kind in type(message).__mro__ if issubclass(kind, Message))


def encoded(message: Message, limit: int) -> bytes:
    """Encode a message for a journal.

    Args:
        message: The message.
        limit: The largest size in bytes: `Journal.max_message_bytes`.

    Raises:
        MessageTooLargeError: The message is larger; the error names its largest field.
        UnencodableError: The message has a value in it that the wire cannot carry.

    Example:
        >>> encoded(TextMessage("a long text"), limit=8)
        Traceback (most recent call last):
        miniagents.errors.MessageTooLargeError: TextMessage.content: ...
    """
    body = encode(message)
    if len(body) <= limit:
        return body
    sizes = field_sizes(message)
    field = max(sizes, key=sizes.__getitem__)
    raise MessageTooLargeError(
        f"{type(message).__name__}.{field}: the message has {len(body):,} bytes, and the journal takes {limit:,}; "
        "send a reference to the data instead, or raise max_message_bytes= of the journal",
        field=field,
        size=len(body),
        limit=limit,
    )


async def waiting_mail(
    journal: Journal, receiver: str, *, page: int = 1000
) -> AsyncIterator[tuple[StoredEnvelope, Message]]:
    """Yield the unacknowledged envelopes of a receiver in their order, each with its message.

    An envelope that cannot be decoded becomes a dead letter, with its bytes and the name of its type, and the others
    are yielded all the same. Nothing is imported: a message of a class that this process has not defined is one of
    these.

    Args:
        journal: The journal.
        receiver: The path of the actor.
        page: How many envelopes are read at once, 1 or more.

    Raises:
        JournalError: The journal cannot be read or written.
    """
    after = 0
    while envelopes := await journal.read(Unacknowledged(receiver, after, page)):
        for envelope in envelopes:
            try:
                message = decode(envelope.body)
            except DecodeError as error:
                await journal.write(Bury(receiver, envelope.number, UNDECODABLE, str(error)))
            else:
                yield envelope, message
        after = envelopes[-1].number
