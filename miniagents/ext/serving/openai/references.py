"""References to items of stored responses."""

import asyncio
from collections.abc import Iterable, Sequence

from miniagents.ext.serving.conversations.item_ids import Identified, ids_of_input, name_in, places_of
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.openai.item_input import ReferenceMessage, unmarked
from miniagents.ext.serving.openai.items import excerpt, joined_calls
from miniagents.ext.serving.openai.response_store import ResponseStore
from miniagents.messages import Message, encode


class References:
    """Resolves the references of requests.

    Args:
        store: The store of responses.
        limits: The limit of messages of one request.
    """

    def __init__(self, store: ResponseStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def entries(
        self, messages: Sequence[Message], name: str, key: str, *, before: Iterable[Identified] = ()
    ) -> tuple[tuple[Identified, ...], int]:
        """Return the messages of a request, with the referenced items in place of the references.

        Args:
            messages: The messages of the request.
            name: The name of the new response.
            key: The name of the key that makes the request.
            before: The conversation that the request continues.

        Returns:
            The messages, and the bytes of the referenced items.

        Raises:
            Problem: 404: a referenced item is not stored here, or belongs to another key; 400: an item is referenced
                twice, or is part of the conversation already, or there are too many references.
        """
        entries: list[Identified] = []
        referred: list[Identified] = []
        responses: dict[str, dict[str, list[Identified]]] = {}
        seen: set[str] | None = None
        for message, ids in zip(messages, ids_of_input(messages, name), strict=True):
            if not isinstance(message, ReferenceMessage):
                entries.append(Identified(unmarked(message), ids))
                continue
            if seen is None:
                seen = {id for previous in before for id in previous.ids}
            if message.id in seen:
                text = f"Duplicate item found with id {message.id[:100]}. Remove duplicate items and try again"
                raise Problem(400, f"{text} ({message.where})", param=message.where, code="invalid")
            seen.add(message.id)
            parts = await self._item(message, key, responses)
            referred += parts
            check_count(len(referred), self._limits, "input")
            entries += parts
        return tuple(joined_calls(entries)), sum(len(encode(entry.message)) for entry in referred)

    async def _item(
        self, reference: ReferenceMessage, key: str, responses: dict[str, dict[str, list[Identified]]]
    ) -> list[Identified]:
        name = name_in(reference.id) or ""
        if name not in responses:
            responses[name] = await self._items(name, key)
            await asyncio.sleep(0)  # other requests have their turn: there may be many references to long items
        item = responses[name].get(reference.id)
        if item is None:
            text = (
                f"Item with id '{reference.id[:100]}' not found. Items are not persisted when `store` is set to false. "
                f"Try again with `store` set to true, or remove this item from your input. ({reference.where})"
            )
            raise Problem(404, text, param=reference.where, code="not_found")
        return item

    async def _items(self, name: str, key: str) -> dict[str, list[Identified]]:
        """Return the items of a response, without those of the conversation that it continues."""
        stored = await self._store.get(f"resp_{name}")
        if stored is None or stored.key != key:
            return {}
        entries = (*stored.asked_entries[stored.before :], *stored.answered_entries)
        items = {}
        for id, place in places_of(entry.ids for entry in entries).items():
            ids = ("", id) if place.call else (id,)
            parts = entries[place.first : place.last + 1]
            items[id] = [Identified(excerpt(part.message, place.call), ids) for part in parts]
        return items
