"""`/v1/responses`: responses that run in the background, can be resumed, and can be cancelled."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.conversations.conversation_id import conversation_id
from miniagents.ext.serving.conversations.item_ids import Identified, new_name, places_of
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import FAILURES, Problem, json_response
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.openai.item_input import input_messages, without_thoughts
from miniagents.ext.serving.openai.items import item_of
from miniagents.ext.serving.openai.paging import Page
from miniagents.ext.serving.openai.references import References
from miniagents.ext.serving.openai.response_events import ResponseEvents, begun_body
from miniagents.ext.serving.openai.response_options import options_in
from miniagents.ext.serving.openai.response_store import ResponseStore, StoredResponse
from miniagents.ext.serving.openai.responses_input import AskedResponse, ResponsesRequest, echoed_in
from miniagents.ext.serving.request_options import options_for
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.wants import check_wanted
from miniagents.ext.wire.openai_responses import ResponseBody
from miniagents.messages import SystemMessage

_NOTHING = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
"""The words of OpenAI's own API."""


class Deleted(msgspec.Struct, frozen=True):
    """The result of deleting a response."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


def parse_response(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse a request for a response; see `Parse`."""
    wanted = decode(body, ResponsesRequest, status=400)
    items = wanted.input or []
    if not isinstance(items, str):
        check_count(len(items), limits, "input")
    messages, specials = input_messages(items)
    request = msgspec.structs.replace(wanted, input=None)
    asked = AskedResponse(request, echoed_in(body, names), has_input=bool(items), specials=specials)
    return Parsed(asked, messages, options_in(body, names))


class ResponsesApi:
    """The endpoints of responses.

    Args:
        service: The service.
        store: The store of responses.
        references: Resolves references to items.
    """

    def __init__(self, service: Service, store: ResponseStore, references: References) -> None:
        self._service = service
        self._store = store
        self._references = references

    async def create(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/responses`."""
        service = self._service
        body = await read_body(request, service.limits)
        parsed = await service.parser.parsed(parse_response, body)
        asked: AskedResponse = parsed.wanted
        wanted = asked.request
        entry = service.entry(wanted.model)
        if wanted.background and wanted.store is False:
            raise Problem(400, "A response in the background is always stored (store)", param="store", code="invalid")
        before, size = await self._before(wanted, key)
        if wanted.previous_response_id is not None and conversation_id(request, wanted.conversation) is not None:
            text = "A response continues a conversation or another response, not both (previous_response_id)"
            raise Problem(400, text, param="previous_response_id", code="invalid")
        if not asked.has_input:
            self._check_begins(asked, entry, conversation_id(request, wanted.conversation))
        check_wanted(asked.specials, entry.wants, entry.name)
        readable = parsed.messages if "items" in entry.wants else without_thoughts(parsed.messages)
        name = new_name()
        new, referred = await self._references.entries(readable, name, key, before=before)
        entries = (*before, *new)
        messages, ids = tuple(entry.message for entry in entries), tuple(entry.ids for entry in entries)
        conversation = (SystemMessage(wanted.instructions), *messages) if wanted.instructions else messages
        options = options_for(entry, parsed)
        run = await service.begin(request, entry, key, conversation, options, wanted.conversation, name)
        if run.turn is not None:
            run.turn.ids = ids
        stored = StoredResponse(
            name=name,
            key=key,
            agent=entry.name,
            created_at=int(time.time()),
            request=wanted,
            echoed=asked.echoed,
            messages=messages,
            ids=ids,
            before=len(before),
            replies=run.replies,
            meter=run.meter,
            reading=run.reading,
            asked=len(body) + size + referred,
            conversation=run.turn.id if run.turn is not None else None,
            run=run,
        )
        if wanted.store is not False:
            try:
                await self._store.add(stored)
            except BaseException:
                run.cancel("its response cannot be stored")
                raise
        if wanted.stream:
            return self._stream(stored, after=-1, prelude=None if wanted.background else 2)
        if wanted.background:
            return json_response(begun_body(stored))
        await service.whole(request, run)
        return json_response(await self._body(stored))

    async def retrieve(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/responses/{id}`, complete or as a stream after event `starting_after`."""
        stored = await self._stored(request.path_params["id"], key)
        if _flag(request, "stream"):
            return self._stream(stored, after=_number(request, "starting_after"), prelude=None)
        return json_response(await self._body(stored))

    async def input_items(self, request: Request, key: str) -> Response:
        """Answer `GET /v1/responses/{id}/input_items`: the input of the response, with the conversation that it
        continues."""
        page = Page.of(request)
        stored = await self._stored(request.path_params["id"], key)
        messages = stored.messages
        listed = page.list(
            places_of(stored.ids),
            lambda id, place: item_of(id, messages[place.first : place.last + 1], place.call),
        )
        return json_response(listed)

    async def cancel(self, request: Request, key: str) -> Response:
        """Answer `POST /v1/responses/{id}/cancel` when all calls of the response have stopped."""
        stored = await self._stored(request.path_params["id"], key)
        if not stored.is_background:
            raise Problem(400, "Only a response in the background can be cancelled.", code="invalid")
        await self._end(stored, "the client cancelled it")
        return json_response(await self._body(stored))

    async def delete(self, request: Request, key: str) -> Response:
        """Answer `DELETE /v1/responses/{id}`. A response that still runs is cancelled."""
        stored = await self._stored(request.path_params["id"], key)
        await self._store.remove(stored.id)
        await self._end(stored, "the client deleted it")
        return json_response(Deleted(stored.id))

    async def _stored(self, id: str, key: str) -> StoredResponse:
        stored = await self._store.get(id)
        if stored is None or stored.key != key:
            raise Problem(404, f"There is no response {id!r} (any more).", param="response_id", code="not_found")
        return stored

    @staticmethod
    def _check_begins(asked: AskedResponse, entry: Entry, conversation: str | None) -> None:
        """Check that a request without input has another source of messages.

        Raises:
            Problem: 400: the request has none.
        """
        if asked.request.previous_response_id is not None or conversation is not None:
            return
        if asked.echoed.prompt is None:
            raise Problem(400, _NOTHING, param="input", code="missing_required_parameter")
        if "prompt" not in entry.argument_names:
            text = f"The agent {entry.name!r} takes no prompt template (prompt)"
            raise Problem(400, text, param="prompt", code="unsupported_input")

    async def _before(self, wanted: ResponsesRequest, key: str) -> tuple[tuple[Identified, ...], int]:
        """Return the conversation that a request continues, and its bytes."""
        if wanted.previous_response_id is None:
            return (), 0
        previous = await self._stored(wanted.previous_response_id, key)
        if not previous.replies.done() or previous.replies.exception() is not None:
            raise Problem(
                400,
                "The previous response is not complete (previous_response_id)",
                param="previous_response_id",
                code="invalid",
            )
        return (*previous.asked_entries, *previous.answered_entries), previous.size

    @staticmethod
    async def _end(stored: StoredResponse, reason: str) -> None:
        if stored.run is not None and not stored.replies.done():
            await stored.run.interaction.cancel(reason)

    async def _body(self, stored: StoredResponse) -> ResponseBody:
        """Return the body of the response at this moment."""
        if not stored.replies.done():
            return msgspec.structs.replace(begun_body(stored), status="in_progress")
        made = ResponseEvents(stored)
        try:
            async for _ in made.events():
                pass
        except FAILURES as error:
            made.fail(self._service.problem(error, stored.run))
        return made.body

    def _stream(self, stored: StoredResponse, *, after: int, prelude: int | None) -> Response:
        run = stored.run
        reader = stored.reading.reader()
        made = ResponseEvents(stored, reader)

        def leave() -> None:
            if run is not None and not stored.is_background:
                run.leave()

        return EventStream(
            self._events(made, after),
            reader,
            problem=lambda error: self._service.problem(error, run),
            as_event=made.failed,
            limits=self._service.limits,
            gone=leave,
            prelude=prelude,
        )

    @staticmethod
    async def _events(made: ResponseEvents, after: int) -> AsyncGenerator[bytes, None]:
        number = 0
        async with aclosing(made.events()) as events:
            async for event in events:
                if number > after:
                    yield event
                number += 1


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise Problem(400, f"{name} must be true or false ({name})", param=name, code="invalid")
    return value == "true"


def _number(request: Request, name: str) -> int:
    value = request.query_params.get(name, "-1")
    try:
        number = int(value)
    except ValueError:
        number = -2
    if not -1 <= number < 2**53:
        raise Problem(400, f"{name} must be the number of an event ({name})", param=name, code="invalid")
    return number
