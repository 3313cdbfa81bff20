"""Where control sockets are: a private folder of the user, and a short name for each thing that a process has open.

The paths of sockets are limited to about 100 bytes, so the name is a hash.
"""

import hashlib
import os
import secrets
import socket
import stat
import time
from pathlib import Path

from miniagents.errors import MiniAgentsError

_LONGEST = 100
"""Bytes of the path of a socket; macOS takes 103."""

_IS_THERE = hasattr(os, "geteuid")
"""Whether the platform has sockets that belong to a user. Windows has none."""

_STARTING = 60.0
"""Seconds after which a socket that refuses connections is stale, and does not just start."""

_SWEPT = 64
"""How many sockets one sweep looks at, at most."""


def socket_path(subject: Path) -> Path:
    """Return the path at which a process listens for commands about a file that it has open. Its folder is made.

    Args:
        subject: The file. The same file by another path has the same socket.

    Raises:
        MiniAgentsError: No folder is private to this user, or the platform has no such sockets.
    """
    return _private_folder() / _name(subject)


def new_socket_path() -> Path:
    """Return a path at which nobody listens, for a process that has no file to be named after. Its folder is made.

    Raises:
        MiniAgentsError: No folder is private to this user, or the platform has no such sockets.
    """
    return _private_folder() / f"{secrets.token_hex(8)}.sock"


def _private_folder() -> Path:
    if not _IS_THERE:
        raise MiniAgentsError("there are no control sockets on this platform; Linux, macOS and WSL have them")
    reasons = []
    for folder in _folders():
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _check_private(folder)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
            continue
        return folder
    raise MiniAgentsError(f"there is no private folder for the control socket ({'; '.join(reasons)})")


def sockets_of(subject: Path) -> list[Path]:
    """Return the paths at which a process may listen for commands about a file: those that are there."""
    return [path for path in (folder / _name(subject) for folder in _private_folders()) if path.exists()]


def live_sockets() -> list[Path]:
    """Return the sockets of this user that accept connections, and remove those that a dead process has left."""
    live = []
    for folder in _private_folders():
        for path in sorted(folder.glob("*.sock"))[:_SWEPT]:
            if _accepts(path):
                live.append(path)
            else:
                _remove_stale(path)
    return live


def _name(subject: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(subject))).hexdigest()[:16] + ".sock"


def _folders() -> list[Path]:
    """Return the folders to try, the best one first. A service and a shell of one user may see other variables, so the
    usual runtime folder is tried even if no variable names it."""
    if not _IS_THERE:
        return []
    user = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(base) / "miniagents" for base in (runtime, f"/run/user/{user}") if base and os.path.isdir(base)]
    folders.append(Path(f"/tmp/miniagents-{user}"))
    name = len("/0123456789abcdef.sock")
    return [folder for folder in dict.fromkeys(folders) if len(os.fsencode(folder)) + name <= _LONGEST]


def _private_folders() -> list[Path]:
    folders = []
    for folder in _folders():
        try:
            _check_private(folder)
        except OSError:
            continue
        folders.append(folder)
    return folders


def _check_private(folder: Path) -> None:
    """Check that a folder is this user's alone: in /tmp anybody may have made it first.

    Raises:
        OSError: It is not there, or others can write or read it.
    """
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(0, "it belongs to another user, or others can enter it")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # it has many clients
            return True
        except OSError:
            return False
        return True


def _remove_stale(path: Path) -> None:
    try:
        if time.time() - path.lstat().st_mtime > _STARTING:
            path.unlink()
            path.with_suffix(".stack").unlink(missing_ok=True)  # the socket beside it, for the stack of the loop
    except OSError:  # another process was quicker
        pass
