"""The id of the conversation that a request belongs to."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import HTTPConnection

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header

_HEADER = b"x-conversation"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_IdIn = Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]+$", min_length=1, max_length=128)]


class ConversationRef(msgspec.Struct, frozen=True):
    """The id of a conversation, as an object."""

    id: _IdIn


ConversationIn = _IdIn | ConversationRef | None
"""The field of a request that names its conversation; null if the request belongs to none."""


def conversation_id(request: HTTPConnection, named: ConversationIn) -> str | None:
    """Return the id of the conversation that a request belongs to; None if it belongs to none.

    Args:
        request: The request. Its header `X-Conversation` applies if the body names no conversation.
        named: The conversation that the body names.

    Raises:
        Problem: 400: the id has other characters than allowed, or a wrong length.
    """
    id = named.id if isinstance(named, ConversationRef) else named
    named_by_header = header(request.scope, _HEADER)
    if not all(_ID.fullmatch(value) for value in (id, named_by_header) if value is not None):
        text = "The id of a conversation must have 1 to 128 letters, digits, '.', '_', ':' and '-' (conversation)"
        raise Problem(400, text, param="conversation", code="invalid")
    return id if id is not None else named_by_header
