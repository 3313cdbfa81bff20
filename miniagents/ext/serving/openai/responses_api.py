"""`/v1/responses`: responses that can run in the background, be asked for again, picked up where they broke off, and
cancelled."""

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.conversations.conversation_id import conversation_id
from miniagents.ext.serving.http.json_messages import check_count
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import FAILURES, Problem, json_response
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.openai.chat import options_for
from miniagents.ext.serving.openai.chat_input import ResponsesRequest, input_messages
from miniagents.ext.serving.openai.response_events import ResponseEvents, begun_body
from miniagents.ext.serving.openai.response_options import options_in
from miniagents.ext.serving.openai.response_store import ResponseStore, StoredResponse
from miniagents.ext.serving.reply_pieces import as_assistant
from miniagents.ext.serving.service import Service
from miniagents.ext.wire.openai_responses import ResponseBody
from miniagents.messages import Message, SystemMessage


class Deleted(msgspec.Struct, frozen=True):
    """A response is gone."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


def parse_response(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """A request for a response; see `Parse`."""
    wanted = decode(body, ResponsesRequest, status=400)
    if not isinstance(wanted.input, str):
        check_count(len(wanted.input), limits, "input")
    messages = input_messages(wanted.input)
    return Parsed(msgspec.structs.replace(wanted, input=""), messages, options_in(body, names))


class ResponsesApi:
    """The endpoints of responses.

    Args:
        service: What all endpoints share.
        store: Where responses are kept.
    """

    def __init__(self, service: Service, store: ResponseStore) -> None:
        self._service = service
        self._store = store

    async def create(self, request: Request, key: str) -> Response:
        """`POST /v1/responses`."""
        service = self._service
        body = await read_body(request, service.limits)
        parsed = await service.parser.parsed(parse_response, body)
        wanted: ResponsesRequest = parsed.wanted
        entry = service.entry(wanted.model)
        if wanted.background and wanted.store is False:
            raise Problem(400, "What runs in the background is stored (store)", param="store", code="invalid")
        before, size = await self._before(wanted, key)
        if wanted.previous_response_id is not None and conversation_id(request, wanted.conversation) is not None:
            text = "A response goes on with a conversation or with a response, not with both (previous_response_id)"
            raise Problem(400, text, param="previous_response_id", code="invalid")
        messages = (*before, *parsed.messages)
        told = (SystemMessage(wanted.instructions), *messages) if wanted.instructions else messages
        options = options_for(entry, parsed)
        run = await service.begin(request, entry, key, told, options, wanted.conversation)
        stored = StoredResponse(
            id=f"resp_{secrets.token_urlsafe(18)}",
            key=key,
            agent=entry.name,
            created_at=int(time.time()),
            request=wanted,
            messages=messages,
            replies=run.replies,
            meter=run.meter,
            reading=run.reading,
            asked=len(body) + size,
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
        """`GET /v1/responses/{id}`, also as a stream that goes on after event `starting_after`."""
        stored = await self._stored(request.path_params["id"], key)
        if _flag(request, "stream"):
            return self._stream(stored, after=_number(request, "starting_after"), prelude=None)
        return json_response(await self._body(stored))

    async def cancel(self, request: Request, key: str) -> Response:
        """`POST /v1/responses/{id}/cancel`: answers when all of it has stopped."""
        stored = await self._stored(request.path_params["id"], key)
        if not stored.is_background:
            raise Problem(400, "Only what runs in the background can be cancelled.", code="invalid")
        await self._end(stored, "the client cancelled it")
        return json_response(await self._body(stored))

    async def delete(self, request: Request, key: str) -> Response:
        """`DELETE /v1/responses/{id}`: one that still runs is cancelled."""
        stored = await self._stored(request.path_params["id"], key)
        await self._store.remove(stored.id)
        await self._end(stored, "the client deleted it")
        return json_response(Deleted(stored.id))

    async def _stored(self, id: str, key: str) -> StoredResponse:
        stored = await self._store.get(id)
        if stored is None or stored.key != key:
            raise Problem(404, f"There is no response {id!r} (any more).", param="response_id", code="not_found")
        return stored

    async def _before(self, wanted: ResponsesRequest, key: str) -> tuple[tuple[Message, ...], int]:
        """The conversation that a request goes on with, and its bytes."""
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
        return (*previous.messages, *as_assistant(previous.replies.result())), previous.size

    @staticmethod
    async def _end(stored: StoredResponse, reason: str) -> None:
        if stored.run is not None and not stored.replies.done():
            await stored.run.interaction.cancel(reason)

    async def _body(self, stored: StoredResponse) -> ResponseBody:
        """The response as it is now."""
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
                run.cancel("the client went away")

        return EventStream(
            self._events(made, after, leave),
            reader,
            problem=lambda error: self._service.problem(error, run),
            as_event=made.failed,
            limits=self._service.limits,
            gone=leave,
            prelude=prelude,
        )

    @staticmethod
    async def _events(made: ResponseEvents, after: int, failed: Callable[[], None]) -> AsyncGenerator[bytes, None]:
        number = 0
        try:
            async with aclosing(made.events()) as events:
                async for event in events:
                    if number > after:
                        yield event
                    number += 1
        except FAILURES:
            failed()
            raise


def _flag(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "false").lower()
    if given not in ("true", "false"):
        raise Problem(400, f"{name} is true or false ({name})", param=name, code="invalid")
    return given == "true"


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "-1")
    try:
        number = int(given)
    except ValueError:
        number = -2
    if not -1 <= number < 2**53:
        raise Problem(400, f"{name} is the number of an event ({name})", param=name, code="invalid")
    return number
