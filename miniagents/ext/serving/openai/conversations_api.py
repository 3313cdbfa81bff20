"""`/v1/conversations`: create, read, change and delete conversations, for clients of OpenAI's API."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.conversations.conversation_state import ConversationState, check_room, new_state, state_of
from miniagents.ext.serving.conversations.item_ids import Identified, new_name
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.openai.item_input import input_messages, without_thoughts
from miniagents.ext.serving.openai.references import References
from miniagents.ext.serving.openai.responses_input import Metadata
from miniagents.ext.serving.runs import timeout_of
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.wants import Special, check_wanted
from miniagents.messages import Message, encode
from miniagents.messages.frozen import FrozenDict


class ConversationRequest(msgspec.Struct, frozen=True):
    """A request to create a conversation.

    Attributes:
        items: The items to begin with.
        metadata: The metadata to attach.
    """

    items: list[dict[str, Any]] | None = None
    metadata: Metadata | None = None


class ConversationUpdate(msgspec.Struct, frozen=True):
    """A request to change a conversation.

    Attributes:
        metadata: The new metadata; null for none.
    """

    metadata: Metadata | None


class ConversationInfo(msgspec.Struct, frozen=True):
    """A conversation.

    Attributes:
        id: The id.
        created_at: The time of its creation, in Unix seconds.
        metadata: The attached metadata.
    """

    id: str
    created_at: int
    metadata: dict[str, str]
    object: Literal["conversation"] = "conversation"

    @classmethod
    def of(cls, id: str, state: ConversationState) -> "ConversationInfo":
        """Return the description of a conversation."""
        return cls(id, state.created_at, dict(state.labels))


class ConversationDeleted(msgspec.Struct, frozen=True):
    """The result of deleting a conversation."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class AskedItems(msgspec.Struct, frozen=True):
    """The parsed items of a request.

    Attributes:
        metadata: The metadata of the request.
        specials: The content that not every agent takes.
    """

    metadata: dict[str, str] | None = None
    specials: tuple[Special, ...] = ()


def parse_conversation(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request to create a conversation; see `Parse`."""
    wanted = decode(body, ConversationRequest, status=400)
    return parsed_items(wanted.items or [], limits, wanted.metadata)


def parsed_items(items: list[dict[str, Any]], limits: Limits, metadata: dict[str, str] | None = None) -> Parsed:
    """Parse the items of a request.

    Raises:
        Problem: 400: an item is wrong.
    """
    check_count(len(items), limits, "items")
    messages, specials = input_messages(items, under="items")
    return Parsed(AskedItems(metadata, specials), messages)


def parse_update(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request to change a conversation; see `Parse`."""
    return Parsed(decode(body, ConversationUpdate, status=400))


class ConversationsApi:
    """The endpoints of conversations.

    Args:
        service: The service.
        references: Resolves references to items.
    """

    def __init__(self, service: Service, references: References) -> None:
        self._service = service
        self._references = references

    async def create(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/conversations`."""
        service = self._service
        body = await read_body(request, service.limits)
        wanted, messages, _ = await service.parser.parsed(parse_conversation, body)
        entries = await entries_for(service, self._references, key, messages, wanted.specials)
        state = new_state(entries, labels=FrozenDict(wanted.metadata or {}))
        check_room(len(entries), 0, service.limits)  # the first request always fits
        id = f"conv_{new_name()}"
        await service.turns.store.save(key, id, encode(state), after=None)
        return json_response(ConversationInfo.of(id, state))

    async def retrieve(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/conversations/{id}`."""
        id = request.path_params["id"]
        return json_response(ConversationInfo.of(id, await saved_state(self._service, key, id)))

    async def update(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/conversations/{id}`: replace the metadata."""
        body = await read_body(request, self._service.limits)
        wanted: ConversationUpdate = (await self._service.parser.parsed(parse_update, body)).wanted
        labels = FrozenDict(wanted.metadata or {})
        changed = await changed_state(
            self._service, request, key, lambda state: msgspec.structs.replace(state, labels=labels)
        )
        return json_response(ConversationInfo.of(request.path_params["id"], changed))

    async def delete(self, request: Request, key: str) -> Response:
        """Answer `DELETE /v1/conversations/{id}`."""
        id = request.path_params["id"]
        if not await self._service.turns.delete(key, id):
            raise not_found(id)
        return json_response(ConversationDeleted(id))


async def entries_for(
    service: Service,
    references: References,
    key: str,
    messages: tuple[Message, ...],
    specials: tuple[Special, ...],
    agent: str | None = None,
) -> tuple[Identified, ...]:
    """Return the messages of items that are added to a conversation.

    Args:
        service: The service.
        references: Resolves references to items.
        key: The name of the key that owns the conversation.
        messages: The messages of the items.
        specials: The content that not every agent takes.
        agent: The name of the agent of the conversation; None before its first turn.

    Raises:
        Problem: 400: no agent takes a part of the content; or see `References.entries`.
    """
    entry = service.entries.get(agent) if agent is not None else None
    candidates = service.entries.values() if entry is None else (entry,)
    wants = frozenset(want for candidate in candidates for want in candidate.wants)
    check_wanted(specials, wants, entry.name if entry is not None else None)
    readable = messages if "items" in wants else without_thoughts(messages)
    entries, _ = await references.entries(readable, new_name(), key)
    return entries


async def saved_state(service: Service, key: str, id: str) -> ConversationState:
    """Return a conversation.

    Raises:
        Problem: 404: there is no such conversation.
    """
    saved = await service.turns.store.load(key, id)
    if saved is None:
        raise not_found(id)
    return state_of(saved.data)


async def changed_state(
    service: Service, request: Request, key: str, change: Callable[[ConversationState], ConversationState]
) -> ConversationState:
    """Change the conversation of a request, in its turn, and return it.

    Raises:
        Problem: 404: there is no such conversation; or what `change` raises.
    """
    id = request.path_params["id"]
    changed = await service.turns.change(request, key, id, change, timeout_of(request, service.limits.request_timeout))
    if changed is None:
        raise not_found(id)
    return changed


def not_found(id: str) -> Problem:
    """Return the problem of a conversation that does not exist, or belongs to another key."""
    return Problem(404, f"There is no conversation {id!r} (any more).", param="conversation", code="not_found")
