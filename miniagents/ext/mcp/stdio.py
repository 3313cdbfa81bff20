"""The transport of a server that is a process: JSON-RPC messages on the lines of its input and output.

The SDK has such a transport, too. This one differs where the SDK's has no bound: in the length of a line, in the time
that a line takes, in bytes that are not UTF-8, and in the end of a process whose pipes another process holds open.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter

from miniagents.ext.mcp.lines import Lines, TooLong
from miniagents.ext.mcp.process import CHUNK, LAST_WORDS, ServerProcess
from miniagents.ext.mcp.texts import shortened
from miniagents.log import log as _log

Streams: TypeAlias = tuple[Any, Any]
"""The streams of the messages that come and go; the SDK does not make their types public."""


@asynccontextmanager
async def stdio_transport(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | Path | None,
    *,
    max_bytes: int,
    on_end: Callable[[str], None],
) -> AsyncGenerator[Streams, None]:
    """Start a process and connect to it.

    The process ends with the context, also if its task is cancelled at any point.

    Args:
        name: The name of the server, for the log.
        command: The program and its arguments.
        env: Environment variables beside the harmless ones.
        cwd: The working directory, or None.
        max_bytes: The longest line that is taken. A longer one is thrown away, and the request that it answers fails.
        on_end: Called with the reason when the process ends or closes its output, before the calls in flight fail.

    Yields:
        The streams of the messages that come and go.

    Raises:
        OSError: The process cannot be started.
    """
    process = await ServerProcess.start(command, env, cwd)
    try:
        to_session, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sent, to_send = anyio.create_memory_object_stream[SessionMessage](0)
        pipes = _Pipes(name, process, max_bytes, on_end)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.read_stderr)
            tasks.start_soon(pipes.read, to_session)
            tasks.start_soon(pipes.write, to_send, to_session)
            try:
                yield received, sent
            finally:
                pipes.is_closing = True
                with anyio.CancelScope(shield=True):
                    await process.stop()
                tasks.cancel_scope.cancel()
    finally:
        process.close()
        for stream in (to_session, received, sent, to_send):
            stream.close()


class _Pipes:
    def __init__(self, name: str, process: ServerProcess, max_bytes: int, on_end: Callable[[str], None]) -> None:
        self._name = name
        self._process = process
        self._max_bytes = max_bytes
        self._on_end = on_end
        self._has_warned = False
        self.is_closing = False

    async def read(self, to_session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand on the messages that the process writes, until it ends."""
        reason: str | None = None
        async with to_session:
            try:
                reason = await self._read_lines(to_session)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the session is closed
            except (OSError, ValueError) as error:
                reason = f"its output cannot be read: {error}"
            if not self.is_closing:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS):
                        await self._process.exited.wait()
                await asyncio.sleep(0)  # the last lines of the error output are read
                self._on_end(reason or self._process.ending())

    async def _read_lines(self, to_session: MemoryObjectSendStream[SessionMessage | Exception]) -> str | None:
        """Read until the end of the output.

        Returns:
            The reason of the end if it is not that of the process.
        """
        lines = Lines(self._max_bytes)
        while chunk := await self._process.stdout.read(CHUNK):
            for line in lines.feed(chunk):
                message = self._parsed(line)
                if isinstance(message, str):
                    return message
                if message is not None:
                    await to_session.send(SessionMessage(message))
        return None

    def _parsed(self, line: bytes | TooLong) -> JSONRPCMessage | str | None:
        """Return the message on a line; None for a line to skip, and a text if the connection cannot go on."""
        if isinstance(line, TooLong):
            problem = f"the answer has {line.size} bytes, more than max_bytes={self._max_bytes}"
            if line.request_id is None:
                return problem
            return JSONRPCError(
                jsonrpc="2.0", id=line.request_id, error=ErrorData(code=INVALID_REQUEST, message=problem)
            )
        if not line.strip():
            return None
        try:
            return jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self._warn(line)
        try:
            # A string with bytes that are not UTF-8 is no reason to leave a request without its answer.
            return jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False)
        except ValueError:
            return None

    def _warn(self, line: bytes) -> None:
        """Log the first line that is no message."""
        if not self._has_warned:
            self._has_warned = True
            _log.warning("mcp.no_message", server=self._name, line=shortened(line[:1000].decode(errors="replace")))

    async def write(
        self,
        to_send: MemoryObjectReceiveStream[SessionMessage],
        to_session: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        """Write the messages of the session to the process, until one of both ends."""
        stdin = self._process.stdin
        try:
            async with to_send:
                async for message in to_send:
                    stdin.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await stdin.drain()
        except OSError:
            pass  # the process reads no more: the end of its output ends the session
        except anyio.ClosedResourceError:
            pass
