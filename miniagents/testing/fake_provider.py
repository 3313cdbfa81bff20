"""`FakeProvider`: a real HTTP server on loopback that speaks OpenAI's and Anthropic's wire formats."""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

import msgspec

from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.testing import anthropic_wire, openai_wire
from miniagents.testing.recording import Recording
from miniagents.testing.refusals import refused_conversation, refused_fields
from miniagents.testing.requester import Requester, text_in
from miniagents.testing.script import Fault, Reply, Script, Scripted

_SECRET_HEADERS = ("authorization", "x-api-key", "cookie")


@dataclass(slots=True, eq=False)
class Exchange:
    """One request that the provider got, and what became of it.

    Attributes:
        path: The path of the API.
        headers: The headers, lower case, without secrets.
        body: The JSON body.
        received_at: When it came, on `time.monotonic()`.
        status: The HTTP status of the answer.
        input_tokens: Tokens read.
        tokens_planned: Tokens of the whole reply.
        tokens_sent: Those that were sent: what a provider bills.
        is_complete: Whether the whole reply was sent.
        closed_by_client_at: When the client closed the connection in the middle, or None.
    """

    path: str
    headers: Mapping[str, str]
    body: Any
    received_at: float
    status: int = 0
    input_tokens: int = 0
    tokens_planned: int = 0
    tokens_sent: int = 0
    is_complete: bool = False
    closed_by_client_at: float | None = None
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def was_closed_by_client(self) -> bool:
        """Whether the client closed the connection before the reply was whole."""
        return self.closed_by_client_at is not None

    @property
    def prompt(self) -> str:
        """All text of the request."""
        return text_in(self.body)

    async def ended(self, timeout: float = 10.0) -> None:
        """Wait until the provider is done with it.

        Raises:
            TimeoutError: It is not, after so many seconds.
        """
        if not await asyncio.to_thread(self._ended.wait, timeout):
            raise TimeoutError(f"the provider still answers {self.path} after {timeout} s")


class Connection(TypedDict):
    """The options of an agent, or of a client, that uses the provider."""

    base_url: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Billed:
    """What a provider would bill.

    Attributes:
        requests: Requests that were answered with something.
        input_tokens: Tokens read.
        output_tokens: Tokens sent.
    """

    requests: int
    input_tokens: int
    output_tokens: int


class FakeProvider:
    """A provider for tests: a real HTTP server on loopback, in a thread of its own.

    It serves `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` (OpenAI) and `/v1/messages` (Anthropic),
    streamed or whole, as scripted. Use it with `with` or `async with`.

    Args:
        *replies: What it answers, in order; the last one again and again. Functions get the `Exchange`.
        requests_per_second: More than so many requests within any second get a 429; None for no limit.
        api_key: The only key that it takes; None for any.
        more_fields: Fields of a request that it takes beside those of the API, as compatible servers do ("top_k");
            others get a 400, as from the real ones.
        recording: A file of real exchanges, which are answered again (each stream at once); with `upstream=` it is
            written.
        upstream: The address of a real provider, "https://api.openai.com": requests go there, with the caller's key,
            and the exchanges go into the recording, without it.

    Attributes:
        script: The replies.
        exchanges: What was asked, in order.
        overruns: How many requests came beyond `requests_per_second`.
        most_at_once: The most requests that were under way at once.
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
        """Forget everything, and answer with these replies from now on."""
        self.script = Script(*replies)
        self.exchanges: list[Exchange] = []
        self.overruns = 0
        self.most_at_once = 0
        self._at_once = 0
        self._admitted: deque[float] = deque()
        return self

    # Where it is

    @property
    def url(self) -> str:
        """Its address: the `base_url` for Anthropic's SDK."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """The `base_url` for OpenAI's SDK."""
        return f"{self.url}/v1"

    @property
    def openai(self) -> Connection:
        """The options that make an `OpenAIAgent` use it: `OpenAIAgent.fork(model="m", **provider.openai)`."""
        return {"base_url": self.openai_url, "api_key": self.api_key or "fake-key"}

    @property
    def anthropic(self) -> Connection:
        """The options that make an `AnthropicAgent` use it."""
        return {"base_url": self.url, "api_key": self.api_key or "fake-key"}

    # What it saw

    @property
    def last(self) -> Exchange:
        """The last request."""
        return self.exchanges[-1]

    @property
    def billed(self) -> Billed:
        """What it would bill for all requests."""
        answered = [one for one in self.exchanges if one.status == 200]
        return Billed(
            len(answered), sum(one.input_tokens for one in answered), sum(one.tokens_sent for one in answered)
        )

    # Life

    def start(self) -> Self:
        """Start to listen.

        Raises:
            MissingDependencyError: uvicorn is not installed.
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
                """Leave the loggers as they are: they are those of the application, which may run uvicorn itself."""

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
        """Stop, and cut every connection."""
        if self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            if self._loop is not None:
                # A server waits for its connections to end; those that stall never would.
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

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        task = asyncio.current_task()
        assert task is not None  # the server runs each request in one
        self._loop = task.get_loop()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        raw = b""
        more = True
        while more:
            part = await receive()
            raw += part.get("body", b"")
            more = part.get("more_body", False)
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        shown = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        try:
            body = msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError:
            body = None
        exchange = Exchange(scope["path"], shown, body, time.monotonic())
        exchange.input_tokens = len(exchange.prompt.split())
        self.exchanges.append(exchange)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            connection = Requester(receive, send)
            if self._upstream is not None:
                await self._forward(exchange, headers, raw, connection)
            else:
                await self._answer(exchange, key, connection)
        finally:
            self._at_once -= 1
            exchange._ended.set()

    async def _answer(self, exchange: Exchange, key: str, connection: Requester) -> None:
        is_anthropic = exchange.path.endswith("/messages")
        reply = self._refusal(exchange, key, is_anthropic)
        if reply is None and self._recording is not None:
            reply = self._recording.answer(exchange.path, exchange.body)
        elif reply is None:
            reply = self.script.next(exchange)
        if reply.input_tokens is not None:
            exchange.input_tokens = reply.input_tokens
        exchange.status = reply.status
        head = {
            "request-id" if is_anthropic else "x-request-id": f"req_{len(self.exchanges):08d}",
            **{name.lower(): value for name, value in reply.headers.items()},
        }
        if reply.body is not None:
            await connection.whole(reply.status, {**head, "content-type": reply.content_type}, reply.body.encode())
        elif reply.status != 200:
            data = anthropic_wire.error_body(reply) if is_anthropic else openai_wire.error_body(reply)
            await connection.json(reply.status, head, data)
        elif exchange.path.endswith("/embeddings"):
            exchange.input_tokens = len(exchange.prompt.split())
            await connection.json(200, head, openai_wire.embeddings_body(exchange.body))
            exchange.is_complete = True
        elif exchange.body.get("stream"):
            exchange.tokens_planned = reply.output_tokens
            await self._stream(exchange, reply, head, connection)
        else:
            exchange.tokens_planned = reply.output_tokens
            await self._whole(exchange, reply, head, connection)

    async def _forward(
        self, exchange: Exchange, headers: Mapping[str, str], body: bytes, connection: Requester
    ) -> None:
        """Ask the real provider, and record what it answers."""
        import httpx2

        assert self._recording is not None  # the constructor sees to that
        own = ("host", "content-length", "accept-encoding", "connection")
        sent = {name: value for name, value in headers.items() if name not in own}
        async with (
            httpx2.AsyncClient(timeout=600) as client,
            client.stream("POST", f"{self._upstream}{exchange.path}", headers=sent, content=body) as answer,
        ):
            exchange.status = answer.status_code
            skipped = ("content-length", "content-encoding", "transfer-encoding", "connection")
            kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in skipped}
            whole = last = b""
            if await connection.start(answer.status_code, kept):
                async for piece in answer.aiter_bytes():
                    whole += piece
                    if last and not await connection.send(last):
                        exchange.closed_by_client_at = time.monotonic()
                        return  # half an answer is no recording
                    last = piece
            # Whoever has the last piece may ask again at once: by then this exchange is in the recording.
            exchange.is_complete = True
            self._recording.add(exchange.path, exchange.body, exchange.status, kept, whole.decode())
            if last:
                await connection.send(last)
            await connection.end()

    def _refusal(self, exchange: Exchange, key: str, is_anthropic: bool) -> Reply | None:
        known = ("/chat/completions", "/responses", "/embeddings", "/messages")
        if not exchange.path.endswith(known):
            return Reply.failure(404, error=f"no such path: {exchange.path}")
        if not isinstance(exchange.body, dict):
            return Reply.failure(400, error="the body is no JSON object")
        if self.api_key is not None and key != self.api_key:
            return Reply.failure(401, error="Incorrect API key provided")
        if is_anthropic and "max_tokens" not in exchange.body:
            return Reply.failure(400, error="max_tokens: Field required")
        problem = refused_fields(exchange.path, exchange.body, self.more_fields)
        problem = problem or refused_conversation(exchange.path, exchange.body)
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

    async def _whole(self, exchange: Exchange, reply: Reply, head: dict[str, str], connection: Requester) -> None:
        if reply.delay and not await connection.pause(reply.delay * max(exchange.tokens_planned, 1)):
            exchange.closed_by_client_at = time.monotonic()
            return
        if reply.fault is Fault.STALL:
            await connection.pause(3600.0)
            exchange.closed_by_client_at = time.monotonic()
            return
        if reply.fault is Fault.CUT:
            raise ConnectionAbortedError("this cut was scripted")
        make: Callable[..., Any] = (
            anthropic_wire.message_body
            if exchange.path.endswith("/messages")
            else openai_wire.response_body
            if exchange.path.endswith("/responses")
            else openai_wire.chat_body
        )
        data = make(reply, exchange.body, exchange.input_tokens)
        if reply.fault is Fault.MALFORMED:
            await connection.whole(200, {**head, "content-type": "application/json"}, b'{"choices": [{"mess')
            return
        if reply.fault is Fault.END:
            data |= {"choices": []} if "choices" in data else {}
        await connection.json(200, head, data)
        exchange.tokens_sent, exchange.is_complete = exchange.tokens_planned, True

    async def _stream(self, exchange: Exchange, reply: Reply, head: dict[str, str], connection: Requester) -> None:
        path, body, read = exchange.path, exchange.body, exchange.input_tokens
        if path.endswith("/messages"):
            frames, error = anthropic_wire.message_frames(reply, body, read), anthropic_wire.stream_error(reply)
        elif path.endswith("/responses"):
            frames = openai_wire.response_frames(reply, body, read)
            error = openai_wire.stream_error(reply, responses=True)
        else:
            frames, error = openai_wire.chat_frames(reply, body, read), openai_wire.stream_error(reply)
        if not await connection.start(200, {**head, "content-type": "text/event-stream; charset=utf-8"}):
            exchange.closed_by_client_at = time.monotonic()
            return
        for data, tokens in frames:
            if reply.fault is not None and exchange.tokens_sent >= reply.fault_at and (tokens or not reply.fault_at):
                await self._break_off(exchange, reply.fault, error, connection)
                return
            if (tokens and reply.delay and not await connection.pause(reply.delay)) or not await connection.send(data):
                exchange.closed_by_client_at = time.monotonic()
                return
            exchange.tokens_sent += tokens
        if reply.fault is not None:
            await self._break_off(exchange, reply.fault, error, connection)
            return
        exchange.is_complete = True
        await connection.end()

    async def _break_off(self, exchange: Exchange, fault: Fault, error: bytes, connection: Requester) -> None:
        if fault is Fault.STALL:
            await connection.pause(3600.0)
            exchange.closed_by_client_at = time.monotonic()
            return
        if fault is Fault.CUT:
            await connection.flush()
            raise ConnectionAbortedError("this cut was scripted")
        if fault is Fault.ERROR:
            await connection.send(error)
        elif fault is Fault.MALFORMED:
            await connection.send(b"event: content_block_delta\ndata: {this is no JSON\n\n")
        await connection.end()
