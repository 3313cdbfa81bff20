"""A response of the Responses API, made from an agent's replies: its body and its events.

Every replay gives the same events.
"""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.reply_reading import Reader
from miniagents.ext.serving.openai.response_store import StoredResponse
from miniagents.ext.serving.openai.responses_input import Echoed
from miniagents.ext.serving.reply_pieces import Calls, Said, Text, finish_reason, refusal_of, spoken
from miniagents.ext.wire.openai_responses import (
    NO_REASONING,
    PLAIN_TEXT,
    ConversationOf,
    FunctionCallItem,
    Incomplete,
    MessageItem,
    OutputItem,
    OutputText,
    Refusal,
    ResponseBody,
    ResponseFailure,
    ResponseStream,
    ResponseUsage,
)
from miniagents.messages import Message

_BEGUN = {"reasoning": NO_REASONING, "text": PLAIN_TEXT}
"""The values of these options in a response to a request without them."""

_FAILURES = {400: "invalid_prompt", 422: "invalid_prompt", 429: "rate_limit_exceeded"}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseEvents:
    """The events of one response, from the first one.

    Args:
        stored: The response.
        reader: The reader of the events.

    Attributes:
        body: The response so far. It is complete after the last event.
    """

    def __init__(self, stored: StoredResponse, reader: Reader | None = None) -> None:
        self._stored = stored
        self._reader = reader
        self._stream = ResponseStream()
        self._output: list[OutputItem] = []
        self.body = begun_body(stored)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events.

        Raises:
            Exception: The failure of the agent; `failed` makes the last event of it.
        """
        stored, stream = self._stored, self._stream
        for event in stream.response("created", self.body):
            yield event
        if stored.is_background:
            for event in stream.response("queued", self.body):
                yield event
        self.body = msgspec.structs.replace(self.body, status="in_progress")
        for event in stream.response("in_progress", self.body):
            yield event
        last: Message | None = None
        texts: list[str] = []
        async for piece in spoken(stored.replies, self._reader):
            at = len(self._output)
            id = f"msg_{stored.name}_{at}"
            if isinstance(piece, Text):
                if not texts:
                    for event in stream.begin_message(at, id):
                        yield event
                texts.append(piece.text)
                for event in stream.text(at, id, piece.text):
                    yield event
            elif isinstance(piece, Said):
                last = piece.message
                for event in self._said(at, id, texts, last):
                    yield event
                texts = []
            elif isinstance(piece, Calls):
                for event in self._calls(piece):
                    yield event
                self._finish(last, piece)
        await stored.replies  # until the interaction has ended, and its usage is known
        completed_at = stored.completed_at if self.body.status == "completed" else None
        self.body = msgspec.structs.replace(self.body, usage=_usage(stored), completed_at=completed_at)
        for event in stream.response(self.body.status, self.body):
            yield event

    def _said(self, at: int, id: str, texts: list[str], message: Message) -> list[bytes]:
        """Return the events after the last token of a message."""
        stream, events = self._stream, []
        refusal = refusal_of(message)
        if not texts and not refusal:
            return []
        content: list[OutputText | Refusal] = []
        if texts:
            content.append(OutputText("".join(texts)))
            events += stream.end_text(at, id, "".join(texts))
        else:
            events += stream.begin_message(at, id)
        if refusal:
            events += stream.refusal(at, id, len(content), refusal)
            content.append(Refusal(refusal))
        item = MessageItem(id, tuple(content))
        self._output.append(item)
        return events + stream.end_item(at, item)

    def _calls(self, calls: Calls) -> list[bytes]:
        """Return the events of the tool calls that are left to the client."""
        events, stream = [], self._stream
        for call in calls.calls:
            at = len(self._output)
            item = _call_item(f"fc_{self._stored.name}_{at}", call)
            events += stream.begin_call(at, item)
            events += stream.arguments(at, item.id, item.arguments)
            events += stream.end_arguments(at, item)
            events += stream.end_item(at, item)
            self._output.append(item)
        return events

    def _finish(self, last: Message | None, calls: Calls) -> None:
        reason = _INCOMPLETE.get(finish_reason(last, calls.calls))
        self.body = msgspec.structs.replace(
            self.body,
            status="incomplete" if reason else "completed",
            incomplete_details=Incomplete(reason) if reason else None,
            output=tuple(self._output),
        )

    def fail(self, problem: Problem) -> None:
        """Make `body` that of a response that has failed, or was cancelled."""
        is_cancelled = problem.code == "cancelled"
        failure = ResponseFailure(_FAILURES.get(problem.status, "server_error"), problem.message)
        self.body = msgspec.structs.replace(
            self.body,
            status="cancelled" if is_cancelled else "failed",
            error=None if is_cancelled else failure,
            output=tuple(self._output),
            usage=_usage(self._stored),
        )

    def failed(self, problem: Problem) -> bytes:
        """Return the last event of a response that has failed, or was cancelled."""
        self.fail(problem)
        # The API has no event for a cancelled response.
        kind = "incomplete" if self.body.status == "cancelled" else "failed"
        return b"".join(self._stream.response(kind, self.body))


def begun_body(stored: StoredResponse) -> ResponseBody:
    """Return the body of a response that has just begun."""
    request = stored.request
    return ResponseBody(
        id=stored.id,
        created_at=stored.created_at,
        model=stored.agent,
        status="queued" if stored.is_background else "in_progress",
        background=stored.is_background,
        conversation=ConversationOf(stored.conversation) if stored.conversation is not None else None,
        instructions=request.instructions,
        metadata=request.metadata or {},
        previous_response_id=request.previous_response_id,
        store=request.store is not False,
        **_echo(stored.echoed),
    )


def _echo(echoed: Echoed) -> dict[str, Any]:
    """Return the options that a response repeats from its request."""
    options = {name: value for name, value in msgspec.structs.asdict(echoed).items() if value is not None}
    return options | {name: begun | options[name] for name, begun in _BEGUN.items() if name in options}


def _call_item(id: str, call: ToolCall) -> FunctionCallItem:
    return FunctionCallItem(id, call.id, call.name, call.arguments)


def _usage(stored: StoredResponse) -> ResponseUsage:
    meter = stored.meter
    return ResponseUsage.of(meter.input_tokens, meter.output_tokens, meter.cached_tokens)
