"""What is saved of a conversation."""

import time
from typing import Any

from miniagents.errors import DecodeError, UnencodableError
from miniagents.ext.serving.problems import Problem
from miniagents.messages import Message, decode, encode
from miniagents.messages.frozen import FrozenDict


class ConversationState(Message, tag="miniagents:ConversationState"):
    """What is saved of a conversation.

    Attributes:
        created_at: When it began, in Unix seconds.
        agent: The name of its agent; None before the first turn.
        labels: What a client has attached to it.
        messages: What was said.
        state: What `get_state` of its agent gave.
    """

    created_at: int = 0
    agent: str | None = None
    labels: FrozenDict[str, str] = FrozenDict()
    messages: tuple[Message, ...] = ()
    state: Any = None


def new_state(**values: Any) -> ConversationState:
    """A conversation that begins."""
    return ConversationState(created_at=int(time.time()), **values)


def state_of(data: bytes) -> ConversationState:
    """What was saved.

    Raises:
        DecodeError: It is no conversation, or has messages of a class that is not defined in this process.
    """
    state = decode(data)
    if not isinstance(state, ConversationState):
        raise DecodeError(f"a {type(state).__name__} where a conversation should be")
    return state


def check_saveable(message: Message) -> None:
    """Check that a message can be saved.

    Raises:
        Problem: 422: it cannot.
    """
    try:
        encode(message)
    except UnencodableError as error:
        raise Problem(422, f"{error} (messages)", param="messages", code="invalid") from None
