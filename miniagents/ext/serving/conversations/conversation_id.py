"""How a request names the conversation that it belongs to."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import HTTPConnection

from miniagents.ext.serving.http.problems import Problem

HEADER = "x-conversation"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class ConversationRef(msgspec.Struct, frozen=True):
    """A conversation, by its id."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]+$", min_length=1, max_length=128)]


ConversationIn = (
    Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]+$", min_length=1, max_length=128)] | ConversationRef | None
)
"""How a request names its conversation, if it belongs to one."""


def conversation_id(request: HTTPConnection, given: ConversationIn) -> str | None:
    """The conversation that a request belongs to: what its body says, or else the header `X-Conversation`.

    Raises:
        Problem: 400: it is no id.
    """
    named = given.id if isinstance(given, ConversationRef) else given
    header = request.headers.get(HEADER)
    if not all(_ID.fullmatch(one) for one in (named, header) if one is not None):
        text = "The id of a conversation has 1 to 128 letters, digits, '.', '_', ':' and '-' (conversation)"
        raise Problem(400, text, param="conversation", code="invalid")
    return named if named is not None else header
