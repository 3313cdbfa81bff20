"""The lock that lets one process have a journal."""

import errno
import os
from pathlib import Path

from miniagents.errors import JournalError, JournalLockedError
from miniagents.journal.sqlite.file_system import make_private

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # checked where it is used


class FileLock:
    """A lock in a file of its own, `<journal>.lock`, with the pid of the process that has it.

    The lock is not in the file of the database: SQLite has locks of its own there, and closing any descriptor of that
    file would drop them. The system releases the lock when the process ends, however it ends.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._journal = path
        self._path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            JournalLockedError: Another process, or another journal object of this process, has it.
            JournalError: This system has no `flock`, or its file system does not support it.
            OSError: The file cannot be opened or written.
        """
        if fcntl is None:
            raise JournalError(
                f"{self._journal}: a journal needs flock, which this system does not have; run on Linux, macOS or WSL",
                path=str(self._journal),
            )
        descriptor = make_private(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise JournalError(
                    f"{self._journal}: its file system does not support flock ({error}); put it on a local disk",
                    path=str(self._journal),
                ) from error
            raise JournalLockedError(
                f"{self._journal} is open in process {holder or 'unknown'}: end that process, ask it through "
                "`miniagents`, or use another file",
                path=str(self._journal),
                pid=int(holder) if holder.isdigit() else 0,
            ) from None
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock. In a forked child this closes the child's copy, and the parent keeps the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
