"""The control socket: how commands of the same user ask a running process.

A server answers named commands in JSON lines. It knows nothing of what they do. A client asks it and waits.
"""

from miniagents.control.address import live_sockets, socket_path, sockets_of
from miniagents.control.client import NotListeningError, ask
from miniagents.control.protocol import VERSION, Command, CommandError
from miniagents.control.server import ControlServer

__all__ = [
    "VERSION",
    "Command",
    "CommandError",
    "ControlServer",
    "NotListeningError",
    "ask",
    "live_sockets",
    "socket_path",
    "sockets_of",
]
