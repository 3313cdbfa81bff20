"""`ControlServer`: answers commands of the same user's processes, beside what the process does."""

import asyncio
import os
import socket
import weakref
from collections.abc import MutableMapping
from pathlib import Path

import msgspec

from miniagents.control.peer import peer_user
from miniagents.control.protocol import (
    MAX_LINE,
    VERSION,
    Answer,
    Command,
    CommandError,
    Refusal,
    Request,
    failed,
    line_of,
    mistake,
)
from miniagents.errors import MiniAgentsError
from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

MOST_CLIENTS = 16
"""How many connections are answered at a time."""

SILENCE = 30.0
"""Seconds that a client has to send a request, or to read an answer, before its connection is closed."""

_ENDING = 5.0
"""Seconds that a command which swallows its cancellation has to end."""

_open: "weakref.WeakSet[ControlServer]" = weakref.WeakSet()


class ControlServer:
    """A control socket, which only processes of the same user may use.

    The owner of the server is the only one who may listen at its path (the lock of a journal says so), therefore a
    socket that is there already is that of a dead process, and is replaced.

    Args:
        path: The path of the socket, in a folder that is private to the user (`socket_path`).
        commands: The commands by name. Commands may be added as long as the server is open.
        user: The user whose processes are answered; None for the user of this process.

    Attributes:
        path: The path of the socket.
        commands: The commands by name.

    Example:
        >>> import tempfile
        >>> from miniagents.control import ask
        >>> async def greet(arguments):
        ...     return f"hello, {arguments['name']}"
        >>> folder = tempfile.TemporaryDirectory()
        >>> server = ControlServer(Path(folder.name) / "s", {"greet": greet})
        >>> server.open()
        >>> await asyncio.to_thread(ask, server.path, "greet", {"name": "Ada"})
        'hello, Ada'
        >>> await server.close()
        >>> folder.cleanup()
    """

    def __init__(self, path: Path, commands: MutableMapping[str, Command], *, user: int | None = None) -> None:
        self.path = path
        self.commands = commands
        self._user = os.geteuid() if user is None else user
        self._socket: socket.socket | None = None
        self._starting: asyncio.Task[asyncio.AbstractServer] | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """True from `open` to `close`."""
        return self._starting is not None

    def open(self) -> None:
        """Listen. The running loop answers from its next turn on, and clients that come before that wait.

        Raises:
            OSError: The socket cannot be made.
        """
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o600)  # nobody else can come this far before: the folder is private
            listener.listen(MOST_CLIENTS)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self._socket = listener
        _open.add(self)
        self._starting = asyncio.get_running_loop().create_task(
            asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)
        )

    async def close(self) -> None:
        """Stop listening, end the connections with the commands that run, and remove the socket."""
        starting, self._starting, self._socket = self._starting, None, None
        if starting is None:
            return
        server = await starting
        self.path.unlink(missing_ok=True)
        server.close()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=_ENDING)

    def leave_to_parent(self) -> None:
        """Give the socket up in a forked child, which must not keep the clients of its parent waiting."""
        listener, self._socket, self._starting = self._socket, None, None
        if listener is not None:
            listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # the streams of asyncio have made it
        self._clients.add(task)
        try:
            await self._answer_all(reader, writer)
        except OSError:  # the client has left, or hangs
            pass
        except asyncio.CancelledError:  # `close`
            pass
        finally:
            self._clients.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self._check_client(writer.get_extra_info("socket"))
        except CommandError as error:
            await _send(writer, _refused(error))
            return
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    line = await reader.readline()
            except ValueError:  # longer than the limit, and where the next one begins is not known
                await _send(writer, _refused(mistake(f"the request has more than {MAX_LINE:,} bytes")))
                return
            if not line.endswith(b"\n"):
                return
            await _send(writer, await self._answer(line))

    def _check_client(self, connection: socket.socket) -> None:
        user = peer_user(connection)
        if user is not None and user != self._user:
            raise mistake(f"the process belongs to user {self._user}, and does not answer user {user}")
        if len(self._clients) > MOST_CLIENTS:
            raise failed(f"the process answers {MOST_CLIENTS} commands already; try again later")

    async def _answer(self, line: bytes) -> bytes:
        name = ""
        try:
            try:
                request = msgspec.json.decode(line, type=Request)
            except (RecursionError, ValueError) as error:
                raise mistake(f"this is no request: {error}") from None
            name = request.command
            if request.version != VERSION:
                raise mistake(f"the process speaks version {VERSION} of the protocol, not {request.version}")
            command = self.commands.get(name)
            if command is None:
                raise mistake(f"the process has no command {name!r}; it has {', '.join(sorted(self.commands))}")
            return line_of(Answer(await command(request.arguments)))
        except CommandError as error:
            return _refused(error)
        except MiniAgentsError as error:
            return _refused(failed(str(error)))
        except Exception as error:
            _log.error("control.command_failed", command=name, error=repr(error), stack=traceback_text(error))
            return _refused(failed(f"{name}: {type(error).__name__}: {error}"))


async def _send(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    async with asyncio.timeout(SILENCE):
        await writer.drain()


def _refused(error: CommandError) -> bytes:
    text = str(error).encode(errors="backslashreplace").decode()  # it may name a path that is no UTF-8
    return line_of(Answer(error=Refusal(error.kind, text)))


def _leave_to_parent() -> None:
    for server in tuple(_open):
        server.leave_to_parent()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
