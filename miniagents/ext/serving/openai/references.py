"""References of a request to items of responses that are stored here."""

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
    """Looks up the items that requests refer to.

    Args:
        store: Where responses are.
        limits: How many messages one request may refer to.
    """

    def __init__(self, store: ResponseStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def entries(
        self, messages: Sequence[Message], name: str, key: str, *, before: Iterable[Identified] = ()
    ) -> tuple[tuple[Identified, ...], int]:
        """What a request says, with the items that it refers to in the place of the references.

        Args:
            messages: What it says.
            name: The name of its response.
            key: Whose it is.
            before: What it goes on with.

        Returns:
            The messages, and the bytes of those that it refers to.

        Raises:
            Problem: 404: it refers to an item that is not stored here, or that is somebody else's; 400: it refers to an
                item twice, to one that is there already, or to too many.
        """
        found: list[Identified] = []
        referred: list[Identified] = []
        responses: dict[str, dict[str, list[Identified]]] = {}
        seen: set[str] | None = None
        for message, ids in zip(messages, ids_of_input(messages, name), strict=True):
            if not isinstance(message, ReferenceMessage):
                found.append(Identified(unmarked(message), ids))
                continue
            if seen is None:
                seen = {id for entry in before for id in entry.ids}
            if message.id in seen:
                text = f"Duplicate item found with id {message.id[:100]}. Remove duplicate items and try again"
                raise Problem(400, f"{text} ({message.where})", param=message.where, code="invalid")
            seen.add(message.id)
            parts = await self._item(message, key, responses)
            referred += parts
            check_count(len(referred), self._limits, "input")
            found += parts
        return tuple(joined_calls(found)), sum(len(encode(one.message)) for one in referred)

    async def _item(
        self, reference: ReferenceMessage, key: str, responses: dict[str, dict[str, list[Identified]]]
    ) -> list[Identified]:
        name = name_in(reference.id) or ""
        if name not in responses:
            responses[name] = await self._items(name, key)
            await asyncio.sleep(0)  # there may be many, and each may be long
        item = responses[name].get(reference.id)
        if item is None:
            text = (
                f"Item with id '{reference.id[:100]}' not found. Items are not persisted when `store` is set to false. "
                f"Try again with `store` set to true, or remove this item from your input. ({reference.where})"
            )
            raise Problem(404, text, param=reference.where, code="not_found")
        return item

    async def _items(self, name: str, key: str) -> dict[str, list[Identified]]:
        """The items of a response, without what it goes on with."""
        stored = await self._store.get(f"resp_{name}")
        if stored is None or stored.key != key:
            return {}
        entries = (*stored.asked_entries[stored.before :], *stored.answered_entries)
        found = {}
        for id, place in places_of(one.ids for one in entries).items():
            ids = ("", id) if place.call else (id,)
            parts = entries[place.first : place.last + 1]
            found[id] = [Identified(excerpt(part.message, place.call), ids) for part in parts]
        return found
