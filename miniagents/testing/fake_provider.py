"""`FakeProvider`: a real HTTP server on loopback that speaks OpenAI's and Anthropic's wire formats."""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

import msgspec

from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.testing.answering import is_anthropic, send_reply
from miniagents.testing.exchange import Billed, Exchange
from miniagents.testing.recording import Recording
from miniagents.testing.refusals import refused_conversation, refused_fields
from miniagents.testing.refused_schemas import refused_schema
from miniagents.testing.requester import Requester
from miniagents.testing.script import Reply, Script, Scripted

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]

COUNTS = ("/messages/count_tokens", "/responses/input_tokens")
"""The endings of the paths that count the tokens of a request. Counting takes no reply of the script."""

_SECRET_HEADERS = ("authorization", "x-api-key", "cookie")


class Connection(TypedDict):
    """The options that make an agent, or a client, use the provider."""

    base_url: str
    api_key: str


class FakeProvider:
    """A provider for tests: a real HTTP server on loopback, in a thread of its own.

    It serves `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` (OpenAI) and `/v1/messages` (Anthropic),
    streamed or whole, as scripted, and counts tokens for both (words, as everywhere here). Use it with `with` or
    `async with`.

    Args:
        *replies: The answers, in order; the last one is repeated. A function is called with the `Exchange`.
        requests_per_second: Requests allowed within any second; more of them get a 429. None for no limit.
        api_key: The only valid key; None accepts any key.
        more_fields: Fields of a request that are accepted besides those of the API, as compatible servers do ("top_k").
            Any other field gets a 400, as from the real providers.
        recording: A file of real exchanges. The provider answers from it (a stream all at once); with `upstream=` it
            writes the file.
        upstream: The address of a real provider, for example "https://api.openai.com". Requests are forwarded with the
            caller's key, and the exchanges are recorded without the key.

    Attributes:
        script: The replies.
        exchanges: The requests, in order.
        overruns: The number of requests refused by `requests_per_second`.
        most_at_once: The largest number of requests that were under way at once.

    Raises:
        InvalidOptionError: `upstream=` is given without `recording=`.

    Example:
        >>> from miniagents import MiniAgents
        >>> from miniagents.ext.llms import OpenAIAgent
        >>> async def main(provider):
        ...     async with MiniAgents():
        ...         return await OpenAIAgent.fork(model="gpt-5-mini", **provider.openai).inquire("Hi")
        >>> import asyncio
        >>> with FakeProvider("Hello!") as provider:
        ...     print(asyncio.run(main(provider)))
        Hello!
        >>> provider.last.prompt
        'Hi'
    """

    def __init__(
        self,
        *replies: Scripted,
        requests_per_second: float | None = None,
        api_key: str | None = None,
        more_fields: Collection[str] = (),
        recording: str | Path | None = None,
        upstream: str | None = None,
    ) -> None:
        if upstream is not None and recording is None:
            raise InvalidOptionError("FakeProvider(upstream=) needs recording=: the file where the exchanges go")
        self._recording = Recording(recording) if recording is not None else None
        self._upstream = upstream
        self.requests_per_second = requests_per_second
        self.api_key = api_key
        self.more_fields = more_fields
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._port = 0
        self.reset(*replies)

    def reset(self, *replies: Scripted) -> Self:
        """Forget all exchanges, and answer with these replies from now on."""
        self.script = Script(*replies)
        self.exchanges: list[Exchange] = []
        self.overruns = 0
        self.most_at_once = 0
        self._at_once = 0
        self._admitted: deque[float] = deque()
        return self

    # Addresses

    @property
    def url(self) -> str:
        """The address of the provider, and the `base_url` for Anthropic's SDK."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """The `base_url` for OpenAI's SDK."""
        return f"{self.url}/v1"

    @property
    def openai(self) -> Connection:
        """The options that make an `OpenAIAgent` use the provider: `OpenAIAgent.fork(model="m", **provider.openai)`."""
        return {"base_url": self.openai_url, "api_key": self.api_key or "fake-key"}

    @property
    def anthropic(self) -> Connection:
        """The options that make an `AnthropicAgent` use the provider."""
        return {"base_url": self.url, "api_key": self.api_key or "fake-key"}

    # Requests

    @property
    def last(self) -> Exchange:
        """The last request."""
        return self.exchanges[-1]

    @property
    def billed(self) -> Billed:
        """The bill for all requests."""
        return Billed.of(self.exchanges)

    # Life

    def start(self) -> Self:
        """Start listening on a free port of 127.0.0.1.

        Raises:
            MissingDependencyError: uvicorn is not installed.
            RuntimeError: The server did not start within 10 s.
        """
        try:
            import uvicorn
        except ImportError as error:
            raise MissingDependencyError("FakeProvider needs uvicorn: pip install 'miniagents[testing]'") from error
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self._port = listener.getsockname()[1]

        class Config(uvicorn.Config):
            def configure_logging(self) -> None:
                """Leave the loggers alone: they belong to the application, which may run uvicorn itself."""

        config = Config(
            self._serve,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            interface="asgi3",
        )
        started = threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets=sockets)
                started.set()

        self._server = Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="fake-provider", daemon=True
        )
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fake provider did not start within 10 s")
        return self

    def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            if self._loop is not None:
                # The server waits for its connections to end, and a stalled one would never end.
                self._loop.call_soon_threadsafe(self._cut_all)
            self._thread.join()
            self._thread = None

    def _cut_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    # The server

    async def _serve(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        task = asyncio.current_task()
        assert task is not None  # the server runs each request in a task
        self._loop = task.get_loop()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        raw = b""
        has_more = True
        while has_more:
            part = await receive()
            raw += part.get("body", b"")
            has_more = part.get("more_body", False)
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        public_headers = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        try:
            body = msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError:
            body = None
        exchange = Exchange(scope["path"], public_headers, body, time.monotonic())
        exchange.input_tokens = len(exchange.prompt.split())
        self.exchanges.append(exchange)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            requester = Requester(receive, send)
            if self._upstream is not None:
                await self._forward(exchange, headers, raw, requester)
            else:
                await self._answer(exchange, key, requester)
        finally:
            self._at_once -= 1
            exchange.end()

    async def _answer(self, exchange: Exchange, key: str, requester: Requester) -> None:
        reply = self._refusal(exchange, key)
        if reply is None and self._recording is not None:
            reply = self._recording.answer(exchange.path, exchange.body)
        elif reply is None and exchange.path.endswith(COUNTS):
            counted = msgspec.json.encode({"object": "response.input_tokens", "input_tokens": exchange.input_tokens})
            reply = Reply(body=counted.decode(), content_type="application/json")
        elif reply is None:
            reply = self.script.next(exchange)
        if reply.input_tokens is not None:
            exchange.input_tokens = reply.input_tokens
        exchange.status = reply.status
        head = {
            "request-id" if is_anthropic(exchange.path) else "x-request-id": f"req_{len(self.exchanges):08d}",
            **{name.lower(): value for name, value in reply.headers.items()},
        }
        await send_reply(exchange, reply, head, requester)

    async def _forward(self, exchange: Exchange, headers: Mapping[str, str], body: bytes, requester: Requester) -> None:
        """Forward the request to the real provider, and record the answer."""
        import httpx2

        assert self._recording is not None  # the constructor requires recording= with upstream=
        per_connection = ("host", "content-length", "accept-encoding", "connection")
        sent = {name: value for name, value in headers.items() if name not in per_connection}
        async with (
            httpx2.AsyncClient(timeout=600) as client,
            client.stream("POST", f"{self._upstream}{exchange.path}", headers=sent, content=body) as answer,
        ):
            exchange.status = answer.status_code
            skipped = ("content-length", "content-encoding", "transfer-encoding", "connection")
            answer_headers = {
                name.lower(): value for name, value in answer.headers.items() if name.lower() not in skipped
            }
            whole = last = b""
            if await requester.start(answer.status_code, answer_headers):
                async for piece in answer.aiter_bytes():
                    whole += piece
                    if last and not await requester.send(last):
                        exchange.closed_by_client_at = time.monotonic()
                        return  # an incomplete answer is not recorded
                    last = piece
            # The client may repeat the request as soon as it has the last piece, so the exchange is recorded before.
            exchange.is_complete = True
            self._recording.add(exchange.path, exchange.body, exchange.status, answer_headers, whole.decode())
            if last:
                await requester.send(last)
            await requester.end()

    def _refusal(self, exchange: Exchange, key: str) -> Reply | None:
        known = ("/chat/completions", "/responses", "/embeddings", "/messages", *COUNTS)
        if not exchange.path.endswith(known):
            return Reply.failure(404, error=f"no such path: {exchange.path}")
        if not isinstance(exchange.body, dict):
            return Reply.failure(400, error="the body is no JSON object")
        if self.api_key is not None and key != self.api_key:
            return Reply.failure(401, error="Incorrect API key provided")
        if exchange.path.endswith(COUNTS):
            return None
        if is_anthropic(exchange.path) and "max_tokens" not in exchange.body:
            return Reply.failure(400, error="max_tokens: Field required")
        betas = exchange.headers.get("anthropic-beta", "")
        more_fields = {*self.more_fields, "context_management"} if "compact-" in betas else self.more_fields
        problem = refused_fields(exchange.path, exchange.body, more_fields)
        problem = problem or refused_conversation(exchange.path, exchange.body)
        problem = problem or refused_schema(exchange.path, exchange.body)
        if problem is not None:
            return Reply.failure(400, error=problem)
        if self.requests_per_second is not None:
            admitted, now = self._admitted, exchange.received_at
            while admitted and admitted[0] <= now - 1.0:
                admitted.popleft()
            if len(admitted) >= self.requests_per_second:
                self.overruns += 1
                return Reply.rate_limited(round(admitted[0] + 1.0 - now, 3))
            admitted.append(now)
        return None
