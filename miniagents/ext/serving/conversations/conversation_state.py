"""The saved state of a conversation."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from miniagents.errors import DecodeError, UnencodableError
from miniagents.ext.serving.conversations.item_ids import Identified, Ids
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.log import log as _log
from miniagents.messages import Message, decode, encode
from miniagents.messages.frozen import FrozenDict


class ConversationState(Message, tag="miniagents:ConversationState"):
    """The saved state of a conversation.

    Attributes:
        created_at: The time of the first request, in Unix seconds.
        agent: The name of the agent; None before the first turn.
        labels: The metadata that a client has attached.
        said: The messages. Each is encoded on its own, so that an unreadable message does not affect the others.
        ids: The ids of the items of each message.
        state: The encoded state of the agent (`get_state`); None if there is none.
    """

    created_at: int = 0
    agent: str | None = None
    labels: FrozenDict[str, str] = FrozenDict()
    said: tuple[bytes, ...] = ()
    ids: tuple[tuple[str, ...], ...] = ()
    state: bytes | None = None


class _AgentState(Message, tag="miniagents:AgentState"):
    value: Any = None


def new_state(entries: Iterable[Identified] = (), **values: Any) -> ConversationState:
    """Return the state of a new conversation.

    Args:
        entries: The messages to begin with.
        **values: Other fields of the state.
    """
    entries = tuple(entries)
    state = ConversationState(created_at=int(time.time()), **values)
    return with_more(state, encoded(entry.message for entry in entries), [entry.ids for entry in entries])


def with_more(state: ConversationState, said: Iterable[bytes], ids: Iterable[Ids]) -> ConversationState:
    """Return the state with more messages at the end.

    Args:
        state: The state.
        said: The new messages, encoded.
        ids: The ids of their items.
    """
    return msgspec.structs.replace(state, said=(*state.said, *said), ids=(*ids_in(state), *ids))


def ids_in(state: ConversationState) -> tuple[Ids, ...]:
    """Return the ids of the items of each message. Messages that were saved without ids have none, so that clients do
    not see them as items."""
    return (*state.ids, *((),) * (len(state.said) - len(state.ids)))


def state_of(data: bytes) -> ConversationState:
    """Decode a saved state.

    Args:
        data: The saved bytes.

    Raises:
        DecodeError: The bytes are not the state of a conversation.
    """
    state = decode(data)
    if not isinstance(state, ConversationState):
        raise DecodeError(f"a {type(state).__name__} where a conversation should be")
    return state


def encoded(messages: Iterable[Message]) -> tuple[bytes, ...]:
    """Encode messages, each on its own."""
    return tuple(map(encode, messages))


def messages_of(state: ConversationState, id: str) -> tuple[Message, ...]:
    """Return the messages of a conversation, without those whose class no longer exists. These stay in the saved state.

    Args:
        state: The state of the conversation.
        id: The id of the conversation, for the log.
    """
    messages = []
    for number, data in enumerate(state.said):
        try:
            messages.append(decode(data))
        except DecodeError as error:
            _log.warning("conversations.message_unreadable", conversation=id, no=number, error=repr(error))
    return tuple(messages)


def encoded_state(value: Any) -> bytes | None:
    """Encode the state of an agent; None for None."""
    return encode(_AgentState(value=value)) if value is not None else None


def agent_state_of(state: ConversationState) -> Any:
    """Return the state of the agent, or None.

    Raises:
        Problem: 409: the state holds a message whose class no longer exists.
    """
    if state.state is None:
        return None
    try:
        return decode(state.state).value  # type: ignore[attr-defined]  # it is an _AgentState
    except DecodeError as error:
        _log.error("conversations.state_unreadable", agent=state.agent, error=repr(error))
        text = "The saved state of the agent cannot be read any more (conversation)"
        raise Problem(409, text, param="conversation", code="conversation_unreadable", is_final=True) from None


def encoded_new(message: Message) -> bytes:
    """Encode a message of a client.

    Raises:
        Problem: 422: the message cannot be encoded.
    """
    try:
        return encode(message)
    except UnencodableError as error:
        raise Problem(422, f"{error} (messages)", param="messages", code="invalid") from None


def check_room(messages: int, size: int, limits: Limits) -> None:
    """Check that a conversation may have a new length.

    Args:
        messages: The new number of messages.
        size: The new number of bytes.
        limits: The limits of the service.

    Raises:
        Problem: 409: the conversation would be too long.
    """
    if messages > limits.conversation_messages or size > limits.conversation_bytes:
        raise full("With this request, the conversation would be too long")


def full(text: str) -> Problem:
    """Return the problem of a conversation that has no room."""
    return Problem(409, f"{text} (conversation)", param="conversation", code="conversation_full", is_final=True)
