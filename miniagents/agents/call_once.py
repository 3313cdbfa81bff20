"""Calls with a message id: they wait in the durable mailbox of a class agent, and are served once.

Such a call is one message in the mailbox, with the input and the arguments in it, and one answer, with all replies. So
its input is complete before it is sent, and its replies come together, once they are on disk.
"""

from collections.abc import Mapping
from typing import Any

from miniagents.errors import ActorStoppedError
from miniagents.messages import EMPTY, FrozenDict, Message, MessageSequence, MessageSequencePromise, Sendable


class RecordedCall(Message, tag="miniagents:RecordedCall"):
    """A call with a message id, as the mailbox of an agent holds it.

    Attributes:
        messages: The input.
        arguments: The arguments of the call.
    """

    messages: tuple[Message, ...]
    arguments: FrozenDict[str, Any] = EMPTY


class RecordedReplies(Message, tag="miniagents:RecordedReplies"):
    """The answer to a `RecordedCall`.

    Attributes:
        messages: The replies.
    """

    messages: tuple[Message, ...]


def inquire_once(
    cell: Any,
    messages: Sendable | None,
    arguments: Mapping[str, Any],
    *,
    message_id: str,
    timeout: float | None,
    errors_as_messages: bool | None,
) -> MessageSequencePromise[Any]:
    """Call an agent under a message id; see `CallTarget.inquire`.

    Raises:
        InvalidOptionError: The agent has no durable mailbox, or the id is empty.
        NotSendableError: `messages` cannot be sent.
    """
    cell.check_message_id(message_id)
    as_messages = cell.system.errors_as_messages if errors_as_messages is None else errors_as_messages
    given = messages if messages is not None else ()
    sent = MessageSequence.turn_into_sequence_promise(given, errors_as_messages=False)
    replies = MessageSequence(errors_as_messages=as_messages)
    replies.open()

    async def call() -> None:
        try:
            recorded = RecordedCall(tuple(await sent), FrozenDict(arguments))
            answer = await cell.ref.ask(recorded, timeout=timeout, message_id=message_id)
            for reply in answer.messages:
                replies.append(reply)
        except Exception as error:
            replies.append(error)
        replies.close()

    def cut_off(_: BaseException) -> None:
        if replies.is_open:
            stopped = ActorStoppedError(f"{cell.path}: the system ended before the call was answered", path=cell.path)
            replies.append(stopped)
            replies.close()

    cell.system.start_soon(call(), on_cancelled=cut_off)
    return replies.sequence_promise
