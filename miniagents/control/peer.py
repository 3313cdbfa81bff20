"""`peer_user` and `peer_process`: who is at the other end of a socket."""

import socket
import struct
import sys

_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_XUCRED = struct.Struct("=IIhxx16I")
"""`struct xucred` of macOS: version, user, number of groups, groups."""


def peer_user(connection: socket.socket) -> int | None:
    """Return the user id of the process that has connected, or None where the platform does not tell.

    Raises:
        OSError: The connection is gone.
    """
    if hasattr(socket, "SO_PEERCRED"):
        credentials = struct.Struct("3i")
        _, user, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
        return int(user)
    if sys.platform == "darwin":
        raw = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        return int(_XUCRED.unpack(raw.ljust(_XUCRED.size, b"\0"))[1])
    return None


def peer_process(connection: socket.socket) -> int | None:
    """Return the id of the process at the other end, or None where the platform does not tell.

    For a client that is the process that has begun to listen, which may be the parent of the one that answers.

    Raises:
        OSError: The connection is gone.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = struct.Struct("3i")
    pid, _, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return int(pid)
