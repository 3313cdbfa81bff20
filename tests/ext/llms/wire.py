"""A server on loopback that says byte for byte what a test wants, and what the three APIs say as dicts."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, Self

from miniagents import Backoff, MiniAgent, RetryPolicy
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent

CUT = object()
"""A part of an answer: the connection is cut."""

TWICE = RetryPolicy(attempts=2, backoff=Backoff(0.001, 0.001))

DONE = b"data: [DONE]\n\n"
APIS = ("chat", "responses", "anthropic")


class Answer:
    """What the server says to one request.

    Args:
        *parts: Bytes, seconds to wait, `CUT`, or a function that is awaited.
        status: The HTTP status.
        **headers: Headers; `_` stands for `-`.
    """

    def __init__(self, *parts: Any, status: int = 200, **headers: str) -> None:
        self.parts = parts
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def stream(*events: Any, **more: Any) -> Answer:
    """A stream; a dict is an event."""
    parts = [event(one) if isinstance(one, dict) else one for one in events]
    return Answer(*parts, **{"content_type": "text/event-stream", **more})


def document(body: Any, **more: Any) -> Answer:
    """A JSON document."""
    return Answer(json.dumps(body).encode(), **{"content_type": "application/json", **more})


def event(data: Mapping[str, Any] | str) -> bytes:
    """An event, named by its type, in ASCII."""
    text = data if isinstance(data, str) else json.dumps(data)
    name = f"event: {data['type']}\n" if isinstance(data, Mapping) and "type" in data else ""
    return f"{name}data: {text}\n\n".encode()


class Wire:
    """The server. Each request gets the next answer, and the last one again and again.

    Args:
        *answers: The answers.

    Attributes:
        requests: The bodies of the requests.
        times: When they came, on `loop.time()`.
        writers: The connections that are open.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[Any] = []
        self.times: list[float] = []
        self.writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in tuple(self.writers):
            writer.close()
        await asyncio.sleep(0)

    def agent(self, api: Any, **options: Any) -> MiniAgent:
        """An agent that talks to it."""
        given: dict[str, Any] = {"model": "m", "api_key": "a key of the test", "retry": TWICE, **options}
        if api == "anthropic":
            return AnthropicAgent.fork(base_url=f"http://127.0.0.1:{self.port}", **given)
        return OpenAIAgent.fork(base_url=f"http://127.0.0.1:{self.port}/v1", api=api, **given)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next(int(one[15:]) for one in head.split("\r\n") if one.startswith("content-length:"))
                self.requests.append(json.loads(await reader.readexactly(length)))
                self.times.append(asyncio.get_running_loop().time())
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
                writer.write(f"HTTP/1.1 {answer.status} x\r\n{lines}transfer-encoding: chunked\r\n\r\n".encode())
                for part in answer.parts:
                    if part is CUT:
                        await writer.drain()
                        return
                    if isinstance(part, bytes):
                        writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                    elif isinstance(part, float):
                        await writer.drain()
                        await asyncio.sleep(part)
                    else:
                        await writer.drain()
                        await part()
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


# What the APIs say


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    choice = {"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def call_delta(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    """A chunk with a piece of a tool call."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return chunk({"tool_calls": [{**call, "type": "function", "function": function}]})


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def completion(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return {**whole, **more}


def response(*output: Any, status: Any = "completed", **more: Any) -> dict[str, Any]:
    """A response of the Responses API."""
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    whole = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": list(output)}
    return {**whole, "error": None, "incomplete_details": None, "usage": usage, **more}


def text_item(text: Any) -> dict[str, Any]:
    """A message in the output of a response."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content}


def call_item(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A call in the output of a response."""
    return {"type": "function_call", "id": f"f{call_id}", "call_id": call_id, "name": name, "arguments": arguments}


def start(**more: Any) -> dict[str, Any]:
    """Anthropic's first event."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    return {"type": "message_start", "message": {**message, "stop_reason": None, **more}}


def block(content: dict[str, Any], *deltas: dict[str, Any], index: Any = 0) -> list[dict[str, Any]]:
    """A content block of Anthropic's, with its deltas."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(text: str, index: Any = 0) -> list[dict[str, Any]]:
    """A block of text."""
    return block({"type": "text", "text": ""}, {"type": "text_delta", "text": text}, index=index)


def tool_block(call_id: str, name: str, *pieces: str, given: Any = None, index: Any = 0) -> list[dict[str, Any]]:
    """A block with a tool call."""
    content = {"type": "tool_use", "id": call_id, "name": name, "input": {} if given is None else given}
    return block(content, *({"type": "input_json_delta", "partial_json": one} for one in pieces), index=index)


def end(reason: Any = "end_turn", **more: Any) -> list[dict[str, Any]]:
    """Anthropic's last events."""
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}, **more}, {"type": "message_stop"}]


def message(*content: Any, reason: Any = "end_turn", **more: Any) -> dict[str, Any]:
    """A message of Anthropic's."""
    usage = {"input_tokens": 3, "output_tokens": 2}
    whole = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return {**whole, "stop_reason": reason, "stop_sequence": None, "usage": usage, **more}


def says(api: str, text: str = "all is well", *, streamed: bool = True, pieces: Iterable[str] | None = None) -> Answer:
    """A sound answer of an API."""
    parts = [text] if pieces is None else list(pieces)
    if not streamed:
        if api == "chat":
            return document(completion({"role": "assistant", "content": text}))
        return document(response(text_item(text)) if api == "responses" else message({"type": "text", "text": text}))
    return stream(*opening(api), *(says_piece(api, part) for part in parts), *ending(api))


def opening(api: str) -> list[dict[str, Any]]:
    """The events that begin a stream."""
    return [start()] if api == "anthropic" else []


def says_piece(api: str, text: str) -> dict[str, Any]:
    """The event of a piece of text."""
    if api == "chat":
        return chunk({"content": text})
    if api == "responses":
        return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def ending(api: str) -> list[Any]:
    """The events that end a stream."""
    if api == "chat":
        return [chunk({}, "stop"), chunk(choices=[], usage=USAGE), DONE]
    return [{"type": "response.completed", "response": response()}] if api == "responses" else end()
