"""The id of the request from outside that something is done for, by which logs, spans and answers are found again."""

from contextvars import ContextVar

current_request_id: ContextVar[str | None] = ContextVar("miniagents.current_request_id", default=None)
"""For which request the code runs that runs now; None where there is none."""
