"""Sending a scripted reply to a request, as a whole or as a stream, with the fault that the script asks for."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from miniagents.testing import anthropic_wire, openai_wire
from miniagents.testing.exchange import Exchange
from miniagents.testing.requester import Requester
from miniagents.testing.script import Fault, Reply

_STALL = 3600.0  # seconds


def is_anthropic(path: str) -> bool:
    """Return whether a path is one of Anthropic's API."""
    return path.endswith("/messages")


async def send_reply(exchange: Exchange, reply: Reply, head: Mapping[str, str], requester: Requester) -> None:
    """Send a reply, and note in the exchange how far it came.

    Args:
        exchange: The request.
        reply: The reply.
        head: Headers of the answer.
        requester: The connection.

    Raises:
        ConnectionAbortedError: The script wants the connection cut.
    """
    path = exchange.path
    if reply.body is not None:
        await requester.whole(reply.status, {**head, "content-type": reply.content_type}, reply.body.encode())
    elif reply.status != 200:
        error = anthropic_wire.error_body(reply) if is_anthropic(path) else openai_wire.error_body(reply)
        await requester.json(reply.status, head, error)
    elif path.endswith("/embeddings"):
        exchange.input_tokens = len(exchange.prompt.split())
        await requester.json(200, head, openai_wire.embeddings_body(exchange.body))
        exchange.is_complete = True
    else:
        exchange.tokens_planned = reply.output_tokens
        send = _send_stream if exchange.body.get("stream") else _send_whole
        await send(exchange, reply, head, requester)


async def _send_whole(exchange: Exchange, reply: Reply, head: Mapping[str, str], requester: Requester) -> None:
    if reply.delay and not await requester.pause(reply.delay * max(exchange.tokens_planned, 1)):
        exchange.closed_by_client_at = time.monotonic()
        return
    if reply.fault is Fault.STALL:
        await requester.pause(_STALL)
        exchange.closed_by_client_at = time.monotonic()
        return
    if reply.fault is Fault.CUT:
        raise ConnectionAbortedError("this cut was scripted")
    body = _body_writer(exchange.path)(reply, exchange.body, exchange.input_tokens)
    if reply.fault is Fault.MALFORMED:
        await requester.whole(200, {**head, "content-type": "application/json"}, b'{"choices": [{"mess')
        return
    if reply.fault is Fault.END:
        body |= {"choices": []} if "choices" in body else {}
    await requester.json(200, head, body)
    exchange.tokens_sent, exchange.is_complete = exchange.tokens_planned, True


def _body_writer(path: str) -> Callable[[Reply, Mapping[str, Any], int], dict[str, Any]]:
    if is_anthropic(path):
        return anthropic_wire.message_body
    return openai_wire.response_body if path.endswith("/responses") else openai_wire.chat_body


def _frames(exchange: Exchange, reply: Reply) -> tuple[Iterator[openai_wire.Frame], bytes]:
    """Return the frames of a streamed reply, and the frame of an error inside of it."""
    path, body, input_tokens = exchange.path, exchange.body, exchange.input_tokens
    if is_anthropic(path):
        return anthropic_wire.message_frames(reply, body, input_tokens), anthropic_wire.stream_error(reply)
    if path.endswith("/responses"):
        error = openai_wire.stream_error(reply, responses=True)
        return openai_wire.response_frames(reply, body, input_tokens), error
    return openai_wire.chat_frames(reply, body, input_tokens), openai_wire.stream_error(reply)


async def _send_stream(exchange: Exchange, reply: Reply, head: Mapping[str, str], requester: Requester) -> None:
    frames, error = _frames(exchange, reply)
    if not await requester.start(200, {**head, "content-type": "text/event-stream; charset=utf-8"}):
        exchange.closed_by_client_at = time.monotonic()
        return
    for frame, tokens in frames:
        if reply.fault is not None and exchange.tokens_sent >= reply.fault_at and (tokens or not reply.fault_at):
            await _break_off(exchange, reply.fault, error, requester)
            return
        if (tokens and reply.delay and not await requester.pause(reply.delay)) or not await requester.send(frame):
            exchange.closed_by_client_at = time.monotonic()
            return
        exchange.tokens_sent += tokens
    if reply.fault is not None:
        await _break_off(exchange, reply.fault, error, requester)
        return
    exchange.is_complete = True
    await requester.end()


async def _break_off(exchange: Exchange, fault: Fault, error: bytes, requester: Requester) -> None:
    if fault is Fault.STALL:
        await requester.pause(_STALL)
        exchange.closed_by_client_at = time.monotonic()
        return
    if fault is Fault.CUT:
        await requester.flush()
        raise ConnectionAbortedError("this cut was scripted")
    if fault is Fault.ERROR:
        await requester.send(error)
    elif fault is Fault.MALFORMED:
        await requester.send(b"event: content_block_delta\ndata: {this is no JSON\n\n")
    await requester.end()
