"""Checks of the machine before a journal opens: SQLite's version, the file system, private files."""

import os
import re
import sqlite3
from pathlib import Path

from miniagents.errors import JournalError

_MOUNTS = Path("/proc/self/mounts")

_SHARED = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fakeowner",
    "gfs2",
    "glusterfs",
    "gpfs",
    "grpcfuse",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "osxfs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
}
"""File systems on which the shared memory or the locks of SQLite's WAL do not work, or cannot be relied on: those of
networks and clusters, and the mounts through which a desktop's containers and virtual machines see the host."""

_ESCAPED = re.compile(r"\\([0-7]{3})")
"""A space, tab, line feed or backslash in the table of mounts: \\040 is a space."""

_OLDEST = (3, 35, 0)


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Check that this SQLite can carry a journal.

    Raises:
        JournalError: It is too old.
    """
    if version < _OLDEST:
        raise JournalError(
            f"the journal needs SQLite {'.'.join(map(str, _OLDEST))} or newer, and this Python has "
            f"{'.'.join(map(str, version))}: use a newer Python, or a newer libsqlite3"
        )


def check_file_system(path: Path, mounts: str | None = None) -> None:
    """Check that the WAL of SQLite works on the file system of a file. Only Linux can tell; elsewhere nothing is
    checked.

    Args:
        path: The file, which need not be there; its folder must.
        mounts: The table of mounts in the form of `/proc/self/mounts`; None for that of this system.

    Raises:
        JournalError: It is a file system of a network, of FUSE, or of a virtual machine's host.
    """
    if mounts is None:
        if not _MOUNTS.exists():
            return
        mounts = _MOUNTS.read_text(errors="surrogateescape")
    folder = os.path.realpath(path.parent)
    kind, deepest = "", ""
    for line in mounts.splitlines():
        _, mounted_at, mounted_kind, *_ = line.split(" ")
        point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), mounted_at)
        is_above = folder == point or folder.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= len(deepest):  # a later mount covers an earlier one
            kind, deepest = mounted_kind, point
    if kind in _SHARED or kind.partition(".")[0] in ("fuse", "fuseblk"):
        raise JournalError(
            f"{path} is on {kind} ({deepest}), where SQLite's write-ahead log can lose data. Put the journal on a "
            "local disk, or in a volume of the container, or pass rollback_journal=True, which is slower",
            path=str(path),
        )


def make_private(path: Path, flags: int = 0) -> int:
    """Open a file that only its owner may read and write, from its first byte on, whatever the umask is.

    Args:
        path: The file; it is made if it is not there.
        flags: More flags of `os.open`.

    Returns:
        The file descriptor.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    if os.fstat(descriptor).st_mode & 0o077 and os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor
