"""`/v1/conversations`: conversations are begun, looked at and deleted, as clients of OpenAI's do it."""

import secrets
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.conversations.conversation_state import ConversationState, new_state, state_of
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.openai.chat_input import input_messages
from miniagents.ext.serving.service import Service
from miniagents.messages import encode
from miniagents.messages.frozen import FrozenDict


class ConversationRequest(msgspec.Struct, frozen=True):
    """A conversation that is to begin.

    Attributes:
        items: What was said already.
        metadata: What is attached to it.
    """

    items: list[dict[str, Any]] | None = None
    metadata: dict[str, str] | None = None


class ConversationInfo(msgspec.Struct, frozen=True):
    """A conversation.

    Attributes:
        id: Its id.
        created_at: When it began, in Unix seconds.
        metadata: What is attached to it.
    """

    id: str
    created_at: int
    metadata: dict[str, str]
    object: Literal["conversation"] = "conversation"


class ConversationDeleted(msgspec.Struct, frozen=True):
    """A conversation is gone."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


def parse_conversation(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """A conversation that is to begin; see `Parse`."""
    wanted = decode(body, ConversationRequest, status=400)
    items = wanted.items or []
    check_count(len(items), limits, "items")
    messages = input_messages(items, under="items")
    return Parsed(msgspec.structs.replace(wanted, items=None), messages)


class ConversationsApi:
    """The endpoints of conversations.

    Args:
        service: What all endpoints share.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request, key: str) -> Response:
        """`POST /v1/conversations`."""
        service = self._service
        body = await read_body(request, service.limits)
        wanted, messages, _ = await service.parser.parsed(parse_conversation, body)
        state = new_state(labels=FrozenDict(wanted.metadata or {}), messages=messages)
        id = f"conv_{secrets.token_urlsafe(18)}"
        await service.turns.store.save(key, id, encode(state), after=None)
        return json_response(_info(id, state))

    async def retrieve(self, request: Request, key: str) -> Response:
        """`GET /v1/conversations/{id}`."""
        id = request.path_params["id"]
        saved = await self._service.turns.store.load(key, id)
        if saved is None:
            raise _not_found(id)
        return json_response(_info(id, state_of(saved.data)))

    async def delete(self, request: Request, key: str) -> Response:
        """`DELETE /v1/conversations/{id}`."""
        id = request.path_params["id"]
        if not await self._service.turns.delete(key, id):
            raise _not_found(id)
        return json_response(ConversationDeleted(id))


def _info(id: str, state: ConversationState) -> ConversationInfo:
    return ConversationInfo(id, state.created_at, dict(state.labels))


def _not_found(id: str) -> Problem:
    return Problem(404, f"There is no conversation {id!r} (any more).", param="conversation", code="not_found")
