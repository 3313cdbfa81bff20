"""`/v1/conversations/{id}/items`: the items of a conversation, for clients of OpenAI's API."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.errors import DecodeError
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.serving.conversations.conversation_state import ConversationState, encoded, ids_in, with_more
from miniagents.ext.serving.conversations.item_ids import Place, places_of
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import json_response
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.openai.conversations_api import (
    AskedItems,
    ConversationInfo,
    changed_state,
    entries_for,
    parsed_items,
    saved_state,
)
from miniagents.ext.serving.openai.items import item_of
from miniagents.ext.serving.openai.paging import Page, check_include, item_not_found
from miniagents.ext.serving.openai.references import References
from miniagents.ext.serving.service import Service
from miniagents.ext.wire.openai_items import Item, ItemList
from miniagents.messages import Message, encode
from miniagents.messages import decode as decode_message


class ItemsRequest(msgspec.Struct, frozen=True):
    """A request to add items to a conversation."""

    items: list[dict[str, Any]]


def parse_items(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request to add items; see `Parse`."""
    return parsed_items(decode(body, ItemsRequest, status=400).items, limits)


class ConversationItemsApi:
    """The endpoints of the items of conversations.

    Args:
        service: The service.
        references: Resolves references to items.
    """

    def __init__(self, service: Service, references: References) -> None:
        self._service = service
        self._references = references

    async def list(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/conversations/{id}/items`."""
        page = Page.of(request)
        state = await saved_state(self._service, key, request.path_params["id"])
        return json_response(page.list(_places_in(state), lambda id, place: _item(state, id, place)))

    async def create(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/conversations/{id}/items`: the items follow those of the conversation."""
        check_include(request)
        service, id = self._service, request.path_params["id"]
        body = await read_body(request, service.limits)
        parsed = await service.parser.parsed(parse_items, body)
        asked: AskedItems = parsed.wanted
        agent = (await saved_state(service, key, id)).agent
        entries = await entries_for(service, self._references, key, parsed.messages, asked.specials, agent)
        encoded_messages, ids_of_each = encoded(entry.message for entry in entries), [entry.ids for entry in entries]
        await changed_state(self._service, request, key, lambda state: with_more(state, encoded_messages, ids_of_each))
        places = places_of(ids_of_each)
        items = tuple(
            item_of(id, [entry.message for entry in entries[place.first : place.last + 1]], place.call)
            for id, place in places.items()
        )
        ids = list(places)
        return json_response(ItemList(items, ids[0] if ids else "", ids[-1] if ids else "", has_more=False))

    async def retrieve(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/conversations/{id}/items/{item}`."""
        check_include(request)
        state = await saved_state(self._service, key, request.path_params["id"])
        id = request.path_params["item"]
        item = _item(state, id, _place_in(state, id))
        if item is None:
            raise item_not_found(id, "item_id")
        return json_response(item)

    async def delete(self, request: Request, key: str) -> Response:
        """Answer `DELETE /v1/conversations/{id}/items/{item}` with the conversation."""
        item = request.path_params["item"]
        changed = await changed_state(self._service, request, key, lambda state: _without(state, item))
        return json_response(ConversationInfo.of(request.path_params["id"], changed))


def _places_in(state: ConversationState) -> dict[str, Place]:
    return places_of(ids_in(state))


def _place_in(state: ConversationState, id: str) -> Place:
    place = _places_in(state).get(id)
    if place is None:
        raise item_not_found(id, "item_id")
    return place


def _item(state: ConversationState, id: str, place: Place) -> Item | None:
    """Return an item; None if none of its messages can be read."""
    messages = [_message(state, number) for number in range(place.first, place.last + 1)]
    readable = [message for message in messages if message is not None]
    return item_of(id, readable, place.call) if readable else None


def _message(state: ConversationState, number: int) -> Message | None:
    """Return a message; None if its class no longer exists."""
    try:
        return decode_message(state.said[number])
    except DecodeError:
        return None


def _without(state: ConversationState, id: str) -> ConversationState:
    """Return the conversation without an item. The other items of the same message stay.

    Raises:
        Problem: 404: there is no such item.
    """
    place = _place_in(state, id)
    encoded_messages, ids = list(state.said), list(ids_in(state))
    message = _message(state, place.first)
    rest = _rest(message, place.call) if isinstance(message, ReplyMessage) else None
    if rest is None:
        del encoded_messages[place.first : place.last + 1], ids[place.first : place.last + 1]
    else:
        encoded_messages[place.first] = encode(rest)
        own = ids[place.first]
        ids[place.first] = ("", *own[1:]) if not place.call else (*own[: place.call], *own[place.call + 1 :])
    return msgspec.structs.replace(state, said=tuple(encoded_messages), ids=tuple(ids))


def _rest(message: ReplyMessage, call: int) -> ReplyMessage | None:
    """Return a reply without its text, or, with the number of a tool call, without that call. None if nothing is
    left."""
    calls = message.tool_calls
    if call:
        rest = msgspec.structs.replace(message, tool_calls=(*calls[: call - 1], *calls[call:]))
    else:
        metadata = {name: value for name, value in message.metadata.items() if name != "refusal"}
        rest = msgspec.structs.replace(message, content="", metadata=metadata)
    return rest if rest.content or rest.tool_calls or rest.refusal else None
