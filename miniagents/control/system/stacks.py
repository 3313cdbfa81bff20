"""`StackServer`: tells where an event loop is, also while a handler blocks it.

The server is a thread of its own, which waits for a connection, writes the stack of the loop's thread, and closes the
connection. Nothing runs in it before somebody asks.
"""

import os
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from miniagents.control.peer import peer_user

_SUFFIX = ".stack"

_PATIENCE = 5.0
"""Seconds that a client has to read the stack."""

_DEEPEST = 100
"""Frames of a stack that are told, at most."""

_PACKAGE = str(Path(__file__).parents[2]) + os.sep

_IDLE = ("selectors.py", "runners.py", "base_events.py")
"""The files of the innermost frame of a loop that waits: asyncio waits in a selector, and uvloop below its runner."""


class Frame(msgspec.Struct, frozen=True):
    """One frame of a stack.

    Attributes:
        file: The path of the file.
        line: The number of the line.
        function: The name of the function.
    """

    file: str
    line: int
    function: str


class Place(msgspec.Struct, frozen=True):
    """The place at which an event loop is.

    Attributes:
        is_idle: True if the loop waits for something to do.
        actor: The path of the actor or agent whose code runs, if it is known.
        frames: The frames, the outermost first.
    """

    is_idle: bool
    actor: str | None
    frames: tuple[Frame, ...]


class StackServer:
    """Tells where the event loop of the current thread is.

    Args:
        beside: The path of the control socket. The path of this one is the same with another ending.
    """

    def __init__(self, beside: Path) -> None:
        self.path = stack_path(beside)
        self._thread_id = threading.get_ident()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen.

        Raises:
            OSError: The socket cannot be made.
        """
        self.path.unlink(missing_ok=True)
        listener = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            listener.listen(4)
        except BaseException:
            listener.close()
            raise
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="miniagents-stacks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end the thread, and remove the socket."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        self.path.unlink(missing_ok=True)
        try:
            listener.shutdown(socket.SHUT_RDWR)  # `close` alone would not wake the thread
        except OSError:  # macOS: the close below wakes it
            pass
        listener.close()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def leave_to_parent(self) -> None:
        """Give the socket up in a forked child, in which the thread does not run."""
        listener, self._socket = self._socket, None
        if listener is not None:
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # `close`
                return
            with connection:
                try:
                    connection.settimeout(_PATIENCE)
                    if peer_user(connection) in (None, os.geteuid()):
                        connection.sendall(msgspec.json.encode(place_of(self._thread_id)))
                except OSError:  # the client has left
                    pass


def stack_path(control: Path) -> Path:
    """Return the path of the socket for stacks beside a control socket."""
    return control.with_suffix(_SUFFIX)


def ask_place(control: Path) -> Place | None:
    """Ask a process where its event loop is.

    Args:
        control: The path of its control socket.

    Returns:
        The place; None if the process does not tell.
    """
    pieces: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(stack_path(control)))
            while piece := connection.recv(65536):
                pieces.append(piece)
        except OSError:
            return None
    try:
        return msgspec.json.decode(b"".join(pieces), type=Place)
    except msgspec.DecodeError:  # the process has ended meanwhile
        return None


def place_of(thread_id: int) -> Place:
    """Return the place at which a thread is.

    Args:
        thread_id: The number of the thread, that of an event loop.
    """
    frames: list[Frame] = []
    actor: str | None = None
    frame: FrameType | None = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, for debugging
    is_idle = frame is None or os.path.basename(frame.f_code.co_filename) in _IDLE
    while frame is not None and len(frames) < _DEEPEST:
        code = frame.f_code
        frames.append(Frame(code.co_filename, frame.f_lineno, code.co_qualname))
        if actor is None and code.co_filename.startswith(_PACKAGE):
            actor = _actor_of(frame)
        frame = frame.f_back
    return Place(is_idle, None if is_idle else actor, tuple(reversed(frames)))


def _actor_of(frame: FrameType) -> str | None:
    """Return the path of the actor whose step a frame of the runtime is."""
    this: Any = frame.f_locals.get("self")
    if not type(this).__module__.startswith("miniagents."):  # no property of the user's is to run here
        return None
    path = getattr(this, "path", None)
    return path if isinstance(path, str) and path.startswith("/") else None
