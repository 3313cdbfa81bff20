"""`NodeLife`: one life of a node on Ray, its actor and its process."""

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path
from typing import Any

BEAT = "beat"
"""The concurrency group of the heartbeats: Ray runs them in a thread of their own."""

END_TIMEOUT = 1.0
"""Seconds within which a process that was killed has ended, unless the kernel cannot end it."""


class NodeLife:
    """A node that runs: its actor and, in an own cluster, its process.

    Attributes:
        actor: The Ray actor.
        beat: The way to it for heartbeats.
        pid: The process; None on another machine.
        watch: The task that waits for the end.
    """

    def __init__(self, actor: Any, pid: int | None) -> None:
        self.actor = actor
        self.beat = actor.beat.options(concurrency_group=BEAT)
        self.pid = pid
        self.watch: asyncio.Task[None] | None = None
        self._process: int | None = None
        if pid is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(ProcessLookupError):  # it has ended already; Ray reports that
                self._process = os.pidfd_open(pid)

    def kill(self) -> None:
        """End the process, if it is one of this machine."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    async def has_ended(self) -> bool:
        """Wait until the process has ended, which was killed.

        Returns:
            False if the kernel does not say so within `END_TIMEOUT`, as for a process that waits for a broken disk, or
            if it is none of this machine.
        """
        process, self._process = self._process, None
        if process is None:
            return False
        try:
            return await asyncio.to_thread(_is_readable, process, END_TIMEOUT)
        finally:
            os.close(process)


def _is_readable(process: int, seconds: float) -> bool:
    """Wait until a process has ended: its descriptor can be read from then on."""
    ends = select.poll()
    ends.register(process, select.POLLIN)
    return bool(ends.poll(1000 * seconds))


def runs(pid: int) -> bool:
    """Return whether a process of this machine runs, or is stopped; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
