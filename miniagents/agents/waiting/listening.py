"""The listener of waits: who learns that a call waits for an answer from outside."""

from collections.abc import Callable
from contextvars import ContextVar

from miniagents.journal.pending_wait import PendingWait

current_wait_listener: ContextVar[Callable[[PendingWait], None] | None] = ContextVar(
    "miniagents.wait_listener", default=None
)
"""Called with each wait that begins in a call that was made here, and in all calls below it. It must not fail."""
