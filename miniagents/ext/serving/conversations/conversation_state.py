"""What is saved of a conversation."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from miniagents.errors import DecodeError, UnencodableError
from miniagents.ext.serving.conversations.item_ids import Identified, Ids
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import Message, decode, encode
from miniagents.messages.frozen import FrozenDict

_log = structlog.get_logger("miniagents")


class ConversationState(Message, tag="miniagents:ConversationState"):
    """What is saved of a conversation.

    Attributes:
        created_at: When it began, in Unix seconds.
        agent: The name of its agent; None before the first turn.
        labels: What a client has attached to it.
        said: What was said, each message encoded by itself: one that cannot be read any more leaves the others.
        ids: The ids of the items that clients of OpenAI see, for each message.
        state: What `get_state` of its agent gave, encoded; None if it gave nothing.
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
    """A conversation that begins.

    Args:
        entries: What was said already.
        **values: Other fields.
    """
    entries = tuple(entries)
    state = ConversationState(created_at=int(time.time()), **values)
    return with_more(state, encoded(one.message for one in entries), [one.ids for one in entries])


def with_more(state: ConversationState, said: Iterable[bytes], ids: Iterable[Ids]) -> ConversationState:
    """A conversation in which more was said.

    Args:
        state: The conversation.
        said: The messages, encoded.
        ids: The ids of their items.
    """
    return msgspec.structs.replace(state, said=(*state.said, *said), ids=(*ids_in(state), *ids))


def ids_in(state: ConversationState) -> tuple[Ids, ...]:
    """The ids of the items of a conversation, for each message; what was saved without ids is shown to nobody."""
    return (*state.ids, *((),) * (len(state.said) - len(state.ids)))


def state_of(data: bytes) -> ConversationState:
    """What was saved.

    Raises:
        DecodeError: It is no conversation.
    """
    state = decode(data)
    if not isinstance(state, ConversationState):
        raise DecodeError(f"a {type(state).__name__} where a conversation should be")
    return state


def encoded(messages: Iterable[Message]) -> tuple[bytes, ...]:
    """Messages as they are saved."""
    return tuple(map(encode, messages))


def messages_of(state: ConversationState, id: str) -> tuple[Message, ...]:
    """What was said, without the messages whose class is not there any more; they stay in what is saved.

    Args:
        state: The conversation.
        id: Its id.
    """
    found = []
    for number, one in enumerate(state.said):
        try:
            found.append(decode(one))
        except DecodeError as error:
            _log.warning("conversations.message_unreadable", conversation=id, no=number, error=repr(error))
    return tuple(found)


def encoded_state(value: Any) -> bytes | None:
    """The state of an agent as it is saved."""
    return encode(_AgentState(value=value)) if value is not None else None


def agent_state_of(state: ConversationState) -> Any:
    """The state of the agent, or None.

    Raises:
        Problem: 409: it has a message of a class that is not there any more.
    """
    if state.state is None:
        return None
    try:
        return decode(state.state).value  # type: ignore[attr-defined]  # it is an _AgentState
    except DecodeError as error:
        _log.error("conversations.state_unreadable", agent=state.agent, error=repr(error))
        text = "What the agent has kept of this conversation cannot be read any more (conversation)"
        raise Problem(409, text, param="conversation", code="conversation_unreadable", is_final=True) from None


def encoded_new(message: Message) -> bytes:
    """A message of a client as it is saved.

    Raises:
        Problem: 422: it cannot be saved.
    """
    try:
        return encode(message)
    except UnencodableError as error:
        raise Problem(422, f"{error} (messages)", param="messages", code="invalid") from None


def check_room(messages: int, size: int, limits: Limits) -> None:
    """Refuse to make a conversation longer than it may become.

    Args:
        messages: How many messages it would have.
        size: How many bytes it would take.
        limits: How long it may become.

    Raises:
        Problem: 409: it would become too long.
    """
    if messages > limits.conversation_messages or size > limits.conversation_bytes:
        raise full("With this, the conversation would become longer than it may")


def full(text: str) -> Problem:
    """A conversation has no room."""
    return Problem(409, f"{text} (conversation)", param="conversation", code="conversation_full", is_final=True)
